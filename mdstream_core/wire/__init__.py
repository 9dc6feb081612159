"""Framing: decode bytes to frames, and encode frames to bytes. No I/O, no clock; every buffer is bounded."""

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import NamedTuple, Protocol

from mdstream_core.errors import MDStreamError

#: Maximum size of a frame in bytes; a security limit. Token ids, log probabilities and complete tool calls make lines
#: of some hundred kilobytes; longer ones are an attack or a mistake.
MAX_FRAME_BYTES = 16 * 1024 * 1024

#: How many bytes of a message are decoded before its frames are delivered: one message may contain a whole stream.
CHUNK_SIZE = 64 * 1024

#: Minimum number of frames of a read whose payloads are passed on together; fewer cost less one by one.
MIN_PAYLOADS = 5

_new = tuple.__new__  # faster than `Frame(…)`, for the hot path


class Frame(NamedTuple):
    """One frame of a stream: its payload, and the name of its event."""

    data: bytes
    """The payload."""
    event: str = ""
    """Name of the event; empty if the format or the frame has none."""


class FrameDecoder(Protocol):
    """Decoder of frames from bytes that may be split anywhere."""

    @property
    def is_document(self) -> bool:
        """Whether the body is one document, so that the end of the body is the end of the response."""
        ...

    def feed(self, data: bytes) -> Iterable[Frame]:
        """Decode further bytes, and return the frames that they complete. Raises `MalformedStream`.

        A result that is neither a list nor `Payloads` decodes while it is iterated; exhaust it before the next `feed`.
        """
        ...

    def finish(self) -> list[Frame]:
        """Return the last frame if it was not terminated; there are no more bytes. Raises `MalformedStream`."""
        ...


class Payloads:
    """The frames of one read as their payloads alone, because none of them has an event name. Iterating yields frames.

    >>> Payloads([b"a", b"b"]) == [Frame(b"a"), Frame(b"b")]
    True

    Args:
        payloads: The payloads in their order.
    """

    __slots__ = ("payloads",)

    def __init__(self, payloads: list[bytes]) -> None:
        self.payloads = payloads

    def __len__(self) -> int:
        return len(self.payloads)

    def __iter__(self) -> Iterator[Frame]:
        return map(_new, repeat(Frame), zip(self.payloads, repeat("")))

    def __getitem__(self, part: slice) -> "Payloads":
        return Payloads(self.payloads[part])

    def __eq__(self, other: object) -> bool:
        return [*self] == other

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr([*self])


class FramesThenError(list[Frame]):
    """Frames followed by an error: iterating yields the frames, and then raises the error."""

    def __init__(self, frames: Iterable[Frame], error: MDStreamError) -> None:
        super().__init__(frames)
        self._error = error

    def __iter__(self) -> Iterator[Frame]:
        yield from super().__iter__()
        raise self._error
