"""One attempt of a call: the request, and the state of its response while it is read.

No socket, no clock, no framework.
"""

from collections.abc import Iterable, Iterator
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
from mdstream_core.hooks import Completed, FirstEvent, ResponseStarted
from mdstream_core.http import Request, ResponseHead, redact_headers
from mdstream_core.resume import ContinuationDecoder

if TYPE_CHECKING:
    from mdstream_core.call import Call
    from mdstream_core.wire import Frame

#: The most that is read of an error response's body, in bytes.
_MAX_ERROR_BODY = 1024 * 1024

#: How much of the body is kept for the case that it turns out to be no response of a model, in bytes.
_BODY_START = 2000

#: How many events are kept before they are folded into their sum.
_MAX_RECENT_EVENTS = 1024

#: How many frames of one read are decoded at once; their events are handed out before the next are decoded. A limit for
#: the sake of other tasks: a hostile read of 64 KB has up to 32,768 frames, and one of a model that streams has a few.
_FRAMES_AT_ONCE = 128

#: What reading a response raises: errors of ours, and what a payload of an unexpected shape makes code raise. This
#: module is the one place that turns the latter into the former; decoders do so too where they have events to save.
_READING_ERRORS = (MDStreamError, *SHAPE_ERRORS)


class Attempt:
    """One attempt: a request, and the state of its answer while it is read."""

    def __init__(self, call: "Call", request: Request) -> None:
        self._call = call
        self.request = request
        #: Whether an event was handed out; what was said is never said twice.
        self.started = False
        #: Which of the signer's keys signed this attempt.
        self.generation = 0
        #: Which of them was refused just before, so that this attempt needs another one.
        self.rejected_generation: int | None = None
        self._head: ResponseHead | None = None
        self._trailers: tuple[tuple[str, str], ...] = ()
        self._frames: Any = None
        #: Whether frames of the last read wait for `feed(b"")`.
        self.unread = False
        self._waiting: Iterable[Frame] | None = None
        self._at = 0
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
        """Whether this call has fetched a key already: one question is one login at most."""
        return self._call.has_refreshed

    def record_refresh(self) -> None:
        """A key was fetched for this attempt, or could not be."""
        self._call.has_refreshed = True

    def start(self, head: ResponseHead) -> None:
        """The status line and the headers have come."""
        self._head = head
        if self._call.has_hooks:
            self._call.notify(ResponseStarted(head, self._request_id(head)))
        if head.status >= 300:  # redirects are not followed: the request carries a credential
            self._error_body = []
            return
        try:
            self._frames = self._call.platform.create_frame_decoder(head)
        except _READING_ERRORS as error:
            raise _as_ours(error, b"") from error

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete with these bytes of the body.

        Of a read with very many frames only the first are decoded. While `unread` is true, `feed(b"")` decodes others;
        further bytes may be fed before, and `flush` decodes what is left.
        """
        if self._error_body is not None:
            self._buffer_error_body(data)
            return []
        if not self.started and len(self._body_start) < _BODY_START:
            self._body_start += data[:_BODY_START]
        events: list[Event] = []
        read = self._decoder.feed
        payload = data
        try:
            frames = self._frames.feed(data) if self._waiting is None else self._waiting_then(data)
            if type(frames) is not list or len(frames) > _FRAMES_AT_ONCE:
                frames = self._next_frames(frames)
            for payload, name in frames:
                events += read(payload, name)
        except _READING_ERRORS as error:
            self._waiting, self._at, self.unread = None, 0, False
            broken = _as_ours(error, payload)
            if not events:
                raise broken  # noqa: B904  # it has its cause
            self._error = broken  # first what came before it
        if events:
            self._error = self._error or self._decoder.error
            self._record_events(events)
        return events

    def _waiting_then(self, data: bytes) -> "Iterable[Frame]":
        """The frames that wait, and behind them those of further bytes."""
        waiting = self._waiting or ()
        if not data:
            return waiting
        at, self._at = self._at, 0
        return chain(islice(waiting, at, None), self._frames_of(data))

    def _frames_of(self, data: bytes) -> "Iterator[Frame]":
        """The frames of these bytes, which are looked at when the first is asked for."""
        yield from self._frames.feed(data)

    def _next_frames(self, frames: "Iterable[Frame]") -> "Iterable[Frame]":
        """The next of many frames; the others wait."""
        if type(frames) is not list:
            return self._next_of(iter(frames))
        at, self._at = self._at, self._at + _FRAMES_AT_ONCE
        self.unread = self._at < len(frames)
        if self.unread:
            self._waiting = frames
        else:
            self._waiting, self._at = None, 0
        return frames[at : at + _FRAMES_AT_ONCE]

    def _next_of(self, waiting: "Iterator[Frame]") -> "Iterator[Frame]":
        """The same where the frames are read while they are iterated, and may end in an error."""
        self._waiting = waiting
        self.unread = True
        yield from islice(waiting, _FRAMES_AT_ONCE - 1)
        for frame in waiting:
            yield frame
            return
        self._waiting, self.unread = None, False

    def flush(self) -> list[Event]:
        """The body has ended: the events of a last frame without its end. What is wrong with it, `finish` raises."""
        decoded = self._decode_waiting()
        events: list[Event] = []
        if (
            self._frames is None or self._error or self.should_stop_reading
        ):  # what is behind the end is no part of the answer
            return decoded
        payload = b""
        try:
            for payload, name in self._frames.finish():
                events += self._decoder.feed(payload, name)
        except MalformedStream as error:
            if not payload or _json.is_unfinished(payload.decode("utf-8", "replace")):
                self._truncation_error = StreamInterrupted(f"the answer stopped in the middle: {error}", raw=error.raw)
            else:
                self._error = error  # it came whole, and cannot be read
        except _READING_ERRORS as error:
            self._error = _as_ours(error, payload)
        if events:
            self._error = self._error or self._decoder.error
            self._record_events(events)
        return decoded + events

    def _decode_waiting(self) -> list[Event]:
        """The events of the frames of the last read that were not decoded yet."""
        events: list[Event] = []
        try:
            while self.unread and not self.should_stop_reading:
                events += self.feed(b"")
        except MDStreamError as error:
            self._error = error
        return events

    def finish(self, trailers: tuple[tuple[str, str], ...] = ()) -> list[Event]:
        """There is nothing more: the last events. Raises what the answer, its trailers or their absence spell."""
        self._trailers = trailers
        if self._error_body is not None:
            raise self._error_response()
        events = self.flush()
        if self._error:
            raise self._error
        if last := self._finish(trailers):
            self._record_events(last)
            events += last
        if self._call.has_hooks:
            self._call.notify_end(Completed(self.response()))
        return events

    @property
    def is_buffering(self) -> bool:
        """Whether something of a second half has come that is not told yet."""
        return isinstance(self._decoder, ContinuationDecoder) and self._decoder.is_buffering

    @property
    def is_complete(self) -> bool:
        """Whether the answer is complete, whatever the transport has still to say."""
        return bool(self._decoder.is_finished)

    @property
    def should_stop_reading(self) -> bool:
        """Whether to stop reading: it is known how the stream ended."""
        if self._error is not None or self._error_body_size > _MAX_ERROR_BODY:
            return True
        return bool(self._decoder.is_complete) and not self._call.platform.reports_failure_after_body

    @property
    def is_final(self) -> bool:
        """Whether the answer is whole and the service has no way to take it back: silence or a cut is no failure."""
        return self.is_complete and not self._call.platform.reports_failure_after_body

    @property
    def needs_trailers(self) -> bool:
        """Whether the service reports in trailers how the stream went."""
        return bool(self._call.platform.has_trailers)

    @property
    def drain_timeout(self) -> float | None:
        """Once the answer is over: how many seconds the end of the body may take."""
        return self._call.platform.drain_timeout if self.is_complete else None

    def response(self) -> ModelResponse:
        """The sum of what was received."""
        self._fold_events()
        return self._accumulator.response()

    def enrich_error(self, error: MDStreamError) -> MDStreamError:
        """Hang the facts of this exchange on an error: partial, request id, head and trailers."""
        if self._error_body is not None and isinstance(error, StreamError):
            error = self._error_response()  # the body of a refusal was cut; the status says enough
        error = error if self.started else to_context_overflow(error)
        head = self._head or ResponseHead(0)
        self._recent_events += self._held()  # it was received, so it is in the partial
        if error.code == "EmptyStream" and error.raw is None:
            error.raw = self._body_start[:_BODY_START].decode("utf-8", "replace")
            error.args = (f"{error}; what came was {error.raw[:300]!r}",)
        error.partial = self.response() if self._accumulator or self._recent_events else None
        error.request_id = error.request_id or self._request_id(head)
        error.status = error.status or (head.status or None)
        error.response = ErrorResponse(
            head.status or error.status or 0,
            redact_headers({**head.headers, **ResponseHead.from_fields(0, self._trailers).headers}),
            {"error": _error_facts(error), "partial": error.partial.to_dict() if error.partial else None},
            error.raw or str(error),
        )
        return error

    def _finish(self, trailers: tuple[tuple[str, str], ...]) -> list[Event]:
        """The decoder's last events. Raises what the trailers or a missing end spell."""
        try:
            self._call.platform.check_trailers(trailers)
            if self._truncation_error:
                raise self._truncation_error
            return list(self._decoder.finish(is_document=self._frames.is_document))
        except _READING_ERRORS as error:
            if (broken := _as_ours(error, str(trailers).encode("utf-8", "replace"))) is error:
                raise
            raise broken from error

    def _held(self) -> list[Event]:
        """What the decoder still held back. An error is being explained: there must not be another one."""
        try:
            return list(self._decoder.flush())
        except _READING_ERRORS:
            return []

    def _request_id(self, head: ResponseHead) -> str | None:
        """As the service names the request in its answer, or else as we named it."""
        named: str | None = self._call.platform.request_id(head)
        return named or self._call.platform.request_id(ResponseHead(0, self.request.headers)) or None

    def _error_response(self) -> MDStreamError:
        head, body = self._head or ResponseHead(0), b"".join(self._error_body or ())
        try:
            error: MDStreamError = self._call.platform.parse_error(head, body)
        except SHAPE_ERRORS as cause:  # the status says enough
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
            self._call.notify(FirstEvent())
        self._recent_events += events
        if len(self._recent_events) > _MAX_RECENT_EVENTS:
            self._fold_events()

    def _fold_events(self) -> None:
        self._accumulator.extend(self._recent_events)
        self._recent_events.clear()


def _as_ours(error: Exception, payload: bytes) -> MDStreamError:
    """The error, or `MalformedStream` with the payload where it is none of ours."""
    return error if isinstance(error, MDStreamError) else unexpected_shape(payload, error)


def _error_facts(error: MDStreamError) -> dict[str, Any]:
    names = ("code", "status", "request_id", "raw")
    facts = {name: value for name in names if (value := getattr(error, name)) is not None}
    return {"type": type(error).__name__, "message": str(error), **facts}
