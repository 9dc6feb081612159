"""The messages of a WebSocket as the body of an answer, for platforms to read.

The transport hands them on as a body of `CONTENT_TYPE`: each message is one whole, unmasked frame (RFC 6455 §5.2), and
a close frame is the last if the other side sent one. So a service behind a WebSocket is read by the same rooms as all
others, and a close code that is no success becomes `StreamFailure`.
"""

import json
import re
from collections.abc import Iterable, Iterator

from mdstream_core.errors import MalformedStream, StreamFailure, StreamTimeout
from mdstream_core.wire import MAX_FRAME_BYTES, PORTION, Frame, FramesThenError
from mdstream_core.wire.sse import SSEDecoder
from mdstream_core.wire.websocket import CLOSE, NO_CODE, NORMAL, WebSocketFrameDecoder, close_code

CONTENT_TYPE = "application/x-websocket-messages"
_new = tuple.__new__  # looked up once: this is the hot path

#: Close codes (RFC 6455 §7.4.1 and IANA's registry): meaning, the HTTP status that fits, whether asking again may help.
_CLOSE_CODES: dict[int, tuple[str, int | None, bool]] = {
    1001: ("the server goes away", 503, True),
    1002: ("protocol error", None, False),
    1003: ("it takes no such data", 400, False),
    1007: ("a message whose text is not what it should be", 400, False),
    1008: ("it violates the server's policy", 403, False),
    1009: ("the message is too big", 413, False),
    1010: ("an extension is missing", 400, False),
    1011: ("the server failed", 500, True),
    1012: ("the server restarts", 503, True),
    1013: ("try again later", 503, True),
    1014: ("bad gateway", 502, True),
    3000: ("unauthorized", 401, False),
    3003: ("forbidden", 403, False),
    3008: ("timeout", 408, True),
}


class MessageDecoder:
    """Reads a body of `CONTENT_TYPE`.

    A message is JSON, or `[DONE]`, or one or more server-sent events as they stand (what wraps a stream of events into
    messages need not unwrap them, and may cut them anywhere).

    Args:
        max_size: The most bytes that a message may have; a security limit.
    """

    def __init__(self, max_size: int = MAX_FRAME_BYTES) -> None:
        self._max_size = max_size
        self._reader = WebSocketFrameDecoder(masked=False, max_size=max_size)
        self._close_payload: bytes | None = None
        self._documents = 0
        self._partial_event = b""  # the beginning of an event that goes on in the next message
        self._parts = 0

    @property
    def is_document(self) -> bool:
        """Whether one message came, and the service closed the WebSocket as it should."""
        return self._documents == 1 and self._close_payload is not None

    def feed(self, data: bytes) -> Iterable[Frame]:
        """What the messages that are complete with these bytes carry."""
        if self._reader.buffered_size > PORTION:
            return self._read_all(data)
        frames: list[Frame] = []
        try:
            frames.extend(self._read_all(data))
        except MalformedStream as error:
            if not frames:
                raise
            return FramesThenError(frames, error)
        return frames

    def _read_all(self, data: bytes) -> Iterator[Frame]:
        texts, _, data = self._reader.decode_texts(data)
        for text in texts:
            if text.startswith(b"{") and not self._partial_event:
                yield _new(Frame, (text, ""))
                self._documents += 1
            else:
                yield from self._read(text)
        for opcode, message, _ in self._reader.feed(data) if data else ():
            if opcode == CLOSE:
                self._close_payload = message
            else:
                yield from self._read(message)

    def finish(self) -> list[Frame]:
        """The event that no message went on with. Raises what the close code says, if that is no success."""
        if self._reader.buffered_size:
            raise MalformedStream("a message that was cut")
        frames = [*self._events(self._partial_event)]
        if self._close_payload is not None and (code := close_code(self._close_payload)) not in {NORMAL, NO_CODE}:
            failure = _failure(code, self._close_payload[2:].decode())
            if not frames:
                raise failure
            return FramesThenError(frames, failure)
        return frames

    def _read(self, message: bytes) -> Iterator[Frame]:
        message = self._partial_event + message
        if not _EVENTS.match(message):
            yield Frame(message)
            self._documents += 1
            return
        whole, self._partial_event = _split(message)
        self._parts = 0 if not self._partial_event else 1 if whole else self._parts + 1
        if self._parts > _MAX_PARTS or len(self._partial_event) > self._max_size:
            raise MalformedStream(f"an event of more than {_MAX_PARTS} messages, or of {self._max_size} bytes")
        if whole:
            yield from self._events(whole)

    def _events(self, data: bytes) -> Iterator[Frame]:
        events = SSEDecoder(self._max_size)
        for at in range(0, len(data), PORTION):
            yield from events.feed(data[at : at + PORTION])
        yield from events.finish()


#: The most messages that one event may be spread over; each is looked at together with those before it.
_MAX_PARTS = 64

#: A message of server-sent events, or the beginning of their first field's name.
_EVENTS = re.compile(rb"\s*((data|event|id|retry|error)?:|(d|da|dat|data|e|ev|eve|even|event)\Z)")

#: The most lines of an event that are looked at to see whether it is complete without the blank line that ends it.
_MOST_LINES = 4096

#: Blank lines, which end an event.
_BLANK_LINES = (b"\r\n\r\n", b"\n\n", b"\r\r")


def _split(message: bytes) -> tuple[bytes, bytes]:
    """The events of a message, and the beginning of one that goes on in the next message."""
    at = max(found + len(line) if (found := message.rfind(line)) >= 0 else 0 for line in _BLANK_LINES)
    return (message, b"") if _is_complete_event(message[at:]) else (message[:at], message[at:])


def _is_complete_event(event: bytes) -> bool:
    """Whether an event that no blank line ends is complete all the same: its data are JSON, `[DONE]`, or an error."""
    if event.count(b"\n") + event.count(b"\r") > _MOST_LINES:
        return False
    fields = [line.partition(b":") for line in event.splitlines()]
    data = b"\n".join(value.strip() for name, _, value in fields if name == b"data")
    if not data:
        return not any(name for name, _, _ in fields)  # nothing but comments
    is_error = any(name == b"event" and value.strip() == b"error" for name, _, value in fields)
    return is_error or data == b"[DONE]" or _is_json(data)


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def _failure(code: int, reason: str) -> StreamFailure:
    meaning, status, retryable = _CLOSE_CODES.get(code, ("a code of its own", None, True))
    kind = StreamTimeout if status == 408 else StreamFailure
    said = f": {reason}" if reason else ""
    return kind(
        f"the service closed the WebSocket with {code} ({meaning}){said}",
        code=str(code),
        status=status,
        retryable=retryable,
        raw=f"{code} {reason}".strip(),
    )
