"""The base class of the rerankers (node postprocessors)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Self

from llama_index.core.callbacks import CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from llama_index_instrumentation import get_dispatcher
from pydantic import Field, model_validator

from llamaindex_mdstream._aliases import RerankAliases
from llamaindex_mdstream._connection_fields import ConnectionFields
from mdstream_core import ListDialect, ModelResponse, Timeout, rerank_dialect
from mdstream_core.options import RerankDialect

_dispatcher = get_dispatcher(__name__)


class MDStreamRerank(RerankAliases, ConnectionFields, BaseNodePostprocessor):
    """Base class of the rerankers of all platforms: the nodes most relevant to a query, best first, or an error.

    Nodes beyond the maximum of one request are sent in several requests, and the scores are merged, because each score
    depends on one node alone. The text of a node is ranked with the metadata that embedding models receive.
    """

    __module__ = "llamaindex_mdstream.rerankers"  # where it is imported from, pickled and serialized

    dialect: RerankDialect | None = Field(
        default=None,
        description="API format of the endpoint, such as `score`. Default: that of the platform's models.",
    )
    model: str = Field(
        default="",
        description="Name of the model on the server. Not sent if empty. `model_name` and `model_id` are aliases.",
    )
    top_n: int = Field(default=3, gt=0, description="Number of nodes to return.")
    batch_size: int | None = Field(
        default=None, gt=0, description="Maximum number of nodes of one request. Default: the maximum of the API."
    )
    max_concurrency: int = Field(
        default=4, gt=0, description="Maximum number of requests at the same time, for all callers of the object."
    )
    additional_kwargs: dict[str, Any] = Field(default_factory=dict, description="Further parameters of each request.")

    _other_names: ClassVar[dict[str, str]] = {"model_name": "model", "model_id": "model", "request_timeout": "timeout"}

    def rank(self, texts: Sequence[str], query: str, *, top_n: int | None = None) -> ModelResponse:
        """Rank texts: `ranking` of the response lists `index` and `score` of each, best first.

        Args:
            texts: Any number of texts; they are sent in batches.
            query: The query.
            top_n: Number of results. Default: the field `top_n`.

        Raises:
            MDStreamError: A request failed after its retries. There is no partial ranking.
        """
        max_results = self.top_n if top_n is None else top_n
        return self._get_service().gather(
            self._resolve_dialect(),
            self._build_params(query, max_results),
            texts,
            batch_size=self.batch_size,
            max_concurrency=self.max_concurrency,
            max_results=max_results,
        )

    async def arank(self, texts: Sequence[str], query: str, *, top_n: int | None = None) -> ModelResponse:
        """Async variant of `rank`."""
        await self._prepare_service()
        max_results = self.top_n if top_n is None else top_n
        return await self._get_service().agather(
            self._resolve_dialect(),
            self._build_params(query, max_results),
            texts,
            batch_size=self.batch_size,
            max_concurrency=self.max_concurrency,
            max_results=max_results,
        )

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _query_text(query_bundle)
        if not nodes:
            return []
        with self._observe(nodes, query) as best:
            best += _to_nodes(nodes, self.rank(_texts(nodes), query))
        return best

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _query_text(query_bundle)
        if not nodes:
            return []
        with self._observe(nodes, query) as best:
            best += _to_nodes(nodes, await self.arank(_texts(nodes), query))
        return best

    @contextmanager
    def _observe(self, nodes: list[NodeWithScore], query: str) -> Iterator[list[NodeWithScore]]:
        """Send start and end events. The caller adds the best nodes to the yielded list."""
        best: list[NodeWithScore] = []
        name = self._reported_model_name() or "unknown"
        _dispatcher.event(ReRankStartEvent(query=query, nodes=nodes, top_n=self.top_n, model_name=name))
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: name,
            EventPayload.QUERY_STR: query,
            EventPayload.TOP_K: self.top_n,
        }
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
            yield best
            event.on_end(payload={EventPayload.NODES: best})
        _dispatcher.event(ReRankEndEvent(nodes=best))

    def _reported_model_name(self) -> str:
        return self.model

    def _build_params(self, query: str, top_n: int) -> dict[str, Any]:
        fields = {"model": self.model or None, "query": query, "top_n": top_n}
        return {**fields, **self.additional_kwargs, **(self.extra_body or {})}

    def _resolve_dialect(self) -> ListDialect:
        return rerank_dialect(self.dialect or self._default_dialect(self.model, "rerank"))

    @model_validator(mode="after")
    def _validate(self) -> Self:
        Timeout.from_value(self.timeout)
        self._validate_fields()
        self._resolve_dialect()
        return self


def _query_text(bundle: QueryBundle | None) -> str:
    if bundle is None:
        raise ValueError("query_bundle is missing (hint: pass the query as query_bundle or query_str)")
    return bundle.query_str


def _texts(nodes: list[NodeWithScore]) -> list[str]:
    return [node.node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]


def _to_nodes(nodes: list[NodeWithScore], response: ModelResponse) -> list[NodeWithScore]:
    return [NodeWithScore(node=nodes[result.index].node, score=result.score) for result in response.ranking]
