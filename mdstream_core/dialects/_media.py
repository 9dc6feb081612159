"""What an OpenAI-shaped answer has beside its text: pictures, sound, annotations."""

from binascii import a2b_base64, b2a_base64
from collections.abc import Iterator, Mapping
from typing import Any

from mdstream_core.events import Event, Extra

#: Lists that grow: pictures as gateways and vLLM-Omni send them, citations of search models.
_LISTS = frozenset({"images", "annotations", "citations"})

#: The fields that are read here.
MEDIA = _LISTS | {"audio"}


class Media:
    """What came beside one choice's text."""

    __slots__ = ("_choice", "_lists", "_sound")

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._lists: dict[str, list[Any]] = {}
        self._sound: dict[str, list[Any]] = {}

    def read(self, name: str, value: Any) -> Iterator[Event]:
        """A list is told whole as soon as it grows; sound is told at the end, and kept in pieces until then."""
        if name != "audio":
            if not isinstance(value, list):
                raise TypeError(f"{name} is no list")
            kept = self._lists.setdefault(name, [])
            kept += value
            yield Extra(name, list(kept), self._choice)
            return
        for field, piece in value.items():
            self._sound.setdefault(field, []).append(piece)

    def merge(self, name: str, value: Any) -> Iterator[Event]:
        """Take a field of a whole answer: what was streamed of it is not told again."""
        kept = self._sound if name == "audio" else self._lists.get(name)
        if not kept:
            yield from self.read(name, value)
        elif name != "audio" and value[: len(kept)] == kept and value[len(kept) :]:
            yield from self.read(name, value[len(kept) :])

    def sound(self) -> Iterator[Event]:
        """The sound that came since it was last told, put together."""
        if self._sound:
            yield Extra("audio", _put_together(self._sound), self._choice)
            self._sound = {}


def _put_together(pieces: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Texts in a row; data as one base64 text: each piece may have padding of its own; of anything else the last."""
    whole: dict[str, Any] = {}
    for field, values in pieces.items():
        if field == "data":
            whole[field] = b2a_base64(b"".join(map(a2b_base64, values)), newline=False).decode()
        elif field == "transcript":
            whole[field] = "".join(values)
        else:
            whole[field] = values[-1]
    return whole
