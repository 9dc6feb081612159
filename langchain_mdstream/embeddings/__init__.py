"""Embedding models. A platform's module is imported when one of its classes is first used."""

from typing import TYPE_CHECKING

from mdstream_core._lazy import lazy_exports

if TYPE_CHECKING:
    from langchain_mdstream.embeddings._base import EmbeddingModel
    from langchain_mdstream.embeddings._modelarts import ModelArtsEmbeddings
    from langchain_mdstream.embeddings._oci_genai import OCIGenAIEmbeddings
    from langchain_mdstream.embeddings._oci_model_deployment import (
        OCIDataScienceEmbedding,
        OCIModelDeploymentEmbeddings,
        OCIModelDeploymentEndpointEmbeddings,
    )
    from langchain_mdstream.embeddings._sagemaker import SagemakerEndpointEmbeddings

__all__ = [
    "EmbeddingModel",
    "ModelArtsEmbeddings",
    "OCIDataScienceEmbedding",
    "OCIGenAIEmbeddings",
    "OCIModelDeploymentEmbeddings",
    "OCIModelDeploymentEndpointEmbeddings",
    "SagemakerEndpointEmbeddings",
]

_MODULES = {
    "EmbeddingModel": "_base",
    "ModelArtsEmbeddings": "_modelarts",
    "OCIDataScienceEmbedding": "_oci_model_deployment",
    "OCIGenAIEmbeddings": "_oci_genai",
    "OCIModelDeploymentEmbeddings": "_oci_model_deployment",
    "OCIModelDeploymentEndpointEmbeddings": "_oci_model_deployment",
    "SagemakerEndpointEmbeddings": "_sagemaker",
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __getattr__, __dir__ = lazy_exports(__name__, _MODULES)
