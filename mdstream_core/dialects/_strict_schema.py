"""JSON Schemas as OpenAI's strict mode takes them.

Each object names all its fields in `required` and forbids others (`additionalProperties: false`); a field that may be
left out is one that may be `null`. `default`, `oneOf` and a reference with words beside it are refused there.
Source: OpenAI's guide to structured outputs ("supported schemas").
"""

from collections.abc import Mapping
from typing import Any

from mdstream_core.dialects._oci_schema import each_schema, permits_null, referred_to

Json = dict[str, Any]

_DEEPEST = 32

#: Keywords that strict mode refuses; what they say is no rule for the answer.
_REFUSED = frozenset({"default", "discriminator", "$schema", "$id", "$comment"})


def strict_schema(schema: Mapping[str, Any] | None, *, nullable: bool = True) -> Json:
    """A schema of which every object, in `$defs` too, is closed and requires all its fields.

    Objects with free keys (`dict[str, int]`) have no strict form and stay as they are: the server refuses them or not.

    Args:
        schema: A JSON Schema of an object; it is not changed.
        nullable: Whether a field that could be left out, without a default, may be `null` instead. Not for schemas of
            Pydantic classes: these say themselves where `None` is allowed.

    >>> strict_schema({"type": "object", "properties": {"city": {"type": "string"}}})
    {'type': 'object', 'properties': {'city': {'anyOf': [{'type': 'string'}, {'type': 'null'}]}}, \
'required': ['city'], 'additionalProperties': False}
    """
    root = dict(schema or {})
    if not root.keys() & {"properties", "additionalProperties", "$ref", "allOf", "anyOf", "oneOf"}:
        root = {"type": "object", "properties": {}, **root}
    strict: Json = _strict(root, root, nullable, 0)
    return strict


def _strict(node: Any, root: Json, nullable: bool, depth: int) -> Any:
    if not isinstance(node, dict):
        return node
    node = _without_siblings(node, root, depth)
    if _is_closed(node):
        node = _all_required(node, nullable=nullable)
    kept = {"anyOf" if name == "oneOf" else name: value for name, value in node.items() if name not in _REFUSED}
    return each_schema(kept, lambda inner: _strict(inner, root, nullable, depth + 1))


def _without_siblings(node: Json, root: Json, depth: int) -> Json:
    """What a reference with words beside it, or an `allOf` of one schema, stands for."""
    whole = node.get("allOf")
    if isinstance(whole, list) and len(whole) == 1 and isinstance(whole[0], dict):
        rest = {name: value for name, value in node.items() if name != "allOf"}
        return _without_siblings({**whole[0], **rest}, root, depth)
    rest = {name: value for name, value in node.items() if name not in _REFUSED | {"$ref"}}
    if not isinstance(reference := node.get("$ref"), str) or not rest:
        return node
    if depth > _DEEPEST:  # it refers to itself: the reference says more than the words beside it
        return {"$ref": reference}
    return _without_siblings({**referred_to(root, reference), **rest}, root, depth + 1)


def _is_closed(node: Json) -> bool:
    """Whether it is an object with named fields."""
    return isinstance(node.get("properties"), dict) and node.get("type", "object") in ("object", ["object", "null"])


def _all_required(node: Json, *, nullable: bool) -> Json:
    given: Json = node["properties"]
    required = set(node.get("required") or ())
    fields = {
        name: _or_null(field) if nullable and name not in required and _may_be_null(field) else field
        for name, field in given.items()
    }
    return {**node, "properties": fields, "required": list(fields), "additionalProperties": False}


def _may_be_null(field: Any) -> bool:
    """Whether `null` can stand for "left out": a value that is used then would be lost."""
    return isinstance(field, dict) and field.get("default") is None and not permits_null(field)


def _or_null(field: Json) -> Json:
    """A field's schema, or `null`; what describes it stays outside."""
    outside: Json = {name: field[name] for name in ("title", "description") if name in field}
    inside = {name: value for name, value in field.items() if name not in outside}
    return {**outside, "anyOf": [inside, {"type": "null"}]}
