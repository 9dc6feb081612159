"""Redacting personally identifiable information: where it is in a text, and the text without it.

The service does not document the unit of its offsets. They are tried as characters, UTF-16 code units and bytes of
UTF-8, and each entity's own text decides.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from mdstream_core.events import GuardrailResults, PIIEntity

#: Encodings whose code units may be the unit of an offset, and the bytes of a unit.
_UNITS = (("utf-16-le", 2), ("utf-8", 1))


def locate_entities(text: str, results: GuardrailResults) -> GuardrailResults:
    """Convert the offsets of entities to characters of the text.

    An entity whose offset is wrong in every unit is searched in the text, and then there is one for each occurrence.
    """
    entities = results.personally_identifiable_information
    if not entities:
        return results
    located = tuple(found for entity in entities for found in _locate(text, entity))
    return replace(results, personally_identifiable_information=located)


def is_located(text: str, entity: PIIEntity) -> bool:
    """Whether the entity's offset leads to its text; of an entity without text, whether it is within the text."""
    return entity.end <= len(text) and (not entity.text or text[entity.offset : entity.end] == entity.text)


def _locate(text: str, entity: PIIEntity) -> Iterator[PIIEntity]:
    if is_located(text, entity):
        yield entity
        return
    for encoding, size in _UNITS:
        data = text.encode(encoding, "surrogatepass")
        start, end = size * entity.offset, size * entity.end
        if data[start:end].decode(encoding, "replace") == entity.text:
            yield replace(entity, offset=len(data[:start].decode(encoding, "replace")), length=len(entity.text))
            return
    start = text.find(entity.text) if entity.text else -1
    if start < 0:
        yield entity  # it is not located, and the policy decides
    while start >= 0:
        yield replace(entity, offset=start, length=len(entity.text))
        start = text.find(entity.text, start + len(entity.text))


def placeholder(label: str) -> str:
    """Return what replaces an entity.

    >>> placeholder("EMAIL")
    '[REDACTED_EMAIL]'
    """
    return f"[REDACTED_{label}]"


def redact(text: str, start: int, spans: Iterable[tuple[int, int, str]]) -> str:
    """Replace spans of a text by their labels.

    Args:
        text: A part of the text that was checked.
        start: Index of its first character in that text.
        spans: Start, end and label of each span in that text, sorted.

    >>> redact("write to a@b.org", 0, [(9, 16, "EMAIL")])
    'write to [REDACTED_EMAIL]'
    """
    parts, position, end = [], start, start + len(text)
    for first, last, label in spans:
        if last <= position or first >= end:
            continue
        if first >= position:
            parts += [text[position - start : first - start], placeholder(label)]
        position = min(last, end)
    return "".join((*parts, text[position - start :]))
