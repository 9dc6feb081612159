"""The same awkward habits in the formats that are not OpenAI's, and on WebSockets."""

import json
from typing import Any

import pytest
from _oci_genai import COHERE, GENERIC, JSON, V2, sse
from _oci_genai import read as read_oci
from _samples import EVENTS as HEAD
from _samples import PLATFORM as DEPLOYMENT
from _samples import Outcome

from mdstream_core import Call, ModelArts, OpenAIChat, Retry
from mdstream_core.dialects import dialect
from mdstream_core.errors import IncompleteToolCall, MalformedStream, MDStreamError, StreamFailure, StreamInterrupted
from mdstream_core.events import Event
from mdstream_core.http import ResponseHead
from mdstream_core.wire.websocket import CLOSE, TEXT, close_data, encode_frame
from mdstream_core.wire.websocket_messages import CONTENT_TYPE, MessageDecoder


def message(**fields: Any) -> dict[str, Any]:
    """One event of GENERIC."""
    return {"index": 0, "message": {"role": "ASSISTANT", **fields}}


def output(text: str) -> dict[str, Any]:
    return message(content=[{"type": "TEXT", "text": text}])


def generic(**fields: Any) -> dict[str, Any]:
    """A whole response in GENERIC."""
    return {"modelId": "m", "chatResponse": {"apiFormat": "GENERIC", "choices": [fields]}}


def cohere(**fields: Any) -> dict[str, Any]:
    return {"modelId": "m", "chatResponse": {"apiFormat": "COHERE", **fields}}


DOCUMENTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "GENERIC": (GENERIC, generic(**output("Hi")), "stop"),
    "GENERIC, null": (GENERIC, generic(**output("Hi"), finishReason=None), "stop"),
    "GENERIC, 'null'": (GENERIC, generic(**output("Hi"), finishReason="null"), "stop"),
    "GENERIC, an unknown one": (GENERIC, generic(**output("Hi"), finishReason="eot"), "eot"),
    "COHERE": (COHERE, cohere(text="Hi"), "stop"),
    "COHERE, 'none'": (COHERE, cohere(text="Hi", finishReason="none"), "stop"),
    "COHEREV2": (V2, {"modelId": "m", "chatResponse": {"apiFormat": "COHEREV2", "message": {"content": [{"type": "TEXT", "text": "Hi"}]}}}, "stop"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "document", "reason"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_whole_response_of_oci_needs_no_finish_reason(name: str, document: dict[str, Any], reason: str) -> None:
    """The body is complete by its length; a stream without a reason is interrupted."""
    outcome = read_oci(name, json.dumps(document).encode(), JSON)

    assert outcome.error is None
    assert ("Hi", reason) == (outcome.model_response.text, outcome.model_response.finish_reason)
    pieces = [output("Hi")] if name == GENERIC else [{"apiFormat": "COHERE", "text": "Hi"}]
    if name != V2:
        assert isinstance(read_oci(name, sse(*pieces)).error, StreamInterrupted)


GENERIC_STREAMS: dict[str, tuple[list[Any], str | type[MDStreamError]]] = {
    "half a character": ([output("Hi \ud83d"), output("\ude00"), {"finishReason": "stop"}], "Hi 😀"),
    "half a character alone": ([output("Hi \ud83d"), {"finishReason": "stop"}], "Hi \ufffd"),
    "not yet, then an end": ([{**output("Hi"), "finishReason": "null"}, {"finishReason": "stop"}], "Hi"),
    "not yet, and no end": ([{**output("Hi"), "finishReason": "null"}], StreamInterrupted),
    "an unknown word, and the usage": ([output("Hi"), {"finishReason": "eot"}, {"usage": {"promptTokens": 1, "completionTokens": 1}}], "Hi"),
    "an unknown word alone": ([output("Hi"), {"finishReason": "eot"}], StreamInterrupted),
    "an unknown word in every event": ([{**output("H"), "finishReason": "going"}, {**output("i"), "finishReason": "going"}, b"[DONE]"], StreamInterrupted),
    "the whole answer behind its pieces": ([output("H"), output("i"), generic(**output("Hi"), finishReason="stop")], "Hi"),
    "another answer behind its pieces": ([output("H"), output("i"), generic(**output("No"), finishReason="stop")], MalformedStream),
    "an error in a choice": ([output("Hi"), {"index": 0, "finishReason": "stop", "error": {"message": "boom"}}], StreamFailure),
    "an error in a list of choices": ([output("Hi"), {"choices": [{"index": 0, "error": {"message": "boom"}}]}], StreamFailure),
    "an error with its words": ([output("Hi"), {"finishReason": "error", "errorMessage": "boom"}], StreamFailure),
    "content as a part alone": ([message(content={"type": "TEXT", "text": "Hi"}), {"finishReason": "stop"}], "Hi"),
    "two objects in one call": (
        [message(toolCalls=[{"id": "a", "name": "pay", "arguments": '{"to": "Ann"}{"to": "Bob"}'}]), {"finishReason": "tool_calls"}],
        MalformedStream,
    ),
    "half a call": ([message(toolCalls=[{"id": "a", "name": "pay", "arguments": '{"to": '}]), {"finishReason": "tool_calls"}], IncompleteToolCall),
}  # fmt: skip


@pytest.mark.parametrize("step", [1, 7, 4096])
@pytest.mark.parametrize(("payloads", "expected"), GENERIC_STREAMS.values(), ids=GENERIC_STREAMS)
def test_quirks_of_generic(payloads: list[Any], expected: str | type[MDStreamError], step: int) -> None:
    """As for OpenAI's streams."""
    outcome = read_oci(GENERIC, sse(*payloads), step=step)

    if isinstance(expected, str):
        assert outcome.error is None
        assert expected == outcome.model_response.text
    else:
        assert isinstance(outcome.error, expected)
        assert expected is not StreamFailure or "boom" in str(outcome.error)


def test_reasoning_parts_of_generic_are_reasoning() -> None:
    """
    A part is read by its type, whatever the format.
    """
    part = {"type": "THINKING", "thinking": [{"type": "text", "text": "hm"}]}
    model_response = read_oci(
        GENERIC, sse(message(content=[part]), output("Hi"), {"finishReason": "stop"})
    ).model_response

    assert ("Hi", "hm") == (model_response.text, model_response.reasoning)


def test_cohere_repeats_a_response_with_split_surrogate_pairs() -> None:
    """
    The repetition in the last event is whole: it is known again.
    """
    pieces = [{"apiFormat": "COHERE", "text": "Hi \ud83d"}, {"apiFormat": "COHERE", "text": "\ude00!"}]
    outcome = read_oci(COHERE, sse(*pieces, {"apiFormat": "COHERE", "text": "Hi 😀!", "finishReason": "COMPLETE"}))

    assert outcome.error is None
    assert "Hi 😀!" == outcome.model_response.text


def tokens(*texts: str, **last: Any) -> list[dict[str, Any]]:
    """A stream of TGI's."""
    rows = [{"token": {"text": text, "special": False}, "generated_text": None, "details": None} for text in texts]
    return [*rows[:-1], {**rows[-1], **last}]


TGI_STREAMS: dict[str, tuple[list[Any], str | type[MDStreamError]]] = {
    "half a character": (tokens("Hi \ud83d", "\ude00", generated_text="Hi 😀"), "Hi 😀"),
    "half a character alone": (tokens("Hi \ud83d", "", generated_text="Hi \ufffd"), "Hi \ufffd"),
    "not yet": (tokens("H", "i", details={"finish_reason": "null"}), StreamInterrupted),
    "not yet, with the whole text": (tokens("H", "i", generated_text="Hi", details={"finish_reason": "null"}), "Hi"),
    "an unknown word, with the whole text": (
        tokens("H", "i", generated_text="Hi", details={"finish_reason": "eot"}),
        "Hi",
    ),
    "an unknown word alone": (tokens("H", "i", details={"finish_reason": "eot"}), StreamInterrupted),
    "a token behind the end": ([*tokens("H", generated_text="H"), *tokens("i")], StreamInterrupted),
}


def finished(attempt: Any, *reads: bytes) -> Outcome:
    """Return the text and the end of these payloads."""
    events: list[Event] = []
    try:
        for data in reads:
            events += attempt.feed(data)
        events += [*attempt.flush(), *attempt.finish()]
    except MDStreamError as error:
        return Outcome(events, attempt.enrich_error(error))
    return Outcome(events, None)


def read_tgi(body: bytes) -> Outcome:
    """A stream of a container's own format, behind a model deployment."""
    attempt = Call(
        DEPLOYMENT, dialect("tgi"), {"messages": [{"role": "user", "content": "Hi"}]}, retry=Retry(0)
    ).create_attempt()
    attempt.start(HEAD)
    return finished(attempt, body)


@pytest.mark.parametrize(("payloads", "expected"), TGI_STREAMS.values(), ids=TGI_STREAMS)
def test_quirks_of_tgi(payloads: list[Any], expected: str | type[MDStreamError]) -> None:
    """
    The same for the containers' own format.
    """
    body = sse(*payloads)
    outcome = read_tgi(body)

    if isinstance(expected, str):
        assert outcome.error is None
        assert expected == outcome.model_response.text
    else:
        assert isinstance(outcome.error, expected)


# WebSockets

PLATFORM = ModelArts("wss://127.0.0.1:1/v1/infers/x")
EVENTS = [
    b'data: {"choices":[{"delta":{"content":"caf\xc3\xa9 {\\"a\\""}}]}\n\n',
    b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
]


def over_websocket(*messages: bytes, code: int = 1000) -> Outcome:
    """Return the text of these messages."""
    attempt = Call(PLATFORM, OpenAIChat(), {"messages": []}, retry=Retry(0)).create_attempt()
    attempt.start(ResponseHead(200, {"content-type": CONTENT_TYPE}))
    return finished(attempt, *(encode_frame(TEXT, one) for one in messages), encode_frame(CLOSE, close_data(code)))


def test_an_event_may_be_split_over_two_messages() -> None:
    """Inside the name of a field, a character or the JSON."""
    body = b"".join(EVENTS)
    for at in range(len(body) + 1):
        outcome = over_websocket(*(piece for piece in (body[:at], body[at:]) if piece))

        assert outcome.error is None, at
        assert 'café {"a"' == outcome.model_response.text


@pytest.mark.parametrize("size", [1, 2, 5, 30, 70])
def test_an_event_may_be_split_over_many_messages(size: int) -> None:
    """Up to a limit, because each message is parsed with those before it."""
    body = b"".join(EVENTS).replace(b"caf", b"caf" + b"e" * 40)
    outcome = over_websocket(*(body[at : at + size] for at in range(0, len(body), size)))

    if size == 1:
        assert isinstance(outcome.error, MalformedStream)
    else:
        assert outcome.error is None
        assert f'caf{"e" * 40}é {{"a"' == outcome.model_response.text


def test_events_without_a_blank_line_are_emitted_at_once() -> None:
    """
    A message that is a whole event is returned at once.
    """
    decoder = MessageDecoder()

    assert [(b'{"a":1}', "")] == decoder.feed(encode_frame(TEXT, b'data: {"a":1}'))
    assert [(b"[DONE]", "")] == decoder.feed(encode_frame(TEXT, b"data: [DONE]\n"))
    assert [(b"boom", "error")] == decoder.feed(encode_frame(TEXT, b"event: error\ndata: boom"))


def test_an_unfinished_event_at_the_end_is_an_error() -> None:
    """The close code is checked, and the truncated event is an error."""
    outcome = over_websocket(EVENTS[0], EVENTS[1][:30])
    assert isinstance(outcome.error, StreamInterrupted)

    outcome = over_websocket(EVENTS[0], EVENTS[1][:30], code=1011)
    assert isinstance(outcome.error, StreamInterrupted | StreamFailure)
    assert 'café {"a"' == outcome.error.partial.text  # type: ignore[union-attr]


def test_a_whole_response_over_a_websocket_needs_no_finish_reason() -> None:
    """
    One message, and a close as it should be.
    """
    whole = json.dumps({"choices": [{"message": {"role": "assistant", "content": "Hi"}}]}).encode()

    assert over_websocket(whole).error is None
    assert isinstance(over_websocket(whole, code=1011).error, StreamFailure)
