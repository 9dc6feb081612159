"""The OpenAI formats: errors, reasoning, usage, several choices, and how a stream ends."""

import json
from typing import Any

import pytest
from _samples import EVENTS, read

from mdstream_core import OpenAIChat, OpenAICompletions, dialect
from mdstream_core.errors import (
    InvalidRequest,
    MalformedStream,
    ServerError,
    StreamFailure,
    StreamInterrupted,
    StreamTimeout,
)
from mdstream_core.events import (
    Finish,
    Logprobs,
    ReasoningDelta,
    RefusalDelta,
    Served,
    TextDelta,
    Usage,
)
from mdstream_core.http import Head
from mdstream_core.wire.sse import encode

DONE = encode(b"[DONE]")
HI = {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}


def sse(*payloads: Any) -> bytes:
    return b"".join(
        encode(payload if isinstance(payload, bytes) else json.dumps(payload).encode()) for payload in payloads
    )


def delta(finish: str | None = None, index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": fields, "finish_reason": finish}]}


STOP = delta("stop")

#: name: (the bytes, code, status)
ERRORS: dict[str, tuple[bytes, str | None, int | None]] = {
    "vLLM": (
        sse({"error": {"message": "it died", "type": "InternalServerError", "param": None, "code": 500}}),
        "InternalServerError",
        500,
    ),
    "vLLM to 0.10.0, SGLang": (
        sse(
            {"error": {"object": "error", "message": "it died", "type": "BadRequestError", "param": None, "code": 400}}
        ),
        "BadRequestError",
        400,
    ),
    "flat": (
        sse({"object": "error", "message": "it died", "type": "BadRequestError", "code": 400}),
        "BadRequestError",
        400,
    ),
    "TGI chat": (sse({"error": {"message": "it died", "http_status_code": 422}}), None, 422),
    "TGI generate": (sse({"error": "it died", "error_type": "overloaded"}), "overloaded", None),
    "llama-server": (
        sse({"error": {"code": 400, "message": "it died", "type": "invalid_request_error"}}),
        "invalid_request_error",
        400,
    ),
    "old llama-server": (b'error: {"code": 400, "message": "it died", "type": "invalid"}\n\n', "invalid", 400),
    "LMI": (sse({"error": "it died", "code": 424}), None, 424),
    "event: error": (encode(b'{"message": "it died"}', "error"), None, None),
    "event: error, no JSON": (encode(b"it died", "error"), None, None),
    "OCI's envelope": (sse({"code": "InternalServerError", "message": "it died"}), "InternalServerError", None),
    "FastAPI": (sse({"detail": "it died"}), None, None),
    "beside choices": (sse({"choices": [], "error": {"message": "it died", "code": "bad"}}), "bad", None),
    "without its blank line": (b'data: {"error": {"message": "it died", "code": 503}}', None, 503),
}


@pytest.mark.parametrize("after", [b"", DONE, sse(STOP) + DONE], ids=["end", "[DONE]", "finish"])
@pytest.mark.parametrize("before", [b"", sse(HI), sse(HI, STOP)], ids=["nothing", "text", "finish"])
@pytest.mark.parametrize(("wire", "code", "status"), ERRORS.values(), ids=ERRORS)
def test_an_error_event_is_a_failure(
    wire: bytes, code: str | None, status: int | None, before: bytes, after: bytes
) -> None:
    """
    In every spelling, before or after a finish reason, with or without [DONE] behind it; the text before it is kept.
    """
    outcome = read(before + (wire if not after or wire.endswith(b"\n\n") else wire + b"\n\n") + after)

    assert isinstance(outcome.error, StreamFailure)
    assert "it died" in str(outcome.error)
    assert "it died" in (outcome.error.raw or "")
    assert (code, status or EVENTS.status) == (outcome.error.code, outcome.error.status)
    assert (
        ("Hi" if before else "") == outcome.reply.text == (outcome.error.partial.text if outcome.error.partial else "")
    )


def test_an_error_without_words_is_a_failure() -> None:
    """
    An error object says enough by being there.
    """
    for payload in (
        {"error": {"code": 500}},
        {"error": True},
        {"code": "InternalServerError", "message": ""},
        {"object": "error"},
    ):
        assert isinstance(read(sse(HI, STOP, payload)).error, StreamFailure)


def test_a_timeout_has_its_class() -> None:
    """
    408 is a StreamTimeout, which a caller may want to tell apart.
    """
    assert StreamTimeout is type(read(sse({"error": {"message": "slow", "code": 408}})).error)


def test_only_failures_of_the_server_may_be_asked_again() -> None:
    """
    A 4xx would fail the same way again; 408, 429 and 5xx may not.
    """
    retryable = {
        code: read(sse({"error": {"message": "x", "code": code}})).error for code in (400, 404, 408, 429, 500, 503)
    }

    assert [408, 429, 500, 503] == [code for code, error in retryable.items() if error and error.retryable]


@pytest.mark.parametrize("reason", ["abort", "error", "cancelled"])
def test_a_server_that_gives_up_fails_and_its_last_words_are_kept(reason: str) -> None:
    """
    Text in the same chunk as the finish reason that spells a failure is delivered before the error.
    """
    outcome = read(sse(HI, delta(reason, content=" there")) + DONE)

    assert isinstance(outcome.error, StreamFailure)
    assert reason == outcome.error.code
    assert "Hi there" == outcome.reply.text


def test_text_beside_an_error_object_is_kept() -> None:
    """
    One payload with both is read in both ways.
    """
    outcome = read(sse({**delta(content="Hi"), "error": {"message": "boom", "code": 500}}, STOP) + DONE)

    assert isinstance(outcome.error, StreamFailure)
    assert "Hi" == outcome.reply.text


REASONING: dict[str, tuple[dict[str, Any], str]] = {
    "vLLM to 0.10, SGLang, llama-server": ({"reasoning_content": "hm"}, "hm"),
    "vLLM 0.33": ({"reasoning": "hm"}, "hm"),
    "vLLM 0.11 to 0.13: both": ({"reasoning": "hm", "reasoning_content": "hm"}, "hm"),
    "both, the other way round": ({"reasoning_content": "hm", "reasoning": "hm"}, "hm"),
    "null": ({"reasoning_content": None, "content": None, "reasoning": None}, ""),
    "empty beside filled": ({"reasoning_content": "", "reasoning": "hm"}, "hm"),
}


@pytest.mark.parametrize(("fields", "expected"), REASONING.values(), ids=REASONING)
def test_reasoning_has_many_names(fields: dict[str, Any], expected: str) -> None:
    """
    Reasoning is read once under each of its names.
    """
    outcome = read(sse(delta(**fields), delta("stop", content="42")))

    assert ReasoningDelta(expected) in outcome.events or not expected
    assert (expected, "42") == (outcome.reply.reasoning, outcome.reply.text)


USAGE: dict[str, tuple[dict[str, Any], Usage]] = {
    "plain": ({"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}, Usage(9, 3, 12)),
    "no total": ({"prompt_tokens": 9, "completion_tokens": 3}, Usage(9, 3, 12)),
    "nulls": ({"prompt_tokens": 9, "completion_tokens": None, "total_tokens": None}, Usage(9, 0, 9)),
    "details": (
        {
            "prompt_tokens": 9,
            "completion_tokens": 3,
            "total_tokens": 12,
            "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 0},
        },
        Usage(9, 3, 12, cached=4, reasoning=2, input_audio=1, output_audio=0),
    ),
    "details are null": ({"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": None}, Usage(1, 1, 2)),
    "SGLang": ({"prompt_tokens": 9, "completion_tokens": 3, "reasoning_tokens": 2}, Usage(9, 3, 12, reasoning=2)),
}


@pytest.mark.parametrize(("usage", "expected"), USAGE.values(), ids=USAGE)
def test_usage_is_read_in_every_form(usage: dict[str, Any], expected: Usage) -> None:
    """
    With the finish reason, or in a chunk of its own without choices.
    """
    for wire in (sse(HI, {**STOP, "usage": usage}), sse(HI, STOP, {"choices": [], "usage": usage}) + DONE):
        assert expected == read(wire).reply.usage


def test_continuous_usage_is_not_added_up() -> None:
    """
    Usage on every chunk is cumulative: the last one counts.
    """
    chunks = [{**HI, "usage": {"prompt_tokens": 5, "completion_tokens": n}} for n in (1, 2, 3)]

    assert Usage(5, 3, 8) == read(sse(*chunks, STOP)).reply.usage


def test_null_usage_is_none() -> None:
    """
    TGI writes `usage: null` on every chunk.
    """
    assert read(sse({**HI, "usage": None}, {**STOP, "usage": None})).reply.usage is None


def test_choices_are_told_apart() -> None:
    """
    With n > 1 chunks interleave, and the answer is over when each choice has finished.
    """
    wire = sse(
        delta(content="a"), delta(index=1, content="x"), delta("stop", content="b"), delta("length", 1, content="y")
    )
    reply = read(wire).reply

    assert [("ab", "stop"), ("xy", "length")] == [(choice.text, choice.finish_reason) for choice in reply.choices]


def test_one_choice_of_two_that_does_not_finish_is_an_interruption() -> None:
    """
    Every choice that was begun must say why it ended.
    """
    assert isinstance(read(sse(delta(content="a"), delta(index=1, content="x"), STOP) + DONE).error, StreamInterrupted)


def test_a_refusal_is_no_text() -> None:
    """
    A refusal comes as its own kind of event.
    """
    outcome = read(sse(delta(refusal="I can"), delta("stop", refusal="not")))

    assert [RefusalDelta("I can"), RefusalDelta("not")] == outcome.events[1:3]
    assert ("", "I cannot") == (outcome.reply.text, outcome.reply.refusal)


def test_content_may_be_a_list_of_parts() -> None:
    """
    Some gateways send parts in place of a string.
    """
    parts = [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "no"}, {"type": "text", "text": "b"}]

    assert ("ab", "no") == (
        read(sse(delta("stop", content=parts))).reply.text,
        read(sse(delta("stop", content=parts))).reply.refusal,
    )


ENTRY = {"token": "Hi", "logprob": -0.5, "bytes": None, "top_logprobs": []}
LOGPROBS: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "chat": ({"content": [ENTRY]}, [ENTRY]),
    "LMI: a list around it": ([{"content": [ENTRY]}], [ENTRY]),
    "completions": (
        {"tokens": ["Hi", "!"], "token_logprobs": [-0.5, None]},
        [{"token": "Hi", "logprob": -0.5}, {"token": "!", "logprob": None}],
    ),
    "null content": ({"content": None}, []),
}


@pytest.mark.parametrize(("logprobs", "expected"), LOGPROBS.values(), ids=LOGPROBS)
def test_logprobs_in_every_shape(logprobs: Any, expected: list[dict[str, Any]]) -> None:
    """
    Log probabilities come as one flat list of entries.
    """
    outcome = read(
        sse({"choices": [{"index": 0, "delta": {"content": "Hi"}, "logprobs": logprobs, "finish_reason": "stop"}]})
    )

    assert outcome.error is None
    assert tuple(expected) == outcome.reply.choices[0].logprobs
    assert Logprobs(expected) in outcome.events


FINISH = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "content_filter": "content_filter", "eos_token": "stop", "stop_sequence": "stop", "end_turn": "stop", "function_call": "tool_calls", "other": "other"}  # fmt: skip


@pytest.mark.parametrize(("wire", "expected"), FINISH.items())
def test_finish_reasons_have_one_spelling(wire: str, expected: str) -> None:
    """
    What servers call the same thing comes out under OpenAI's word.
    """
    assert Finish(expected) == read(sse(HI, delta(wire))).events[-1]


ENDS: dict[str, tuple[bytes, bool]] = {
    "finish, [DONE]": (sse(HI, STOP) + DONE, True),
    "finish, no [DONE] (transformers)": (sse(HI, STOP), True),
    "finish, [DONE] without its line break": (sse(HI, STOP) + b"data: [DONE]", True),
    "finish with the last text": (sse(HI, delta("stop", content="!")), True),
    "finish, usage, [DONE]": (sse(HI, STOP, {"choices": [], "usage": {"prompt_tokens": 1}}) + DONE, True),
    "the finish repeated": (sse(HI, STOP, STOP) + DONE, True),
    "no text at all": (sse(delta(role="assistant", content=""), STOP) + DONE, True),
    "[DONE] without finish": (sse(HI) + DONE, False),
    "nothing": (b"", False),
    "only [DONE]": (DONE, False),
    "only comments": (b": ping\n\n: ping\n\n", False),
    "only a role": (sse(delta(role="assistant")) + DONE, False),
    "no finish": (sse(HI), False),
    "the finish is cut": (sse(HI) + sse(STOP)[:-12], False),
    "only usage": (sse({"choices": [], "usage": {"prompt_tokens": 1}}) + DONE, False),
}


@pytest.mark.parametrize("step", [1, 4096])
@pytest.mark.parametrize(("wire", "whole"), ENDS.values(), ids=ENDS)
def test_only_a_finish_reason_makes_an_answer_whole(wire: bytes, whole: bool, step: int) -> None:
    """
    The end of the bytes is never a success by itself, and [DONE] neither.
    """
    error = read(wire, step=step).error

    assert whole is (error is None)
    assert whole or isinstance(error, StreamInterrupted)


def test_the_finish_is_told_once() -> None:
    """
    A gateway that repeats its last chunk does not finish the answer twice.
    """
    assert 1 == sum(isinstance(event, Finish) for event in read(sse(HI, STOP, STOP)).events)


MALFORMED: dict[str, bytes] = {
    "not JSON": sse(b"Hello there"),
    "an array": sse([1, 2]),
    "a number": sse(42),
    "cut JSON with its blank line": sse(b'{"choices": [{"ind'),
    "choices that are text": sse({"choices": "Hi"}),
    "a choice that is text": sse({"choices": ["Hi"]}),
    "a delta that is text": sse({"choices": [{"delta": "Hi"}]}),
    "content that is a number": sse(delta(content=7)),
    "reasoning that is an object": sse(delta(reasoning={"text": "hm"})),
    "text that is a list": sse({"choices": [{"text": ["Hi"]}]}),
    "tool calls that are an object": sse(delta(tool_calls={"name": "f"})),
    "a function that is text": sse(delta(tool_calls=[{"function": "f"}])),
    "an index that is text": sse({"choices": [{"index": "zero", "delta": {"content": "Hi"}}]}),
    "usage that is a number": sse({"choices": [], "usage": 7}),
    "usage without numbers": sse({"choices": [], "usage": {"prompt_tokens": "many"}}),
    "a nest": sse(b"[" * 100_000),
}


@pytest.mark.parametrize("wire", MALFORMED.values(), ids=MALFORMED)
def test_what_cannot_be_read_is_an_error_of_ours(wire: bytes) -> None:
    """
    A payload in another shape is a MalformedStream that shows it, and the text before it is kept.
    """
    outcome = read(sse(HI) + wire + sse(STOP) + DONE)

    assert isinstance(outcome.error, MalformedStream)
    assert outcome.error.raw
    assert len(str(outcome.error)) < 500
    assert "Hi" == outcome.reply.text


def test_bytes_that_are_no_characters_are_replaced() -> None:
    """
    Invalid UTF-8 and half an emoji become U+FFFD and end nothing: such text could be neither printed nor stored.
    """
    body = sse(
        b'{"choices":[{"delta":{"content":"a\xff"}}]}',
        b'{"choices":[{"delta":{"content":"\\ud83d \\ud83d\\ude00 \\\\ud83d"}}]}',
        STOP,
    )

    assert "a\ufffd\ufffd 😀 \\ud83d" == read(body).reply.text


def test_numbers_that_are_none_are_read() -> None:
    """
    A log probability of -Infinity is not JSON, and servers write it.
    """
    body = sse(
        b'{"choices":[{"delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-Infinity}]}}]}', STOP
    )

    assert float("-inf") == read(body).reply.choices[0].logprobs[0]["logprob"]


def test_who_answered_is_told_with_the_first_news() -> None:
    """
    A chunk that only names the role is no event; the first that has one is preceded by the model's name and id.
    """
    head = {"id": "c1", "model": "m", "system_fingerprint": "fp"}
    outcome = read(sse({**head, **delta(role="assistant", content="")}, {**head, **HI}, {**head, **STOP}))

    assert [Served("m", "c1", "fp"), TextDelta("Hi"), Finish("stop")] == outcome.events


def test_a_fingerprint_beside_the_usage_is_not_lost() -> None:
    """
    vLLM names its fingerprint in the usage chunk only.
    """
    usage = {"choices": [], "model": "m", "usage": {"prompt_tokens": 1}, "system_fingerprint": "fp"}

    assert "fp" == read(sse({"model": "m", **HI}, STOP, usage)).reply.served.fingerprint


def test_a_whole_answer_is_read_where_a_stream_was_asked_for() -> None:
    """
    A container that ignores `stream` sends `message` in place of `delta`, under either label.
    """
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": "Hi", "reasoning_content": "hm", "tool_calls": [call]}
    body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}, indent=1).encode()

    for label in ("application/json", "text/event-stream", "text/plain", ""):
        reply = read(body, Head(200, {"content-type": label})).reply
        assert ("Hi", "hm", "f") == (reply.text, reply.reasoning, reply.tool_calls[0].name)


def test_an_error_in_place_of_a_whole_answer_is_a_failure() -> None:
    """
    Status 200 with an error object for a body is not an empty answer.
    """
    for body in (
        b'{"error": {"message": "boom", "code": 500}}',
        b'{"code": "X", "message": "boom"}',
        b'{"detail": "boom"}',
    ):
        outcome = read(body, Head(200, {"content-type": "application/json"}))
        assert isinstance(outcome.error, StreamFailure)
        assert "boom" in str(outcome.error)


def test_completions_say_text() -> None:
    """
    The completions format has `text` in place of `delta`.
    """
    body = sse(
        {"choices": [{"index": 0, "text": "Hi"}]}, {"choices": [{"index": 0, "text": "", "finish_reason": "length"}]}
    )

    assert ("Hi", "length") == (read(body).reply.text, read(body).reply.finish_reason)


def test_a_streaming_question_asks_for_usage() -> None:
    """
    Values of None are left out, and what the user set is not overwritten.
    """
    body = OpenAIChat().body({"messages": [], "stop": None}, stream=True)

    assert {"messages": [], "stream": True, "stream_options": {"include_usage": True}} == body
    assert {"messages": []} == OpenAIChat().body({"messages": []}, stream=False)
    own = {"include_usage": False}
    assert own == OpenAIChat().body({"stream_options": own}, stream=True)["stream_options"]


def test_only_a_refusal_that_names_stream_options_is_answered_without_them() -> None:
    """
    The usage may be given up, the question may not be changed otherwise.
    """
    body = {"messages": [], "stream": True, "stream_options": {}}
    refusal = InvalidRequest("400: extra inputs are not permitted", raw='{"loc": ["body", "stream_options"]}')

    assert {"messages": [], "stream": True} == OpenAIChat().simpler(body, refusal)
    assert OpenAIChat().simpler({"messages": []}, refusal) is None
    assert OpenAIChat().simpler(body, InvalidRequest("400: temperature")) is None
    assert OpenAIChat().simpler(body, ServerError("500: stream_options")) is None


def test_dialects_are_found_by_name() -> None:
    """
    A name that is unknown is answered with those that are known.
    """
    assert isinstance(dialect("openai-completions"), OpenAICompletions)
    with pytest.raises(ValueError, match="openai-chat, openai-completions"):
        dialect("latin")
