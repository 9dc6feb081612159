"""Convert JSON Schemas for OpenAI's strict mode.

Each object lists all its fields in `required` and forbids others (`additionalProperties: false`); an optional field is
one that permits `null`. Strict mode rejects `default`, `oneOf`, and references with other keywords beside them.
Source: OpenAI's guide to structured outputs ("supported schemas").
"""

from collections.abc import Mapping
from typing import Any

from mdstream_core.dialects._oci_schema import map_subschemas, permits_null, resolve_pointer
from mdstream_core.errors import InvalidRequest

Json = dict[str, Any]

#: How many references with other keywords are resolved; further ones keep the reference and lose the keywords.
_MAX_RESOLVED = 256

#: Keywords that strict mode rejects and that do not constrain values.
_UNSUPPORTED_KEYWORDS = frozenset({"default", "discriminator", "$schema", "$id", "$comment"})


def strict_schema(schema: Mapping[str, Any] | None, *, nullable: bool = True) -> Json:
    """Return a schema whose objects, including those in `$defs`, forbid other fields and require all their fields.

    Objects with free keys (`dict[str, int]`) have no strict form and stay unchanged; the server may reject them.

    Args:
        schema: A JSON Schema of an object; it is not changed.
        nullable: Whether an optional field without a default may be `null` instead; `True` by default. Pass `False` for
            schemas of Pydantic classes, which state themselves where `None` is allowed.

    Raises:
        InvalidRequest: The schema is not an object.

    >>> strict_schema({"type": "object", "properties": {"city": {"type": "string"}}})
    {'type': 'object', 'properties': {'city': {'anyOf': [{'type': 'string'}, {'type': 'null'}]}}, \
'required': ['city'], 'additionalProperties': False}
    """
    if not isinstance(schema, Mapping | None):
        raise InvalidRequest(f"a schema must be an object, not {type(schema).__name__}", code="MalformedSchema")
    root = dict(schema or {})
    if root.get("type", "object") == "object" and not root.keys() & {
        "properties",
        "additionalProperties",
        "$ref",
        "allOf",
        "anyOf",
        "oneOf",
    }:
        root = {"type": "object", "properties": {}, **root}
    return _StrictConverter(root, nullable).convert(root, ("#",))


class _StrictConverter:
    """Converts one schema to its strict form."""

    def __init__(self, root: Json, nullable: bool) -> None:
        self._root = root
        self._nullable = nullable
        self._remaining = _MAX_RESOLVED

    def convert(self, node: Json, references: tuple[str, ...]) -> Json:
        """Convert a subschema.

        Args:
            node: The subschema.
            references: The references that were followed to reach it.
        """
        node, references = self._without_siblings(node, references)
        if _is_closed(node):
            node = _require_all(node, nullable=self._nullable)
        kept = {name: value for name, value in node.items() if name not in _UNSUPPORTED_KEYWORDS}
        if "oneOf" in kept and "anyOf" not in kept:
            kept["anyOf"] = kept.pop("oneOf")
        return map_subschemas(kept, lambda inner: self.convert(inner, references) if isinstance(inner, dict) else inner)

    def _without_siblings(self, node: Json, references: tuple[str, ...]) -> tuple[Json, tuple[str, ...]]:
        """Resolve a reference that has other keywords beside it, or an `allOf` of one schema.

        A recursive schema keeps its reference and loses the keywords beside it.
        """
        whole = node.get("allOf")
        if isinstance(whole, list) and len(whole) == 1 and isinstance(whole[0], dict):
            rest = {name: value for name, value in node.items() if name != "allOf"}
            return self._without_siblings({**whole[0], **rest}, references)
        rest = {name: value for name, value in node.items() if name not in _UNSUPPORTED_KEYWORDS | {"$ref"}}
        if not isinstance(reference := node.get("$ref"), str) or not rest:
            return node, references
        target = resolve_pointer(self._root, reference)
        if reference in references or not target or not self._remaining:
            return {"$ref": reference}, references
        self._remaining -= 1
        return self._without_siblings({**target, **rest}, (*references, reference))


def _is_closed(node: Json) -> bool:
    """Return whether a schema is an object with named fields, possibly beside `null` or another type."""
    kind = node.get("type", "object")
    return isinstance(node.get("properties"), dict) and (
        kind == "object" or (isinstance(kind, list) and "object" in kind)
    )


def _require_all(node: Json, *, nullable: bool) -> Json:
    properties: Json = node["properties"]
    required = node.get("required")
    required = required if isinstance(required, list | tuple) else ()
    fields = {
        name: _make_nullable(field) if nullable and name not in required and _may_be_null(field) else field
        for name, field in properties.items()
    }
    return {**node, "properties": fields, "required": list(fields), "additionalProperties": False}


def _may_be_null(field: Any) -> bool:
    """Return whether `null` can mean "omitted": not if the field has a default, which `null` would override."""
    return isinstance(field, dict) and field.get("default") is None and not permits_null(field)


def _make_nullable(field: Json) -> Json:
    """Return the schema of a field with `null` as an alternative; title and description stay outside of `anyOf`."""
    outside: Json = {name: field[name] for name in ("title", "description") if name in field}
    inside = {name: value for name, value in field.items() if name not in outside}
    return {**outside, "anyOf": [inside, {"type": "null"}]}
