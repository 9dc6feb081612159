"""JSON bodies: JSON lines, or one document."""

from collections.abc import Iterable
from io import BytesIO

from mdstream_core.errors import MalformedStream
from mdstream_core.wire import MAX_FRAME_BYTES, MIN_PAYLOADS, Frame, FrameDecoder, FramesThenError, Payloads
from mdstream_core.wire.sse import SSEDecoder

_WHITESPACE = b" \t\r\n\xef\xbb\xbf"

#: Minimum size of a piece that is kept as it is, in bytes: many small ones would need more memory than they have bytes.
_MIN_PIECE = 4096

_new = tuple.__new__  # faster than `Frame(…)`, for the hot path


class JSONLinesDecoder:
    r"""Decoder of JSON lines: one document per line.

    >>> JSONLinesDecoder().feed(b'{"a":1}\n{"b"')
    [Frame(data=b'{"a":1}', event='')]

    Args:
        max_size: Maximum size of a line in bytes; a security limit.
    """

    is_document: bool = False

    def __init__(self, max_size: int = MAX_FRAME_BYTES) -> None:
        self._max_size = max_size
        self._buffered = bytearray()

    def feed(self, data: bytes) -> list[Frame] | Payloads:
        """Return the documents of the lines that these bytes complete."""
        if data.find(b"\n") == len(data) - 1 and not self._buffered:  # exactly one line, the usual case in a stream
            line = data.strip()
            return [_new(Frame, (line, ""))] if line else []
        lines = BytesIO(data).readlines()  # finds a line break three times as fast as `split`
        rest = b"" if data.endswith(b"\n") or not lines else lines.pop()
        if self._buffered and lines:
            lines[0] = bytes(self._buffered) + lines[0]
            self._buffered.clear()
        payloads = [*filter(None, map(bytes.strip, lines))]
        try:
            self._buffer(rest)
        except MalformedStream as error:
            if not payloads:
                raise
            return FramesThenError(Payloads(payloads), error)
        return [_new(Frame, (line, "")) for line in payloads] if len(payloads) < MIN_PAYLOADS else Payloads(payloads)

    def finish(self) -> list[Frame]:
        """Return the last line if no line break terminated it."""
        rest = bytes(self._buffered).strip()
        self._buffered.clear()
        return [Frame(rest)] if rest else []

    def _buffer(self, piece: bytes) -> None:
        self._buffered += piece
        if len(self._buffered) > self._max_size:
            raise MalformedStream(f"a line has more than {self._max_size} bytes")


class DocumentDecoder(JSONLinesDecoder):
    """Decoder of a body that is one document; `finish` returns it."""

    is_document = True

    def __init__(self, max_size: int = MAX_FRAME_BYTES) -> None:
        self._max_size = max_size
        self._buffered = bytearray()
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Keep the bytes, and return no frames."""
        self._size += len(data)
        if self._size > self._max_size:
            raise MalformedStream(f"a line has more than {self._max_size} bytes")
        if len(data) < _MIN_PIECE:
            self._buffered += data
        else:  # large documents are copied only once
            self._pieces += bytes(self._buffered), data
            self._buffered.clear()
        return []

    def finish(self) -> list[Frame]:
        """Return the document."""
        document = b"".join((*self._pieces, self._buffered)).strip()
        self._pieces.clear()
        self._buffered.clear()
        self._size = 0
        return [_new(Frame, (document, ""))] if document else []


class SniffingDecoder:
    """Decoder that detects the format of a body from its first bytes, because its content type may be wrong.

    LMI declares JSON lines as `text/event-stream`, and so may a container that ignores `stream` and returns one
    document; a gateway may declare server-sent events as `application/json`.

    Args:
        max_size: Maximum size of a frame in bytes; a security limit.
        json: Decoder of a body that starts with `{` or `[`.
    """

    def __init__(self, max_size: int = MAX_FRAME_BYTES, json: type[JSONLinesDecoder] = JSONLinesDecoder) -> None:
        self._max_size = max_size
        self._json = json
        self._start = b""
        self._inner: FrameDecoder | None = None

    @property
    def is_document(self) -> bool:
        """Whether the body is one document."""
        return self._inner is not None and self._inner.is_document

    def feed(self, data: bytes) -> Iterable[Frame]:
        """Return the frames that these bytes complete."""
        if self._inner is None:
            data = self._start = (self._start + data).lstrip(_WHITESPACE)
            if len(data) < 3:  # needed to distinguish a document of several lines from JSON lines
                return []
            self._inner = self._choose(data)
        self.feed = self._inner.feed  # type: ignore[method-assign]  # the format is known: later calls go directly to its decoder
        return self._inner.feed(data)

    def finish(self) -> list[Frame]:
        """Return the last frame if it was not terminated."""
        if self._inner is None:
            self._inner = self._choose(self._start)
            return [*self._inner.feed(self._start), *self._inner.finish()]
        return self._inner.finish()

    def _choose(self, data: bytes) -> FrameDecoder:
        if not data.startswith((b"{", b"[")):
            return SSEDecoder(self._max_size)
        if self._json is DocumentDecoder:
            return DocumentDecoder(self._max_size)
        opening = data[:3].removeprefix(b"[")[:2]
        return DocumentDecoder(self._max_size) if b"\n" in opening or b"\r" in opening else self._json(self._max_size)


class DocumentSniffingDecoder(SniffingDecoder):
    """Decoder of a body that is declared as `application/json`: it is one document if it starts with `{` or `[`."""

    def __init__(self, max_size: int = MAX_FRAME_BYTES) -> None:
        super().__init__(max_size, DocumentDecoder)
