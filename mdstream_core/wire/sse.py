"""Server-sent events: decode and encode the format of the HTML standard (§9.2.5, 9.2.6), with deviations of servers.

Deviations: a field `error` makes an error event (older llama.cpp servers). `finish()` returns an event that no blank
line terminates, because some servers omit the last line break. `event: error` is an event even without data. A line
that starts like JSON or HTML (a proxy's error after the stream) makes an error event with the lines that follow it.
`id` and `retry` are for reconnecting, which responses of models do not support; they are ignored.
"""

import re
from io import BytesIO
from operator import itemgetter
from typing import ClassVar

from mdstream_core.errors import MalformedStream
from mdstream_core.wire import CHUNK_SIZE, MAX_FRAME_BYTES, MIN_PAYLOADS, Frame, FramesThenError, Payloads

_BOM = b"\xef\xbb\xbf"
#: Beginnings of a line that is an error without a field name: JSON or HTML of a proxy.
_BARE_ERROR_STARTS = (b"{", b"<")

#: Memory overhead of each line in bytes, which counts toward the size of an event: it may have many short lines.
_LINE_OVERHEAD = 8

#: Invisible marks at the start of a line, and lines that carry data. Concatenated streams have a byte order mark in the
#: middle.
_INVISIBLE_MARK = rb"(?:\xef\xbb\xbf|\xe2\x80[\x8b-\x8f]|\xe2\x81\xa0|\x00)"
_INVISIBLE_MARKS = re.compile(rb"%b(?:%b|[ \t])*" % (_INVISIBLE_MARK, _INVISIBLE_MARK))
_DATA_LINE = re.compile(rb"(?:data|event|error)(?::|\Z)|[{<]")
_BREAK = re.compile(rb"\r\n|\r|\n")


_new = tuple.__new__  # faster than `Frame(…)`, for the hot path

#: The value of a line `data: …` without the line feed.
_field_value = itemgetter(slice(len(b"data: "), -1))

#: Maximum size in bytes of the data that is split into events at once, which copies it several times.
_MAX_BATCH = 2 * CHUNK_SIZE


class SSEDecoder:
    r"""Decoder of server-sent events from bytes that may be split anywhere.

    Only CR, LF and CRLF end lines. `bytes.splitlines` splits at just these, while `str.splitlines` also splits at
    U+2028 and others, which servers send unescaped inside JSON.

    >>> SSEDecoder().feed(b'data: {"a":1}\n\n: ping\n\ndata: [DONE]\n\n')
    [Frame(data=b'{"a":1}', event=''), Frame(data=b'[DONE]', event='')]

    Args:
        max_size: Maximum size of an event in bytes; a security limit.
    """

    is_document = False
    min_payloads: ClassVar[int] = MIN_PAYLOADS

    def __init__(self, max_size: int = MAX_FRAME_BYTES) -> None:
        self._max_size = max_size
        self._max_batch = min(_MAX_BATCH, max_size - _LINE_OVERHEAD)
        self._buffered = bytearray()  # an incomplete line
        self._data: list[bytes] = []
        self._size = 0
        self._event = ""
        self._after_cr = False
        self._first = True
        self._is_bare_error = False  # whether the current event consists of such lines

    def feed(self, data: bytes) -> list[Frame] | Payloads:
        """Return the events that these bytes complete."""
        is_between = not (self._data or self._event or self._after_cr)
        if is_between and not self._buffered and _is_one_event(data):
            self._first = False
            return [_new(Frame, (data[6:-2], ""))]
        if self._after_cr:
            data = self._without_lf(data)
        if b"\n" not in data and b"\r" not in data:
            self._buffer(data)
            return []
        if self._buffered:
            data = bytes(self._buffered) + data
            self._buffered.clear()
        if b"\r" not in data:
            # Few events, if all have the size of the first one, are not split at once.
            is_batch = is_between and len(data) >= self.min_payloads * (data.find(b"\n\n") + 2)
            if is_batch and (payloads := self._split_events(data)):
                return payloads
            lines = data.split(b"\n")  # finds a line break four times as fast as `splitlines`
            if rest := lines.pop():
                self._buffer(rest)
            return self._read(lines)
        lines = data.splitlines()
        self._after_cr = data.endswith(b"\r")
        if not self._after_cr and not data.endswith(b"\n"):
            self._buffer(lines.pop())
        return self._read(lines)

    def _split_events(self, data: bytes) -> Payloads | None:
        """Return the payloads of events that have one line of data each; `None` if there is any other line.

        The data has no carriage returns; its end may be an incomplete line. The last comparison is the check: a payload
        has no line break, so that only the lines of such events are the same bytes when they are joined again.
        """
        if not data.startswith(b"data: ") or len(data) > self._max_batch:
            return None
        end = data.rfind(b"\n\n") + 2
        if data.find(b"\n", end) >= 0:
            return None
        events = data[:end]
        payloads = [*map(_field_value, BytesIO(events).readlines()[::2])]
        if events != b"data: %b\n\n" % b"\n\ndata: ".join(payloads):
            return None
        self._first = False
        self._buffered += data[end:]
        return Payloads(payloads)

    def finish(self) -> list[Frame]:
        """Return the last event if no blank line terminated it; the standard would discard it."""
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
        data_lines = self._data
        for line in lines:
            if line.startswith(b"data:"):
                # Inlined `_add_data`, which saves a call for each token.
                data_lines.append(line[6:] if line[5:6] == b" " else line[5:])
                self._size += len(line) + _LINE_OVERHEAD
                if self._size > self._max_size:
                    raise self._too_long()
            elif line.startswith(b":"):
                continue
            elif line:
                if not self._is_bare_error and line.startswith(_BARE_ERROR_STARTS):
                    frames += self._take_event()
                    self._is_bare_error = True
                    self._event = "error"
                self._field(line)
            elif data_lines:
                data = data_lines[0] if len(data_lines) == 1 else b"\n".join(data_lines)
                frames.append(_new(Frame, (data, self._event)))
                data_lines.clear()
                self._size = 0
                self._event = ""
                self._is_bare_error = False
            else:
                if self._event == "error":
                    frames.append(Frame(b"", "error"))
                self._event = ""

    def _take_event(self) -> list[Frame]:
        """Return the unterminated event before an error line."""
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
            self._add_data(value)
        elif self._is_bare_error and name not in {b"id", b"retry"}:
            self._add_data(line)
        elif name == b"error" and value:
            self._event = "error"
            self._add_data(value)
        elif (mark := _INVISIBLE_MARKS.match(line)) and _DATA_LINE.match(line, mark.end()):
            raise MalformedStream(
                "the stream has a byte order mark in the middle, so the standard would ignore a line with data",
                raw=line[:300].decode("utf-8", "replace"),
            )

    def _add_data(self, value: bytes) -> None:
        self._data.append(value)
        self._size += len(value) + _LINE_OVERHEAD
        if self._size > self._max_size:
            raise self._too_long()

    def _too_long(self) -> MalformedStream:
        return MalformedStream(f"an event has more than {self._max_size} bytes")

    def _buffer(self, piece: bytes) -> None:
        self._buffered += piece
        if len(self._buffered) > self._max_size:
            raise MalformedStream(f"a line has more than {self._max_size} bytes")

    def _without_lf(self, data: bytes) -> bytes:
        """Remove the line feed of a CRLF that was split between two reads."""
        if data:
            self._after_cr = False
        return data.removeprefix(b"\n")


def _is_one_event(data: bytes) -> bool:
    """Whether the data is exactly one event of one line, the usual case in a stream."""
    return data.startswith(b"data: ") and data.find(b"\n") == len(data) - 2 and data[-1] == 10 and b"\r" not in data


def encode(data: bytes, event: str = "", *, line_end: bytes = b"\n") -> bytes:
    r"""Encode one event. All line breaks in `data` become line feeds, because the format cannot distinguish them.

    >>> encode(b"one\ntwo", "note")
    b'event: note\ndata: one\ndata: two\n\n'
    """
    lines = [b"event: " + event.encode()] if event else []
    lines += [b"data: " + line for line in _BREAK.split(data)]
    return line_end.join((*lines, b"", b""))


def comment(text: str, *, line_end: bytes = b"\n") -> bytes:
    r"""Encode a comment, which keeps an idle connection alive.

    >>> comment("ping")
    b': ping\n\n'
    """
    return b": " + text.encode() + line_end + line_end
