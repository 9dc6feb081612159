"""Embedding classes. A platform's module is imported when one of its classes is first used."""

from typing import TYPE_CHECKING

from mdstream_core._lazy import lazy_exports

if TYPE_CHECKING:
    from llamaindex_mdstream.embeddings._base import MDStreamEmbedding
    from llamaindex_mdstream.embeddings._modelarts import ModelArtsEmbedding
    from llamaindex_mdstream.embeddings._oci_genai import OCIGenAIEmbeddings
    from llamaindex_mdstream.embeddings._oci_model_deployment import OCIDataScienceEmbedding
    from llamaindex_mdstream.embeddings._sagemaker import SageMakerEmbedding

__all__ = [
    "MDStreamEmbedding",
    "ModelArtsEmbedding",
    "OCIDataScienceEmbedding",
    "OCIGenAIEmbeddings",
    "SageMakerEmbedding",
]

_MODULES = {
    "MDStreamEmbedding": "_base",
    "ModelArtsEmbedding": "_modelarts",
    "OCIDataScienceEmbedding": "_oci_model_deployment",
    "OCIGenAIEmbeddings": "_oci_genai",
    "SageMakerEmbedding": "_sagemaker",
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __getattr__, __dir__ = lazy_exports(__name__, _MODULES)
