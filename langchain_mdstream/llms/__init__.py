"""Completion models. A platform's module is imported when one of its classes is first used."""

from typing import TYPE_CHECKING

from mdstream_core._lazy import lazy_exports

if TYPE_CHECKING:
    from langchain_mdstream.llms._base import CompletionModel
    from langchain_mdstream.llms._modelarts import ModelArtsLLM
    from langchain_mdstream.llms._oci_genai import OCIGenAI
    from langchain_mdstream.llms._oci_model_deployment import OCIModelDeploymentLLM
    from langchain_mdstream.llms._sagemaker import SagemakerEndpoint

__all__ = ["CompletionModel", "ModelArtsLLM", "OCIGenAI", "OCIModelDeploymentLLM", "SagemakerEndpoint"]

_MODULES = {
    "CompletionModel": "_base",
    "ModelArtsLLM": "_modelarts",
    "OCIGenAI": "_oci_genai",
    "OCIModelDeploymentLLM": "_oci_model_deployment",
    "SagemakerEndpoint": "_sagemaker",
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __getattr__, __dir__ = lazy_exports(__name__, _MODULES)
