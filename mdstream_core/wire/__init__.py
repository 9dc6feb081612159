"""Bytes ⇄ frames, both directions. No socket, no clock; every buffer has an end."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from mdstream_core.errors import MDStreamError

#: The longest frame in bytes. Token ids, log probabilities and whole tool calls make lines of some hundred kilobytes;
#: what is longer is not an answer but an attack or a mistake.
MAX_FRAME_BYTES = 16 * 1024 * 1024

#: How many bytes of one message are read as frames before these are handed out: a message may be a whole stream.
PORTION = 64 * 1024


class Frame(NamedTuple):
    """What one frame of a stream carries: its payload, and the event's name where it has one."""

    data: bytes
    event: str = ""


class FrameDecoder(Protocol):
    """Reads frames out of bytes, cut anywhere."""

    @property
    def is_document(self) -> bool:
        """Whether the body is one document, so that the end of the body is the end of the answer."""
        ...

    def feed(self, data: bytes) -> Iterable[Frame]:
        """Take the next bytes in; the frames that are complete now. Raises `MalformedStream`.

        What is not a list reads on while it is iterated: the next bytes must wait for its end.
        """
        ...

    def finish(self) -> list[Frame]:
        """There are no more bytes: what is left over, a frame without its end. Raises `MalformedStream`."""
        ...


class FramesThenError(list[Frame]):
    """Frames, and the error that came behind them: iterating hands out the frames, and then raises it."""

    def __init__(self, frames: Iterable[Frame], error: MDStreamError) -> None:
        super().__init__(frames)
        self._error = error

    def __iter__(self) -> Iterator[Frame]:
        yield from super().__iter__()
        raise self._error
