"""LlamaIndex rerankers on every platform."""

import pickle
from typing import Any

import pytest
from _embedding_platforms import RANKING
from _llamaindex_embeddings import reranker_at
from _platforms import AWS, PlatformCase, emulator, shared_emulator
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from pydantic import ValidationError

from llamaindex_mdstream import OCIDataScienceRerank, OCIGenAIRerank
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import ServerError

__all__ = ["emulator", "shared_emulator"]  # fixtures

QUERY = "the longest river"
NODES = [NodeWithScore(node=TextNode(text=f"a mountain of {number} metres"), score=0.5) for number in range(149)]
NODES[100] = NodeWithScore(node=TextNode(text="the Nile is the longest river", id_="nile"))
NODES[40] = NodeWithScore(node=TextNode(text="it is long", metadata={"subject": "a river"}, id_="river"))

each_platform = pytest.mark.parametrize("platform_case", RANKING.values(), ids=RANKING)


@each_platform
async def test_the_best_nodes_come_first(emulator: Emulator, platform_case: PlatformCase) -> None:
    """
    Nodes are ranked by text and metadata with new scores; the input nodes are not changed; sync and async.
    """
    reranker = reranker_at(emulator, platform_case, top_n=2)
    best = reranker.postprocess_nodes(NODES, query_str=QUERY)

    assert ["nile", "river"] == [node.node_id for node in best]
    assert (best[0].score or 0) > (best[1].score or 0)
    assert NODES[100].score is None
    again = await reranker.apostprocess_nodes(NODES, QueryBundle(QUERY))
    assert [(node.node_id, node.score) for node in best] == [(node.node_id, node.score) for node in again]
    assert [] == reranker.postprocess_nodes([], query_str=QUERY) == await reranker.apostprocess_nodes([], query_str="x")


def test_a_query_is_required(emulator: Emulator) -> None:
    """
    A missing query is an error.
    """
    with pytest.raises(ValueError, match="query_bundle is missing"):
        reranker_at(emulator).postprocess_nodes(NODES)


async def test_a_failure_returns_no_ranking(emulator: Emulator) -> None:
    """
    If one of several requests fails, an error is raised, sync and async.
    """
    reranker = reranker_at(emulator, batch_size=50, max_concurrency=1)
    for _ in range(2):
        emulator.script(None, Fault("refuse", "internal"))
        with pytest.raises(ServerError):
            reranker.postprocess_nodes(NODES, query_str=QUERY)
        emulator.reset()
        emulator.script(None, Fault("refuse", "internal"))
        with pytest.raises(ServerError):
            await reranker.apostprocess_nodes(NODES, query_str=QUERY)
        emulator.reset()


class Listener(BaseEventHandler):
    """Records events."""

    seen: list[str] = []  # noqa: RUF012  # a field

    @classmethod
    def class_name(cls) -> str:
        """The name."""
        return "Listener"

    def handle(self, event: Any, **_: Any) -> None:
        """Record the event."""
        self.seen.append(type(event).__name__)


def test_rerank_events(emulator: Emulator) -> None:
    """
    Each ranking has one pair of events, in both event systems.
    """
    listener, debug = Listener(), LlamaDebugHandler(print_trace_on_end=False)
    root = get_dispatcher()
    root.add_event_handler(listener)
    try:
        reranker_at(emulator, callback_manager=CallbackManager([debug])).postprocess_nodes(NODES, query_str=QUERY)
    finally:
        root.event_handlers.remove(listener)

    assert ["ReRankStartEvent", "ReRankEndEvent"] == [name for name in listener.seen if "Rank" in name]
    ((start, end),) = debug.get_event_pairs(CBEventType.RERANKING)
    assert (149, 3) == (len(start.payload["nodes"]), len(end.payload["nodes"]))  # type: ignore[index]


@each_platform
def test_serialization_round_trip(emulator: Emulator, platform_case: PlatformCase) -> None:
    """
    `to_dict` has no secret, and a pickled reranker works.
    """
    reranker = reranker_at(emulator, platform_case)
    saved = reranker.to_dict()

    assert not [secret for secret in AWS.values() if secret in str(saved) + repr(reranker)]
    assert type(reranker).class_name() == saved["class_name"]
    if platform_case.kind != "sagemaker":  # pickles have no AWS credentials
        again = pickle.loads(pickle.dumps(reranker))
        assert "nile" == again.postprocess_nodes(NODES, query_str=QUERY)[0].node_id


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (OCIDataScienceRerank, {"endpoint": "https://h/ocid1.x", "dialect": "openai-chat"}, "use one of rerank"),
        (OCIDataScienceRerank, {"endpoint": "https://h/ocid1.x", "top_n": 0}, "top_n"),
        (OCIGenAIRerank, {"region": "us-chicago-1", "compartment_id": "ocid1.compartment.oc1..a"}, "model is missing"),
    ],
)
def test_wrong_options_are_named(kind: Any, options: dict[str, Any], words: str) -> None:
    """
    Invalid options are rejected when the object is created.
    """
    with pytest.raises(ValidationError, match=words):
        kind(**options)


@pytest.mark.parametrize("top_n", [0, -1])
async def test_a_top_n_that_is_no_positive_number_is_rejected(emulator: Emulator, top_n: int) -> None:
    """
    An invalid `top_n` of a call is rejected before a request, sync and async.
    """
    reranker = reranker_at(emulator)
    with pytest.raises(ValueError, match="top_n"):
        reranker.rank(["a"], "q", top_n=top_n)
    with pytest.raises(ValueError, match="top_n"):
        await reranker.arank(["a"], "q", top_n=top_n)
    assert [] == emulator.requests
