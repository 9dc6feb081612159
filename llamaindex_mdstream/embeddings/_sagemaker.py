"""Embeddings of Amazon SageMaker."""

from llamaindex_mdstream._content_handlers import handler_embedding_dialect
from llamaindex_mdstream._registration import register
from llamaindex_mdstream._sagemaker import SageMakerMixin
from llamaindex_mdstream.embeddings._base import MDStreamEmbedding
from mdstream_core import ListDialect


class SageMakerEmbedding(SageMakerMixin, MDStreamEmbedding):
    """Embeddings of Amazon SageMaker endpoints (TEI, LMI, vLLM, JumpStart).

    The API format of the container is detected from its first response; `dialect` sets it. Install, authentication and
    connection fields are those of `SageMakerLLM`.

    Example:
        >>> embedding = SageMakerEmbedding(endpoint_name="my-endpoint", region_name="us-east-1")
        >>> embedding.endpoint_name
        'my-endpoint'
        >>> vector = embedding.get_query_embedding("Which river is the longest?")  # doctest: +SKIP
    """

    __module__ = "llamaindex_mdstream.embeddings"  # where it is imported from, pickled and serialized

    @classmethod
    def class_name(cls) -> str:
        """Name of the class in serialized models."""
        return "mdstream_sagemaker_embedding"

    def _resolve_dialect(self) -> ListDialect:
        if self.content_handler is None:
            return super()._resolve_dialect()
        return handler_embedding_dialect(self.content_handler)


register(SageMakerEmbedding)
