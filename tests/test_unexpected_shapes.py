"""Payloads, error bodies, trailers and credentials of unexpected shapes raise mdstream errors only."""

import asyncio
import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pydantic_core
import pytest
from _both_frameworks import METHODS, response
from _both_frameworks import PLATFORMS as MODELS
from _fuzz_targets import PLATFORMS, REQUEST, check_error
from _raw_server import respond_with, serving

from mdstream_core import Call, Retry, _json, dialect
from mdstream_core.auth._huawei_iam import IAMLogin, PasswordTokenSigner
from mdstream_core.auth._oci_keys import jwt_expiry
from mdstream_core.auth.aws import AWSSigner
from mdstream_core.auth.oci import WrappedSigner
from mdstream_core.errors import (
    AuthenticationError,
    MalformedStream,
    MDStreamError,
    ServerError,
    ServiceError,
    StreamFailure,
    error_class_for_status,
    unexpected_shape,
)
from mdstream_core.events import TextDelta
from mdstream_core.http import ResponseHead

DIGITS = b"9" * 5000
HUGE = b"1" + b"0" * 400


def nested(levels: int, opening: bytes = b"[", closing: bytes = b"]", inner: bytes = b"") -> bytes:
    return opening * levels + inner + closing * levels


#: dialect, payload
PAYLOADS: dict[str, tuple[str, bytes]] = {
    "a token that is a number": ("auto", b'{"token": 5}'),
    "a token that is true": ("auto", b'{"token": true, "generated_text": null}'),
    "a list of one": ("auto", b'[{"token": 1.5}]'),
    "a token without a choice of its own": ("tgi", b'{"token": [1], "details": 7}'),
    "a code of 5,000 digits": ("auto", b'{"error": {"code": "%b", "message": "x"}}' % DIGITS),
    "the same in a document": ("openai-embeddings", b'{"error": {"code": "%b", "message": "x"}}' % DIGITS),
    "a number of 5,000 digits": ("openai-chat", b'{"usage": {"prompt_tokens": %b}, "choices": []}' % DIGITS),
    "a code that is an object": ("openai-chat", b'{"error": {"code": {"a": 1}, "type": [2], "message": "x"}}'),
    "numbers that no float holds": ("tei-embeddings", b"[%b, 0.2]" % HUGE),
    "the same in an object": ("openai-embeddings", b'{"data":[{"index":0,"embedding":[%b]}]}' % HUGE),
    "a score that no float holds": ("rerank", b'{"results":[{"index":0,"relevance_score":%b}]}' % HUGE),
    "an index that is a list": ("openai-chat", b'{"choices":[{"index":[0],"delta":{"content":"x"}}]}'),
    "a call's index that is an object": ("openai-chat", b'{"choices":[{"delta":{"tool_calls":[{"index":{}}]}}]}'),
    "choices that are a number": ("openai-chat", b'{"choices": 5}'),
    "lists in lists": ("openai-chat", b'{"choices":[{"delta":{"annotations":[%b]}}]}' % nested(900)),
    "more of them than a parser takes": ("auto", nested(100_000)),
    "objects in an error": ("oci-generic", b'{"error":%b}' % nested(900, b'{"a":', b"}", b"1")),
    "a message in lists": ("oci-cohere-v2", b'{"message":{"content":[{"type":"thinking","thinking":%b}]}}' % nested(700)),
    "citations in lists": ("oci-cohere", b'{"text":"x","citations":%b}' % nested(500)),
    "a count in lists": ("tokenize", b'{"count":%b}' % nested(500)),
    "a delta that is an object": ("openai-responses", b'{"type":"response.output_text.delta","delta":{"a":1}}'),
    "an item that is a number": ("openai-responses", b'{"type":"response.output_item.added","item":5}'),
    "an item without a type": ("openai-responses", b'{"type":"response.output_item.done","item":{"id":"a"}}'),
    "an item's id that is a list": (
        "openai-responses", b'{"type":"response.output_text.delta","item_id":[0],"delta":"x"}',
    ),
    "output that is a number": (
        "openai-responses", b'{"type":"response.completed","response":{"status":"completed","output":7}}',
    ),
    "a response that is a list": ("openai-responses", b'{"type":"response.completed","response":[1]}'),
    "a usage that is a text": (
        "openai-responses", b'{"type":"response.completed","response":{"status":"completed","usage":"many"}}',
    ),
    "an event's type that is an object": ("openai-responses", b'{"type":{"a":1},"delta":"x"}'),
    "annotations in lists": (
        "openai-responses",
        b'{"type":"response.output_text.annotation.added","item_id":"m","annotation":%b}' % nested(900),
    ),
    "half a character as a name": ("openai-chat", b'{"choices":[{"delta":{"\\ud83d":1,"content":5}}]}'),
}  # fmt: skip


@pytest.fixture(params=["orjson", "pydantic_core"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The JSON parser, with and without orjson."""
    if request.param == "pydantic_core":
        monkeypatch.setattr(_json, "parse", pydantic_core.from_json)
        monkeypatch.setattr(_json, "REJECTS_INFINITY", False)


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(("name", "payload"), PAYLOADS.values(), ids=PAYLOADS)
def test_a_payload_of_any_shape_is_an_mdstream_error(name: str, payload: bytes) -> None:
    """
    The error has the beginning of the payload, can be pickled and copied, and its fields are texts and numbers.
    """
    attempt = Call(PLATFORMS["oci-model-deployment"], dialect(name), REQUEST, retry=Retry(0)).create_attempt()
    attempt.start(ResponseHead(200, {"content-type": "text/event-stream"}))
    with pytest.raises(MDStreamError) as caught:
        attempt.feed(b"data: " + payload + b"\n\n")
        attempt.flush()
        attempt.finish()
    error = attempt.enrich_error(caught.value)

    check_error(error)
    assert isinstance(error, MalformedStream | StreamFailure)
    assert error.raw is not None
    assert 0 < len(error.raw) <= 4000
    json.dumps(error.response.json())  # type: ignore[union-attr]


@pytest.mark.parametrize("bad", [b'{"choices": 5}', b'{"choices":[{"index":[0],"delta":{}}]}', b"[%b]" % nested(2000)])
def test_the_text_before_an_unexpected_payload_is_returned(bad: bytes) -> None:
    """
    In one read: first the events, then the error with the payload that could not be read.
    """
    attempt = Call(PLATFORMS["oci-model-deployment"], dialect("openai-chat"), REQUEST, retry=Retry(0)).create_attempt()
    attempt.start(ResponseHead(200, {"content-type": "text/event-stream"}))
    good = b'{"choices":[{"index":0,"delta":{"content":"Hi"}}]}'
    events = attempt.feed(b"data: " + good + b"\n\ndata: " + bad + b"\n\n")

    assert TextDelta("Hi") in events
    assert attempt.should_stop_reading
    with pytest.raises(MalformedStream) as caught:
        attempt.finish()
    assert attempt.enrich_error(caught.value).partial.text == "Hi"  # type: ignore[union-attr]
    assert caught.value.raw[:5] == bad[:5].decode()  # type: ignore[index]


class Odd:
    """A platform, a framing and a decoder that raise what a payload of an unexpected shape makes code raise."""

    def __init__(self, error: Exception) -> None:
        self.error = None
        self.is_finished = self.is_complete = False
        self._raised = error

    def fail(self, *_: Any, **__: Any) -> Any:
        raise self._raised


FOREIGN = [
    *(TypeError("x"), KeyError("x"), IndexError("x"), AttributeError("x"), ValueError("x"), OverflowError("x")),
    *(RecursionError("x"), ZeroDivisionError("x"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x")),
]


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda error: type(error).__name__)
def test_an_attempt_maps_unexpected_exceptions(foreign: Exception) -> None:
    """
    Whatever a decoder raises in `feed`, `end` or `held` is a MalformedStream with its cause, and a refusal keeps its status.
    """
    odd: Any = Odd(foreign)
    attempt = Call(PLATFORMS["modelarts"], dialect("openai-chat"), REQUEST, retry=Retry(0)).create_attempt()
    odd.feed = odd.finish = odd.flush = odd.fail
    attempt._decoder = odd
    attempt.start(ResponseHead(200, {"content-type": "text/event-stream"}))

    with pytest.raises(MalformedStream, match="unexpected shape") as caught:
        attempt.feed(b'data: {"a": 1}\n\n')
    assert caught.value.__cause__ is foreign
    assert caught.value.raw == '{"a": 1}'
    with pytest.raises(MalformedStream):
        attempt.finish((("a", "b"),))
    check_error(attempt.enrich_error(caught.value))


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda error: type(error).__name__)
def test_an_unreadable_error_body_keeps_its_status(foreign: Exception) -> None:
    """
    Where a platform's parser fails, the error is the one of the status, with the body.
    """

    class OddPlatform:
        parse_error = Odd(foreign).fail

        def __getattr__(self, name: str) -> Any:
            return getattr(PLATFORMS["modelarts"], name)

    call = Call(OddPlatform(), dialect("openai-chat"), REQUEST, retry=Retry(0))
    attempt = call.create_attempt()
    attempt.start(ResponseHead(503))
    attempt.feed(b"busy")

    with pytest.raises(ServerError, match="503: busy") as caught:
        attempt.finish()
    assert (caught.value.status, caught.value.raw) == (503, "busy")


BODIES: dict[str, bytes] = {
    "a code of 5,000 digits": b'{"error": {"code": "%b", "message": "x"}, "OriginalStatusCode": "%b"}'
    % (DIGITS, DIGITS),
    "a code that is an object": b'{"code": {"a": 1}, "error_code": [2], "message": {"b": 3}, "error_msg": 5, "__type": {}}',
    "a code that is a list": b'{"code": [1], "message": ["x"], "OriginalMessage": {"a": 1}, "LogStreamArn": [1]}',
    "lists in lists": b'{"error": %b, "message": %b, "LogStreamArn": %b}' % (nested(900), nested(900), nested(900)),
    "more of them than a parser takes": nested(200_000),
    "a date of the year 99999": b'{"code": "x", "message": "99999-12-31T23:59:59Z", "status": 99999}',
    "a number": b"5",
    "bytes that are no text": b"\xff\xfe{" * 50,
    "an envelope of a mebibyte": b'{"message": "' + b'{\\"a\\": ' * 100_000 + b'"}',
}
STATUSES = (400, 401, 404, 429, 500, 503)


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_an_error_body_of_any_shape_maps_to_the_error_of_its_status(platform: str, body: bytes) -> None:
    """
    On each platform, for each status: an error of its class, that can be pickled.
    """
    for status in STATUSES:
        error = PLATFORMS[platform].parse_error(
            ResponseHead(status, {"date": "99999", "retry-after": "Fri, 31 Dec 99999"}), body
        )

        assert isinstance(error, error_class_for_status(status) if platform != "sagemaker" else ServiceError)
        check_error(error)
        assert error.code is None or len(error.code) <= 200


@pytest.mark.parametrize("call_method", METHODS)
@pytest.mark.parametrize("platform", MODELS)
def test_both_frameworks_raise_mdstream_errors(platform: str, call_method: str) -> None:
    """
    Through LangChain and LlamaIndex, sync and async, streamed and whole: a body whose code is an object of digits.
    """
    make, send_request, _ = METHODS[call_method]
    body = BODIES["a code of 5,000 digits"]
    wire = response(500, body)
    head, _, content = wire.partition(b"\r\n\r\n")
    with serving(respond_with(head + b"\r\n\r\n", content)) as server, pytest.raises(MDStreamError) as caught:
        send_request(make(platform, server))

    assert caught.value.status in {500, 424}
    check_error(caught.value)


def test_fields_of_an_error_have_their_types() -> None:
    """
    Objects as code, digits as status, an infinite wait: the error can be pickled, copied and compared.
    """
    odd: Any = {"a": [1]}
    error = MDStreamError("m", code=odd, status="503", request_id=5, raw=b"x", retry_after=float("inf"))  # type: ignore[arg-type]

    assert (error.code, error.status, error.request_id, error.retry_after) == ('{"a":[1]}', 503, "5", None)
    assert MDStreamError("m", status=odd).status is None
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert vars(other) == vars(error)
    assert unexpected_shape(b"\xff" * 9000, ValueError("x")).raw[-1] == "…"  # type: ignore[index]


def iam(body: bytes, status: int = 201) -> PasswordTokenSigner:
    return PasswordTokenSigner(
        IAMLogin("u", "p", "d", "cn-north-4"),
        fetch=lambda _: (status, {"x-subject-token": "t"}, body),
        clock=lambda: 0.0,
    )


TOKENS: dict[str, bytes] = {
    "a year of five digits": b'{"token": {"expires_at": "99999-01-01T00:00:00Z", "issued_at": "2026-01-01T00:00:00Z"}}',
    "numbers": b'{"token": {"expires_at": 5, "issued_at": %b}}' % DIGITS,
    "one with a zone": b'{"token": {"expires_at": "2026-01-02T00:00:00Z", "issued_at": "2026-01-01T00:00:00"}}',
    "an end before the issue": b'{"token": {"expires_at": "2025-01-01T00:00:00Z", "issued_at": "2026-01-01T00:00:00Z"}}',
    "a list": b'{"token": [1]}',
    "lists in lists": nested(100_000),
    "no text": b"\xff",
}


@pytest.mark.parametrize("body", TOKENS.values(), ids=TOKENS)
def test_an_iam_response_of_any_shape_is_parsed(body: bytes) -> None:
    """A token without an expiry is used for a day; an error response is an error of its status."""
    signer = iam(body)
    signer.fetch_credential()

    assert not signer.needs_refresh()
    with pytest.raises(AuthenticationError) as caught:
        iam(body, 401).fetch_credential()
    check_error(caught.value)


CLAIMS = [b'{"exp": 3093527980799}', b'{"exp": %b}' % HUGE, b'{"exp": Infinity}', b'{"exp": NaN}', b'{"exp": true}', b'{"exp": -5}', nested(100_000), b"\xff", b'{"exp": {"a": 1}}']  # fmt: skip


@pytest.mark.parametrize("claims", CLAIMS, ids=lambda claims: claims[:20].decode("latin-1"))
def test_a_token_with_an_invalid_expiry_does_not_expire(claims: bytes) -> None:
    """
    Dates beyond the year 9999, infinities, objects: the token is used until it is rejected.
    """
    import base64  # noqa: PLC0415

    assert jwt_expiry(f"a.{base64.urlsafe_b64encode(claims).decode()}.b") is None


def _raising(error: Exception) -> Callable[[], Any]:
    def find() -> Any:
        raise error

    return find


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda error: type(error).__name__)
def test_failures_of_sdks_are_authentication_errors(foreign: Exception) -> None:
    """
    botocore on a credentials file, the oci SDK on a metadata response: an AuthenticationError, synchronously and in a thread.
    """

    class Principal:
        refresh_security_token = staticmethod(_raising(foreign))

        def __call__(self, request: Any) -> Any:
            return request

    for signer in (AWSSigner("us-east-1", _raising(foreign)), WrappedSigner(Principal())):
        with pytest.raises(AuthenticationError):
            signer.refresh(signer.generation)
        with pytest.raises(AuthenticationError):
            asyncio.run(asyncio.to_thread(signer.refresh, signer.generation))
