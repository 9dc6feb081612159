"""Rerankers of OCI Generative AI."""

from typing import Any

from langchain_mdstream._oci_genai import OCIGenerativeAIMixin
from langchain_mdstream.rerankers._base import Reranker


class OCIGenAIRerank(OCIGenerativeAIMixin, Reranker):
    """Reranker of OCI Generative AI (`rerankText`).

    Setup:
        ```bash
        pip install -U "mdstream-llm[langchain,oci-lite]"
        oci setup config  # or auth_type=
        ```

    Instantiate:
        >>> reranker = OCIGenAIRerank(
        ...     model="cohere.rerank.v3.5", region="us-chicago-1", compartment_id="ocid1.compartment.oc1..aaaa"
        ... )

    Rerank:
        ```python
        documents = reranker.compress_documents(documents, "Where is Rome?")
        ```
    """

    __module__ = "langchain_mdstream.rerankers"  # where it is imported from, pickled and serialized

    model: str = "cohere.rerank-v4.0-fast"
    """Name of the model, or the OCID of a dedicated endpoint. The default is that of langchain-oci 0.4."""

    max_chunks_per_document: int | None = None
    """Maximum number of chunks that a long document is split into. `None` uses the service's default."""

    max_tokens_per_document: int | None = None
    """Maximum number of tokens of a document that are read. `None` uses the service's default."""

    def _build_params(self, query: str, top_n: int | None) -> dict[str, Any]:
        limits = {name: getattr(self, name) for name in ("max_chunks_per_document", "max_tokens_per_document")}
        return {**limits, **super()._build_params(query, top_n)}
