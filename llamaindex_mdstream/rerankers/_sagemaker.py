"""Rerankers of Amazon SageMaker."""

from llamaindex_mdstream._sagemaker import SageMakerMixin
from llamaindex_mdstream.rerankers._base import MDStreamRerank


class SageMakerRerank(SageMakerMixin, MDStreamRerank):
    """Reranker for Amazon SageMaker endpoints (TEI, vLLM).

    The API format of the container is detected from its first response; `dialect` sets it. Install, authentication and
    connection fields are those of `SageMakerLLM`.

    Example:
        >>> SageMakerRerank(endpoint_name="my-endpoint", region_name="us-east-1").endpoint_name
        'my-endpoint'
    """

    __module__ = "llamaindex_mdstream.rerankers"  # where it is imported from, pickled and serialized

    @classmethod
    def class_name(cls) -> str:
        """Name of the class in serialized models."""
        return "mdstream_sagemaker_rerank"

    def _validate_handler(self) -> None:
        raise ValueError("content_handler is not supported for rerankers (hint: set dialect= instead)")

    def _reported_model_name(self) -> str:
        return self.model or self.endpoint_name
