"""The base class of the rerankers: documents and a query in, the most relevant documents out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field, model_validator

from langchain_mdstream._connection_fields import ConnectionFields, ModelKind
from langchain_mdstream._errors import map_errors
from mdstream_core import ListDialect, ModelResponse, rerank_dialect
from mdstream_core.options import RerankDialect

#: What can be ranked: a text, a `Document`, or a mapping with `text`.
Rankable = str | Document | Mapping[str, Any]


class Reranker(ConnectionFields, BaseDocumentCompressor):
    """Base class of the rerankers: everything but the endpoint and the authentication.

    Documents are split into batches of `batch_size`, and up to `max_concurrency` requests run at once. The results are
    merged by score, because each score depends on one document only.
    """

    __module__ = "langchain_mdstream.rerankers"  # where it is imported from, pickled and serialized

    # Unknown options are errors, without their values, which may be secrets.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    dialect: RerankDialect | None = None
    """API format of the endpoint, such as `score`. `None` uses the default of the platform."""

    top_n: int | None = Field(default=3, gt=0)
    """Maximum number of documents to return. `None` returns all, sorted by relevance."""

    score_threshold: float | None = None
    """Minimum relevance score of the documents to return. `None` returns documents with any score."""

    batch_size: int | None = None
    """Maximum number of documents per request. `None` uses the limit of the service: 32 on TEI, 1,000 on OCI, 128
    elsewhere."""

    max_concurrency: int = 4
    """Maximum number of requests at once, in threads (synchronous methods) or tasks (asynchronous methods)."""

    model_kind: ClassVar[ModelKind] = "rerank"

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Return the most relevant documents, best first.

        Returns:
            Copies of the documents, with `relevance_score` in their metadata.

        Raises:
            ModelError: A request failed; there are no partial rankings.
        """
        return _rank_documents(documents, self.rank(documents, query))

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Return the most relevant documents asynchronously; see `compress_documents`."""
        return _rank_documents(documents, await self.arank(documents, query))

    def rerank(self, documents: Sequence[Rankable], query: str, top_n: int | None = None) -> list[dict[str, Any]]:
        """Return the indices and scores of the most relevant documents, best first.

        Args:
            documents: Texts, documents, or mappings with `text`.
            query: The query.
            top_n: Maximum number of results. `None` uses the field `top_n`.

        Returns:
            `{"index": int, "relevance_score": float}` for each.
        """
        return _scores(self.rank(documents, query, top_n=top_n))

    async def arerank(
        self, documents: Sequence[Rankable], query: str, top_n: int | None = None
    ) -> list[dict[str, Any]]:
        """Return indices and scores asynchronously; see `rerank`."""
        return _scores(await self.arank(documents, query, top_n=top_n))

    def rank(self, documents: Sequence[Rankable], query: str, top_n: int | None = None) -> ModelResponse:
        """Rank documents and return the whole response, with `ranking`, `usage` and `metadata`."""
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
        """Rank documents asynchronously and return the whole response; see `rank`."""
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
        params = {"model": self.model or None, "query": query, "top_n": self._max_results(top_n)}
        return {**params, **self.model_kwargs, **(self.extra_body or {})}

    def _filter_by_score(self, response: ModelResponse) -> ModelResponse:
        """Remove results below `score_threshold`."""
        if self.score_threshold is None:
            return response
        return replace(response, ranking=tuple(rank for rank in response.ranking if rank.score >= self.score_threshold))

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
    return [{"index": rank.index, "relevance_score": rank.score} for rank in response.ranking]


def _rank_documents(documents: Sequence[Document], response: ModelResponse) -> list[Document]:
    best = [(documents[rank.index], rank.score) for rank in response.ranking]
    return [
        document.model_copy(update={"metadata": {**document.metadata, "relevance_score": score}})
        for document, score in best
    ]
