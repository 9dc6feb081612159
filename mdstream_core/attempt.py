"""`Attempt`: one request of a call, and the decoding of its response. No sockets, no clock, no framework."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from mdstream_core import _json
from mdstream_core._hints import add_hint
from mdstream_core.errors import (
    SHAPE_ERRORS,
    ErrorResponse,
    MalformedStream,
    MDStreamError,
    StreamError,
    StreamInterrupted,
    error_class_for_status,
    quote_payload,
    to_context_overflow,
    unexpected_shape,
)
from mdstream_core.events import Event, ModelResponse, ResponseAccumulator
from mdstream_core.hooks import Completed, FirstEvent, RateLimitWaited, ResponseStarted
from mdstream_core.http import Request, ResponseHead, redact_headers
from mdstream_core.resume import ContinuationDecoder
from mdstream_core.wire import Frame, Payloads

if TYPE_CHECKING:
    from mdstream_core.call import Call
    from mdstream_core.rate_limit import CallLimits

_MAX_ERROR_BODY = 1024 * 1024  #: Maximum number of bytes read of an error response's body.

_BODY_START = 2000  #: Bytes of the start of the body that are stored, for the error of a body without output.

_MAX_RECENT_EVENTS = 1024  #: How many events are stored in a list before they are accumulated.

#: How many frames of one read are decoded in one `feed`; their events are delivered before the next frames are decoded.
#: Between two `feed`s other tasks can run. A hostile server can send 32,768 frames in 64 KB; a real model sends a few.
_MAX_FRAMES_PER_FEED = 128

_MAX_UNIFORM_RUNS = 3  #: Trials to decode the payloads of one `feed` together; each reads all that remain.

#: Exceptions that decoding raises: mdstream errors, and those that a payload of an unexpected shape causes. This module
#: converts the latter; decoders do so too if they must deliver events first.
_DECODING_ERRORS = (MDStreamError, *SHAPE_ERRORS)

_SIZED = frozenset({list, Payloads})  # frames that are decoded already; others are decoded while they are iterated


class Attempt:
    """One request of a call, and the state of its response."""

    def __init__(self, call: "Call", request: Request) -> None:
        self._call = call
        self.request = request
        #: Whether an event was delivered. After that there is no retry, because output must not be delivered twice.
        self.started = False
        #: Generation of the signer's credentials that signed this attempt.
        self.generation = 0
        #: Generation that the service rejected in the previous attempt, so that it must be refreshed for this one.
        self.rejected_generation: int | None = None
        self._head: ResponseHead | None = None
        self._trailers: tuple[tuple[str, str], ...] = ()
        self._frames: Any = None
        #: Whether frames of the last read are not decoded yet; `feed(b"")` decodes them.
        self.has_pending_frames = False
        self._pending_frames: Iterable[Frame] | None = None
        self._next_index = 0  # of the first pending frame, if these are a list
        self._is_flushed = False
        decoder = call.dialect.create_decoder()
        self._decoder = call.resume_point.wrap_decoder(decoder) if call.resume_point else decoder
        self._error: MDStreamError | None = None
        self._truncation_error: MDStreamError | None = None
        self._error_body: list[bytes] | None = None
        self._error_body_size = 0
        self._body_start = b""
        self._accumulator = ResponseAccumulator()
        self._recent_events: list[Event] = call.resume_point.replay_events if call.resume_point else []

    @property
    def has_refreshed(self) -> bool:
        """Whether this call has refreshed the credentials already: a call does so at most once."""
        return self._call.has_refreshed

    def record_refresh(self) -> None:
        """Record that the credentials were refreshed for this attempt, or that a refresh failed."""
        self._call.has_refreshed = True

    @property
    def rate_limits(self) -> "CallLimits | None":
        """The rate limits of the call."""
        return self._call.rate_limits

    def record_wait(self, seconds: float) -> None:
        """Record that the attempt has waited for its rate limits."""
        if self._call.has_hooks:
            self._call.notify(RateLimitWaited(seconds))

    @property
    def cancel_token(self) -> Any:
        """The token with which another thread cancels the call; `None` if none does."""
        return self._call.cancel_token

    def build_extensions(self, limits: Mapping[str, float | None]) -> dict[str, Any]:
        """Build the extensions of the HTTP request: its timeouts, and the token that cancels it."""
        token = self.cancel_token
        return {"timeout": limits} if token is None else {"timeout": limits, "cancel_token": token}

    def start(self, head: ResponseHead) -> None:
        """Start the response: its status line and headers were received."""
        self._head = head
        if self._call.has_hooks:
            self._call.notify(ResponseStarted(head, self._request_id(head)))
        if head.status >= 300:  # redirects are not followed: the request carries a credential
            self._error_body = []
            return
        try:
            self._frames = self._call.platform.create_frame_decoder(head)
        except _DECODING_ERRORS as error:
            raise _to_mdstream_error(error, b"") from error

    def observe_body(self, response: Any, body: Any) -> Any:
        """Return the body, sync or async, as the hooks observe it: unchanged unless a hook records bodies."""
        for observe in self._call.body_observers:
            body = observe(response, body)
        return body

    def feed(self, data: bytes) -> list[Event]:
        """Decode bytes of the body, and return the events that they complete.

        At most `_MAX_FRAMES_PER_FEED` frames are decoded. While `has_pending_frames` is true, `feed(b"")` decodes the
        next ones; further bytes may be fed before, and `flush` decodes the rest.
        """
        if self._error_body is not None:
            self._buffer_error_body(data)
            return []
        if not self.started and len(self._body_start) < _BODY_START:
            self._body_start += data[:_BODY_START]
        events: list[Event] = []
        decode, payload = self._decoder.feed, data
        try:
            frames: Any = self._frames.feed(data) if self._pending_frames is None else self._with_pending(data)
            if type(frames) not in _SIZED or len(frames) > _MAX_FRAMES_PER_FEED:
                frames = self._next_frames(frames)
            if type(frames) is Payloads and len(frames) > 1:
                frames = self._decode_uniform(frames.payloads, events)
            for payload, name in frames:
                events += decode(payload, name)
        except _DECODING_ERRORS as error:
            self._pending_frames, self._next_index, self.has_pending_frames = None, 0, False
            converted = _to_mdstream_error(error, payload)
            if not events:
                raise converted  # noqa: B904  # its `__cause__` is set already
            self._error = converted  # raised after the events before it are delivered
        if events:
            self._error = self._error or self._decoder.error
            self._record_events(events)
        return events

    def _decode_uniform(self, payloads: list[bytes], events: list[Event]) -> Iterator[Frame]:
        """Append the events of payloads that differ in their text alone, and yield the others as frames, in order."""
        at, runs, feed_uniform = 0, _MAX_UNIFORM_RUNS, getattr(self._decoder, "feed_uniform", None)
        while at < len(payloads):
            if runs and feed_uniform and (decoded := feed_uniform(payloads, at)) is not None:
                runs, at = runs - 1, at + len(decoded)
                events += decoded
            if at < len(payloads):
                yield Frame(payloads[at])
                at += 1

    def _with_pending(self, data: bytes) -> Iterable[Frame]:
        """Return the pending frames, followed by those of further bytes."""
        pending = self._pending_frames or ()
        if not data:
            return pending
        at, self._next_index = self._next_index, 0
        return chain(islice(pending, at, None), self._lazy_frames(data))

    def _lazy_frames(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames of these bytes, which are decoded when the first is requested."""
        yield from self._frames.feed(data)

    def _next_frames(self, frames: Any) -> Iterable[Frame]:
        """Return the next of many frames; the others stay pending."""
        if type(frames) not in _SIZED:
            return self._take_frames(iter(frames))
        at, self._next_index = self._next_index, self._next_index + _MAX_FRAMES_PER_FEED
        self.has_pending_frames = self._next_index < len(frames)
        if self.has_pending_frames:
            self._pending_frames = frames
        else:
            self._pending_frames, self._next_index = None, 0
        return frames[at : at + _MAX_FRAMES_PER_FEED]  # type: ignore[no-any-return]

    def _take_frames(self, pending: Iterator[Frame]) -> Iterator[Frame]:
        """Yield the next frames of an iterator, which may raise; it stays pending until it is exhausted."""
        self._pending_frames = pending
        self.has_pending_frames = True
        yield from islice(pending, _MAX_FRAMES_PER_FEED - 1)
        for frame in pending:
            yield frame
            return
        self._pending_frames, self.has_pending_frames = None, False

    def flush(self) -> list[Event]:
        """Return the events of pending frames and of an unterminated last frame.

        Call it at the end of the body. It never raises: `finish` raises the errors of these frames.
        """
        self._is_flushed = True
        decoded = self._decode_pending() if self.has_pending_frames else []
        events: list[Event] = []
        if self._frames is None or self._error or self.should_stop_reading:  # data after the end is ignored
            return decoded
        payload = b""
        try:
            for payload, name in self._frames.finish():
                events += self._decoder.feed(payload, name)
        except MalformedStream as error:
            if not payload or _json.is_unfinished(payload.decode("utf-8", "replace")):
                self._truncation_error = StreamInterrupted(f"the response is truncated: {error}", raw=error.raw)
            else:
                self._error = error  # the payload is complete, but invalid
        except _DECODING_ERRORS as error:
            self._error = _to_mdstream_error(error, payload)
        if events:
            self._error = self._error or self._decoder.error
            self._record_events(events)
        return decoded + events

    def _decode_pending(self) -> list[Event]:
        """Decode the pending frames."""
        events: list[Event] = []
        try:
            while self.has_pending_frames and not self.should_stop_reading:
                events += self.feed(b"")
        except MDStreamError as error:
            self._error = error
        return events

    def finish(self, trailers: tuple[tuple[str, str], ...] = ()) -> list[Event]:
        """Finish the response, and return the last events.

        Args:
            trailers: The trailers of the response, as (name, value) pairs.

        Raises:
            MDStreamError: The response is an error or incomplete, or its trailers report a failure.
        """
        self._trailers = trailers
        if self._error_body is not None:
            raise self._error_response()
        events = [] if self._is_flushed else self.flush()
        if self._error:
            raise self._error
        if last := self._finish(trailers):
            self._record_events(last)
            events += last
        if metadata := self._service_metadata():
            self._record_events(metadata)
            events += metadata
        if self._call.has_hooks:
            self._call.notify_end(Completed(self.response()))
        return events

    @property
    def is_buffering(self) -> bool:
        """Whether events of a continuation were received that are not delivered yet."""
        return isinstance(self._decoder, ContinuationDecoder) and self._decoder.is_buffering

    @property
    def is_finished(self) -> bool:
        """Whether every choice has a finish reason; the end of the body and the trailers may still report a failure."""
        return bool(self._decoder.is_finished)

    @property
    def should_stop_reading(self) -> bool:
        """Whether reading can stop: an error is known, or the response is complete and no failure can follow."""
        if self._error is not None or self._error_body_size > _MAX_ERROR_BODY:
            return True
        return not self._call.platform.can_fail_after_output and bool(self._decoder.is_complete)

    @property
    def is_final(self) -> bool:
        """Whether the output is complete and no failure can follow, so that a timeout or disconnect is ignored."""
        return self.is_finished and not self._call.platform.can_fail_after_output

    @property
    def needs_trailers(self) -> bool:
        """Whether the service reports failures of the stream in trailers."""
        return bool(self._call.platform.has_trailers)

    @property
    def drain_timeout(self) -> float | None:
        """Seconds to wait for the end of the body once every choice is finished; `None` before."""
        return self._call.platform.drain_timeout if self._decoder.is_finished else None

    def response(self) -> ModelResponse:
        """Return the response received so far."""
        self._fold_events()
        return self._accumulator.response()

    def enrich_error(self, error: MDStreamError) -> MDStreamError:
        """Add the details of this attempt to an error: partial response, request id, response head and trailers."""
        if self._error_body is not None and isinstance(error, StreamError):
            error = self._error_response()  # the body of an error response was truncated, but its status is known
        error = error if self.started else to_context_overflow(error)
        head = self._head or ResponseHead(0)
        self._recent_events += self._buffered_events()  # they were received, so they belong to the partial response
        if self._accumulator or self._recent_events:
            self._recent_events += self._service_metadata()
        if error.code == "EmptyStream" and error.raw is None:
            error.raw = self._body_start[:_BODY_START].decode("utf-8", "replace")
            body = f"the body starts with {error.raw[:300]!r}" if error.raw else "the body is empty"
            error.args = (f"{error}; {body}",)
        error.partial = self.response() if self._accumulator or self._recent_events else None
        error.request_id = error.request_id or self._request_id(head)
        error.status = error.status or (head.status or None)
        error.response = ErrorResponse(
            head.status or error.status or 0,
            redact_headers({**head.headers, **ResponseHead.from_fields(0, self._trailers).headers}),
            {"error": _error_fields(error), "partial": error.partial.to_dict() if error.partial else None},
            error.raw or str(error),
        )
        return error

    def _finish(self, trailers: tuple[tuple[str, str], ...]) -> list[Event]:
        """Return the decoder's last events. Raises if the trailers report a failure or the stream is incomplete."""
        try:
            self._call.platform.check_trailers(trailers)
            if self._truncation_error:
                raise self._truncation_error
            return list(self._decoder.finish(is_document=self._frames.is_document))
        except _DECODING_ERRORS as error:
            if (converted := _to_mdstream_error(error, str(trailers).encode("utf-8", "replace"))) is error:
                raise
            raise converted from error

    def _buffered_events(self) -> list[Event]:
        """Return the events that the decoder still buffers. Never raises: another error is being handled."""
        try:
            return list(self._decoder.flush())
        except _DECODING_ERRORS:
            return []

    def _service_metadata(self) -> list[Event]:
        """Return the metadata again, with what the service reports in the headers; nothing if it reports nothing."""
        head = self._head
        if head is None or head.status >= 300 or not (service := self._call.platform.service_metadata(head)):
            return []
        self._fold_events()
        metadata = self._accumulator.metadata
        return [replace(metadata, service={**metadata.service, **service})]

    def _request_id(self, head: ResponseHead) -> str | None:
        """Return the request id of the response, or else the one that the request was sent with."""
        request_id: str | None = self._call.platform.request_id(head)
        return request_id or self._call.platform.request_id(ResponseHead(0, self.request.headers)) or None

    def _error_response(self) -> MDStreamError:
        head, body = self._head or ResponseHead(0), b"".join(self._error_body or ())
        try:
            error: MDStreamError = self._call.platform.parse_error(head, body)
        except SHAPE_ERRORS as cause:  # the error is built from the status alone
            message = f"{head.status}: {quote_payload(body)}"
            error = error_class_for_status(head.status)(message, status=head.status, raw=quote_payload(body, 4000))
            error.__cause__ = cause
        return add_hint(error, self._call.dialect.name)

    def _buffer_error_body(self, data: bytes) -> None:
        if self._error_body is not None and self._error_body_size <= _MAX_ERROR_BODY:
            self._error_body.append(data[: _MAX_ERROR_BODY - self._error_body_size])
            self._error_body_size += len(data)

    def _record_events(self, events: list[Event]) -> None:
        if not self.started:
            self.started = True
            self._body_start = b""
            self._call.record_success()
            if self._call.has_hooks:
                self._call.notify(FirstEvent())
        self._recent_events += events
        if len(self._recent_events) > _MAX_RECENT_EVENTS:
            self._fold_events()

    def _fold_events(self) -> None:
        self._accumulator.extend(self._recent_events)
        self._recent_events.clear()


def _to_mdstream_error(error: Exception, payload: bytes) -> MDStreamError:
    """Convert an exception that a payload caused to `MalformedStream`; return an `MDStreamError` unchanged."""
    return error if isinstance(error, MDStreamError) else unexpected_shape(payload, error)


def _error_fields(error: MDStreamError) -> dict[str, Any]:
    names = ("code", "status", "request_id", "raw")
    fields = {name: value for name in names if (value := getattr(error, name)) is not None}
    return {"type": type(error).__name__, "message": str(error), **fields}
