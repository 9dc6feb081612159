"""Base class of the rules for rerankers: the model under test, its methods, and the nodes to rank."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from llamaindex_mdstream.testing._conformance import CapturedError, Conformance
from mdstream_core.emulator import Emulator

QUERY = "Which river is the longest?"
#: Ids of the relevant nodes, best first.
BEST = ("nile", "river")
#: Text and id of each node; the relevant ones are neither first nor last.
TEXTS = {
    "bread": "Bread is baked in ovens.",
    "river": "This river has many fish.",
    "cats": "Cats sleep all day.",
    "nile": "The Nile is the longest river.",
    "glass": "Glass is made of sand.",
}

Rank = Callable[[BaseNodePostprocessor, Sequence[NodeWithScore], str], list[NodeWithScore]]


def _rank(model: BaseNodePostprocessor, nodes: Sequence[NodeWithScore], query: str) -> list[NodeWithScore]:
    return model.postprocess_nodes(list(nodes), query_str=query)


def _arank(model: BaseNodePostprocessor, nodes: Sequence[NodeWithScore], query: str) -> list[NodeWithScore]:
    return asyncio.run(model.apostprocess_nodes(list(nodes), QueryBundle(query)))


#: The methods that rank nodes. The sync method gets the query as a string, the async one as a bundle.
METHODS: dict[str, Rank] = {"postprocess_nodes": _rank, "apostprocess_nodes": _arank}

each_rank_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def create_nodes(count: int | None = None) -> list[NodeWithScore]:
    """Create new nodes with the scores of a retriever: all `TEXTS`, or `count` irrelevant ones before the best."""
    if count is None:
        texts = dict(TEXTS)
    else:
        texts = {f"mountain-{number}": f"Mountain {number} is high." for number in range(count)}
        texts["nile"] = TEXTS["nile"]
    return [NodeWithScore(node=TextNode(text=text, id_=id), score=0.5) for id, text in texts.items()]


class RerankRules(Conformance):
    """Base class of the rules for rerankers.

    Attributes:
        supports_retries: Whether `max_retries` has an effect.
    """

    supports_retries: bool = True

    def reranker(self, url: str, top_n: int, max_retries: int) -> BaseNodePostprocessor:
        """Create the reranker under test. Subclasses implement this method.

        Args:
            url: URL of the service.
            top_n: Number of nodes to return.
            max_retries: Maximum number of retries of a request.
        """
        name = type(self).__name__
        raise NotImplementedError(f"{name}.reranker(url, top_n, max_retries) must return the reranker under test")

    @pytest.fixture
    def model(self, emulator: Emulator) -> BaseNodePostprocessor:
        """The reranker under test, with two results and without retries."""
        return self.create_model(emulator)

    def create_model(self, emulator: Emulator, top_n: int = 2, max_retries: int = 0) -> BaseNodePostprocessor:
        """Create a reranker that sends its requests to this emulator."""
        return self.reranker(self.service_under_test.address(emulator), top_n, max_retries)

    def read_error(
        self, method: Rank, model: BaseNodePostprocessor, nodes: Sequence[NodeWithScore], query: str = QUERY
    ) -> Exception:
        """Return the error that ranking raises. The test fails if it raises none."""
        found: list[NodeWithScore] = []
        with CapturedError() as captured:
            found = method(model, nodes, query)
        if captured.error is None:
            pytest.fail(f"{len(nodes)} nodes returned {len(found)} nodes without an error")
        return captured.error


def ids_and_scores(nodes: Sequence[NodeWithScore]) -> list[tuple[str, float | None]]:
    """Return id and score of each node."""
    return [(node.node_id, node.score) for node in nodes]
