"""The suites find what is wrong: each of these does one thing as some package has done it, and fails the rule on it."""

import re
from typing import Any

import pytest
from _llamaindex_faulty import (
    AnyOrder,
    BlocksTheLoop,
    CannotBePickled,
    ChangedStream,
    CumulativeDeltas,
    Flattens,
    LeaksEmbeddingKey,
    LeaksKey,
    ManyBlocks,
    MutatesHistory,
    NestedCallbacks,
    NoneDeltas,
    NoUsage,
    OneByOne,
    OneObject,
    Plain,
    ReadsOn,
    RepairsCalls,
    RetriesMidStream,
    SharedClient,
    SwallowsErrors,
    Unfinished,
)
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import LLM

from llamaindex_mdstream import ModelArts
from mdstream_core.testing import EmbeddingConformance, LLMConformance

pytest_plugins = ["pytester"]

#: What fails, and nothing else fails of these rules: by test, with its parameters if only some fail.
LLMS: dict[type[ModelArts], tuple[str, set[str]]] = {
    ModelArts: ("deltas or twice or cut or pickled", set()),
    ChangedStream: ("test_a_reader_who_leaves or deltas", {"test_a_reader_who_leaves_is_no_failure"}),
    CumulativeDeltas: ("deltas_add_up", {"test_deltas_add_up[stream_chat]"}),
    NoneDeltas: ("test_a_delta", {"test_a_delta_is_a_text[stream_chat]"}),
    ManyBlocks: ("one_text_block", {"test_one_text_block_grows[stream_chat]"}),
    OneObject: ("responses_share", {"test_responses_share_nothing[stream_chat]"}),
    NoUsage: ("tokens_are", {"test_tokens_are_the_servers[stream_chat]"}),
    SwallowsErrors: (
        "broken_stream_is and stream_chat and cut or a_failed_stream and stream_chat",
        {
            "test_a_broken_stream_is_an_error[cut-stream_chat]",
            "test_a_broken_stream_is_an_error[cut in a chunk-stream_chat]",
            "test_a_failed_stream_is_told[stream_chat]",
        },
    ),
    RetriesMidStream: (
        "nothing_is_said_twice",
        {"test_nothing_is_said_twice[cut-stream_chat]", "test_nothing_is_said_twice[reset-stream_chat]"},
    ),
    Unfinished: ("is_a_generator", {"test_a_stream_is_a_generator"}),
    NestedCallbacks: (
        "is_told_once or permission",
        {f"test_{rule}[chat]" for rule in ("a_call_is_told_once", "the_dispatcher_is_told_once", "a_permission_for_each_call")},
    ),
    BlocksTheLoop: (
        "does_not_block",
        {f"test_async_does_not_block_the_loop[{where}]" for where in ("before the answer", "in mid-answer")},
    ),
    ReadsOn: ("an_async_stream_closes and 1", {"test_closing_an_async_stream_closes_the_connection[1]"}),
    RepairsCalls: (
        "cut_call_is_not or executes_no_cut",
        {
            f"test_{rule}[{finish}]"
            for rule in ("a_cut_call_is_not_returned", "an_agent_executes_no_cut_call")
            for finish in ("length", "tool_calls")
        },
    ),
    MutatesHistory: ("history", {"test_the_callers_history_stays_as_it_is"}),
    LeaksKey: ("secrets", {"test_secrets_are_not_shown"}),
    CannotBePickled: ("pickled", {f"test_a_pickled_model_answers[{used}]: TypeError" for used in ("new", "used")}),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "rules", "expected"), [(kind, *row) for kind, row in LLMS.items()], ids=[kind.__name__ for kind in LLMS]
)
def test_a_fault_of_an_llm_is_found(
    pytester: pytest.Pytester, kind: type[ModelArts], rules: str, expected: set[str]
) -> None:
    """
    The rule on it fails, and others do not.
    """

    class TestIt(LLMConformance):
        credentials = {"api_key": "s3cret"}
        environment = {"MODELARTS_API_KEY": "s3cret"}

        def llm(self, url: str, max_retries: int) -> LLM:
            return kind(endpoint=url, model="m", max_retries=max_retries, **self.credentials)

    assert expected == _failed(pytester, TestIt, rules)


EMBEDDINGS: dict[type[Plain], tuple[str, set[str]]] = {
    Plain: ("test", set()),
    AnyOrder: (
        "by_index or another_number",
        {
            f"test_{rule}-{call_method}]" if "[" in rule else f"test_{rule}[{call_method}]"
            for call_method in ("get_text_embedding_batch", "aget_text_embedding_batch")
            for rule in ("vectors_are_ordered_by_index", *(f"another_number_of_vectors_is_an_error[{n}" for n in (0, 1, 3)))
        },
    ),
    OneByOne: (
        "one_request or block",
        {"test_a_batch_is_one_request[aget_text_embedding_batch]", "test_async_does_not_block_the_loop"},
    ),
    Flattens: (
        "as_it_is or test_a_refusal_is_an_error",
        {"test_a_text_is_sent_as_it_is", *(f"test_a_refusal_is_an_error[{a}get_text_embedding_batch]" for a in ("", "a"))},
    ),
    LeaksEmbeddingKey: ("secrets", {"test_secrets_are_not_shown"}),
    SharedClient: ("loops", {"test_one_model_serves_several_event_loops: RuntimeError"}),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "rules", "expected"),
    [(kind, *row) for kind, row in EMBEDDINGS.items()],
    ids=[kind.__name__ for kind in EMBEDDINGS],
)
def test_a_fault_of_an_embedding_is_found(
    pytester: pytest.Pytester, kind: type[Plain], rules: str, expected: set[str]
) -> None:
    """
    The rule on it fails, and others do not; one without a fault keeps all.
    """

    class TestIt(EmbeddingConformance):
        credentials = {"api_key": "s3cret"}

        def embedding(self, url: str, max_retries: int) -> BaseEmbedding:
            return kind(url=url, max_retries=max_retries, **self.credentials)

    assert expected == _failed(pytester, TestIt, rules)


def test_what_is_not_offered_is_skipped(pytester: pytest.Pytester) -> None:
    """
    The reason names the attribute.
    """

    class TestIt(LLMConformance):
        supports_tools = False

        def llm(self, url: str, max_retries: int) -> LLM:
            return ModelArts(endpoint=url, auth_type="none", is_function_calling_model=False)

    result = _run(pytester, TestIt, "test_a_tool_is_called or test_metadata", "-rs")

    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*TestIt.supports_tools is false"])


def test_a_suite_without_a_model_states_what_is_missing(pytester: pytest.Pytester) -> None:
    """
    The method to write is named.
    """

    class TestIt(LLMConformance):
        pass

    _run(pytester, TestIt, "test_metadata").stdout.fnmatch_lines(["*TestIt.llm(url, max_retries) is to return*"])


def _failed(pytester: pytest.Pytester, suite: type[Any], rules: str) -> set[str]:
    reports = _Reports()
    _run(pytester, suite, rules, plugins=[reports])

    assert reports.ran
    return reports.failed


class _Reports:
    def __init__(self) -> None:
        self.ran, self.failed = 0, set[str]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.ran += 1
        if report.failed:
            error = re.match(r"\w+", report.longrepr.reprcrash.message)[0]  # type: ignore[union-attr,index]
            rule = report.nodeid.partition("TestIt::")[2]
            self.failed.add(rule if error in {"assert", "AssertionError", "Failed"} else f"{rule}: {error}")


_SUITES: dict[str, type[Any]] = {}


def _run(
    pytester: pytest.Pytester, suite: type[Any], rules: str, *arguments: str, plugins: Any = ()
) -> pytest.RunResult:
    _SUITES["TestIt"] = suite
    pytester.makepyfile(test_it=f"from {__name__} import _SUITES\n\nTestIt = _SUITES['TestIt']")
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-k", rules, *arguments, plugins=list(plugins))
