"""Rules of rerankers in LlamaIndex: events, concurrency, serialization, query engines."""

import asyncio
import json
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.llms import MockLLM
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import QueryBundle

from llamaindex_mdstream.testing._concurrency import count_ticks
from llamaindex_mdstream.testing._conformance import CapturedError
from llamaindex_mdstream.testing._observers import RecordingCallbackHandler, record_events
from llamaindex_mdstream.testing._rerank_rules import (
    BEST,
    METHODS,
    QUERY,
    TEXTS,
    Rank,
    RerankRules,
    create_nodes,
    each_rank_method,
    ids_and_scores,
)
from mdstream_core.emulator import Emulator, Fault

#: Queries whose best node is another one each.
QUERIES = {"bread": "baked bread", "cats": "sleeping cats", "nile": "the Nile", "glass": "sand and glass"}

QUERY_METHODS: dict[str, Callable[[BaseQueryEngine], Any]] = {
    "query": lambda engine: engine.query(QUERY),
    "aquery": lambda engine: asyncio.run(_aquery(engine)),
}

each_query_method = pytest.mark.parametrize("query", QUERY_METHODS.values(), ids=QUERY_METHODS)


class RerankUseRules(RerankRules):
    """Rules of rerankers in LlamaIndex."""

    @each_rank_method
    def test_callback_manager_gets_one_start_and_one_end(self, model: BaseNodePostprocessor, method: Rank) -> None:
        """
        The callback manager gets one start event with nodes and query, and one end event with the result.
        """
        observer = _observe(model)
        found = method(model, create_nodes(), QUERY)
        (start,), (end,) = observer.starts, observer.ends

        assert (QUERY, len(TEXTS)) == (start[EventPayload.QUERY_STR], len(start[EventPayload.NODES]))
        assert ids_and_scores(found) == ids_and_scores(end[EventPayload.NODES])

    @each_rank_method
    def test_dispatcher_gets_one_start_and_one_end(self, model: BaseNodePostprocessor, method: Rank) -> None:
        """
        The dispatcher gets a `ReRankStartEvent` with nodes, query and `top_n`, and a `ReRankEndEvent` with the result.
        """
        with record_events() as listener:
            found = method(model, create_nodes(), QUERY)
        (start,) = (event for event in listener.events if isinstance(event, ReRankStartEvent))
        (end,) = (event for event in listener.events if isinstance(event, ReRankEndEvent))

        assert (2, len(TEXTS)) == (start.top_n, len(start.nodes))
        assert QUERY == getattr(start.query, "query_str", start.query)
        assert ids_and_scores(found) == ids_and_scores(end.nodes)

    @each_rank_method
    def test_failure_is_reported(self, emulator: Emulator, model: BaseNodePostprocessor, method: Rank) -> None:
        """
        The only end event of the callback manager has the exception, and there is no `ReRankEndEvent`.
        """
        emulator.always(Fault("html"))
        observer = _observe(model)
        with record_events() as listener:
            error = self.read_error(method, model, create_nodes())
        (end,) = observer.ends

        assert error is end[EventPayload.EXCEPTION]
        assert (1, 0) == (listener.count("ReRankStartEvent"), listener.count("ReRankEndEvent"))

    def test_model_works_in_several_event_loops(self, emulator: Emulator, model: BaseNodePostprocessor) -> None:
        """
        Two calls of `asyncio.run` send one request each.
        """
        first, second = (METHODS["apostprocess_nodes"](model, create_nodes(), QUERY) for _ in range(2))

        assert ids_and_scores(first) == ids_and_scores(second)
        assert 2 == len(emulator.requests)

    def test_async_methods_do_not_block_the_event_loop(self, emulator: Emulator, model: BaseNodePostprocessor) -> None:
        """
        Other tasks run while a response is awaited.
        """
        emulator.script(Fault("slow_head", seconds=0.5))

        assert asyncio.run(count_ticks(model.apostprocess_nodes(create_nodes(), QueryBundle(QUERY)))) > 10

    def test_concurrent_tasks(self, model: BaseNodePostprocessor) -> None:
        """
        Concurrent tasks of one reranker receive their own rankings.
        """

        async def rank_all() -> list[Any]:
            queries = QUERIES.values()
            return await asyncio.gather(*(model.apostprocess_nodes(create_nodes(), query_str=one) for one in queries))

        assert list(QUERIES) == [found[0].node_id for found in asyncio.run(rank_all())]

    def test_concurrent_threads(self, model: BaseNodePostprocessor) -> None:
        """
        Concurrent threads of one reranker receive their own rankings.
        """
        with ThreadPoolExecutor(4) as pool:
            rankings = pool.map(
                lambda query: model.postprocess_nodes(create_nodes(), query_str=query), QUERIES.values()
            )

            assert list(QUERIES) == [found[0].node_id for found in rankings]

    @pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
    def test_pickled_model_works(self, model: BaseNodePostprocessor, used: bool) -> None:
        """
        A pickled reranker works in another process.
        """
        if used:
            model.postprocess_nodes(create_nodes(), query_str=QUERY)
        copied = pickle.loads(pickle.dumps(model))  # noqa: S301  # trusted bytes
        with self.other_process():
            found = copied.postprocess_nodes(create_nodes(), query_str=QUERY)

        assert list(BEST) == [node.node_id for node in found]

    def test_from_dict_restores_the_model(self, model: BaseNodePostprocessor) -> None:
        """
        A reranker of `from_dict(to_dict())` returns the same ranking, with its secrets passed again.
        """
        saved = json.loads(json.dumps(model.to_dict()))
        restored = type(model).from_dict({**saved, **self.credentials})
        rankings = [ids_and_scores(one.postprocess_nodes(create_nodes(), query_str=QUERY)) for one in (model, restored)]

        assert rankings[0] == rankings[1]

    def test_secrets_are_hidden(self, model: BaseNodePostprocessor) -> None:
        """
        Secrets appear neither in `to_dict` nor in `repr`.
        """
        assert [] == self.find_secrets(model.to_dict(), repr(model), model)

    @each_query_method
    def test_query_engine_uses_the_ranking(self, model: BaseNodePostprocessor, query: Any) -> None:
        """
        A query engine that has the reranker in `node_postprocessors` answers with its nodes and scores.
        """
        response = query(_engine(model))
        expected = ids_and_scores(model.postprocess_nodes(create_nodes(), query_str=QUERY))

        assert expected == ids_and_scores(response.source_nodes)

    @each_query_method
    def test_query_engine_raises_the_failure(
        self, emulator: Emulator, model: BaseNodePostprocessor, query: Any
    ) -> None:
        """
        A query engine whose reranker fails raises, instead of an answer from unranked nodes.
        """
        emulator.always(Fault("html"))
        engine, response = _engine(model), None
        with CapturedError() as captured:
            response = query(engine)

        assert captured.error is not None, f"the engine answered: {response}"


def _observe(model: BaseNodePostprocessor) -> RecordingCallbackHandler:
    observer = RecordingCallbackHandler(CBEventType.RERANKING)
    model.callback_manager = CallbackManager([observer])
    return observer


def _engine(model: BaseNodePostprocessor) -> BaseQueryEngine:
    nodes: Any = [node.node for node in create_nodes()]
    index = VectorStoreIndex(nodes, embed_model=MockEmbedding(embed_dim=2))
    return index.as_query_engine(llm=MockLLM(), similarity_top_k=len(nodes), node_postprocessors=[model])


async def _aquery(engine: BaseQueryEngine) -> Any:
    return await engine.aquery(QUERY)
