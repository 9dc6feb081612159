"""JSON in a body: one document to a line, or one for the whole body."""

from mdstream_core.errors import MalformedStream
from mdstream_core.wire import LONGEST, Frame, Frames
from mdstream_core.wire.sse import SSEDecoder

_SPACE = b" \t\r\n\xef\xbb\xbf"


class JSONLinesDecoder:
    r"""Reads a document a line.

    >>> JSONLinesDecoder().feed(b'{"a":1}\n{"b"')
    [Frame(data=b'{"a":1}', event='')]

    Args:
        longest: The most bytes that a line may have; a security limit.
    """

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._held: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Frame]:
        """The documents whose lines are complete with these bytes."""
        if b"\n" not in data:
            self._hold(data)
            return []
        *lines, rest = b"".join((*self._held, data)).split(b"\n")
        self._held.clear()
        self._size = 0
        self._hold(rest)
        return [Frame(line) for line in map(bytes.strip, lines) if line]

    def end(self) -> list[Frame]:
        """The last line, where no line break ended it."""
        rest = b"".join(self._held).strip()
        self._held.clear()
        return [Frame(rest)] if rest else []

    def _hold(self, piece: bytes) -> None:
        self._held.append(piece)
        self._size += len(piece)
        if self._size > self._longest:
            raise MalformedStream(f"a line of more than {self._longest} bytes")


class DocumentDecoder(JSONLinesDecoder):
    """Reads the whole body as one document, which is there when the body ends."""

    def feed(self, data: bytes) -> list[Frame]:
        """Nothing yet."""
        self._hold(data)
        return []


class LabelledStreamDecoder:
    """Reads a body that is labelled a stream of events and may be JSON all the same.

    LMI labels JSON lines so, and a container that ignores `stream` may send its one document so.
    """

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._seen = b""
        self._inner: Frames | None = None

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete with these bytes."""
        if self._inner is None:
            data = self._seen = self._seen + data
            first = data.lstrip(_SPACE)[:1]
            if not first:
                return []
            self._inner = JSONLinesDecoder(self._longest) if first == b"{" else SSEDecoder(self._longest)
            self._seen = b""
            self.feed = self._inner.feed  # type: ignore[method-assign]  # from here on there is nothing to decide
        return self._inner.feed(data)

    def end(self) -> list[Frame]:
        """What is left over."""
        return self._inner.end() if self._inner else []
