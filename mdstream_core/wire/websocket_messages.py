"""WebSocket messages as the body of a response, for platforms to decode.

The transport passes them on as a body of `CONTENT_TYPE`: each message is one unfragmented, unmasked frame (RFC 6455
§5.2), and a close frame is the last if the server sent one. So all other layers handle a service behind a WebSocket
like any other, and a close code that reports a failure becomes `StreamFailure`.
"""

import json
import re
from collections.abc import Iterable, Iterator

from mdstream_core.errors import MalformedStream, StreamFailure, StreamTimeout
from mdstream_core.wire import CHUNK_SIZE, MAX_FRAME_BYTES, MIN_PAYLOADS, Frame, FramesThenError, Payloads
from mdstream_core.wire.sse import SSEDecoder
from mdstream_core.wire.websocket import CLOSE, NO_CODE, NORMAL, WebSocketFrameDecoder, close_code

CONTENT_TYPE = "application/x-websocket-messages"
_new = tuple.__new__  # faster than `Frame(…)`, for the hot path

#: Close codes (RFC 6455 §7.4.1 and IANA's registry): meaning, corresponding HTTP status, whether a retry may succeed.
_CLOSE_CODES: dict[int, tuple[str, int | None, bool]] = {
    1001: ("going away", 503, True),
    1002: ("protocol error", None, False),
    1003: ("unsupported data", 400, False),
    1007: ("invalid payload data", 400, False),
    1008: ("policy violation", 403, False),
    1009: ("message too big", 413, False),
    1010: ("missing extension", 400, False),
    1011: ("the server failed", 500, True),
    1012: ("service restart", 503, True),
    1013: ("try again later", 503, True),
    1014: ("bad gateway", 502, True),
    3000: ("unauthorized", 401, False),
    3003: ("forbidden", 403, False),
    3008: ("timeout", 408, True),
}


class MessageDecoder:
    """Decoder of a body of `CONTENT_TYPE`.

    A message is JSON, `[DONE]`, or the text of one or more server-sent events. A proxy that forwards a stream of events
    as messages may split them anywhere.

    Args:
        max_size: Maximum size of a message in bytes; a security limit.
    """

    def __init__(self, max_size: int = MAX_FRAME_BYTES) -> None:
        self._max_size = max_size
        self._reader = WebSocketFrameDecoder(masked=False, max_size=max_size)
        self._close_payload: bytes | None = None
        self._documents = 0
        self._partial_event = b""  # the beginning of an event that continues in the next message
        self._parts = 0

    @property
    def is_document(self) -> bool:
        """Whether there was one message, and the service closed the WebSocket properly."""
        return self._documents == 1 and self._close_payload is not None

    def feed(self, data: bytes) -> Iterable[Frame]:
        """Return the frames of the messages that these bytes complete."""
        if self._reader.buffered_size > CHUNK_SIZE:
            return self._read_all(data)
        texts, _, rest = self._reader.decode_texts(data)
        is_batch = len(texts) >= MIN_PAYLOADS and not (rest or self._partial_event)
        if is_batch and {text[:1] for text in texts} == {b"{"}:
            self._documents += len(texts)
            return Payloads(texts)
        frames: list[Frame] = []
        try:
            frames.extend(self._read_messages(texts, rest))
        except MalformedStream as error:
            if not frames:
                raise
            return FramesThenError(frames, error)
        return frames

    def _read_all(self, data: bytes) -> Iterator[Frame]:
        texts, _, rest = self._reader.decode_texts(data)
        yield from self._read_messages(texts, rest)

    def _read_messages(self, texts: list[bytes], rest: bytes) -> Iterator[Frame]:
        for text in texts:
            if text.startswith(b"{") and not self._partial_event:
                yield _new(Frame, (text, ""))
                self._documents += 1
            else:
                yield from self._read(text)
        for opcode, message, _ in self._reader.feed(rest) if rest else ():
            if opcode == CLOSE:
                self._close_payload = message
            else:
                yield from self._read(message)

    def finish(self) -> list[Frame]:
        """Return an event that no further message completed. Raises `StreamFailure` if the close code reports one."""
        if self._reader.buffered_size:
            raise MalformedStream("a message is truncated")
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
            raise MalformedStream(f"an event has more than {_MAX_PARTS} messages or {self._max_size} bytes")
        if whole:
            yield from self._events(whole)

    def _events(self, data: bytes) -> Iterator[Frame]:
        events = SSEDecoder(self._max_size)
        for at in range(0, len(data), CHUNK_SIZE):
            yield from events.feed(data[at : at + CHUNK_SIZE])
        yield from events.finish()


#: Maximum number of messages that one event may be split into; each one is parsed together with those before it.
_MAX_PARTS = 64

#: A message of server-sent events, or the beginning of their first field's name.
_EVENTS = re.compile(rb"\s*((data|event|id|retry|error)?:|(d|da|dat|data|e|ev|eve|even|event)\Z)")

#: Maximum number of lines of an event that is checked for completeness although no blank line terminates it.
_MAX_LINES = 4096

#: Blank lines, which terminate an event.
_BLANK_LINES = (b"\r\n\r\n", b"\n\n", b"\r\r")


def _split(message: bytes) -> tuple[bytes, bytes]:
    """Split a message into complete events, and the beginning of one that continues in the next message."""
    at = max(index + len(line) if (index := message.rfind(line)) >= 0 else 0 for line in _BLANK_LINES)
    return (message, b"") if _is_complete_event(message[at:]) else (message[:at], message[at:])


def _is_complete_event(event: bytes) -> bool:
    """Whether an event is complete although no blank line terminates it: its data is JSON, `[DONE]`, or an error."""
    if event.count(b"\n") + event.count(b"\r") > _MAX_LINES:
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
    meaning, status, retryable = _CLOSE_CODES.get(code, ("private code", None, True))
    kind = StreamTimeout if status == 408 else StreamFailure
    return kind(
        f"the service closed the WebSocket with {code} ({meaning}){f': {reason}' if reason else ''}",
        code=str(code),
        status=status,
        retryable=retryable,
        raw=f"{code} {reason}".strip(),
    )
