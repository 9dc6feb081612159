"""The conformance suite of rerankers detects faults: each class has one, and fails the rules about it."""

from collections.abc import Iterable

import _llamaindex_faulty_rerankers as faulty
import pytest
from _conformance_runs import failed_rules
from llama_index.core.postprocessor.types import BaseNodePostprocessor

from mdstream_core.testing import RerankConformance

pytest_plugins = ["pytester"]


def both(*rules: str) -> set[str]:
    """These rules with both methods."""
    return {
        f"test_{rule}{'-' if '[' in rule else '['}{method}]"
        for rule in rules
        for method in ("postprocess_nodes", "apostprocess_nodes")
    }


def each(rule: str, *parameters: str) -> Iterable[str]:
    """This rule with these parameters."""
    return (f"{rule}[{parameter}" for parameter in parameters)


#: Selected rules of each fault, and those of them that fail.
FAULTS: dict[type[faulty.MinimalRerank], tuple[str, set[str]]] = {
    faulty.MinimalRerank: ("test", set()),
    faulty.WorstFirst: ("best_nodes or no_nodes", both("best_nodes_come_first")),
    faulty.KeepsScores: ("scores_come or missing_query", both("scores_come_from_the_server")),
    faulty.TrustsTheOrder: ("unsorted or scores_come", both("unsorted_scores_are_sorted")),
    faulty.AllNodes: ("top_n or unsorted", both("top_n_limits_the_nodes")),
    faulty.SendsNothing: ("no_nodes or best_nodes", both("no_nodes_send_no_request")),
    faulty.EmptyQuery: ("missing_query or bundle", {"test_missing_query_raises"}),
    faulty.IgnoresBundles: (
        "bundle or engine_uses",
        {
            "test_query_string_and_bundle_are_equal: ValueError",
            *(f"test_query_engine_uses_the_ranking[{query}]" for query in ("query", "aquery")),
        },
    ),
    faulty.AsyncDiffers: ("equal", {"test_async_and_sync_rankings_are_equal[apostprocess_nodes]"}),
    faulty.TextAlone: ("metadata or best_nodes", both("text_is_sent_with_metadata")),
    faulty.MutatesNodes: ("modified or best_nodes", both("nodes_are_not_modified")),
    faulty.FirstBatchOnly: ("many_nodes or best_nodes", both("many_nodes_are_ranked")),
    faulty.SkipsFailedParts: ("failed_part or error_response", both("failed_part_returns_no_ranking")),
    faulty.SwallowsRankingErrors: (
        "invalid_response or error_response or engine_raises or failure_is",
        both(
            *each("invalid_response_raises", "HTML page", "no response", "cut"),
            "error_response_raises",
            "failure_is_reported",
        )
        | {f"test_query_engine_raises_the_failure[{query}]" for query in ("query", "aquery")},
    ),
    faulty.TrustsIndices: (
        "invalid_indices or scores_come",
        both(*each("invalid_indices_raise", "negative", "repeated", "missing", "none")),
    ),
    faulty.TrustsScores: (
        "invalid_scores or scores_come",
        both(*each("invalid_scores_raise", "null", "text", "NaN")),
    ),
    faulty.NeverRetries: (
        "retry or error_response",
        {f"{name}: httpx" for name in both("retry_after_a_temporary_error")},
    ),
    faulty.AlwaysRetries: ("retry or error_response", both("error_response_raises")),
    faulty.SharedRerankClient: ("loops or best_nodes", {"test_model_works_in_several_event_loops: RuntimeError"}),
    faulty.BlocksTheLoopToRank: ("block or loops", {"test_async_methods_do_not_block_the_event_loop"}),
    faulty.SharesTheQuery: ("concurrent or best_nodes", {"test_concurrent_tasks", "test_concurrent_threads"}),
    faulty.ReportsTwice: (
        "one_start or best_nodes",
        {
            f"{name}: ValueError"
            for name in both("callback_manager_gets_one_start_and_one_end", "dispatcher_gets_one_start_and_one_end")
        },
    ),
    faulty.ReportsAnEnd: ("failure_is or one_start", both("failure_is_reported")),
    faulty.CannotBePickledToRank: (
        "pickled or dict",
        {f"test_pickled_model_works[{used}]: TypeError" for used in ("new", "used")},
    ),
    faulty.LosesTopN: ("pickled or dict", {"test_from_dict_restores_the_model"}),
    faulty.LeaksRerankKey: ("secrets or dict", {"test_secrets_are_hidden"}),
}


@pytest.mark.parametrize(
    ("kind", "rules", "expected"),
    [(kind, *row) for kind, row in FAULTS.items()],
    ids=[kind.__name__ for kind in FAULTS],
)
def test_faults_of_rerankers_are_found(
    pytester: pytest.Pytester, kind: type[faulty.MinimalRerank], rules: str, expected: set[str]
) -> None:
    """
    The rules about the fault fail, others do not; a reranker without a fault passes all.
    """

    class TestIt(RerankConformance):
        credentials = {"api_key": "s3cret"}

        def reranker(self, url: str, top_n: int, max_retries: int) -> BaseNodePostprocessor:
            return kind(url=url, top_n=top_n, max_retries=max_retries, **self.credentials)

    assert expected == failed_rules(pytester, TestIt, rules)


def test_each_rule_finds_a_fault() -> None:
    """
    No rule of the suite is met by all faulty classes.
    """
    rules = {name for name in dir(RerankConformance) if name.startswith("test_")}
    broken = {name.partition("[")[0].partition(":")[0] for _, expected in FAULTS.values() for name in expected}

    assert rules == broken
