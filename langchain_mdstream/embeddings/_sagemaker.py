"""Embedding models of Amazon SageMaker."""

from collections.abc import Mapping
from typing import Any

from langchain_mdstream._sagemaker import SageMakerMixin
from langchain_mdstream.embeddings._base import EmbeddingModel
from mdstream_core import ListDialect


class SagemakerEndpointEmbeddings(SageMakerMixin, EmbeddingModel):
    """Embedding model on an Amazon SageMaker endpoint: TEI, LMI, Hugging Face's toolkit, vLLM or JumpStart.

    Requests have `inputs`; if the container rejects that, `input` (vLLM) or `text_inputs` (JumpStart) is tried.
    `dialect="openai-embeddings"` or `"jumpstart-embeddings"` uses these directly.

    Setup:
        ```bash
        pip install -U "mdstream-llm[langchain,aws]"
        export AWS_PROFILE="my-profile"  # or AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY …
        ```

    Instantiate:
        >>> embeddings = SagemakerEndpointEmbeddings(endpoint_name="my-endpoint", region_name="us-east-1")

    Embed:
        ```python
        vectors = embeddings.embed_documents(["Rome is in Italy.", "Paris is in France."])
        vector = embeddings.embed_query("Where is Rome?")
        ```

    Async:
        ```python
        vectors = await embeddings.aembed_documents(["Rome is in Italy.", "Paris is in France."])
        ```
    """

    __module__ = "langchain_mdstream.embeddings"  # where it is imported from, pickled and serialized

    def _embedding_dialect(self, params: Mapping[str, Any]) -> ListDialect:
        if self.content_handler is None:
            return super()._embedding_dialect(params)
        resolved: Any = self._resolve_dialect(params, stream=False)
        dialect: ListDialect = resolved
        return dialect
