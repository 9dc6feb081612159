"""Fill a JSON Schema from what a sentence says.

Every value comes from the sentence if it has one that fits, else from the schema (default, enum, bounds), else from a
small stock of things to say, so that the result is always valid.
"""

import re
from collections.abc import Callable
from itertools import islice
from typing import Any

from mdstream_core.emulator.model import _canned_text
from mdstream_core.emulator.model._keywords import keywords
from mdstream_core.emulator.model._schema import Json, kind, nullable, resolve
from mdstream_core.emulator.model._value_extraction import ValueExtractor

_TEXT_FIELDS = {
    "query",
    "question",
    "text",
    "input",
    "prompt",
    "message",
    "content",
    "q",
    "request",
    "task",
    "sentence",
}
_PLACE_FIELDS = {
    "city",
    "location",
    "place",
    "country",
    "destination",
    "origin",
    "region",
    "town",
    "state",
    "address",
    "where",
}
_NAME_FIELDS = {"name", "person", "customer", "author", "title", "company", "recipient", "user", "username", "subject"}
# Where a field of such a name is looked for first.
_SOURCES = (
    (_TEXT_FIELDS, ("quoted",)),
    (_PLACE_FIELDS, ("places", "proper", "quoted")),
    (_NAME_FIELDS, ("quoted", "proper")),
)
_FORMATS = {"email": "email", "url": "uri", "uri": "uri", "link": "uri", "date": "date", "day": "date", "time": "time"}
_DEPTH = 8  # a schema may contain itself
# Security limits of what one schema may ask for.
_VALUES = 5_000  # values, all levels together
_LONGEST = 100_000  # characters of a text
_LONGEST_NAME = 256  # characters
_CHOICES = 1_000  # of an enum that are looked for

_MISSING = object()


class SchemaFiller:
    """Fills one schema; facts of the sentence are given away once."""

    def __init__(self, text: str, root: Json, written_text: str = "") -> None:
        self._values = ValueExtractor(text)
        self._root = root
        self._written_text = written_text
        self._left = _VALUES

    def object(self, schema: Any, depth: int = 0, positional: list[str] | None = None) -> Json:
        """A value for an object schema."""
        schema = resolve(schema, self._root)
        required = set(schema.get("required") or ())
        filled: Json = {}
        spelled = dict(part.split("=", 1) for part in positional or () if "=" in part)
        plain = [part for part in positional or () if "=" not in part]
        for name, described in islice((schema.get("properties") or {}).items(), _VALUES):
            given = spelled.get(name, plain.pop(0) if plain else None)
            value = self._fill_field(name, described, depth, given, needed=name in required)
            if value is not _MISSING:
                filled[name] = value
        return filled

    def value(self, name: str, described: Any, depth: int = 0) -> Any:
        """A value for any schema. Raises `ValueError` for one that asks for too much."""
        self._left -= 1
        if self._left < 0 or len(name) > _LONGEST_NAME:
            raise ValueError(f"the schema asks for more than {_VALUES} values, or has a very long name")
        schema = resolve(described, self._root)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._enum(schema["enum"])
        makers: dict[str, Callable[[str, Json, int], Any]] = {
            "object": lambda name, schema, depth: self.object(schema, depth + 1) if depth < _DEPTH else {},
            "array": self._array,
            "integer": self._number,
            "number": self._number,
            "boolean": lambda name, schema, depth: self._boolean(name),
            "null": lambda name, schema, depth: None,
        }
        return makers.get(kind(schema), self._string)(name, schema, depth)

    def _fill_field(self, name: str, described: Any, depth: int, given: str | None, *, needed: bool) -> Any:
        if given is not None:
            spelled = _read(given.strip().strip("'\""), kind(resolve(described, self._root)))
            return self.value(name, described, depth) if spelled is None else spelled
        if needed and not (nullable(described) and not self._mentions(name)):
            return self.value(name, described, depth)
        if needed:
            return None
        if self._mentions(name) and depth < _DEPTH:
            return self.value(name, described, depth)
        return _MISSING

    def _mentions(self, name: str) -> bool:
        return bool(set(keywords(name)) & self._values.words)

    def _enum(self, choices: list[Any]) -> Any:
        text = self._values.text.lower()
        return next(
            (one for one in choices[:_CHOICES] if isinstance(one, str) and one and one.lower() in text), choices[0]
        )

    def _boolean(self, name: str) -> bool:
        spoken = name.replace("_", " ")
        denied = rf"\b(?:not|no|without|isn't|don't|false)\b[\w\s]{{0,20}}{re.escape(spoken)}"
        return not re.search(denied, self._values.text, re.IGNORECASE)

    def _number(self, name: str, schema: Json, depth: int) -> Any:
        whole = kind(schema) == "integer"
        labelled = self._values.find_labelled(name)
        found = _read(labelled, kind(schema)) if labelled else None
        number = found if isinstance(found, int | float) else self._values.next_number(whole=whole)
        if number is None:
            number = schema.get("default", 7 if whole else 0.5)
        low, high = _bounds(schema, whole)
        return min(max(number, low), high) if isinstance(number, int | float) else number

    def _array(self, name: str, schema: Json, depth: int) -> list[Any]:
        items = schema.get("items") or schema.get("prefixItems", [{}])[0]
        least, most = schema.get("minItems", 1), schema.get("maxItems", 100)
        item = resolve(items, self._root)
        if kind(item) in {"integer", "number"} and self._values.numbers:
            numbers = list(self._values.numbers)
            self._values.numbers.clear()
            return [int(number) if kind(item) == "integer" else number for number in numbers][:most]
        if kind(item) == "string" and not item.get("enum"):
            found = [*self._values.quoted] or _parse_list(self._values.text) or [*self._values.proper]
            if len(found) >= max(least, 1):
                return found[:most]
        if depth >= _DEPTH:
            return []
        return [self.value(name.removesuffix("s"), items, depth + 1) for _ in range(max(least, 1))][:most]

    def _string(self, name: str, schema: Json, depth: int) -> str:
        found = self._find_value(name, schema)
        if found is None and isinstance(schema.get("default"), str):
            found = schema["default"]
        if found is None:
            found = _canned_text.write_text_for(name, self._values.text, self._written_text, schema.get("format"))
        if schema.get("minLength", 0) > _LONGEST:
            raise ValueError(f"the schema asks for a text of more than {_LONGEST} characters")
        return found.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]

    def _find_value(self, name: str, schema: Json) -> str | None:
        evidence, parts = self._values, set(keywords(name)) | {name.lower()}
        form = schema.get("format") or next((_FORMATS[part] for part in parts if part in _FORMATS), None)
        if form:
            return evidence.next_formatted(form)
        if labelled := evidence.find_labelled(name):
            return labelled
        if _canned_text.is_generated_field(name):
            return None
        sources = next((sources for names, sources in _SOURCES if parts & names), ("quoted", "proper", "places"))
        found = next((one for one in map(evidence.next, sources) if one), None)
        return evidence.text.strip() if found is None and parts & _TEXT_FIELDS else found


def _read(text: str, kind: str) -> Any:
    """A value that was spelled out, `None` when it is of another type."""
    try:
        if kind in {"integer", "number"}:
            return int(text) if kind == "integer" else float(text)
    except ValueError:
        return None
    return text.lower() in {"true", "yes", "1"} if kind == "boolean" else text


def _bounds(schema: Json, whole: bool) -> tuple[float, float]:
    step = 1 if whole else 1e-6
    low = schema.get("minimum", float("-inf"))
    high = schema.get("maximum", float("inf"))
    if isinstance(schema.get("exclusiveMinimum"), int | float):
        low = schema["exclusiveMinimum"] + step
    if isinstance(schema.get("exclusiveMaximum"), int | float):
        high = schema["exclusiveMaximum"] - step
    return low, high


def _parse_list(text: str) -> list[str]:
    """`… : a, b and c`."""
    _, colon, rest = text.partition(":")
    parts = re.split(r",\s*(?:and\s+)?|\s+and\s+", rest.strip().rstrip(".?!")) if colon else []
    return [part.strip() for part in parts if part.strip()]
