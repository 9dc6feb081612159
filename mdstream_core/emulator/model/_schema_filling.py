"""Fill a JSON Schema with values from a text.

Each value comes from the text if it has one that fits, else from the schema (default, enum, bounds), else from canned
texts, so that the result is always valid.
"""

import re
from collections.abc import Callable
from itertools import islice
from typing import Any

from mdstream_core.emulator.model import _canned_text
from mdstream_core.emulator.model._keywords import keywords
from mdstream_core.emulator.model._schema import Json, is_nullable, resolve_schema, schema_type
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
_LOCATION_FIELDS = {
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
# Kinds of extracted values that a field with such a name is filled with, best first.
_SOURCES = (
    (_TEXT_FIELDS, ("quoted",)),
    (_LOCATION_FIELDS, ("locations", "proper", "quoted")),
    (_NAME_FIELDS, ("quoted", "proper")),
)
_FORMATS = {"email": "email", "url": "uri", "uri": "uri", "link": "uri", "date": "date", "day": "date", "time": "time"}
_MAX_DEPTH = 8  # a schema may contain itself
# Security limits of one schema.
_MAX_VALUES = 5_000  # values, all levels together
_MAX_LENGTH = 100_000  # characters of a text
_MAX_NAME_LENGTH = 256  # characters
_MAX_CHOICES = 1_000  # values of an enum that are searched

_MISSING = object()


class SchemaFiller:
    """Fills one schema; each value of the text is used once."""

    def __init__(self, text: str, root: Json, written_text: str = "") -> None:
        self._values = ValueExtractor(text)
        self._root = root
        self._written_text = written_text
        self._remaining = _MAX_VALUES

    def object(self, schema: Any, depth: int = 0, positional: list[str] | None = None) -> Json:
        """Return a value for an object schema; `positional` are arguments that the text spells out: `5`, `name=5`."""
        schema = resolve_schema(schema, self._root)
        required = set(schema.get("required") or ())
        filled: Json = {}
        parsed = dict(part.split("=", 1) for part in positional or () if "=" in part)
        unnamed = [part for part in positional or () if "=" not in part]
        for name, schema_of_field in islice((schema.get("properties") or {}).items(), _MAX_VALUES):
            argument = parsed.get(name, unnamed.pop(0) if unnamed else None)
            value = self._fill_field(name, schema_of_field, depth, argument, required=name in required)
            if value is not _MISSING:
                filled[name] = value
        return filled

    def value(self, name: str, schema_of_field: Any, depth: int = 0) -> Any:
        """Return a value for any schema. Raises `ValueError` for a schema that exceeds the limits."""
        self._remaining -= 1
        if self._remaining < 0 or len(name) > _MAX_NAME_LENGTH:
            raise ValueError(f"the schema has more than {_MAX_VALUES} values, or a very long name")
        schema = resolve_schema(schema_of_field, self._root)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._enum(schema["enum"])
        fillers: dict[str, Callable[[str, Json, int], Any]] = {
            "object": lambda name, schema, depth: self.object(schema, depth + 1) if depth < _MAX_DEPTH else {},
            "array": self._array,
            "integer": self._number,
            "number": self._number,
            "boolean": lambda name, schema, depth: self._boolean(name),
            "null": lambda name, schema, depth: None,
        }
        return fillers.get(schema_type(schema), self._string)(name, schema, depth)

    def _fill_field(self, name: str, schema_of_field: Any, depth: int, argument: str | None, *, required: bool) -> Any:
        if argument is not None:
            parsed = _parse_value(
                argument.strip().strip("'\""), schema_type(resolve_schema(schema_of_field, self._root))
            )
            return self.value(name, schema_of_field, depth) if parsed is None else parsed
        if required and not (is_nullable(schema_of_field) and not self._mentions(name)):
            return self.value(name, schema_of_field, depth)
        if required:
            return None
        if self._mentions(name) and depth < _MAX_DEPTH:
            return self.value(name, schema_of_field, depth)
        return _MISSING

    def _mentions(self, name: str) -> bool:
        return bool(set(keywords(name)) & self._values.words)

    def _enum(self, choices: list[Any]) -> Any:
        text = self._values.text.lower()
        return next(
            (item for item in choices[:_MAX_CHOICES] if isinstance(item, str) and item and item.lower() in text),
            choices[0],
        )

    def _boolean(self, name: str) -> bool:
        label = name.replace("_", " ")
        negation = rf"\b(?:not|no|without|isn't|don't|false)\b[\w\s]{{0,20}}{re.escape(label)}"
        return not re.search(negation, self._values.text, re.IGNORECASE)

    def _number(self, name: str, schema: Json, depth: int) -> Any:
        whole = schema_type(schema) == "integer"
        labelled = self._values.find_labelled(name)
        value = _parse_value(labelled, schema_type(schema)) if labelled else None
        number = value if isinstance(value, int | float) else self._values.next_number(whole=whole)
        if number is None:
            number = schema.get("default", 7 if whole else 0.5)
        low, high = _bounds(schema, whole)
        return min(max(number, low), high) if isinstance(number, int | float) else number

    def _array(self, name: str, schema: Json, depth: int) -> list[Any]:
        items = schema.get("items") or schema.get("prefixItems", [{}])[0]
        min_items, max_items = schema.get("minItems", 1), schema.get("maxItems", 100)
        item = resolve_schema(items, self._root)
        if schema_type(item) in {"integer", "number"} and self._values.numbers:
            numbers = list(self._values.numbers)
            self._values.numbers.clear()
            return [int(number) if schema_type(item) == "integer" else number for number in numbers][:max_items]
        if schema_type(item) == "string" and not item.get("enum"):
            values = [*self._values.quoted] or _parse_list(self._values.text) or [*self._values.proper]
            if len(values) >= max(min_items, 1):
                return values[:max_items]
        if depth >= _MAX_DEPTH:
            return []
        return [self.value(name.removesuffix("s"), items, depth + 1) for _ in range(max(min_items, 1))][:max_items]

    def _string(self, name: str, schema: Json, depth: int) -> str:
        value = self._find_value(name, schema)
        if value is None and isinstance(schema.get("default"), str):
            value = schema["default"]
        if value is None:
            value = _canned_text.write_text_for(name, self._values.text, self._written_text, schema.get("format"))
        if schema.get("minLength", 0) > _MAX_LENGTH:
            raise ValueError(f"the schema requires a text of more than {_MAX_LENGTH} characters")
        return value.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]

    def _find_value(self, name: str, schema: Json) -> str | None:
        values, parts = self._values, set(keywords(name)) | {name.lower()}
        format = schema.get("format") or next((_FORMATS[part] for part in parts if part in _FORMATS), None)
        if format:
            return values.next_formatted(format)
        if labelled := values.find_labelled(name):
            return labelled
        if _canned_text.is_generated_field(name):
            return None
        sources = next((sources for names, sources in _SOURCES if parts & names), ("quoted", "proper", "locations"))
        value = next((item for item in map(values.next, sources) if item), None)
        return values.text.strip() if value is None and parts & _TEXT_FIELDS else value


def _parse_value(text: str, type_: str) -> Any:
    """Parse a value that the text spells out; `None` if it has another type."""
    try:
        if type_ in {"integer", "number"}:
            return int(text) if type_ == "integer" else float(text)
    except ValueError:
        return None
    return text.lower() in {"true", "yes", "1"} if type_ == "boolean" else text


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
    """Parse a list after a colon: `… : a, b and c`."""
    _, colon, rest = text.partition(":")
    parts = re.split(r",\s*(?:and\s+)?|\s+and\s+", rest.strip().rstrip(".?!")) if colon else []
    return [part.strip() for part in parts if part.strip()]
