"""Platforms: the services that host models. Each has its URLs, headers, framing of responses, and errors."""

from typing import TYPE_CHECKING

from mdstream_core._lazy import lazy_exports

if TYPE_CHECKING:
    from mdstream_core.platforms._platform import Platform
    from mdstream_core.platforms.modelarts import ModelArts
    from mdstream_core.platforms.oci_genai import OCIGenerativeAI
    from mdstream_core.platforms.oci_model_deployment import OCIModelDeployment
    from mdstream_core.platforms.sagemaker import SageMaker

__all__ = ["ModelArts", "OCIGenerativeAI", "OCIModelDeployment", "Platform", "SageMaker"]

#: Exported names by module. A module is imported when one of its names is first read.
_NAMES = {
    "_platform": ("Platform",),
    "modelarts": ("ModelArts",),
    "oci_genai": ("OCIGenerativeAI",),
    "oci_model_deployment": ("OCIModelDeployment",),
    "sagemaker": ("SageMaker",),
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __getattr__, __dir__ = lazy_exports(__name__, {name: module for module, names in _NAMES.items() for name in names})
