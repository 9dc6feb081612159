"""Where to ask, and how the answer is framed and ended. One file per service."""

from mdstream_core.platforms._platform import Platform
from mdstream_core.platforms.oci_model_deployment import OCIModelDeployment

__all__ = ["OCIModelDeployment", "Platform"]
