"""Rerankers: documents and a query in, the documents that fit best out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field, model_validator

from langchain_mdstream._connection_fields import ConnectionFields, ModelKind
from langchain_mdstream._errors import map_errors
from langchain_mdstream._platforms import ModelArtsMixin, OCIGenerativeAIMixin, OCIModelDeploymentMixin, SageMakerMixin
from mdstream_core import ListDialect, ModelResponse, rerank_dialect
from mdstream_core.options import RerankDialect

#: What can be ranked: a text, a document, or a dictionary with `text`.
Rankable = str | Document | Mapping[str, Any]


class Reranker(ConnectionFields, BaseDocumentCompressor):
    """A reranker on any platform: what differs is where it is asked.

    More documents than a service takes are sent in several requests, a few at once, and their scores put together:
    each score is of one document alone.
    """

    # A misspelt option is told, not swallowed, and no value is shown with it: it may be a secret.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    dialect: RerankDialect | None = None
    """The API format of the endpoint; by default that of the platform's models. See `mdstream_core.dialects`."""

    top_n: int | None = Field(default=3, gt=0)
    """How many documents to keep; `None` keeps all, in their new order."""

    score_threshold: float | None = None
    """The least score of what is kept; `None` keeps any."""

    batch_size: int | None = None
    """Documents of one request. By default what the service takes: 32 on TEI, 1,000 on OCI, 128 elsewhere."""

    max_concurrency: int = 4
    """How many requests may be under way, in synchronous code (threads) and asynchronous (tasks)."""

    model_kind: ClassVar[ModelKind] = "rerank"

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """The documents that fit the query best, the best first, each a copy with `relevance_score` in its metadata.

        Raises:
            ModelError: The service failed; nothing is ranked by half.
        """
        return _rank_documents(documents, self.rank(documents, query))

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """The same, without a thread."""
        return _rank_documents(documents, await self.arank(documents, query))

    def rerank(self, documents: Sequence[Rankable], query: str, top_n: int | None = None) -> list[dict[str, Any]]:
        """The places and scores of the documents that fit the query best, the best first.

        Args:
            documents: Texts, documents, or dictionaries with `text`.
            query: The question.
            top_n: How many to give; the object's own number where it is `None`.

        Returns:
            `{"index": int, "relevance_score": float}` for each.
        """
        return _scores(self.rank(documents, query, top_n=top_n))

    async def arerank(
        self, documents: Sequence[Rankable], query: str, top_n: int | None = None
    ) -> list[dict[str, Any]]:
        """The same, without a thread."""
        return _scores(await self.arank(documents, query, top_n=top_n))

    def rank(self, documents: Sequence[Rankable], query: str, top_n: int | None = None) -> ModelResponse:
        """The ranking with what is known of it: `response.ranking`, `response.usage`, `response.served.model`."""
        with map_errors():
            response = self.service.gather(
                self._ranking_dialect(),
                self._build_params(query, top_n),
                [_text(document) for document in documents],
                batch_size=self.batch_size,
                max_concurrency=self.max_concurrency,
                max_results=self._max_results(top_n),
            )
        return self._filter_by_score(response)

    async def arank(self, documents: Sequence[Rankable], query: str, top_n: int | None = None) -> ModelResponse:
        """The same, without a thread."""
        await self._prepare_service()
        with map_errors():
            response = await self.service.agather(
                self._ranking_dialect(),
                self._build_params(query, top_n),
                [_text(document) for document in documents],
                batch_size=self.batch_size,
                max_concurrency=self.max_concurrency,
                max_results=self._max_results(top_n),
            )
        return self._filter_by_score(response)

    def _max_results(self, top_n: int | None) -> int | None:
        return self.top_n if top_n is None else top_n

    def _build_params(self, query: str, top_n: int | None) -> dict[str, Any]:
        said = {"model": self.model or None, "query": query, "top_n": self._max_results(top_n)}
        return {**said, **self.model_kwargs, **(self.extra_body or {})}

    def _filter_by_score(self, response: ModelResponse) -> ModelResponse:
        """Without what fits too badly."""
        if self.score_threshold is None:
            return response
        return replace(response, ranking=tuple(one for one in response.ranking if one.score >= self.score_threshold))

    def _ranking_dialect(self) -> ListDialect:
        return rerank_dialect(self.dialect or self._default_dialect(self.model))

    @model_validator(mode="after")
    def _mdstream_dialect(self) -> Self:
        self._ranking_dialect()
        return self


def _text(document: Rankable) -> str:
    if isinstance(document, Mapping):
        return str(document["text"])
    return document if isinstance(document, str) else document.page_content


def _scores(response: ModelResponse) -> list[dict[str, Any]]:
    return [{"index": one.index, "relevance_score": one.score} for one in response.ranking]


def _rank_documents(documents: Sequence[Document], response: ModelResponse) -> list[Document]:
    best = [(documents[one.index], one.score) for one in response.ranking]
    return [
        document.model_copy(update={"metadata": {**document.metadata, "relevance_score": score}})
        for document, score in best
    ]


class OCIModelDeploymentRerank(OCIModelDeploymentMixin, Reranker):
    """A reranker on an OCI Data Science model deployment: vLLM or infinity (`/v1/rerank`).

    `dialect="score"` asks vLLM's `/v1/score`, `dialect="tei-rerank"` TEI.

    Example:
        >>> reranker = OCIModelDeploymentRerank(
        ...     endpoint="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.datasciencemodeldeployment.x",
        ...     top_n=5,
        ... )
    """


class OCIGenAIRerank(OCIGenerativeAIMixin, Reranker):
    """A reranker of OCI Generative AI (`rerankText`).

    Example:
        >>> reranker = OCIGenAIRerank(
        ...     model="cohere.rerank.v3.5", region="us-chicago-1", compartment_id="ocid1.compartment.oc1..aaaa"
        ... )
    """

    model: str = "cohere.rerank-v4.0-fast"
    """The model's name, or the OCID of a dedicated endpoint; by default the one of langchain-oci 0.4."""

    max_chunks_per_document: int | None = None
    """Into how many pieces a long document is cut at most; the service's default where it is `None`."""

    max_tokens_per_document: int | None = None
    """How much of a document is read, in tokens; the service's default where it is `None`."""

    def _build_params(self, query: str, top_n: int | None) -> dict[str, Any]:
        cut = {name: getattr(self, name) for name in ("max_chunks_per_document", "max_tokens_per_document")}
        return {**cut, **super()._build_params(query, top_n)}


class SagemakerEndpointRerank(SageMakerMixin, Reranker):
    """A reranker on an Amazon SageMaker endpoint: TEI or vLLM, found out by asking; `dialect` says it at once.

    Example:
        >>> reranker = SagemakerEndpointRerank(endpoint_name="my-endpoint", region_name="us-east-1")
    """


class ModelArtsRerank(ModelArtsMixin, Reranker):
    """A reranker on a Huawei ModelArts real-time service, or of MaaS (`/v1/rerank`).

    Example:
        >>> reranker = ModelArtsRerank(
        ...     endpoint="https://api.modelarts-maas.com/v1", model="bge-reranker-v2-m3", api_key="..."
        ... )
    """
