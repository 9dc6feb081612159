"""Server-sent events, as the HTML standard says (§9.2.5, 9.2.6) and as model servers bend it.

Bent: `error` is read as a field that carries an error event (llama.cpp's older server), and what is left without a
blank line at the end is handed out by `finish()`, because some servers leave the last line break out. `event: error`
is an event without data too, and a line that begins as JSON or a page do (a proxy's error behind the stream) carries
an error event with the lines that follow it.
`id` and `retry` serve reconnection, which a model's answer does not have; they are ignored.
"""

import re

from mdstream_core.errors import MalformedStream
from mdstream_core.wire import MAX_FRAME_BYTES, Frame, FramesThenError

_BOM = b"\xef\xbb\xbf"
_BARE_STARTS = (b"{", b"<")

#: Bytes that a line counts for beside its own: what it costs in memory. Lines may be short, and any number of them.
_LINE_COST = 8

#: What nobody sees before a line, and lines that carry something. Streams that were joined have a byte-order mark in
#: the middle.
_INVISIBLE_MARK = rb"(?:\xef\xbb\xbf|\xe2\x80[\x8b-\x8f]|\xe2\x81\xa0|\x00)"
_INVISIBLE_MARKS = re.compile(rb"%b(?:%b|[ \t])*" % (_INVISIBLE_MARK, _INVISIBLE_MARK))
_CARRIER = re.compile(rb"(?:data|event|error)(?::|\Z)|[{<]")
_BREAK = re.compile(rb"\r\n|\r|\n")


class SSEDecoder:
    r"""Reads events out of a body.

    Only CR, LF and CRLF end lines: `bytes.splitlines` knows just these, where `str.splitlines` also cuts at U+2028
    and its kin, which servers send raw inside JSON.

    >>> SSEDecoder().feed(b'data: {"a":1}\n\n: ping\n\ndata: [DONE]\n\n')
    [Frame(data=b'{"a":1}', event=''), Frame(data=b'[DONE]', event='')]

    Args:
        max_size: The most bytes that an event may have; a security limit.
    """

    is_document = False

    def __init__(self, max_size: int = MAX_FRAME_BYTES) -> None:
        self._max_size = max_size
        self._buffered = bytearray()  # a line whose end has not come
        self._data: list[bytes] = []
        self._size = 0
        self._event = ""
        self._after_cr = False
        self._first = True
        self._bare_json = False  # in an error that has no field names

    def feed(self, data: bytes) -> list[Frame]:
        """The events that are complete with these bytes."""
        if not (self._buffered or self._data or self._event or self._after_cr) and _is_one_event(data):
            self._first = False
            return [Frame(data[6:-2])]
        if self._after_cr:
            data = self._without_lf(data)
        if b"\n" not in data and b"\r" not in data:
            self._buffer(data)
            return []
        if self._buffered:
            data = bytes(self._buffered) + data
            self._buffered.clear()
        lines = data.splitlines()
        self._after_cr = data.endswith(b"\r")
        if not self._after_cr and not data.endswith(b"\n"):
            self._buffer(lines.pop())
        return self._read(lines)

    def finish(self) -> list[Frame]:
        """The event that was not ended by a blank line, if there is one; the standard would drop it."""
        line = bytes(self._buffered)
        self._buffered.clear()
        return self._read([line, b""] if line else [b""])

    def _read(self, lines: list[bytes]) -> list[Frame]:
        if self._first and lines:
            self._first = False
            lines[0] = lines[0].removeprefix(_BOM)
        frames: list[Frame] = []
        try:
            self._read_lines(lines, frames)
        except MalformedStream as error:
            if not frames:
                raise
            return FramesThenError(frames, error)
        return frames

    def _read_lines(self, lines: list[bytes], frames: list[Frame]) -> None:
        held = self._data
        for line in lines:
            if line.startswith(b"data:"):
                # What `_keep` does, without a call for each token.
                held.append(line[6:] if line[5:6] == b" " else line[5:])
                self._size += len(line) + _LINE_COST
                if self._size > self._max_size:
                    raise self._too_long()
            elif line.startswith(b":"):
                continue
            elif line:
                if not self._bare_json and line.startswith(_BARE_STARTS):
                    frames += self._take_event()
                    self._bare_json = True
                    self._event = "error"
                self._field(line)
            elif held:
                frames.append(Frame(held[0] if len(held) == 1 else b"\n".join(held), self._event))
                held.clear()
                self._size = 0
                self._event = ""
                self._bare_json = False
            else:
                if self._event == "error":
                    frames.append(Frame(b"", "error"))
                self._event = ""

    def _take_event(self) -> list[Frame]:
        """The event before a line that belongs to none."""
        frames = [Frame(b"\n".join(self._data), self._event)] if self._data else []
        self._data.clear()
        self._size = 0
        return frames

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"data":
            self._keep(value)
        elif self._bare_json and name not in {b"id", b"retry"}:
            self._keep(line)
        elif name == b"error" and value:
            self._event = "error"
            self._keep(value)
        elif (mark := _INVISIBLE_MARKS.match(line)) and _CARRIER.match(line, mark.end()):
            raise MalformedStream(
                "a byte-order mark in the middle of the stream: by the standard its line would be ignored, and what it "
                "carries lost",
                raw=line[:300].decode("utf-8", "replace"),
            )

    def _keep(self, value: bytes) -> None:
        self._data.append(value)
        self._size += len(value) + _LINE_COST
        if self._size > self._max_size:
            raise self._too_long()

    def _too_long(self) -> MalformedStream:
        return MalformedStream(f"an event of more than {self._max_size} bytes")

    def _buffer(self, piece: bytes) -> None:
        self._buffered += piece
        if len(self._buffered) > self._max_size:
            raise MalformedStream(f"a line of more than {self._max_size} bytes")

    def _without_lf(self, data: bytes) -> bytes:
        """The other half of a CRLF that was cut in two is no line of its own."""
        if data:
            self._after_cr = False
        return data.removeprefix(b"\n")


def _is_one_event(data: bytes) -> bool:
    """Whether this is one event of one line, which is how models stream."""
    return data.startswith(b"data: ") and data.find(b"\n") == len(data) - 2 and data[-1] == 10 and b"\r" not in data


def encode(data: bytes, event: str = "", *, line_end: bytes = b"\n") -> bytes:
    r"""Write one event. The format has one line break only: whichever is in `data` is read as a line feed.

    >>> encode(b"one\ntwo", "note")
    b'event: note\ndata: one\ndata: two\n\n'
    """
    lines = [b"event: " + event.encode()] if event else []
    lines += [b"data: " + line for line in _BREAK.split(data)]
    return line_end.join((*lines, b"", b""))


def comment(text: str, *, line_end: bytes = b"\n") -> bytes:
    r"""Write a comment, which keeps a silent connection alive.

    >>> comment("ping")
    b': ping\n\n'
    """
    return b": " + text.encode() + line_end + line_end
