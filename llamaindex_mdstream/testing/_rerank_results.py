"""Rules of rankings: order, scores, number of nodes, and what is sent."""

from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode

from llamaindex_mdstream.testing._rerank_rules import (
    BEST,
    METHODS,
    QUERY,
    Rank,
    RerankRules,
    create_nodes,
    each_rank_method,
    ids_and_scores,
)
from mdstream_core.emulator import Emulator

#: More nodes than TEI and other servers accept in one request.
MANY = 200


class RankingRules(RerankRules):
    """Rules of rankings."""

    @each_rank_method
    def test_best_nodes_come_first(self, model: BaseNodePostprocessor, method: Rank) -> None:
        """
        The most relevant nodes are returned, best first, with falling scores.
        """
        found = method(model, create_nodes(), QUERY)
        first, second = (node.score or 0.0 for node in found)

        assert list(BEST) == [node.node_id for node in found]
        assert first > second

    @each_rank_method
    def test_scores_come_from_the_server(self, emulator: Emulator, method: Rank) -> None:
        """
        The score of the server replaces that of the retriever, and belongs to the node of its index.
        """
        emulator.always(self.service_under_test.ranking_fault((2, 0.9), (0, 0.5), (1, 0.25)))
        found = method(self.create_model(emulator, top_n=3), create_nodes()[:3], QUERY)

        assert [("cats", 0.9), ("bread", 0.5), ("river", 0.25)] == ids_and_scores(found)
        assert {float} == {type(node.score) for node in found}

    @each_rank_method
    def test_unsorted_scores_are_sorted(self, emulator: Emulator, method: Rank) -> None:
        """
        Scores in the order of the documents, as some servers return them, are sorted: engines read the first nodes.
        """
        emulator.always(self.service_under_test.ranking_fault((0, 0.5), (1, 0.25), (2, 0.9)))
        found = method(self.create_model(emulator, top_n=3), create_nodes()[:3], QUERY)

        assert ["cats", "bread", "river"] == [node.node_id for node in found]

    @each_rank_method
    def test_top_n_limits_the_nodes(self, emulator: Emulator, model: BaseNodePostprocessor, method: Rank) -> None:
        """
        At most `top_n` nodes are returned, also if the server returns more scores, and all nodes if there are fewer.
        """
        (only,) = method(model, create_nodes()[:1], QUERY)
        emulator.always(self.service_under_test.ranking_fault((2, 0.9), (0, 0.5), (1, 0.25)))

        assert "bread" == only.node_id
        assert ["cats", "bread"] == [node.node_id for node in method(model, create_nodes()[:3], QUERY)]

    @each_rank_method
    def test_no_nodes_send_no_request(self, emulator: Emulator, model: BaseNodePostprocessor, method: Rank) -> None:
        """
        Without nodes the result is an empty list, and no request is sent: a retriever may find nothing.
        """
        assert [] == method(model, [], QUERY)
        assert [] == emulator.requests

    def test_missing_query_raises(self, emulator: Emulator, model: BaseNodePostprocessor) -> None:
        """
        Without a query an error is raised before a request, and the nodes are not returned as if they were ranked.
        """
        self.read_error(lambda model, nodes, _: model.postprocess_nodes(list(nodes)), model, create_nodes())

        assert [] == emulator.requests

    def test_query_string_and_bundle_are_equal(self, emulator: Emulator, model: BaseNodePostprocessor) -> None:
        """
        `query_str` and `query_bundle` send the same request, which contains the query.
        """
        model.postprocess_nodes(create_nodes(), query_str=QUERY)
        model.postprocess_nodes(create_nodes(), query_bundle=QueryBundle(QUERY))
        first, second = emulator.requests

        assert first.json == second.json
        assert QUERY in set(find_texts(first.json))

    @each_rank_method
    def test_async_and_sync_rankings_are_equal(self, model: BaseNodePostprocessor, method: Rank) -> None:
        """
        Both methods return the same nodes with the same scores.
        """
        expected, found = (
            ids_and_scores(rank(model, create_nodes(), QUERY)) for rank in (METHODS["postprocess_nodes"], method)
        )

        assert [id for id, _ in expected] == [id for id, _ in found]
        assert [score for _, score in expected] == pytest.approx([score for _, score in found])

    @each_rank_method
    def test_text_is_sent_with_metadata(self, emulator: Emulator, model: BaseNodePostprocessor, method: Rank) -> None:
        """
        A node is ranked by the text that embedding models get (`MetadataMode.EMBED`), with its newlines.
        """
        metadata = {"subject": "rivers", "file": "/tmp/rivers.txt"}  # noqa: S108  # a text
        node = TextNode(text="one\ntwo", metadata=metadata, excluded_embed_metadata_keys=["file"])
        method(model, [NodeWithScore(node=node)], QUERY)

        assert node.get_content(MetadataMode.EMBED) in set(find_texts(emulator.last.json))

    @each_rank_method
    def test_nodes_are_not_modified(self, model: BaseNodePostprocessor, method: Rank) -> None:
        """
        Scores, order and texts of the input stay, because other tasks may read it, and results have the same nodes.
        """
        nodes, before = create_nodes(), create_nodes()
        found = method(model, nodes, QUERY)
        originals = {node.node_id: node.node for node in before}

        assert before == nodes
        assert all(originals[node.node_id] == node.node for node in found)

    @each_rank_method
    def test_many_nodes_are_ranked(self, model: BaseNodePostprocessor, method: Rank) -> None:
        """
        More nodes than the service takes in one request are ranked together; the best may be the last.
        """
        found = method(model, create_nodes(MANY), QUERY)

        assert 2 == len(found)
        assert "nile" == found[0].node_id


def find_texts(value: Any) -> Iterator[str]:
    """Yield each string of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from find_texts(inner)
