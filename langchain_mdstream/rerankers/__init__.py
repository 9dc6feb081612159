"""Rerankers. A platform's module is imported when one of its classes is first used."""

from typing import TYPE_CHECKING

from mdstream_core._lazy import lazy_exports

if TYPE_CHECKING:
    from langchain_mdstream.rerankers._base import Reranker
    from langchain_mdstream.rerankers._modelarts import ModelArtsRerank
    from langchain_mdstream.rerankers._oci_genai import OCIGenAIRerank
    from langchain_mdstream.rerankers._oci_model_deployment import OCIModelDeploymentRerank
    from langchain_mdstream.rerankers._sagemaker import SagemakerEndpointRerank

__all__ = [
    "ModelArtsRerank",
    "OCIGenAIRerank",
    "OCIModelDeploymentRerank",
    "Reranker",
    "SagemakerEndpointRerank",
]

_MODULES = {
    "ModelArtsRerank": "_modelarts",
    "OCIGenAIRerank": "_oci_genai",
    "OCIModelDeploymentRerank": "_oci_model_deployment",
    "Reranker": "_base",
    "SagemakerEndpointRerank": "_sagemaker",
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __getattr__, __dir__ = lazy_exports(__name__, _MODULES)
