"""Convert JSON Schemas for OCI's models: no references, no lists of types, no alternatives that are only `null`.

Tools may have schemas of any draft (MCP servers use draft 4 to 2020-12, OpenAPI converters something between).
OpenAI's models reject an object without `properties` and an array without `items`; Gemini rejects lists of types and
exclusive bounds.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from mdstream_core.errors import InvalidRequest

Json = dict[str, Any]

_DEFINITIONS = frozenset({"$defs", "definitions"})

#: Keywords about the schema itself; models do not need them, and some services reject them.
_META_KEYWORDS = frozenset({"$schema", "$id", "$anchor", "$comment", "$vocabulary", "$dynamicAnchor"})

#: Keywords whose values map names to schemas; the names are not keywords.
_MAPS = frozenset({"properties", "patternProperties", "dependentSchemas"}) | _DEFINITIONS

#: Keywords whose values are data that may look like a schema.
_DATA = frozenset({"const", "default", "enum", "example", "examples", "required"})

#: How many nested references are resolved: the first depth whose result is small enough. Types that refer to each other
#: are copied once for each path through them.
_DEPTHS = (32, 8, 6, 4, 3, 2, 1)
_MAX_NODES = 1000


def tool_parameters(schema: Any, unsupported: frozenset[str] = frozenset(), *, strict: bool = False) -> Json:
    """Convert the parameters of a tool to an object schema with `properties`, without references and `null` types.

    Args:
        schema: A JSON Schema; empty or `None` if the tool has no parameters.
        unsupported: Keywords that the model rejects.
        strict: Whether a field that permits `null` is optional, as in OpenAI's strict schemas.

    Raises:
        InvalidRequest: The schema is not an object, or too large without references.

    >>> tool_parameters({"type": "object", "$schema": "http://json-schema.org/draft-07/schema#"})
    {'type': 'object', 'properties': {}}
    """
    if not isinstance(schema := schema or {}, Mapping):
        raise InvalidRequest(f"a schema must be an object, not {type(schema).__name__}", code="MalformedSchema")
    parameters = resolve_references(dict(schema), unsupported)
    parameters = flatten_nullable(_with_optional_fields(parameters) if strict else parameters)
    return {"type": "object", "properties": {}, **parameters}


def resolve_references(schema: Any, unsupported: frozenset[str] = frozenset()) -> Any:
    """Resolve the references of a schema, replace lists of types, and remove the keywords in `unsupported`.

    Exclusive bounds become inclusive ones if they are unsupported; boolean bounds of draft 4 become numbers.

    >>> resolve_references({"$ref": "#/$defs/City", "$defs": {"City": {"type": "string"}}})
    {'type': 'string'}
    >>> resolve_references({"type": "integer", "exclusiveMinimum": 0}, frozenset({"exclusiveMinimum"}))
    {'type': 'integer', 'minimum': 1}
    """
    if not isinstance(schema, dict):
        return schema
    for depth in _DEPTHS:
        copier = _SchemaCopier(schema, unsupported, depth)
        copy = copier.copy(schema, ())
        if copier.remaining:
            return copy
    raise InvalidRequest(
        f"a schema has more than {_MAX_NODES} references, too many to resolve (hint: use a smaller schema)",
        code="LargeSchema",
    )


def flatten_nullable(schema: Any) -> Any:
    """Replace each `X | null` in a schema by `X`: a field that is not required can be omitted anyway.

    >>> flatten_nullable({"anyOf": [{"type": "string"}, {"type": "null"}], "default": None})
    {'type': 'string'}
    """
    if not isinstance(schema, dict):
        return schema
    if isinstance(values := schema.get("enum"), list) and any(item is not None for item in values):
        schema = {**schema, "enum": [item for item in values if item is not None]}
    for union in ("anyOf", "oneOf"):
        branches = schema.get(union)
        real = [item for item in branches if not _is_null(item)] if isinstance(branches, list) else []
        if not real or len(real) == len(branches):
            continue
        rest = {name: value for name, value in schema.items() if name != union and (name, value) != ("default", None)}
        return flatten_nullable(
            {**real[0], **rest} if len(real) == 1 and isinstance(real[0], dict) else {union: real, **rest}
        )
    return map_subschemas(schema, flatten_nullable)


def map_subschemas(schema: Mapping[str, Any], change: Callable[[Any], Any]) -> Json:
    """Copy a schema and apply `change` to the schemas directly inside it.

    >>> map_subschemas({"properties": {"enum": {"type": "string"}}, "enum": [{}]}, lambda inner: "changed")
    {'properties': {'enum': 'changed'}, 'enum': [{}]}
    """
    return {name: _map_inside(name, value, change) for name, value in schema.items()}


def _map_inside(name: str, value: Any, change: Callable[[Any], Any]) -> Any:
    if name in _DATA:
        return value
    if name in _MAPS and isinstance(value, dict):
        return {key: change(subschema) for key, subschema in value.items()}
    if isinstance(value, list):
        return [change(item) if isinstance(item, dict) else item for item in value]
    return change(value) if isinstance(value, dict) else value


def permits_null(schema: Any) -> bool:
    """Return whether a schema permits `null`.

    >>> permits_null({"type": ["string", "null"]}), permits_null({"type": "string"})
    (True, False)
    """
    if not isinstance(schema, dict):
        return False
    kinds = schema.get("type")
    listed = isinstance(kinds, list) and "null" in kinds
    unions = [schema.get(union) for union in ("anyOf", "oneOf")]
    branches = [one for union in unions if isinstance(union, list) for one in union]
    return listed or _is_null(schema) or any(map(permits_null, branches))


def _is_null(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return False
    return schema.get("type") in ("null", ["null"]) or schema.get("enum") == [None] or schema.get("const", 0) is None


def _with_optional_fields(schema: Any) -> Any:
    """Make fields that permit `null` optional."""
    if not isinstance(schema, dict):
        return schema
    schema = map_subschemas(schema, _with_optional_fields)
    properties, required = schema.get("properties"), schema.get("required")
    if isinstance(properties, dict) and isinstance(required, list):
        schema["required"] = [name for name in required if not permits_null(properties.get(name))]
    return schema


class _SchemaCopier:
    """Copies a schema without its references. The copy is unusable if `remaining` is 0: it became too large."""

    def __init__(self, root: Mapping[str, Any], unsupported: frozenset[str], depth: int) -> None:
        self.remaining = _MAX_NODES
        self._root = root
        self._unsupported = unsupported
        self._depth = depth

    def copy(self, node: Any, references: tuple[str, ...]) -> Any:
        """Copy a subschema.

        Args:
            node: The subschema.
            references: The references that were followed to reach it.
        """
        if not isinstance(node, dict):
            return node
        if isinstance(reference := node.get("$ref"), str):
            return self._follow(reference, node, references)
        dropped = _DEFINITIONS | _META_KEYWORDS
        node = _single_type({name: value for name, value in node.items() if name not in dropped})
        node = _numeric_bounds(node, inclusive=bool(self._unsupported & {"exclusiveMinimum", "exclusiveMaximum"}))
        node = {name: value for name, value in node.items() if name not in self._unsupported}
        return map_subschemas(node, lambda inner: self.copy(inner, references))

    def _follow(self, reference: str, node: Json, references: tuple[str, ...]) -> Any:
        target = resolve_pointer(self._root, reference)
        if reference in references or len(references) >= self._depth or not self.remaining:
            kind = target.get("type")
            return {"type": kind if isinstance(kind, str) else "object"}  # a recursive schema ends here
        self.remaining -= 1
        rest = {name: value for name, value in node.items() if name != "$ref"}
        return self.copy({**target, **rest}, (*references, reference))


#: Keywords that apply to values of one type; other keywords apply to all values.
_KEYWORDS_BY_TYPE: dict[str, tuple[str, ...]] = {
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"),
    "object": (
        *("properties", "required", "additionalProperties", "patternProperties", "propertyNames"),
        *("minProperties", "maxProperties"),
    ),
    "string": ("minLength", "maxLength", "pattern", "format", "contentEncoding", "contentMediaType"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_KEYWORDS_BY_TYPE["integer"] = _KEYWORDS_BY_TYPE["number"]
_TYPED_KEYWORDS = frozenset(name for names in _KEYWORDS_BY_TYPE.values() for name in names) | {"type", "enum"}

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "null": (type(None),),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}


def _single_type(schema: Json) -> Json:
    """Replace a list of types by `anyOf`, each alternative with the keywords of its type; add missing `items`."""
    kinds = schema.get("type")
    if kinds == "array" and "items" not in schema and "prefixItems" not in schema:
        return {**schema, "items": {}}
    if not isinstance(kinds, list):
        return schema
    if len(kinds) == 1:
        return _single_type({**schema, "type": kinds[0]})
    if not kinds or "anyOf" in schema or "oneOf" in schema:
        return {name: value for name, value in schema.items() if name != "type"}
    rest = {name: value for name, value in schema.items() if name not in _TYPED_KEYWORDS}
    return {"anyOf": [_alternative(schema, str(kind)) for kind in kinds], **rest}


def _alternative(schema: Json, kind: str) -> Json:
    branch = {"type": kind, **{name: schema[name] for name in _KEYWORDS_BY_TYPE.get(kind, ()) if name in schema}}
    values = schema.get("enum")
    if kind == "null" or not isinstance(values, list):
        return branch
    fitting = [item for item in values if _has_type(item, kind)]
    return {**branch, "enum": fitting} if fitting else branch


def _has_type(value: Any, kind: str) -> bool:
    is_flag = isinstance(value, bool) and kind != "boolean"
    return isinstance(value, _PYTHON_TYPES.get(kind, ())) and not is_flag


#: The exclusive bound, the inclusive bound, the next integer inside the bound, and the stricter of two bounds.
_BOUNDS: tuple[tuple[str, str, Callable[[float], int], Callable[..., Any]], ...] = (
    ("exclusiveMinimum", "minimum", lambda bound: math.floor(bound) + 1, max),
    ("exclusiveMaximum", "maximum", lambda bound: math.ceil(bound) - 1, min),
)


def _numeric_bounds(schema: Json, *, inclusive: bool) -> Json:
    """Convert exclusive bounds to numbers, or to the nearest inclusive bounds."""
    for exclusive, inclusive_name, next_integer, stricter in _BOUNDS:
        if exclusive not in schema:
            continue
        schema = dict(schema)
        bound = schema.pop(exclusive)
        if isinstance(bound, bool):  # draft 4: whether the other bound is exclusive
            bound = schema.pop(inclusive_name, None) if bound else None
        if not isinstance(bound, int | float):
            continue
        if not inclusive:
            schema[exclusive] = bound
            continue
        value = next_integer(bound) if schema.get("type") == "integer" else bound
        schema[inclusive_name] = stricter(value, schema.get(inclusive_name, value))
    return schema


def resolve_pointer(root: Mapping[str, Any], reference: str) -> Json:
    """Return the schema at a JSON pointer; an empty one if there is none."""
    node: Any = root
    if reference in ("#", "#/"):
        return dict(root)
    for step in reference.removeprefix("#").strip("/").split("/"):
        node = node.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(node, dict) else {}
    return node if isinstance(node, dict) else {}


#: Cohere's first format requires "a valid Python type".
_PYTHON = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "array": "list", "object": "dict"}


def python_type(schema: Mapping[str, Any]) -> str:
    """Return the Python name of a parameter's type; of several types the first.

    >>> python_type({"type": "integer"}), python_type({"enum": ["a"]})
    ('int', 'str')
    """
    kind = schema.get("type")
    if kind is None and (branches := schema.get("anyOf") or schema.get("oneOf")) and isinstance(branches[0], dict):
        return python_type(branches[0])
    guess = "object" if "properties" in schema else "array" if "items" in schema else "string"
    return _PYTHON.get(str(kind or guess), "str")
