"""The fields of events as they should be, whatever was put into them: the sum of events must never fail to build.

An error carries what was received before it. If a field of the wrong type made that sum raise, the user would lose both
the error of the service and the partial response.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mdstream_core import _json


def to_plain_text(value: Any) -> str:
    """A field as text: whole characters, and JSON for what is no text.

    >>> to_plain_text("a\\ud83d"), to_plain_text({"text": "hi"}), to_plain_text(None)
    ('a\\ufffd', '{"text":"hi"}', '')
    """
    return str(_json.replace_lone_surrogates(_json.to_text(value)))


def to_optional_text(value: Any) -> str | None:
    """The same, and `None` for `None`."""
    return None if value is None else to_plain_text(value)


def to_index(value: Any) -> int:
    """The index of a choice or call; the first for what is no whole number."""
    return value if isinstance(value, int) else 0


def to_entries(value: Any) -> list[dict[str, Any]]:
    """Log probabilities: the objects of a list, and for any other entry an object with its text.

    >>> to_entries([{"token": "a"}, "b"]), to_entries(None)
    ([{'token': 'a'}, {'token': 'b'}], [])
    """
    entries = value if isinstance(value, list | tuple) else [] if value is None else [value]
    return [entry if isinstance(entry, dict) else {"token": to_plain_text(entry)} for entry in entries]


def join_texts(texts: list[Any]) -> str:
    """Texts in a row."""
    try:
        return "".join(texts)
    except TypeError:  # one of them is no text
        return "".join(map(to_plain_text, texts))


_FIELD_TYPES: dict[str, Callable[[Any], Any]] = {
    "text": to_plain_text,
    "arguments": to_plain_text,
    "name": to_optional_text,
    "content": to_entries,
    "index": to_index,
    "choice": to_index,
}

#: What adding an event up raises where a field has a type that it should not have: a list in place of an index has no
#: hash, a number cannot be written into a text.
UNFIT = (TypeError, AttributeError)


def coerce(event: Any) -> Any:
    """The event with fields of the types that they should have. Nothing of it is lost: what is no text becomes JSON."""
    fields = {name: read(getattr(event, name)) for name, read in _FIELD_TYPES.items() if hasattr(event, name)}
    return replace(event, **fields)


#: The fields of `Usage` that are always numbers, and those that may be unknown.
_SUMS = ("input", "output", "total")
_PARTS = ("cached", "reasoning", "input_audio", "output_audio")


def coerce_usage(usage: Any) -> Any:
    """Counted tokens, with numbers only; `None` for `None`."""
    if usage is None:
        return None
    counts: dict[str, Any] = {name: _json.to_count(getattr(usage, name)) for name in (*_SUMS, *_PARTS)}
    return replace(usage, **counts | {name: counts[name] or 0 for name in _SUMS})


def coerce_served(metadata: Any) -> Any:
    """Who answered, in texts only."""
    names = ("model", "id", "fingerprint")
    return replace(metadata, **{name: to_optional_text(getattr(metadata, name)) for name in names})
