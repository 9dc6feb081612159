"""JSON Schemas as OpenAI's strict mode takes them.

Each object names all its fields in `required` and forbids others (`additionalProperties: false`); a field that may be
left out is one that may be `null`. `default`, `oneOf` and a reference with words beside it are refused there.
Source: OpenAI's guide to structured outputs ("supported schemas").
"""

from collections.abc import Mapping
from typing import Any

from mdstream_core.dialects._oci_schema import map_subschemas, permits_null, resolve_pointer
from mdstream_core.errors import InvalidRequest

Json = dict[str, Any]

#: How many references with words beside them are replaced; the rest of them keep the reference, and lose the words.
_MAX_OBJECTS = 256

#: Keywords that strict mode refuses; what they say is no rule for the answer.
_UNSUPPORTED_KEYWORDS = frozenset({"default", "discriminator", "$schema", "$id", "$comment"})


def strict_schema(schema: Mapping[str, Any] | None, *, nullable: bool = True) -> Json:
    """A schema of which every object, in `$defs` too, is closed and requires all its fields.

    Objects with free keys (`dict[str, int]`) have no strict form and stay as they are: the server refuses them or not.

    Args:
        schema: A JSON Schema of an object; it is not changed.
        nullable: Whether a field that could be left out, without a default, may be `null` instead. Not for schemas of
            Pydantic classes: these say themselves where `None` is allowed.

    Raises:
        InvalidRequest: The schema is no object.

    >>> strict_schema({"type": "object", "properties": {"city": {"type": "string"}}})
    {'type': 'object', 'properties': {'city': {'anyOf': [{'type': 'string'}, {'type': 'null'}]}}, \
'required': ['city'], 'additionalProperties': False}
    """
    if not isinstance(schema, Mapping | None):
        raise InvalidRequest(f"a schema must be an object, not a {type(schema).__name__}", code="MalformedSchema")
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
    """One schema on its way to its strict form."""

    def __init__(self, root: Json, nullable: bool) -> None:
        self._root = root
        self._nullable = nullable
        self._left = _MAX_OBJECTS

    def convert(self, node: Json, way: tuple[str, ...]) -> Json:
        """The strict form of a schema inside; `way` has the references that led to it."""
        node, way = self._without_siblings(node, way)
        if _is_closed(node):
            node = _require_all(node, nullable=self._nullable)
        kept = {name: value for name, value in node.items() if name not in _UNSUPPORTED_KEYWORDS}
        if "oneOf" in kept and "anyOf" not in kept:
            kept["anyOf"] = kept.pop("oneOf")
        return map_subschemas(kept, lambda inner: self.convert(inner, way) if isinstance(inner, dict) else inner)

    def _without_siblings(self, node: Json, way: tuple[str, ...]) -> tuple[Json, tuple[str, ...]]:
        """What a reference with words beside it, or an `allOf` of one schema, stands for.

        A schema that refers to itself keeps the reference, which says more than the words beside it.
        """
        whole = node.get("allOf")
        if isinstance(whole, list) and len(whole) == 1 and isinstance(whole[0], dict):
            rest = {name: value for name, value in node.items() if name != "allOf"}
            return self._without_siblings({**whole[0], **rest}, way)
        rest = {name: value for name, value in node.items() if name not in _UNSUPPORTED_KEYWORDS | {"$ref"}}
        if not isinstance(reference := node.get("$ref"), str) or not rest:
            return node, way
        target = resolve_pointer(self._root, reference)
        if reference in way or not target or not self._left:
            return {"$ref": reference}, way
        self._left -= 1
        return self._without_siblings({**target, **rest}, (*way, reference))


def _is_closed(node: Json) -> bool:
    """Whether it is an object with named fields; `null` or another type may be allowed in its place."""
    kind = node.get("type", "object")
    return isinstance(node.get("properties"), dict) and (
        kind == "object" or (isinstance(kind, list) and "object" in kind)
    )


def _require_all(node: Json, *, nullable: bool) -> Json:
    given: Json = node["properties"]
    required = node.get("required")
    required = required if isinstance(required, list | tuple) else ()
    fields = {
        name: _make_nullable(field) if nullable and name not in required and _may_be_null(field) else field
        for name, field in given.items()
    }
    return {**node, "properties": fields, "required": list(fields), "additionalProperties": False}


def _may_be_null(field: Any) -> bool:
    """Whether `null` can stand for "left out": a value that is used then would be lost."""
    return isinstance(field, dict) and field.get("default") is None and not permits_null(field)


def _make_nullable(field: Json) -> Json:
    """A field's schema, or `null`; what describes it stays outside."""
    outside: Json = {name: field[name] for name in ("title", "description") if name in field}
    inside = {name: value for name, value in field.items() if name not in outside}
    return {**outside, "anyOf": [inside, {"type": "null"}]}
