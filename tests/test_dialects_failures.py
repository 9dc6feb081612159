"""The OpenAI formats: how a stream fails, in every spelling, and what alone is a success."""

import pytest
from _openai_events import DONE, HI, STOP, delta, sse
from _samples import EVENTS, read

from mdstream_core.dialects import dialect
from mdstream_core.errors import (
    MalformedStream,
    MDStreamError,
    StreamFailure,
    StreamInterrupted,
    StreamTimeout,
)
from mdstream_core.http import ResponseHead
from mdstream_core.wire.sse import encode

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
    "with an empty list of choices": (
        sse({"choices": [], "object": "error", "message": "it died", "code": 500}),
        None,
        500,
    ),
    "with null for choices": (sse({"choices": None, "message": "it died", "code": 500}), None, 500),
    "a bare line": (b'{"error": {"message": "it died", "code": 500}}\n\n', None, 500),
    "a bare page": (b"<html>\n<p>it died</p>\n</html>\n\n", None, None),
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
        ("Hi" if before else "")
        == outcome.model_response.text
        == (outcome.error.partial.text if outcome.error.partial else "")
    )


def test_an_error_event_without_data_is_a_failure() -> None:
    """The event name is sufficient."""
    outcome = read(sse(HI, STOP) + b"event: error\n\n")

    assert isinstance(outcome.error, StreamFailure)
    assert "no error message" in str(outcome.error)


@pytest.mark.parametrize(
    "reason",
    "abort Canceled ERROR insufficient_system_resource MALFORMED_FUNCTION_CALL network_error timeout".split(),
)
def test_a_finish_reason_that_reports_a_failure_is_a_failure(reason: str) -> None:
    """In any spelling; the error code keeps the server's spelling."""
    outcome = read(sse(HI, delta(reason)) + DONE)

    assert isinstance(outcome.error, StreamFailure)
    assert reason == outcome.error.code


def test_a_finish_reason_is_case_insensitive() -> None:
    """Gemini's gateways send STOP."""
    assert "stop" == read(sse(HI, delta("STOP")) + DONE).model_response.finish_reason


@pytest.mark.parametrize("name", ["openai-chat", "tgi", "auto", "oci-generic", "oci-cohere", "oci-cohere-v2"])
@pytest.mark.parametrize(
    "around",
    ["%s", '{"error":{"message":%s}}', '{"choices":[{"logprobs":%s}]}', '{"message":%s}', '{"code":%s,"message":"a"}'],
)
def test_deeply_nested_json_is_an_mdstream_error(name: str, around: str) -> None:
    """A stream never raises `RecursionError`."""
    decoder = dialect(name).create_decoder()
    data = (around % ("[" * 1000 + "1" + "]" * 1000)).encode()

    for event in ("", "error"):
        with pytest.raises(MDStreamError):
            [*decoder.feed(data, event), *decoder.finish()]


def test_an_error_object_without_a_message_is_a_failure() -> None:
    """The presence of an error object is sufficient."""
    for payload in (
        {"error": {"code": 500}},
        {"error": True},
        {"code": "InternalServerError", "message": ""},
        {"object": "error"},
    ):
        assert isinstance(read(sse(HI, STOP, payload)).error, StreamFailure)


def test_a_408_is_a_stream_timeout() -> None:
    """So that a caller can tell timeouts from other failures."""
    assert StreamTimeout is type(read(sse({"error": {"message": "slow", "code": 408}})).error)


def test_only_server_failures_are_retryable() -> None:
    """A 4xx would fail again; 408, 429 and 5xx may not."""
    retryable = {
        code: read(sse({"error": {"message": "x", "code": code}})).error for code in (400, 404, 408, 429, 500, 503)
    }

    assert [408, 429, 500, 503] == [code for code, error in retryable.items() if error and error.retryable]


@pytest.mark.parametrize("reason", ["abort", "error", "cancelled"])
def test_text_beside_a_failing_finish_reason_is_returned_first(reason: str) -> None:
    """Text in the same chunk as the finish reason is delivered before the error."""
    outcome = read(sse(HI, delta(reason, content=" there")) + DONE)

    assert isinstance(outcome.error, StreamFailure)
    assert reason == outcome.error.code
    assert "Hi there" == outcome.model_response.text


def test_text_beside_an_error_object_is_kept() -> None:
    """A payload with both is decoded as both."""
    outcome = read(sse({**delta(content="Hi"), "error": {"message": "boom", "code": 500}}, STOP) + DONE)

    assert isinstance(outcome.error, StreamFailure)
    assert "Hi" == outcome.model_response.text


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
def test_only_a_finish_reason_completes_a_response(wire: bytes, whole: bool, step: int) -> None:
    """Neither the end of the body nor [DONE] is a success by itself."""
    error = read(wire, step=step).error

    assert whole is (error is None)
    assert whole or isinstance(error, StreamInterrupted)


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
def test_an_unexpected_shape_is_malformed(wire: bytes) -> None:
    """A payload of another shape raises `MalformedStream` with the payload, and the text before it is kept."""
    outcome = read(sse(HI) + wire + sse(STOP) + DONE)

    assert isinstance(outcome.error, MalformedStream)
    assert outcome.error.raw
    assert len(str(outcome.error)) < 500
    assert "Hi" == outcome.model_response.text


def test_a_whole_body_with_an_error_object_is_a_failure() -> None:
    """Status 200 with an error object as body is not an empty response."""
    for body in (
        b'{"error": {"message": "boom", "code": 500}}',
        b'{"code": "X", "message": "boom"}',
        b'{"detail": "boom"}',
    ):
        outcome = read(body, ResponseHead(200, {"content-type": "application/json"}))
        assert isinstance(outcome.error, StreamFailure)
        assert "boom" in str(outcome.error)
