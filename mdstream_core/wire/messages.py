"""The messages of a WebSocket as the body of an answer, for platforms to read.

The transport hands them on as a body of `CONTENT_TYPE`: each message is one whole, unmasked frame (RFC 6455 §5.2), and
a close frame is the last if the other side sent one. So a service behind a WebSocket is read by the same rooms as all
others, and a close code that is no success becomes `StreamFailure`.
"""

import re

from mdstream_core.errors import MalformedStream, StreamFailure, StreamTimeout
from mdstream_core.wire import LONGEST, Frame
from mdstream_core.wire.sse import SSEDecoder
from mdstream_core.wire.websocket import CLOSE, NO_CODE, NORMAL, FrameReader, close_code

CONTENT_TYPE = "application/x-websocket-messages"
_new = tuple.__new__  # looked up once: this is the hot path

#: Close codes (RFC 6455 §7.4.1 and IANA's registry): meaning, the HTTP status that fits, whether asking again may help.
_CLOSES: dict[int, tuple[str, int | None, bool]] = {
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
    messages need not unwrap them).

    Args:
        longest: The most bytes that a message may have; a security limit.
    """

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._reader = FrameReader(masked=False, longest=longest)
        self._farewell: bytes | None = None

    def feed(self, data: bytes) -> list[Frame]:
        """What the messages that are complete with these bytes carry."""
        frames: list[Frame] = []
        texts, _, data = self._reader.texts(data)
        for text in texts:
            if text.startswith(b"{"):
                frames.append(_new(Frame, (text, "")))
            else:
                self._read(text, frames)
        for opcode, message, _ in self._reader.feed(data) if data else ():
            if opcode == CLOSE:
                self._farewell = message
            else:
                self._read(message, frames)
        return frames

    def end(self) -> list[Frame]:
        """Nothing more. Raises what the close code says, if that is no success."""
        if not self._reader.empty:
            raise MalformedStream("a message that was cut")
        if self._farewell is not None and (code := close_code(self._farewell)) not in {NORMAL, NO_CODE}:
            raise _failure(code, self._farewell[2:].decode())
        return []

    def _read(self, message: bytes, frames: list[Frame]) -> None:
        if _EVENTS.match(message):
            events = SSEDecoder(self._longest)
            frames += (*events.feed(message), *events.end())
        else:
            frames.append(Frame(message))


_EVENTS = re.compile(rb"\s*(data|event|id|retry|error)?:")


def _failure(code: int, reason: str) -> StreamFailure:
    meaning, status, retryable = _CLOSES.get(code, ("a code of its own", None, True))
    kind = StreamTimeout if status == 408 else StreamFailure
    said = f": {reason}" if reason else ""
    return kind(
        f"the service closed the WebSocket with {code} ({meaning}){said}",
        code=str(code),
        status=status,
        retryable=retryable,
        raw=f"{code} {reason}".strip(),
    )
