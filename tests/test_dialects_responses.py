"""OpenAI's Responses API: typed events and documents become events; no other end than the API's is a success."""

import json
from typing import Any

import pytest
from _responses_events import (
    USAGE,
    Json,
    added,
    arguments_delta,
    call,
    completed,
    created,
    decode,
    decode_document,
    done,
    failed,
    incomplete,
    message,
    reasoning,
    reasoning_delta,
    response,
    sse,
    summary_delta,
    text_delta,
    text_done,
)
from _samples import read

from mdstream_core import OpenAIChat, OpenAIResponses
from mdstream_core.errors import (
    IncompleteToolCall,
    MalformedStream,
    MDStreamError,
    StreamFailure,
    StreamInterrupted,
)
from mdstream_core.events import ProviderData, ResponseMetadata, TextDelta, Usage

HI = [created(), added(message(status="in_progress")), text_delta("Hel"), text_delta("lo")]
CALL = [added(call("", status="in_progress"), 1), arguments_delta('{"city": '), arguments_delta('"Rome"}')]
SEARCH = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "rivers"},
}


@pytest.mark.parametrize("names", [True, False], ids=["with event names", "without"])
def test_text_usage_metadata_and_finish_reason(names: bool) -> None:
    """Whether the events have names or not: the type in the payload decides."""
    outcome = decode(*HI, done(message("Hello")), completed(message("Hello")), names=names)

    assert outcome.error is None
    assert [event for event in outcome.events if isinstance(event, TextDelta)] == [TextDelta("Hel"), TextDelta("lo")]
    assert outcome.model_response.finish_reason == "stop"
    assert outcome.model_response.metadata == ResponseMetadata("m-1", "resp_1")
    assert outcome.model_response.usage == Usage(11, 7, 18, cached=4, reasoning=3)


def test_an_event_without_a_type_is_read_by_the_name_of_its_frame() -> None:
    """A gateway may remove `type`."""
    body = b"".join(
        f"event: {event['type']}\ndata: {json.dumps({k: v for k, v in event.items() if k != 'type'})}\n\n".encode()
        for event in (*HI, completed())
    )
    outcome = read(body, dialect=OpenAIResponses())

    assert outcome.error is None
    assert outcome.model_response.text == "Hello"


#: name: (the events after "Hello", finish reason)
ENDS: dict[str, tuple[Json, str]] = {
    "completed": (completed(), "stop"),
    "completed, without a status": ({"type": "response.completed", "response": response(None)}, "stop"),
    "completed, without a response": ({"type": "response.completed"}, "stop"),
    "the token limit": (incomplete("max_output_tokens"), "length"),
    "a content filter": (incomplete("content_filter"), "content_filter"),
    "an unknown reason": (incomplete("max_tool_calls"), "max_tool_calls"),
    "no reason": (incomplete(None), "incomplete"),
    "vLLM's token limit": (
        {
            "type": "response.completed",
            "response": response("incomplete", incomplete_details={"reason": "max_output_tokens"}),
        },
        "length",
    ),
}


@pytest.mark.parametrize(("end", "reason"), ENDS.values(), ids=ENDS)
def test_a_response_ends_with_its_own_event(end: Json, reason: str) -> None:
    """The status of the response decides, and the reason is reported."""
    outcome = decode(*HI, end)

    assert outcome.error is None
    assert (outcome.model_response.text, outcome.model_response.finish_reason) == ("Hello", reason)


#: name: (the bytes after "Hello", class of the error, code, retryable)
FAILURES: dict[str, tuple[bytes, type[MDStreamError], str | None, bool]] = {
    "nothing": (b"", StreamInterrupted, None, True),
    "[DONE]": (b"data: [DONE]\n\n", StreamInterrupted, None, True),
    "everything but the last event": (sse(text_done("Hello"), done(message("Hello"))), StreamInterrupted, None, True),
    "in progress": (
        sse({"type": "response.completed", "response": response("in_progress")}),
        StreamInterrupted,
        None,
        True,
    ),
    "response.failed": (sse(failed()), StreamFailure, "server_error", True),
    "a prompt that always fails": (sse(failed("invalid_prompt")), StreamFailure, "invalid_prompt", False),
    "failed, without an error": (
        sse({"type": "response.failed", "response": response("failed")}),
        StreamFailure,
        "failed",
        True,
    ),
    "failed, in a completed event": (
        sse({"type": "response.completed", "response": response("failed", error={"code": "x", "message": "it died"})}),
        StreamFailure,
        "x",
        True,
    ),
    "cancelled": (
        sse({"type": "response.cancelled", "response": response("cancelled")}),
        StreamFailure,
        "cancelled",
        False,
    ),
    "error": (
        sse({"type": "error", "code": "server_error", "message": "it died"}),
        StreamFailure,
        "server_error",
        True,
    ),
    "error with an object": (
        sse({"type": "error", "error": {"code": "overloaded", "message": "it died"}}),
        StreamFailure,
        "overloaded",
        True,
    ),
    "an error object alone": (
        sse({"error": {"code": "x", "message": "it died"}}, names=False),
        StreamFailure,
        "x",
        True,
    ),
    "an unknown event with an error": (
        sse({"type": "response.new", "error": {"code": "x", "message": "it died"}}),
        StreamFailure,
        "x",
        True,
    ),
    "event: error, no JSON": (b"event: error\ndata: it died\n\n", StreamFailure, None, True),
    "OCI's envelope": (b'data: {"code":"500","message":"it died"}\n\n', StreamFailure, None, True),
    "an error in a response": (
        sse({"type": "response.in_progress", "response": response("in_progress", error={"message": "it died"})}),
        StreamFailure,
        None,
        True,
    ),
    "no JSON": (b"data: {oh\n\n", MalformedStream, None, False),
    "another text": (sse(text_done("Goodbye")), MalformedStream, "InconsistentMessage", False),
    "another text at the end": (sse(completed(message("Goodbye"))), MalformedStream, "InconsistentMessage", False),
    "a delta that is no text": (sse({**text_delta(""), "delta": {}}), MalformedStream, None, False),
}


@pytest.mark.parametrize("step", [1, 4096])
@pytest.mark.parametrize(("tail", "kind", "code", "retryable"), FAILURES.values(), ids=FAILURES)
def test_everything_else_is_a_failure(
    tail: bytes, kind: type[MDStreamError], code: str | None, retryable: bool, step: int
) -> None:
    """With what was received as the partial response, its items included."""
    outcome = decode(*HI, tail=tail, step=step)

    assert type(outcome.error) is kind
    assert (outcome.error.code, outcome.error.retryable) == (code, retryable)
    assert "it died" in str(outcome.error) or kind is not StreamFailure or code in ("failed", "cancelled")
    assert outcome.error.partial.text == "Hello"
    assert outcome.error.partial.first.provider_data["output_items"][0]["id"] == "msg_1"


def test_a_response_without_output_is_retried() -> None:
    """`response.created` alone is no output, so that the error arrives before the first event."""
    for end in (b"", sse(failed()), b"data: [DONE]\n\n"):
        outcome = decode(created(), tail=end)
        assert outcome.events == []
        assert outcome.error is not None
        assert outcome.error.retryable


def test_an_error_after_the_end_is_a_failure() -> None:
    """On a platform that reads on."""
    assert isinstance(decode(*HI, completed(), failed()).error, StreamFailure)


def test_output_after_the_end_needs_another_end() -> None:
    """The first end was none."""
    assert isinstance(decode(*HI, completed(), text_delta("!")).error, StreamInterrupted)


#: name: events that have "Hello" only whole
WHOLE: dict[str, list[Json]] = {
    "in the text's end": [text_done("Hello"), completed()],
    "in the part's end": [
        {
            "type": "response.content_part.done",
            "item_id": "msg_1",
            "output_index": 0,
            "content_index": 0,
            "part": message("Hello")["content"][0],
        },
        completed(),
    ],
    "in the item's end": [done(message("Hello")), completed()],
    "in the response": [completed(message("Hello"))],
    "after one delta": [text_delta("He"), completed(message("Hello"))],
    "under another id": [text_delta("He"), completed(message("Hello", id="msg_9"))],
    "everywhere": [text_delta("Hello"), text_done("Hello"), done(message("Hello")), completed(message("Hello"))],
    "with spaces at the end": [text_delta("Hello"), text_done("Hello \n"), completed(message("Hello"))],
    "an empty end": [text_delta("Hello"), text_done(""), completed()],
}


@pytest.mark.parametrize("events", WHOLE.values(), ids=WHOLE)
def test_a_text_that_is_sent_whole_is_neither_lost_nor_repeated(events: list[Json]) -> None:
    """Wherever the service sends it."""
    outcome = decode(created(), *events)

    assert outcome.error is None
    assert outcome.model_response.text.rstrip() == "Hello"


def test_parts_and_messages_are_kept_apart() -> None:
    """The items have the text of each; only a single one is not repeated."""
    first, second = message("A", "B"), message("C", id="msg_2")
    deltas = [text_delta("A"), text_delta("B", part=1), text_delta("C", item="msg_2", at=1)]
    choice = decode(created(), *deltas, done(first), done(second, 1), completed(first, second)).model_response.first

    assert choice.text == "ABC"
    texts = [part["text"] for item in choice.provider_data["output_items"] for part in item["content"]]
    assert texts == ["A", "B", "C"]


def test_reasoning_is_read_with_its_parts_as_paragraphs() -> None:
    """A summary has several parts; the item keeps them, and the encrypted content."""
    item = reasoning("One", "Two", encrypted_content="gAAA")
    deltas = [summary_delta("On"), summary_delta("e"), summary_delta("Two", part=1)]
    start = added(reasoning(), 0)
    outcome = decode(
        created(), start, *deltas, done(item), text_delta("Hello", at=1), completed(item, message("Hello"))
    )

    assert outcome.error is None
    assert outcome.model_response.reasoning == "One\n\nTwo"
    assert outcome.model_response.first.provider_data["output_items"][0] == item


def test_raw_reasoning_and_reasoning_sent_whole() -> None:
    """vLLM and llama.cpp stream `reasoning_text`; others send only the item."""
    item = {**reasoning(), "content": [{"type": "reasoning_text", "text": "Hm."}]}
    ends = [completed(item, message("Hello"))]

    assert decode(created(), reasoning_delta("H"), reasoning_delta("m."), *ends).model_response.reasoning == "Hm."
    assert decode(created(), done(item), *ends).model_response.reasoning == "Hm."
    assert decode(created(), *ends).model_response.reasoning == "Hm."


def test_parallel_tool_calls_may_be_interleaved() -> None:
    """Each keeps its id; the id of the item stays in the items."""
    one, two = call('{"city": "Rome"}'), call('{"city": "Oslo"}', at=2)
    starts = [added({**item, "arguments": ""}, at) for at, item in enumerate((one, two), 1)]
    deltas = [arguments_delta('{"city": "R'), arguments_delta('{"city": "Oslo"}', at=2), arguments_delta('ome"}')]
    choice = decode(created(), *starts, *deltas, done(one, 1), done(two, 2), completed(one, two)).model_response.first

    assert [(found.id, found.name, found.arguments) for found in choice.tool_calls] == [
        ("call_1", "weather", '{"city": "Rome"}'),
        ("call_2", "weather", '{"city": "Oslo"}'),
    ]
    assert choice.finish_reason == "tool_calls"
    assert [item["id"] for item in choice.provider_data["output_items"]] == ["fc_1", "fc_2"]
    assert all("arguments" not in item for item in choice.provider_data["output_items"])


#: name: events with one whole call
WHOLE_CALLS: dict[str, list[Json]] = {
    "only deltas": [*CALL, completed()],
    "in the arguments' end": [
        CALL[0],
        {
            "type": "response.function_call_arguments.done",
            "item_id": "fc_1",
            "output_index": 1,
            "arguments": '{"city": "Rome"}',
        },
        completed(),
    ],
    "in the item's start": [added(call('{"city": "Rome"}')), done(call('{"city": "Rome"}')), completed()],
    "in the item's end": [done(call('{"city": "Rome"}')), completed()],
    "in the response": [completed(call('{"city": "Rome"}'))],
    "half of it": [*CALL[:2], completed(call('{"city": "Rome"}'))],
    "deltas before the start": [*CALL[1:], done(call('{"city": "Rome"}'), 1), completed()],
    "in another spelling": [*CALL, completed(call('{"city":"Rome"}'))],
    "everywhere": [*CALL, done(call('{"city": "Rome"}'), 1), completed(call('{"city": "Rome"}'))],
}


@pytest.mark.parametrize("events", WHOLE_CALLS.values(), ids=WHOLE_CALLS)
def test_a_call_is_read_once_wherever_it_is_sent(events: list[Json]) -> None:
    """With its own id."""
    outcome = decode(created(), *events)

    assert outcome.error is None
    assert [(one.id, one.name, one.parse_arguments()) for one in outcome.model_response.tool_calls] == [
        ("call_1", "weather", {"city": "Rome"})
    ]


#: name: events with a call that must not be executed
HALF_CALLS: dict[str, list[Json]] = {
    "truncated arguments": [*CALL[:2], completed()],
    "the token limit": [*CALL[:2], incomplete("max_output_tokens")],
    "the token limit before the arguments": [CALL[0], incomplete("max_output_tokens")],
    "a filter before the arguments": [CALL[0], incomplete("content_filter")],
    "valid JSON, without an end": [*CALL, incomplete("max_output_tokens")],
    "an incomplete item": [*CALL, done(call('{"city": "Rome"}', status="incomplete"), 1), incomplete("content_filter")],
    "no name": [*CALL[1:], completed()],
    "a second object": [*CALL, arguments_delta('{"city": "Oslo"}'), completed()],
    "other arguments at the end": [*CALL, completed(call('{"city": "Oslo"}'))],
}


@pytest.mark.parametrize("events", HALF_CALLS.values(), ids=HALF_CALLS)
def test_half_a_call_is_an_error(events: list[Json]) -> None:
    """Valid JSON is no proof that it is whole."""
    assert isinstance(decode(created(), *events).error, IncompleteToolCall | MalformedStream)


def test_the_input_of_a_custom_tool_is_an_argument() -> None:
    """Its text is free; the item keeps it."""
    item = {"type": "custom_tool_call", "id": "ct_1", "call_id": "call_1", "name": "shell", "input": "ls -l"}
    outcome = decode(created(), added({**item, "input": ""}), done(item), completed(item))

    assert outcome.error is None
    assert outcome.model_response.tool_calls[0].parse_arguments() == {"__arg1": "ls -l"}
    assert outcome.model_response.finish_reason == "tool_calls"


def test_calls_of_built_in_tools_are_items_in_their_order() -> None:
    """Also of a stream that fails; events about their progress are ignored."""
    code = {"type": "code_interpreter_call", "id": "ci_1", "code": "1+1", "outputs": None, "status": "completed"}
    progress = {"type": "response.web_search_call.searching", "item_id": "ws_1", "output_index": 0}
    start = {**code, "code": "", "status": "in_progress"}
    pieces = [
        {"type": "response.code_interpreter_call_code.delta", "item_id": "ci_1", "output_index": 1, "delta": d}
        for d in ("1", "+1")
    ]
    events = [created(), added(SEARCH), progress, done(SEARCH), added(start, 1), *pieces]

    interrupted = decode(*events)
    assert isinstance(interrupted.error, StreamInterrupted)
    assert interrupted.error.partial.first.provider_data["output_items"] == [
        SEARCH,
        {k: v for k, v in start.items() if v is not None} | {"code": "1+1"},
    ]

    whole = decode(*events, done(code, 1), text_delta("2", at=2), completed(SEARCH, code, message("2")))
    kinds = [item["type"] for item in whole.model_response.first.provider_data["output_items"]]
    assert kinds == ["web_search_call", "code_interpreter_call", "message"]


def test_annotations_refusals_and_log_probabilities() -> None:
    """Streamed or whole, each is reported once."""
    note = {"type": "url_citation", "url": "https://example.com", "title": "A", "start_index": 0, "end_index": 2}
    position = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    probabilities = [{"token": "Hi", "logprob": -0.1, "top_logprobs": []}]
    item = message("Hi", annotations=[note], logprobs=probabilities)
    streamed = [
        text_delta("Hi", logprobs=probabilities),
        {"type": "response.output_text.annotation.added", **position, "annotation": note},
    ]

    for events in ([*streamed, done(item)], [done(item)], []):
        choice = decode(created(), *events, completed(item)).model_response.first
        assert choice.provider_data["annotations"] == [note]
        assert choice.logprobs == tuple(probabilities)

    refusal = {**message(), "content": [{"type": "refusal", "refusal": "No."}]}
    delta = {"type": "response.refusal.delta", **position, "delta": "No"}
    for events in ([delta, done(refusal)], [{**delta, "type": "response.refusal.done", "refusal": "No."}], []):
        assert decode(created(), *events, completed(refusal)).model_response.refusal == "No."


def test_a_document_is_read_like_a_stream() -> None:
    """With reasoning, a call, text and usage."""
    items = [reasoning("Hm."), call('{"city": "Rome"}'), message("Hello")]
    outcome = decode_document(response("completed", items, usage=USAGE))

    assert outcome.error is None
    found = outcome.model_response
    assert (found.reasoning, found.text, found.finish_reason, found.usage.total) == ("Hm.", "Hello", "tool_calls", 18)
    assert [item["type"] for item in found.first.provider_data["output_items"]] == [
        "reasoning",
        "function_call",
        "message",
    ]


#: name: (a document, class of its error or `None`)
DOCUMENTS: dict[str, tuple[Json, type[MDStreamError] | None]] = {
    "without a status": ({"output": [message("Hello")]}, None),
    "incomplete": (response("incomplete", [message("Hello")], incomplete_details={"reason": "content_filter"}), None),
    "failed": (response("failed", [message("Hello")], error={"code": "x", "message": "it died"}), StreamFailure),
    "queued": (response("queued", [message("Hello")]), StreamInterrupted),
    "in progress": (response("in_progress", [message("Hello")]), StreamInterrupted),
    "cancelled": (response("cancelled", [message("Hello")]), StreamFailure),
    "an error": ({"error": {"message": "it died"}}, StreamFailure),
}


@pytest.mark.parametrize(("document", "kind"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_the_status_of_a_document_decides(document: Json, kind: type[MDStreamError] | None) -> None:
    """A response that is queued is not complete, whatever its status code."""
    outcome = decode_document(document)

    assert type(outcome.error) is (kind or type(None))
    assert outcome.model_response.text == ("" if "output" not in document else "Hello")


def test_a_response_of_another_dialect_is_named() -> None:
    """In both directions."""
    chat = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
    for body, requested, hint in (
        (chat, OpenAIResponses(), "openai-chat"),
        (sse(*HI), OpenAIChat(), "openai-responses"),
    ):
        error = read(body, dialect=requested).error
        assert isinstance(error, MalformedStream)
        assert error.code == "DialectMismatch"
        assert f"dialect='{hint}'" in str(error)


def test_unknown_events_are_ignored() -> None:
    """Whatever they have, unless it is an error."""
    others: list[Any] = [{"type": "response.new.delta", "delta": "?"}, {"type": "keepalive"}, {"obfuscation": "x"}]
    outcome = decode(*HI, *others, completed())

    assert outcome.error is None
    assert outcome.model_response.text == "Hello"


def test_an_item_without_a_type_is_kept() -> None:
    """It is unknown, and the response that has it is malformed only if something else is."""
    unknown = {"type": None, "id": "x_1"}
    document = response("completed", [unknown, message("Hello")], usage={"input_tokens": []})
    outcome = decode_document(document)

    assert isinstance(outcome.error, MalformedStream)
    assert outcome.error.partial.text == "Hello"
    assert outcome.error.partial.first.provider_data["output_items"][0] == {"id": "x_1"}


def test_the_items_are_one_event() -> None:
    """At the end: they cost nothing while the response is received."""
    outcome = decode(*HI, done(message("Hello")), completed(message("Hello")))

    (items,) = [event for event in outcome.events if isinstance(event, ProviderData)]
    assert items.name == "output_items"
