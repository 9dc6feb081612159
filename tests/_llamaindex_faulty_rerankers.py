"""Rerankers with one fault each, for tests of the conformance suite."""

import asyncio
import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Any

import httpx
from llama_index.core.callbacks import CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from llama_index_instrumentation import get_dispatcher
from pydantic import Field

Nodes = list[NodeWithScore]
Score = tuple[int, float]

_dispatcher = get_dispatcher(__name__)


class MinimalRerank(BaseNodePostprocessor):
    """A minimal correct reranker, with 100 nodes in a request."""

    url: str
    top_n: int
    max_retries: int = 0
    api_key: str = Field(default="", exclude=True, repr=False)

    @classmethod
    def class_name(cls) -> str:
        """Name of the class in serialized models."""
        return "plain"

    def _postprocess_nodes(self, nodes: Nodes, query_bundle: QueryBundle | None = None) -> Nodes:
        query = self._query(query_bundle)
        if not nodes:
            return []
        with self._observe(nodes, query) as best:
            scores = [self._scores(at, batch, query) for at, batch in self._batches(nodes)]
            best += self._best(nodes, list(itertools.chain(*scores)))
        return best

    async def _apostprocess_nodes(self, nodes: Nodes, query_bundle: QueryBundle | None = None) -> Nodes:
        query = self._query(query_bundle)
        if not nodes:
            return []
        with self._observe(nodes, query) as best:
            scores = [await self._ascores(at, batch, query) for at, batch in self._batches(nodes)]
            best += self._best(nodes, list(itertools.chain(*scores)))
        return best

    def _query(self, bundle: QueryBundle | None) -> str:
        if bundle is None:
            raise ValueError("no query")
        return bundle.query_str

    def _batches(self, nodes: Nodes) -> list[tuple[int, Nodes]]:
        return [(at, nodes[at : at + 100]) for at in range(0, len(nodes), 100)]

    @contextmanager
    def _observe(self, nodes: Nodes, query: str) -> Iterator[Nodes]:
        best: Nodes = []
        _dispatcher.event(ReRankStartEvent(query=query, nodes=nodes, top_n=self.top_n, model_name="m"))
        payload = {EventPayload.NODES: nodes, EventPayload.QUERY_STR: query}
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
            yield best
            event.on_end({EventPayload.NODES: best})
        _dispatcher.event(ReRankEndEvent(nodes=best))

    def _text(self, node: NodeWithScore) -> str:
        return node.node.get_content(MetadataMode.EMBED)

    def _sent(self, nodes: Sequence[NodeWithScore], query: str) -> dict[str, Any]:
        body = {"model": "m", "query": query, "documents": [self._text(node) for node in nodes]}
        return {
            "url": f"{self.url}/rerank",
            "json": body,
            "headers": {"authorization": f"Bearer {self.api_key}"},
        }

    def _scores(self, at: int, nodes: Nodes, query: str) -> list[Score]:
        with httpx.Client() as client:
            for left in reversed(range(self.max_retries + 1)):
                response = client.post(**self._sent(nodes, query))
                if response.status_code != 503 or not left:
                    break
        return [(at + index, score) for index, score in self._read(nodes, response)]

    async def _ascores(self, at: int, nodes: Nodes, query: str) -> list[Score]:
        async with httpx.AsyncClient() as client:
            for left in reversed(range(self.max_retries + 1)):
                response = await client.post(**self._sent(nodes, query))
                if response.status_code != 503 or not left:
                    break
        return [(at + index, score) for index, score in self._read(nodes, response)]

    def _read(self, nodes: Nodes, response: httpx.Response) -> list[Score]:
        scores = [(one["index"], one["relevance_score"]) for one in response.raise_for_status().json()["results"]]
        self._check_indices(nodes, scores)
        self._check_scores(scores)
        return scores

    def _check_indices(self, nodes: Nodes, scores: list[Score]) -> None:
        if sorted(index for index, _ in scores) != list(range(len(nodes))):
            raise LookupError("wrong indices")

    def _check_scores(self, scores: list[Score]) -> None:
        if not all(isinstance(score, float) and isfinite(score) for _, score in scores):
            raise TypeError("wrong scores")

    def _best(self, nodes: Nodes, scores: list[Score]) -> Nodes:
        return self._nodes(nodes, sorted(scores, key=lambda one: -one[1])[: self.top_n])

    def _nodes(self, nodes: Nodes, scores: list[Score]) -> Nodes:
        return [NodeWithScore(node=nodes[index].node, score=score) for index, score in scores]


class WorstFirst(MinimalRerank):
    """Scores are read as distances."""

    def _best(self, nodes: Nodes, scores: list[Score]) -> Nodes:
        return self._nodes(nodes, sorted(scores, key=lambda one: one[1])[: self.top_n])


class KeepsScores(MinimalRerank):
    """Nodes keep the scores of the retriever."""

    def _nodes(self, nodes: Nodes, scores: list[Score]) -> Nodes:
        return [nodes[index] for index, _ in scores]


class TrustsTheOrder(MinimalRerank):
    """Scores are not sorted."""

    def _best(self, nodes: Nodes, scores: list[Score]) -> Nodes:
        return self._nodes(nodes, scores[: self.top_n])


class AllNodes(MinimalRerank):
    """All nodes are returned."""

    def _best(self, nodes: Nodes, scores: list[Score]) -> Nodes:
        return self._nodes(nodes, sorted(scores, key=lambda one: -one[1]))


class SendsNothing(MinimalRerank):
    """A request is sent without nodes."""

    def _batches(self, nodes: Nodes) -> list[tuple[int, Nodes]]:
        return super()._batches(nodes) or [(0, [])]

    def _postprocess_nodes(self, nodes: Nodes, query_bundle: QueryBundle | None = None) -> Nodes:
        if not nodes:
            httpx.post(**self._sent(nodes, "?"))
        return super()._postprocess_nodes(nodes, query_bundle)

    async def _apostprocess_nodes(self, nodes: Nodes, query_bundle: QueryBundle | None = None) -> Nodes:
        return await asyncio.to_thread(self._postprocess_nodes, nodes, query_bundle)


class EmptyQuery(MinimalRerank):
    """A missing query is an empty one."""

    def _query(self, bundle: QueryBundle | None) -> str:
        return bundle.query_str if bundle else ""


class IgnoresBundles(MinimalRerank):
    """Only `query_str` is read; with a bundle the nodes are returned as they are."""

    def postprocess_nodes(
        self, nodes: Nodes, query_bundle: QueryBundle | None = None, query_str: str | None = None
    ) -> Nodes:
        """Return the nodes if there is no string."""
        return super().postprocess_nodes(nodes, query_str=query_str) if query_str else nodes

    async def apostprocess_nodes(
        self, nodes: Nodes, query_bundle: QueryBundle | None = None, query_str: str | None = None
    ) -> Nodes:
        """Return the nodes if there is no string."""
        return await super().apostprocess_nodes(nodes, query_str=query_str) if query_str else nodes


class AsyncDiffers(MinimalRerank):
    """The async method returns other scores."""

    async def _ascores(self, at: int, nodes: Nodes, query: str) -> list[Score]:
        return [(index, score / 2) for index, score in await super()._ascores(at, nodes, query)]


class TextAlone(MinimalRerank):
    """Nodes are sent without metadata."""

    def _text(self, node: NodeWithScore) -> str:
        return node.text


class MutatesNodes(MinimalRerank):
    """The nodes of the caller get the new scores."""

    def _nodes(self, nodes: Nodes, scores: list[Score]) -> Nodes:
        for index, score in scores:
            nodes[index].score = score
        return [nodes[index] for index, _ in scores]


class FirstBatchOnly(MinimalRerank):
    """Nodes beyond the first request are dropped."""

    def _batches(self, nodes: Nodes) -> list[tuple[int, Nodes]]:
        return super()._batches(nodes)[:1]


class SkipsFailedParts(MinimalRerank):
    """Failed requests are left out, if another one succeeded."""

    def _scores(self, at: int, nodes: Nodes, query: str) -> list[Score]:
        try:
            return super()._scores(at, nodes, query)
        except httpx.HTTPError:
            if at:
                return []
            raise

    async def _ascores(self, at: int, nodes: Nodes, query: str) -> list[Score]:
        try:
            return await super()._ascores(at, nodes, query)
        except httpx.HTTPError:
            if at:
                return []
            raise


class SwallowsRankingErrors(MinimalRerank):
    """After an error the nodes are returned as they are."""

    def _postprocess_nodes(self, nodes: Nodes, query_bundle: QueryBundle | None = None) -> Nodes:
        try:
            return super()._postprocess_nodes(nodes, query_bundle)
        except (httpx.HTTPError, ValueError):
            return nodes

    async def _apostprocess_nodes(self, nodes: Nodes, query_bundle: QueryBundle | None = None) -> Nodes:
        try:
            return await super()._apostprocess_nodes(nodes, query_bundle)
        except (httpx.HTTPError, ValueError):
            return nodes


class TrustsIndices(MinimalRerank):
    """Indices are not checked."""

    def _check_indices(self, nodes: Nodes, scores: list[Score]) -> None:
        """Check nothing."""


class TrustsScores(MinimalRerank):
    """Invalid scores are zeros."""

    def _check_scores(self, scores: list[Score]) -> None:
        scores[:] = [(index, score if isinstance(score, float) else 0.0) for index, score in scores]


class NeverRetries(MinimalRerank):
    """`max_retries` has no effect."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**{**fields, "max_retries": 0})


class AlwaysRetries(MinimalRerank):
    """Requests are always retried."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**{**fields, "max_retries": 1})


class SharedRerankClient(MinimalRerank):
    """One client is shared by all event loops."""

    _client: Any = None

    async def _ascores(self, at: int, nodes: Nodes, query: str) -> list[Score]:
        self._client = self._client or httpx.AsyncClient()
        return self._read(nodes, await self._client.post(**self._sent(nodes, query)))


class BlocksTheLoopToRank(MinimalRerank):
    """The async method blocks."""

    async def _ascores(self, at: int, nodes: Nodes, query: str) -> list[Score]:
        return self._scores(at, nodes, query)


class SharesTheQuery(MinimalRerank):
    """The query is stored in the object, and read when the request is built."""

    _stored: str = ""

    def _scores(self, at: int, nodes: Nodes, query: str) -> list[Score]:
        self._stored = query
        if threading.current_thread() is not threading.main_thread():
            _ALL_STORED.wait(30)
        return super()._scores(at, nodes, self._stored)

    async def _ascores(self, at: int, nodes: Nodes, query: str) -> list[Score]:
        self._stored = query
        await asyncio.sleep(0)
        return await super()._ascores(at, nodes, self._stored)


#: The four threads of the rule: each has stored its query before one is read.
_ALL_STORED = threading.Barrier(4)


class ReportsTwice(MinimalRerank):
    """Two layers send the events."""

    @contextmanager
    def _observe(self, nodes: Nodes, query: str) -> Iterator[Nodes]:
        with super()._observe(nodes, query), super()._observe(nodes, query) as best:
            yield best


class ReportsAnEnd(MinimalRerank):
    """A failure has a normal end event, too."""

    @contextmanager
    def _observe(self, nodes: Nodes, query: str) -> Iterator[Nodes]:
        try:
            with super()._observe(nodes, query) as best:
                yield best
        except (httpx.HTTPError, ValueError):
            _dispatcher.event(ReRankEndEvent(nodes=[]))
            raise


class CannotBePickledToRank(MinimalRerank):
    """The object cannot be pickled."""

    def __getstate__(self) -> Any:
        raise TypeError("cannot pickle '_thread.lock' object")


class LosesTopN(MinimalRerank):
    """`top_n` is not serialized."""

    top_n: int = Field(default=1, exclude=True)


class LeaksRerankKey(MinimalRerank):
    """The key is serialized."""

    api_key: str = ""
