"""What an OpenAI-shaped answer has beside its text: pictures, sound, annotations."""

from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mdstream_core import _json
from mdstream_core.dialects._limits import MAX_ENTRIES, over_limit
from mdstream_core.events import Event, ProviderData

#: Lists that grow: pictures as gateways and vLLM-Omni send them, citations of search models.
_LISTS = frozenset({"images", "annotations", "citations"})

#: The fields that are read here.
MEDIA = _LISTS | {"audio"}

#: Lists of up to this many entries are told whole as soon as they grow; longer ones whenever they have grown by a
#: sixteenth, and once more at the end: each telling costs the list's length, and each event keeps a list of its own.
_SHORT, _GROWTH = 64, 16


class Media:
    """What came beside one choice's text."""

    __slots__ = ("_audio", "_choice", "_lists", "_told", "size")

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._lists: dict[str, list[Any]] = {}
        self._told: dict[str, int] = {}  # how long a list was when it was told
        self._audio: dict[str, list[Any]] = {}
        #: How many entries and pieces have come.
        self.size = 0

    def read(self, name: str, value: Any) -> Iterator[Event]:
        """Take a list, which is told whole when it has grown; or sound, which is kept in pieces until the end."""
        if name == "audio":
            self._add_sound(value)
            return
        if not isinstance(value, list):
            raise TypeError(f"{name} is no list")
        kept, told = self._lists.setdefault(name, []), self._told.get(name, 0)
        kept += _json.check_depth(value)
        self.size += len(value)
        if len(kept) > MAX_ENTRIES:
            raise over_limit(f"entries in {name[:80]!r}", MAX_ENTRIES)
        if len(kept) <= _SHORT or len(kept) >= told + told // _GROWTH:
            yield self._extra(name)

    def merge_message(self, name: str, value: Any) -> Iterator[Event]:
        """Take a field of a whole answer: what was streamed of it is not told again."""
        kept = self._audio if name == "audio" else self._lists.get(name)
        if not kept:
            yield from self.read(name, value)
        elif name != "audio" and value[: len(kept)] == kept and value[len(kept) :]:
            yield from self.read(name, value[len(kept) :])

    def rest(self) -> Iterator[Event]:
        """What came since it was last told: the ends of long lists, and the sound, put together."""
        for name, kept in self._lists.items():
            if len(kept) > self._told.get(name, 0):
                yield self._extra(name)
        if self._audio:
            yield ProviderData("audio", _join_pieces(self._audio), self._choice)
            self._audio = {}

    def _extra(self, name: str) -> ProviderData:
        kept = list(self._lists[name])
        self._told[name] = len(kept)
        return ProviderData(name, kept, self._choice)

    def _add_sound(self, value: Any) -> None:
        """Take a piece of sound: an object with its fields, or the data alone."""
        piece = value if isinstance(value, Mapping) else {"data": value}
        for field, part in _json.check_depth(piece).items():
            self._audio.setdefault(field, []).append(part)
            self.size += 1


def _join_pieces(pieces: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Data and transcripts in a row, of anything else the last. It never raises: what is no text is kept as it is."""
    return {field: _READERS.get(field, _last)(values) for field, values in pieces.items()}


def _last(values: list[Any]) -> Any:
    return values[-1]


def _texts(values: list[Any]) -> Any:
    """Texts in a row; where one of the values is none, the values themselves."""
    given = [value for value in values if value is not None]
    if all(isinstance(value, str) for value in given):
        return "".join(given)
    return given[0] if len(given) == 1 else given


def _data(values: list[Any]) -> Any:
    """One base64 text. Each piece may have padding of its own, or one text may be cut anywhere.

    What cannot be decoded, as a text whose end is missing, is kept as it came.
    """
    whole = _texts(values)
    if not isinstance(whole, str):
        return whole
    for texts in ([value for value in values if value], [whole]):
        try:
            return b2a_base64(b"".join(map(a2b_base64, texts)), newline=False).decode()
        except ValueError:  # of which base64's own error is one
            continue
    return whole


_READERS: dict[str, Callable[[list[Any]], Any]] = {"data": _data, "transcript": _texts}
