"""The conformance suites detect faults: each class has one, and fails the rule about it."""

import pytest
from _conformance_runs import failed_rules, run_suite
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
    MinimalEmbedding,
    MutatesHistory,
    NestedCallbacks,
    NoneDeltas,
    NoUsage,
    OneByOne,
    OneObject,
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

#: Selected rules of each fault, and those of them that fail, with the failing parameters.
LLMS: dict[type[ModelArts], tuple[str, set[str]]] = {
    ModelArts: ("deltas or no_retry or truncated or pickled", set()),
    ChangedStream: ("test_closing_a_stream_early or deltas", {"test_closing_a_stream_early_is_no_failure"}),
    CumulativeDeltas: ("deltas_add_up", {"test_deltas_add_up_to_the_text[stream_chat]"}),
    NoneDeltas: ("deltas_are_strings", {"test_deltas_are_strings[stream_chat]"}),
    ManyBlocks: ("text_is_in_one", {"test_text_is_in_one_block[stream_chat]"}),
    OneObject: ("responses_share", {"test_responses_share_no_state[stream_chat]"}),
    NoUsage: ("token_counts", {"test_token_counts_come_from_the_server[stream_chat]"}),
    SwallowsErrors: (
        "interrupted_stream and stream_chat and cut or failed_stream_is and stream_chat",
        {
            "test_interrupted_stream_raises[cut-stream_chat]",
            "test_interrupted_stream_raises[cut in a chunk-stream_chat]",
            "test_failed_stream_is_reported[stream_chat]",
        },
    ),
    RetriesMidStream: (
        "no_retry_after_the_first_token",
        {"test_no_retry_after_the_first_token[cut-stream_chat]", "test_no_retry_after_the_first_token[reset-stream_chat]"},
    ),
    Unfinished: ("returns_a_generator", {"test_stream_chat_returns_a_generator"}),
    NestedCallbacks: (
        "one_start_and_one_end or rate_limiter",
        {f"test_{rule}[chat]" for rule in ("callback_manager_gets_one_start_and_one_end", "dispatcher_gets_one_start_and_one_end", "rate_limiter_is_acquired_once")},
    ),
    BlocksTheLoop: (
        "do_not_block",
        {f"test_async_methods_do_not_block_the_event_loop[{where}]" for where in ("before the response", "within the response")},
    ),
    ReadsOn: ("an_async_stream_closes and 1", {"test_closing_an_async_stream_closes_the_connection[1]"}),
    RepairsCalls: (
        "truncated_tool_call_of_a_stream or executes_no_truncated",
        {
            f"test_{rule}[{finish}]"
            for rule in ("truncated_tool_call_of_a_stream_is_not_returned", "agent_executes_no_truncated_tool_call")
            for finish in ("length", "tool_calls")
        },
    ),
    MutatesHistory: ("history", {"test_chat_history_is_not_modified"}),
    LeaksKey: ("secrets", {"test_secrets_are_hidden"}),
    CannotBePickled: ("pickled", {f"test_pickled_model_works[{used}]: TypeError" for used in ("new", "used")}),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "rules", "expected"), [(kind, *row) for kind, row in LLMS.items()], ids=[kind.__name__ for kind in LLMS]
)
def test_faults_of_llms_are_found(
    pytester: pytest.Pytester, kind: type[ModelArts], rules: str, expected: set[str]
) -> None:
    """
    The rule about the fault fails, others do not.
    """

    class TestIt(LLMConformance):
        credentials = {"api_key": "s3cret"}
        environment = {"MODELARTS_API_KEY": "s3cret"}

        def llm(self, url: str, max_retries: int) -> LLM:
            return kind(endpoint=url, model="m", max_retries=max_retries, **self.credentials)

    assert expected == failed_rules(pytester, TestIt, rules)


EMBEDDINGS: dict[type[MinimalEmbedding], tuple[str, set[str]]] = {
    MinimalEmbedding: ("test", set()),
    AnyOrder: (
        "by_index or wrong_number",
        {
            f"test_{rule}-{call_method}]" if "[" in rule else f"test_{rule}[{call_method}]"
            for call_method in ("get_text_embedding_batch", "aget_text_embedding_batch")
            for rule in ("vectors_are_ordered_by_index", *(f"wrong_number_of_vectors_raises[{n}" for n in (0, 1, 3)))
        },
    ),
    OneByOne: (
        "one_request or block",
        {"test_batch_is_one_request[aget_text_embedding_batch]", "test_async_methods_do_not_block_the_event_loop"},
    ),
    Flattens: (
        "sent_unchanged or test_error_response_raises",
        {"test_text_is_sent_unchanged", *(f"test_error_response_raises[{a}get_text_embedding_batch]" for a in ("", "a"))},
    ),
    LeaksEmbeddingKey: ("secrets", {"test_secrets_are_hidden"}),
    SharedClient: ("loops", {"test_model_works_in_several_event_loops: RuntimeError"}),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "rules", "expected"),
    [(kind, *row) for kind, row in EMBEDDINGS.items()],
    ids=[kind.__name__ for kind in EMBEDDINGS],
)
def test_faults_of_embeddings_are_found(
    pytester: pytest.Pytester, kind: type[MinimalEmbedding], rules: str, expected: set[str]
) -> None:
    """
    The rule about the fault fails, others do not; an embedding without a fault passes all.
    """

    class TestIt(EmbeddingConformance):
        credentials = {"api_key": "s3cret"}

        def embedding(self, url: str, max_retries: int) -> BaseEmbedding:
            return kind(url=url, max_retries=max_retries, **self.credentials)

    assert expected == failed_rules(pytester, TestIt, rules)


def test_rules_of_missing_features_are_skipped(pytester: pytest.Pytester) -> None:
    """
    The reason of the skip names the attribute.
    """

    class TestIt(LLMConformance):
        supports_tools = False

        def llm(self, url: str, max_retries: int) -> LLM:
            return ModelArts(endpoint=url, auth_type="none", is_function_calling_model=False)

    result = run_suite(pytester, TestIt, "can_be_disabled or test_metadata", "-rs")

    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*TestIt.supports_tools is false"])


def test_a_suite_without_a_model_names_the_method(pytester: pytest.Pytester) -> None:
    """
    The error names the method to implement.
    """

    class TestIt(LLMConformance):
        pass

    run_suite(pytester, TestIt, "test_metadata").stdout.fnmatch_lines(["*TestIt.llm(url, max_retries) must return*"])
