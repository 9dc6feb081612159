"""Rerankers of Huawei ModelArts."""

from llamaindex_mdstream._modelarts import ModelArtsMixin
from llamaindex_mdstream.rerankers._base import MDStreamRerank


class ModelArtsRerank(ModelArtsMixin, MDStreamRerank):
    """Reranker for Huawei ModelArts real-time services and for MaaS.

    MaaS requires `model`. Install, authentication and connection fields are those of `ModelArts`.

    Example:
        >>> ModelArtsRerank(
        ...     endpoint="https://api.modelarts-maas.com/v1", model="bge-reranker-v2-m3", api_key="..."
        ... ).model
        'bge-reranker-v2-m3'
    """

    __module__ = "llamaindex_mdstream.rerankers"  # where it is imported from, pickled and serialized

    @classmethod
    def class_name(cls) -> str:
        """Name of the class in serialized models."""
        return "mdstream_modelarts_rerank"
