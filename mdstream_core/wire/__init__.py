"""Bytes ⇄ frames, both directions. No socket, no clock; every buffer has an end."""

from typing import NamedTuple, Protocol

#: The longest frame in bytes. Token ids, log probabilities and whole tool calls make lines of some hundred kilobytes;
#: what is longer is not an answer but an attack or a mistake.
LONGEST = 16 * 1024 * 1024


class Frame(NamedTuple):
    """What one frame of a stream carries: its payload, and the event's name where it has one."""

    data: bytes
    event: str = ""


class Frames(Protocol):
    """Reads frames out of bytes, cut anywhere."""

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes in; the frames that are complete now. Raises `MalformedStream`."""
        ...

    def end(self) -> list[Frame]:
        """There are no more bytes: what is left over, a frame without its end. Raises `MalformedStream`."""
        ...
