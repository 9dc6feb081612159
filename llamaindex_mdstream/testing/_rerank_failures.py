"""Rules of failures of rerankers: an error is raised, and never a ranking of a part of the nodes."""

import pytest
from llama_index.core.postprocessor.types import BaseNodePostprocessor

from llamaindex_mdstream.testing._conformance import requires
from llamaindex_mdstream.testing._rerank_results import MANY
from llamaindex_mdstream.testing._rerank_rules import QUERY, Rank, RerankRules, create_nodes, each_rank_method
from mdstream_core.emulator import Emulator, Fault

INVALID_RESPONSES = {"HTML page": Fault("html"), "no response": Fault("drop"), "cut": Fault("cut")}

#: Indices of three nodes that belong to no ranking of them.
INVALID_INDICES = {
    "out of range": [(0, 0.9), (1, 0.5), (3, 0.25)],
    "negative": [(0, 0.9), (1, 0.5), (-1, 0.25)],
    "repeated": [(0, 0.9), (1, 0.5), (1, 0.25)],
    "missing": [(0, 0.9), (1, 0.5)],
    "none": [],
}
INVALID_SCORES = {"null": None, "text": "high", "NaN": float("nan")}


class RerankFailureRules(RerankRules):
    """Rules of failures."""

    @each_rank_method
    @pytest.mark.parametrize("fault", INVALID_RESPONSES.values(), ids=INVALID_RESPONSES)
    def test_invalid_response_raises(
        self, emulator: Emulator, model: BaseNodePostprocessor, method: Rank, fault: Fault
    ) -> None:
        """
        An HTML page, no response and a truncated body raise.
        """
        emulator.always(fault)

        self.read_error(method, model, create_nodes())

    @each_rank_method
    @pytest.mark.parametrize("scores", INVALID_INDICES.values(), ids=INVALID_INDICES)
    def test_invalid_indices_raise(self, emulator: Emulator, method: Rank, scores: list[tuple[int, float]]) -> None:
        """
        Indices that are out of range, repeated or missing raise: a node would be lost, or be another one.
        """
        emulator.always(self.service_under_test.ranking_fault(*scores))

        self.read_error(method, self.create_model(emulator, top_n=3), create_nodes()[:3])

    @each_rank_method
    @pytest.mark.parametrize("score", INVALID_SCORES.values(), ids=INVALID_SCORES)
    def test_invalid_scores_raise(
        self, emulator: Emulator, model: BaseNodePostprocessor, method: Rank, score: object
    ) -> None:
        """
        A score that is no finite number raises: it cannot be compared with others.
        """
        emulator.always(self.service_under_test.ranking_fault((0, score), (1, 0.5)))

        self.read_error(method, model, create_nodes()[:2])

    @each_rank_method
    def test_failed_part_returns_no_ranking(self, emulator: Emulator, method: Rank) -> None:
        """
        If the nodes are sent in several requests and one fails, an error is raised.
        """
        model = self.create_model(emulator)
        method(model, create_nodes(MANY), QUERY)
        if len(emulator.requests) == 1:
            pytest.skip(f"{self.service} ranks {MANY} nodes in one request")
        emulator.reset()
        emulator.script(None, self.service_under_test.transient_error)

        self.read_error(method, model, create_nodes(MANY))

    @each_rank_method
    @requires("supports_retries")
    def test_error_response_raises(self, emulator: Emulator, model: BaseNodePostprocessor, method: Rank) -> None:
        """
        With `max_retries=0` exactly one request is sent.
        """
        emulator.always(self.service_under_test.transient_error)
        self.read_error(method, model, create_nodes())

        assert 1 == len(emulator.requests)

    @each_rank_method
    @requires("supports_retries")
    def test_retry_after_a_temporary_error(self, emulator: Emulator, method: Rank) -> None:
        """
        After a temporary error response the request is retried.
        """
        emulator.script(self.service_under_test.transient_error)

        assert 2 == len(method(self.create_model(emulator, max_retries=1), create_nodes(), QUERY))
        assert 2 == len(emulator.requests)
