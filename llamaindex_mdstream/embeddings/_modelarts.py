"""Embeddings of Huawei ModelArts."""

from llamaindex_mdstream._modelarts import ModelArtsMixin
from llamaindex_mdstream._registration import register
from llamaindex_mdstream.embeddings._base import MDStreamEmbedding


class ModelArtsEmbedding(ModelArtsMixin, MDStreamEmbedding):
    """Embeddings of Huawei ModelArts real-time services and of MaaS.

    MaaS requires `model_name`. Install, authentication and connection fields are those of `ModelArts`.

    Example:
        >>> embedding = ModelArtsEmbedding(
        ...     endpoint="https://api.modelarts-maas.com/v1", model_name="bge-m3", api_key="..."
        ... )
        >>> embedding.model_name
        'bge-m3'
        >>> vector = embedding.get_query_embedding("Which river is the longest?")  # doctest: +SKIP
    """

    __module__ = "llamaindex_mdstream.embeddings"  # where it is imported from, pickled and serialized

    @classmethod
    def class_name(cls) -> str:
        """Name of the class in serialized models."""
        return "mdstream_modelarts_embedding"


register(ModelArtsEmbedding)
