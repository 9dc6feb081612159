"""Convert fields of events to the types that they are declared with, so that accumulating events never fails.

An error carries the partial response received before it. If a field of the wrong type made the accumulation raise, the
user would lose both the error of the service and the partial response.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from operator import attrgetter, is_
from typing import Any

from mdstream_core import _json


def to_plain_text(value: Any) -> str:
    """Convert a field to a string without lone surrogates; values of other types become JSON.

    >>> to_plain_text("a\\ud83d"), to_plain_text({"text": "hi"}), to_plain_text(None)
    ('a\\ufffd', '{"text":"hi"}', '')
    """
    if type(value) is str and value.isascii():
        return value
    return str(_json.replace_lone_surrogates(_json.to_text(value)))


def to_optional_text(value: Any) -> str | None:
    """Convert a field to a string like `to_plain_text`, but keep `None`."""
    return None if value is None else to_plain_text(value)


def to_index(value: Any) -> int:
    """Convert to the index of a choice or call; 0 for what is not an integer."""
    return value if isinstance(value, int) else 0


def to_entries(value: Any) -> list[dict[str, Any]]:
    """Convert log probabilities to a list of objects; an entry of another type becomes an object with its text.

    >>> to_entries([{"token": "a"}, "b"]), to_entries(None)
    ([{'token': 'a'}, {'token': 'b'}], [])
    """
    entries = value if isinstance(value, list | tuple) else [] if value is None else [value]
    return [entry if isinstance(entry, dict) else {"token": to_plain_text(entry)} for entry in entries]


def join_texts(texts: list[Any]) -> str:
    """Join texts, converting those that are not strings."""
    try:
        return "".join(texts)
    except TypeError:  # one of them is not a string
        return "".join(map(to_plain_text, texts))


_FIELD_TYPES: dict[str, Callable[[Any], Any]] = {
    "text": to_plain_text,
    "arguments": to_plain_text,
    "name": to_optional_text,
    "content": to_entries,
    "index": to_index,
    "choice": to_index,
}

#: Exceptions that accumulating an event raises for a field of the wrong type: a list as an index is not hashable, a
#: number cannot be written into a text buffer.
TYPE_ERRORS = (TypeError, AttributeError)


def coerce(event: Any) -> Any:
    """Convert the fields of an event to their declared types. Nothing is lost: other values become JSON text."""
    fields = {name: read(getattr(event, name)) for name, read in _FIELD_TYPES.items() if hasattr(event, name)}
    return replace(event, **fields)


_COUNTS = ("input", "output", "total", "cached", "reasoning", "input_audio", "output_audio")
_get_counts = attrgetter(*_COUNTS)
_get_texts = attrgetter("model", "id", "fingerprint")


def coerce_usage(usage: Any) -> Any:
    """Convert the fields of a `Usage` to integers; `None` for `None`."""
    if usage is None:
        return None
    values = _get_counts(usage)
    for value in values:
        if value is not None and not (type(value) is int and 0 <= value < _json.MAX_COUNT):
            break
    else:
        if None not in values[:3]:  # there is nothing to convert, as almost always
            return usage
    counts = tuple(map(_json.to_count, values))
    counts = *(count or 0 for count in counts[:3]), *counts[3:]  # only the details may be `None`
    if all(map(is_, counts, values)):  # nothing was converted
        return usage
    return replace(usage, **dict(zip(_COUNTS, counts, strict=True)))


def coerce_metadata(metadata: Any) -> Any:
    """Convert the fields of a `ResponseMetadata` to strings."""
    values = _get_texts(metadata)
    for text in values:
        if text is not None and not (type(text) is str and text.isascii()):
            break
    else:
        if type(metadata.service) is dict:  # there is nothing to convert, as almost always
            return metadata
    texts = tuple(map(to_optional_text, values))
    is_mapping = isinstance(metadata.service, Mapping)
    if is_mapping and all(map(is_, texts, values)):  # nothing was converted
        return metadata
    model, id, fingerprint = texts
    return replace(
        metadata, model=model, id=id, fingerprint=fingerprint, service=metadata.service if is_mapping else {}
    )
