"""Register the embeddings with LlamaIndex before they are imported."""

from importlib import import_module
from typing import Any, cast

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.embeddings.loading import RECOGNIZED_EMBEDDINGS

#: Classes by the name in a serialized model, which `class_name` of the class returns.
EMBEDDINGS = {
    "mdstream_oci_model_deployment_embedding": "OCIDataScienceEmbedding",
    "mdstream_oci_genai_embedding": "OCIGenAIEmbeddings",
    "mdstream_sagemaker_embedding": "SageMakerEmbedding",
    "mdstream_modelarts_embedding": "ModelArtsEmbedding",
}


class LazyEmbedding:
    """Entry of LlamaIndex's table for a class that is not imported yet; its module replaces it by the class.

    Args:
        name: The name of the class in `llamaindex_mdstream.embeddings`.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def from_dict(self, data: dict[str, Any], **kwargs: Any) -> BaseEmbedding:
        """Import the class and create an embedding from a dict, as `load_embed_model` does."""
        embedding: BaseEmbedding = getattr(import_module("llamaindex_mdstream.embeddings"), self._name).from_dict(
            data, **kwargs
        )
        return embedding


def register_embeddings() -> None:
    """Let `load_embed_model` find the embeddings."""
    for class_name, name in EMBEDDINGS.items():
        RECOGNIZED_EMBEDDINGS.setdefault(class_name, cast("type[BaseEmbedding]", LazyEmbedding(name)))
