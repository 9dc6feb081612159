"""JSON Schemas as OCI's models take them: without references, without alternatives that are only `null`."""

from collections.abc import Mapping
from typing import Any

_DEFINITIONS = {"$defs", "definitions"}

#: How deep a schema may refer to others.
_DEEPEST = 32


def resolved(schema: Any, refused: frozenset[str] = frozenset()) -> Any:
    """The schema with its references followed, and without the words in `refused`.

    >>> resolved({"$ref": "#/$defs/City", "$defs": {"City": {"type": "string"}}})
    {'type': 'string'}
    """
    return _copied(schema, schema, refused, ()) if isinstance(schema, dict) else schema


def flat(schema: Any) -> Any:
    """The schema with each `X | null` written as `X`: what is not required may be left out anyway.

    >>> flat({"anyOf": [{"type": "string"}, {"type": "null"}], "default": None})
    {'type': 'string'}
    """
    if isinstance(schema, list):
        return [flat(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    for union in ("anyOf", "oneOf"):
        real = [one for one in schema.get(union) or () if one != {"type": "null"}]
        if len(real) == 1 and isinstance(real[0], dict):
            rest = {
                name: value for name, value in schema.items() if name != union and (name, value) != ("default", None)
            }
            return flat({**real[0], **rest})
    return {name: flat(value) for name, value in schema.items()}


def _copied(node: Any, root: Mapping[str, Any], refused: frozenset[str], way: tuple[str, ...]) -> Any:
    if isinstance(node, list):
        return [_copied(one, root, refused, way) for one in node]
    if not isinstance(node, dict):
        return node
    if isinstance(reference := node.get("$ref"), str):
        if reference in way or len(way) > _DEEPEST:
            return {"type": "object"}  # it refers to itself: from here on anything goes
        rest = {name: value for name, value in node.items() if name != "$ref"}
        return _copied({**_at(root, reference), **rest}, root, refused, (*way, reference))
    # A property may be called `$defs` or `exclusiveMinimum`: only a schema's own words are left out.
    return {
        name: {key: _copied(one, root, refused, way) for key, one in value.items()}
        if name == "properties" and isinstance(value, dict)
        else _copied(value, root, refused, way)
        for name, value in node.items()
        if name not in refused and name not in _DEFINITIONS
    }


def _at(root: Mapping[str, Any], reference: str) -> dict[str, Any]:
    node: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        node = node.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(node, dict) else {}
    return node if isinstance(node, dict) else {}


#: How Cohere's first format calls JSON's types: "a valid Python type".
_PYTHON = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "array": "list", "object": "dict"}


def python_type(schema: Mapping[str, Any]) -> str:
    """The Python name of a parameter's type.

    >>> python_type({"type": "integer"}), python_type({"enum": ["a"]})
    ('int', 'str')
    """
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "string")
    guess = "object" if "properties" in schema else "array" if "items" in schema else "string"
    return _PYTHON.get(str(kind or guess), "str")
