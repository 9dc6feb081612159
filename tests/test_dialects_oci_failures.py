"""The formats of OCI Generative AI, read: error events, models that give up, answers that stop, dialects that do not fit."""

import json
from typing import Any

import pytest
from _oci_genai import (
    CALL,
    COHERE,
    COUNTED,
    DONE,
    GENERIC,
    JSON,
    USAGE,
    V2,
    calls,
    cohere,
    document,
    finish,
    read,
    sse,
    text,
    v2,
)

from mdstream_core.errors import (
    IncompleteToolCall,
    MalformedStream,
    StreamFailure,
    StreamTimeout,
)
from mdstream_core.events import ModelResponse

INNER = json.dumps({"error": {"message": "it died", "param": "x", "code": "unsupported_value"}})

#: name: (the bytes, code, status)
ERRORS: dict[str, tuple[bytes, str | None, int | None]] = {
    "OCI's envelope": (sse({"code": "InternalServerError", "message": "it died"}), "InternalServerError", None),
    "OCI's envelope, a number": (sse({"code": "500", "message": "it died"}), None, 500),
    "error object": (sse({"error": {"code": "overloaded", "message": "it died"}}), "overloaded", None),
    "error text": (sse({"error": "it died"}), None, None),
    "double": (sse({"code": "400", "message": INNER}), "unsupported_value", 400),
    "event: error": (b'event: error\ndata: {"message": "it died"}\n\n', None, None),
    "event: error, no JSON": (b"event: error\ndata: it died\n\n", None, None),
}
STATES = {
    GENERIC: text("Hi"),
    COHERE: cohere("Hi"),
    V2: v2({"type": "TEXT", "text": "Hi"}),
    "oci-generate-text-cohere": {"text": "Hi"},
}


@pytest.mark.parametrize("before", [False, True], ids=["first", "after text"])
@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize(("wire", "code", "status"), ERRORS.values(), ids=ERRORS)
def test_an_error_event_is_a_failure(
    wire: bytes, code: str | None, status: int | None, name: str, before: bool
) -> None:
    """
    In every spelling and every format; the text before it is kept.
    """
    outcome = read(name, (sse(STATES[name]) if before else b"") + wire)

    assert isinstance(outcome.error, StreamFailure)
    assert "it died" in str(outcome.error)
    assert (code, status or 200) == (outcome.error.code, outcome.error.status)
    assert "Hi" * before == outcome.model_response.text == (outcome.error.partial or ModelResponse()).text


def test_an_error_object_without_a_message_is_a_failure() -> None:
    """The presence of an error object is sufficient; a 408 is a timeout."""
    assert isinstance(read(GENERIC, sse(text("Hi"), {"error": {}})).error, StreamFailure)
    assert isinstance(read(GENERIC, sse({"code": "408", "message": "slow"})).error, StreamTimeout)


def test_an_error_after_the_finish_event_is_a_failure() -> None:
    """While the decoder waits for the usage."""
    assert isinstance(
        read(GENERIC, sse(text("Hi"), finish("stop"), {"code": "x", "message": "it died"})).error, StreamFailure
    )


@pytest.mark.parametrize("reason", ["ERROR", "ERROR_TOXIC", "ERROR_LIMIT", "USER_CANCEL"])
@pytest.mark.parametrize("name", [COHERE, V2])
def test_a_finish_reason_of_a_failed_model_is_a_failure(name: str, reason: str) -> None:
    """The error has the model's message; only a plain ERROR is retryable."""
    end = {
        "apiFormat": "COHERE" if name == COHERE else "COHEREV2",
        "finishReason": reason,
        "errorMessage": "out of luck",
    }
    error = read(name, sse(STATES[name], end)).error

    assert isinstance(error, StreamFailure)
    assert "out of luck" in str(error)
    assert (reason, reason == "ERROR", "Hi") == (error.code, error.retryable, (error.partial or ModelResponse()).text)


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "timeout", "Canceled", "network_error"])
def test_a_finish_reason_that_reports_a_failure_is_a_failure(reason: str) -> None:
    """GENERIC passes through the finish reasons of any model."""
    error = read(GENERIC, sse(text("Hi"), finish(reason))).error

    assert isinstance(error, StreamFailure)
    assert (reason, True) == (error.code, error.retryable)


def test_an_empty_response_is_an_error() -> None:
    """An empty body, and payloads without content, which the error quotes."""
    silent = read(GENERIC, sse({"pad": "aaa"}) + DONE).error

    assert "EmptyStream" == getattr(read(GENERIC, b"").error, "code", None) == getattr(silent, "code", None)
    assert "aaa" in str(silent)


def test_usage_of_a_choice_is_used_if_the_response_has_none() -> None:
    """Oracle's models have the field in both."""
    choice = {**text("Hi"), "finishReason": "stop", "usage": COUNTED}

    assert (
        USAGE
        == read(
            GENERIC, document("chatResponse", {"apiFormat": "GENERIC", "choices": [choice]}), JSON
        ).model_response.usage
    )


def test_truncated_arguments_raise() -> None:
    """They are never repaired or returned as complete; nor is a call without arguments at the token limit."""
    assert isinstance(read(GENERIC, sse(calls({**CALL, "arguments": ""}), finish("length"))).error, IncompleteToolCall)
    error = read(GENERIC, sse(calls({**CALL, "arguments": '{"city": "Par'}), finish("length"))).error

    assert isinstance(error, IncompleteToolCall)


#: What was answered, the dialect that was chosen, the one that fits.
MISFITS = {
    "COHERE": ({"apiFormat": "COHERE", "text": "Hi"}, GENERIC, "oci-cohere"),
    "COHEREV2": (v2({"type": "TEXT", "text": "Hi"}), COHERE, "oci-cohere-v2"),
    "GENERIC": ({"modelId": "m", "chatResponse": {"apiFormat": "GENERIC", "choices": []}}, V2, "oci-generic"),
    "OpenAI": ({"object": "chat.completion.chunk", "choices": []}, GENERIC, "openai-chat"),
    "LLAMA": ({"inferenceResponse": {"runtimeType": "LLAMA"}}, "oci-generate-text-cohere", "oci-generate-text-llama"),
}


@pytest.mark.parametrize(("payload", "name", "fitting"), MISFITS.values(), ids=MISFITS)
def test_the_wrong_dialect_names_the_right_one(payload: Any, name: str, fitting: str) -> None:
    """The error has the format of the response, too."""
    error = read(name, sse(payload)).error

    assert isinstance(error, MalformedStream)
    assert f"set dialect={fitting!r}" in str(error)


@pytest.mark.parametrize(
    "payload",
    [b"{", b"[1]", b"null", b'{"index": 0, "message": {"content": [1]}}', b'{"message": {"content": 1}}', b'{"index": "x", "message": {"content": "a"}}', b'{"message": {"toolCalls": [1]}}'],
)  # fmt: skip
def test_an_unexpected_shape_is_malformed(payload: bytes) -> None:
    """The error quotes the payload."""
    error = read(GENERIC, b"data: " + payload + b"\n\n").error

    assert isinstance(error, MalformedStream)
    assert error.raw
