"""`Call` and `Attempt`: retries, and the facts that an error carries."""

import json

import pytest
from _samples import EVENTS, PLATFORM, REQUEST, exchange, read

from mdstream_core import Call, OpenAIChat, Retry
from mdstream_core.attempt import Attempt
from mdstream_core.errors import (
    AuthenticationError,
    ConnectionFailed,
    InvalidRequest,
    MalformedStream,
    MDStreamError,
    RateLimited,
    ServerError,
    StreamFailure,
    StreamInterrupted,
)
from mdstream_core.events import Event, ModelResponse
from mdstream_core.hooks import CallEvent, Completed, Failed, FirstEvent, RequestSent, ResponseStarted, RetryScheduled
from mdstream_core.http import Request, ResponseHead

HI = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
STOP = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
BROKEN = b'data: {"error":{"message":"boom","code":500}}\n\n'


def create_attempt(**options: object) -> tuple[Call, Attempt]:
    call = Call(PLATFORM, OpenAIChat(), REQUEST, **options)
    return call, call.create_attempt()


def test_a_failure_before_the_first_event_is_retried() -> None:
    """As often as the policy allows; then the last error is raised."""
    call, attempt = create_attempt(retry=Retry(2))
    for bound in (0.5, 1.0):
        assert 0 <= call.handle_failure(attempt, ConnectionFailed("x")) <= bound
        attempt = call.create_attempt()
    with pytest.raises(ConnectionFailed, match="the third"):
        call.handle_failure(attempt, ConnectionFailed("the third"))


def test_no_retries_is_one_request() -> None:
    """`max_retries=0` sends one request."""
    call, attempt = create_attempt(retry=Retry(0))
    with pytest.raises(ConnectionFailed):
        call.handle_failure(attempt, ConnectionFailed("x"))


def test_after_the_first_event_nothing_is_retried() -> None:
    """Output must not be delivered twice."""
    call, attempt = create_attempt(retry=Retry(5))
    attempt.start(EVENTS)
    attempt.feed(HI)
    with pytest.raises(StreamInterrupted) as caught:
        call.handle_failure(attempt, StreamInterrupted("cut"))

    assert "Hi" == caught.value.partial.text


def test_pings_and_roles_are_not_events() -> None:
    """Without output, a retry repeats nothing."""
    call, attempt = create_attempt(retry=Retry(5))
    attempt.start(EVENTS)
    attempt.feed(b': ping\n\ndata: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n')

    assert call.handle_failure(attempt, StreamInterrupted("cut")) >= 0


def test_retry_after_is_the_minimum_delay() -> None:
    """A delay above the policy's maximum, or above the remaining time, ends the call."""
    call, attempt = create_attempt()
    assert 7.0 <= call.handle_failure(attempt, RateLimited("x", retry_after=7.0)) <= 14.0
    with pytest.raises(RateLimited):
        call.handle_failure(attempt, RateLimited("x", retry_after=600.0))
    call, attempt = create_attempt()
    with pytest.raises(RateLimited):
        call.handle_failure(attempt, RateLimited("x", retry_after=7.0), remaining=6.0)


def test_errors_that_are_not_retryable_are_not_retried() -> None:
    """An error that the request itself caused is raised at once."""
    for error in (
        InvalidRequest("x"),
        AuthenticationError("x"),
        MalformedStream("x"),
        StreamFailure("x", retryable=False),
    ):
        call, attempt = create_attempt()
        with pytest.raises(type(error)):
            call.handle_failure(attempt, error)


def test_a_rejected_key_is_refreshed_once() -> None:
    """The next attempt has the rejected generation; a second 401 is final, and no retry is spent on the first."""
    call, attempt = create_attempt(retry=Retry(0))
    attempt.generation = 3
    assert 0.0 == call.handle_failure(attempt, AuthenticationError("x"), can_refresh=True)
    attempt = call.create_attempt()
    assert 3 == attempt.rejected_generation
    with pytest.raises(AuthenticationError):
        call.handle_failure(attempt, AuthenticationError("x"), can_refresh=True)


def test_only_the_attempt_after_a_rejected_key_refreshes() -> None:
    """A later attempt, after another failure, keeps the new key."""
    call, attempt = create_attempt()
    call.handle_failure(attempt, AuthenticationError("x"), can_refresh=True)
    attempt = call.create_attempt()
    call.handle_failure(attempt, ServerError("x"))

    assert call.create_attempt().rejected_generation is None


def test_stream_options_are_removed_once() -> None:
    """For a server that rejects them, the request is sent without them at once, and no retry is spent."""
    call, attempt = create_attempt(retry=Retry(0))
    assert b"stream_options" in attempt.request.content
    error = InvalidRequest("400: unknown field stream_options")
    assert 0.0 == call.handle_failure(attempt, error)
    attempt = call.create_attempt()
    assert b"stream_options" not in attempt.request.content
    with pytest.raises(InvalidRequest):
        call.handle_failure(attempt, error)


def test_events_before_an_error_in_one_read_come_first() -> None:
    """The text is delivered, reading stops, and the error follows."""
    attempt = exchange()
    attempt.start(EVENTS)
    events = attempt.feed(HI + BROKEN + STOP)

    assert ["Hi"] == [event.text for event in events if hasattr(event, "text")]
    assert attempt.should_stop_reading
    with pytest.raises(StreamFailure, match="boom"):
        attempt.finish()


def test_a_payload_with_text_and_a_failure_ends_the_reading() -> None:
    """The text of a chunk that reports a failure is delivered, and reading stops."""
    attempt = exchange()
    attempt.start(EVENTS)
    events = attempt.feed(b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"abort"}]}\n\n')

    assert "Hi" == events[-1].text
    assert (True, False) == (attempt.should_stop_reading, attempt.is_finished)
    with pytest.raises(StreamFailure, match="the model server failed"):
        attempt.finish()


@pytest.mark.parametrize("step", [1, 5, 4096])
@pytest.mark.parametrize("end", [BROKEN, HI[:-20], b"data: oops\n\n", b"data: oops", b""])
def test_the_partial_equals_the_delivered_events(end: bytes, step: int) -> None:
    """However the stream ended, and however its bytes were split."""
    outcome = read(HI + HI + end, step=step)

    assert isinstance(outcome.error, MDStreamError)
    assert "HiHi" == outcome.model_response.text
    assert outcome.model_response == outcome.error.partial


def test_an_error_has_the_response() -> None:
    """Request id, status, headers with trailers, and JSON values with the partial response."""
    head = ResponseHead(200, {**EVENTS.headers, "x-a": "b"})
    error = read(
        HI + STOP, head, trailers=(("StreamFailure", "500"), ("X-RateLimit-Left", "1"), ("X-RateLimit-Left", "2"))
    ).error

    assert ("req-1", 500, 200) == (error.request_id, error.status, error.response.status_code)
    assert {"x-a": "…", "streamfailure": "500", "x-ratelimit-left": "1, 2"}.items() <= error.response.headers.items()
    body = error.response.json()
    assert body == json.loads(json.dumps(body))
    assert ("Hi", "StreamFailure", "500") == (body["partial"]["text"], body["error"]["type"], body["error"]["raw"])
    assert "500" == error.response.text


def test_an_error_before_any_response_has_the_request_id() -> None:
    """It is the one that was sent, and there is no partial response."""
    attempt = exchange()
    error = attempt.enrich_error(ConnectionFailed("no route"))

    assert attempt.request.headers["opc-request-id"] == error.request_id
    assert error.partial is None
    assert (0, None) == (error.response.status_code, error.response.json()["partial"])


SECRETS = ("authorization", "set-cookie", "cookie", "x-api-key", "x-amz-security-token", "proxy-authorization", "apikey", "x-signature", "x-auth-token", "appcode")  # fmt: skip


def test_no_secret_is_in_an_error_or_a_repr() -> None:
    """Headers and trailers that may contain a credential are redacted."""
    fields = {name.title(): "SECRET" for name in SECRETS}
    head = ResponseHead.from_fields(200, [*fields.items(), ("content-type", "text/event-stream")])
    error = read(HI, head, trailers=tuple(fields.items()), headers=fields).error
    request = Request("POST", "http://h/x?key=SECRET", {name.lower(): "SECRET" for name in SECRETS}, b"SECRET")
    shown = [
        str(error),
        repr(error),
        repr(error.response),
        repr(head),
        repr(request),
        repr(RequestSent(request, 1)),
        repr(ResponseStarted(head)),
    ]

    assert "SECRET" not in repr(
        [*shown, error.response.headers, error.response.json(), error.response.text, vars(error)]
    )


def test_a_truncated_error_response_keeps_its_status() -> None:
    """A failed connection does not hide it."""
    for broken in (StreamInterrupted("cut"), MalformedStream("gzip")):
        attempt = exchange()
        attempt.start(ResponseHead(429, {"opc-request-id": "r"}))
        attempt.feed(b"slow do")
        error = attempt.enrich_error(broken)
        assert (RateLimited, "r", "slow do") == (type(error), error.request_id, error.raw)


def test_the_beginning_of_a_huge_error_response_is_kept() -> None:
    """The rest is not read."""
    attempt = exchange()
    attempt.start(ResponseHead(500))
    reads = 0
    while not attempt.should_stop_reading:
        assert [] == attempt.feed(b"x" * 65536)
        reads += 1
    with pytest.raises(ServerError) as caught:
        attempt.finish()

    assert reads == 17
    assert len(caught.value.raw) == 4000
    assert len(str(caught.value)) < 3000


def test_an_empty_response_is_an_error() -> None:
    """
    204, or 200 with nothing in it, is an interruption.
    """
    for status in (200, 204):
        assert isinstance(read(b"", ResponseHead(status)).error, StreamInterrupted)


def create_attempt_with_hook(**options: object) -> tuple[list[CallEvent], Call, Attempt]:
    events: list[CallEvent] = []
    call, attempt = create_attempt(hooks=(events.append,), **options)
    return events, call, attempt


def test_hooks_receive_the_events_in_order() -> None:
    """Request, retry, request, response, first event, completion."""
    events, call, attempt = create_attempt_with_hook()
    call.handle_failure(attempt, ConnectionFailed("x"))
    attempt = call.create_attempt()
    attempt.start(EVENTS)
    for data in (HI, HI, STOP):
        attempt.feed(data)
    attempt.finish()

    assert [RequestSent, RetryScheduled, RequestSent, ResponseStarted, FirstEvent, Completed] == [
        type(event) for event in events
    ]
    assert (1, 2) == (events[0].attempt, events[2].attempt)
    assert "HiHi" == events[-1].response.text


def test_hooks_receive_one_failure_as_the_last_event() -> None:
    """Also if a retry was possible but no time remains."""
    for left in (float("inf"), 0.0):
        events, call, attempt = create_attempt_with_hook(retry=Retry(1 if left == 0.0 else 0))
        with pytest.raises(ConnectionFailed):
            call.handle_failure(attempt, ConnectionFailed("x"), remaining=left)
        assert [RequestSent, Failed] == [type(event) for event in events]
        assert events[-1].error.request_id


def test_reading_continues_after_the_finish() -> None:
    """OCI reports failures in trailers, and the end of the body has its own timeout."""
    attempt = exchange()
    attempt.start(EVENTS)
    attempt.feed(HI)
    assert (None, False, False) == (attempt.drain_timeout, attempt.is_finished, attempt.should_stop_reading)
    attempt.feed(STOP)
    assert (PLATFORM.drain_timeout, True, False) == (
        attempt.drain_timeout,
        attempt.is_finished,
        attempt.should_stop_reading,
    )


def test_events_of_a_long_response_are_not_kept() -> None:
    """They are accumulated regularly."""
    attempt = exchange()
    attempt.start(EVENTS)
    for _ in range(5000):
        attempt.feed(HI)

    assert len(attempt._recent_events) <= 1025
    assert 10_000 == len(attempt.response().text)


@pytest.mark.parametrize("patient", [True, False], ids=["portion by portion", "all at once"])
def test_no_frame_of_a_large_read_is_lost(patient: bool) -> None:
    """Its frames are decoded in portions, whether the caller drains them, feeds further bytes or finishes."""
    _, attempt = create_attempt()
    attempt.start(EVENTS)
    pieces = [b"".join(HI.replace(b"Hi", b"%d " % n) for n in range(at, at + 400)) for at in (0, 400)]
    events: list[Event] = []
    for piece in [*pieces, STOP]:
        events += attempt.feed(piece)
        while patient and attempt.has_pending_frames:
            events += attempt.feed(b"")
    events += attempt.flush()
    events += attempt.finish()

    assert "".join(f"{n} " for n in range(800)) == ModelResponse.from_events(events).text == attempt.response().text
