"""JSON in a body: one document to a line, or one for the whole body."""

from collections.abc import Iterable

from mdstream_core.errors import MalformedStream
from mdstream_core.wire import MAX_FRAME_BYTES, Frame, FrameDecoder, FramesThenError
from mdstream_core.wire.sse import SSEDecoder

_WHITESPACE = b" \t\r\n\xef\xbb\xbf"
_new = tuple.__new__  # looked up once: this is the hot path


class JSONLinesDecoder:
    r"""Reads a document a line.

    >>> JSONLinesDecoder().feed(b'{"a":1}\n{"b"')
    [Frame(data=b'{"a":1}', event='')]

    Args:
        max_size: The most bytes that a line may have; a security limit.
    """

    is_document: bool = False

    def __init__(self, max_size: int = MAX_FRAME_BYTES) -> None:
        self._max_size = max_size
        self._buffered = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The documents whose lines are complete with these bytes."""
        lines = data.split(b"\n")
        if self._buffered and len(lines) > 1:
            lines[0] = bytes(self._buffered) + lines[0]
            self._buffered.clear()
        rest = lines.pop()
        frames = [_new(Frame, (line, "")) for line in map(bytes.strip, lines) if line]
        try:
            self._buffer(rest)
        except MalformedStream as error:
            if not frames:
                raise
            return FramesThenError(frames, error)
        return frames

    def finish(self) -> list[Frame]:
        """The last line, where no line break ended it."""
        rest = bytes(self._buffered).strip()
        self._buffered.clear()
        return [Frame(rest)] if rest else []

    def _buffer(self, piece: bytes) -> None:
        self._buffered += piece
        if len(self._buffered) > self._max_size:
            raise MalformedStream(f"a line of more than {self._max_size} bytes")


class DocumentDecoder(JSONLinesDecoder):
    """Reads the whole body as one document, which is there when the body ends."""

    is_document = True

    def feed(self, data: bytes) -> list[Frame]:
        """Nothing yet."""
        self._buffer(data)
        return []


class SniffingDecoder:
    """Reads a body whose label cannot be trusted: what it begins with says what it is.

    LMI labels JSON lines as events, and a container that ignores `stream` may send its one document so; a gateway may
    label events as JSON.

    Args:
        max_size: The most bytes that a frame may have; a security limit.
        json: How a body is read that begins with `{` or `[`.
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
        """The frames that are complete with these bytes."""
        if self._inner is None:
            data = self._start = (self._start + data).lstrip(_WHITESPACE)
            if len(data) < 3:  # the next bytes tell a document over several lines from JSON lines
                return []
            self._inner = self._choose(data)
        self.feed = self._inner.feed  # type: ignore[method-assign]  # from here on there is nothing to decide
        return self._inner.feed(data)

    def finish(self) -> list[Frame]:
        """What is left over."""
        if self._inner is None:
            self._inner = self._choose(self._start)
            return [*self._inner.feed(self._start), *self._inner.finish()]
        return self._inner.finish()

    def _choose(self, data: bytes) -> FrameDecoder:
        if not data.startswith((b"{", b"[")):
            return SSEDecoder(self._max_size)
        opening = data[:3].removeprefix(b"[")[:2]
        return DocumentDecoder(self._max_size) if b"\n" in opening or b"\r" in opening else self._json(self._max_size)


class LabelledStreamDecoder(SniffingDecoder):
    """A body that is labelled a stream of events."""


class LabelledDocumentDecoder(SniffingDecoder):
    """A body that is labelled one JSON document."""

    def __init__(self, max_size: int = MAX_FRAME_BYTES) -> None:
        super().__init__(max_size, DocumentDecoder)
