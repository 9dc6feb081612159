"""Platforms: the services that host models. Each has its URLs, headers, framing of responses, and errors."""

from mdstream_core.platforms._platform import Platform
from mdstream_core.platforms.modelarts import ModelArts
from mdstream_core.platforms.oci_genai import OCIGenerativeAI
from mdstream_core.platforms.oci_model_deployment import OCIModelDeployment
from mdstream_core.platforms.sagemaker import SageMaker

__all__ = ["ModelArts", "OCIGenerativeAI", "OCIModelDeployment", "Platform", "SageMaker"]
