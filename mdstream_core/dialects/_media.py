"""Decode what OpenAI-shaped responses have beside text: images, audio, annotations."""

from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mdstream_core import _json
from mdstream_core.dialects._limits import MAX_ENTRIES, over_limit
from mdstream_core.events import Event, ProviderData

#: Lists that grow: images as gateways and vLLM-Omni send them, citations of search models.
_LISTS = frozenset({"images", "annotations", "citations"})

#: The fields that are decoded here.
MEDIA = _LISTS | {"audio"}

#: Lists of up to `_SHORT` entries are emitted whole whenever they grow; longer ones when they have grown by a sixteenth
#: (1 / `_GROWTH`), and at the end: each event copies the list.
_SHORT, _GROWTH = 64, 16


class Media:
    """The media of one choice."""

    __slots__ = ("_audio", "_choice", "_emitted", "_lists", "size")

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._lists: dict[str, list[Any]] = {}
        self._emitted: dict[str, int] = {}  # the length of each list when it was last emitted
        self._audio: dict[str, list[Any]] = {}
        #: How many entries and pieces were received.
        self.size = 0

    def read(self, name: str, value: Any) -> Iterator[Event]:
        """Add a list, which is emitted whole when it has grown, or audio, which is emitted at the end."""
        if name == "audio":
            self._add_audio(value)
            return
        if not isinstance(value, list):
            raise TypeError(f"{name} is not a list")
        entries, emitted = self._lists.setdefault(name, []), self._emitted.get(name, 0)
        entries += _json.check_depth(value)
        self.size += len(value)
        if len(entries) > MAX_ENTRIES:
            raise over_limit(f"entries in {name[:80]!r}", MAX_ENTRIES)
        if len(entries) <= _SHORT or len(entries) >= emitted + emitted // _GROWTH:
            yield self._emit(name)

    def merge_message(self, name: str, value: Any) -> Iterator[Event]:
        """Add a field of a whole message, without what was streamed of it."""
        streamed = self._audio if name == "audio" else self._lists.get(name)
        if not streamed:
            yield from self.read(name, value)
        elif name != "audio" and value[: len(streamed)] == streamed and value[len(streamed) :]:
            yield from self.read(name, value[len(streamed) :])

    def flush(self) -> Iterator[Event]:
        """Emit what is still buffered: the last entries of long lists, and the audio."""
        for name, entries in self._lists.items():
            if len(entries) > self._emitted.get(name, 0):
                yield self._emit(name)
        if self._audio:
            yield ProviderData("audio", _join_pieces(self._audio), self._choice)
            self._audio = {}

    def _emit(self, name: str) -> ProviderData:
        entries = list(self._lists[name])
        self._emitted[name] = len(entries)
        return ProviderData(name, entries, self._choice)

    def _add_audio(self, value: Any) -> None:
        """Add a piece of audio: an object with its fields, or the data alone."""
        piece = value if isinstance(value, Mapping) else {"data": value}
        for field, part in _json.check_depth(piece).items():
            self._audio.setdefault(field, []).append(part)
            self.size += 1


def _join_pieces(pieces: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Concatenate data and transcripts; of other fields keep the last value. Never raises."""
    return {field: _READERS.get(field, _last)(values) for field, values in pieces.items()}


def _last(values: list[Any]) -> Any:
    return values[-1]


def _texts(values: list[Any]) -> Any:
    """Concatenate strings; if one of the values is not a string, return the values unchanged."""
    present = [value for value in values if value is not None]
    if all(isinstance(value, str) for value in present):
        return "".join(present)
    return present[0] if len(present) == 1 else present


def _data(values: list[Any]) -> Any:
    """Concatenate base64. Each piece may have its own padding, or the text may be split at any position.

    Text that cannot be decoded, for example because its end is missing, is returned unchanged.
    """
    whole = _texts(values)
    if not isinstance(whole, str):
        return whole
    for texts in ([value for value in values if value], [whole]):
        try:
            return b2a_base64(b"".join(map(a2b_base64, texts)), newline=False).decode()
        except ValueError:  # includes `binascii.Error`
            continue
    return whole


_READERS: dict[str, Callable[[list[Any]], Any]] = {"data": _data, "transcript": _texts}
