"""JSON Schema, as far as the filler needs it: references, unions, required properties."""

from typing import Any

Json = dict[str, Any]

_MAX_MERGED = 200  # parts of `allOf` in one value; a security limit


def resolve_schema(schema: Any, root: Json, merged: list[Json] | None = None) -> Json:
    """Resolve a schema: follow references, merge `allOf`, take the first alternative of a union that is not null.

    `merged` counts the merged definitions. Raises `ValueError` for too many: definitions that refer to each other twice
    double the work with each level.
    """
    merged = [] if merged is None else merged
    for _ in range(16):  # a schema may refer to itself without end
        if not isinstance(schema, dict):
            break
        if "$ref" in schema:
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**_resolve_reference(root, schema["$ref"]), **rest}
        elif "allOf" in schema:
            schema = _merge_all_of(schema, root, merged)
        elif union := schema.get("anyOf") or schema.get("oneOf"):
            rest = {key: value for key, value in schema.items() if key not in {"anyOf", "oneOf", "default"}}
            schema = {**rest, **next((item for item in union if item.get("type") != "null"), {})}
        else:
            break
    return schema if isinstance(schema, dict) else {}


def _resolve_reference(root: Json, reference: str) -> Json:
    node: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        node = node.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(node, dict) else {}
    return node if isinstance(node, dict) else {}


def _merge_all_of(schema: Json, root: Json, merged: list[Json]) -> Json:
    merged.append(schema)
    if len(merged) > _MAX_MERGED:
        raise ValueError(f"the schema merges more than {_MAX_MERGED} definitions")
    rest = {key: value for key, value in schema.items() if key != "allOf"}
    total: Json = {}
    for item in [*schema["allOf"], rest]:
        item = resolve_schema(item, root, merged)
        properties = {**total.get("properties", {}), **item.get("properties", {})}
        required = [*total.get("required", []), *item.get("required", [])]
        total = {**total, **item} | ({"properties": properties} if properties else {})
        total |= {"required": required} if required else {}
    return total


def schema_type(schema: Json) -> str:
    """Return the type of a schema, inferred if it is not declared."""
    type_ = schema.get("type")
    if isinstance(type_, list):
        type_ = next((item for item in type_ if item != "null"), "null")
    if type_:
        return str(type_)
    if "enum" in schema or "const" in schema:
        return "enum"
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def is_nullable(schema: Json) -> bool:
    """Return whether `null` is allowed."""
    type_ = schema.get("type")
    if type_ == "null" or (isinstance(type_, list) and "null" in type_):
        return True
    return any(item.get("type") == "null" for item in schema.get("anyOf") or schema.get("oneOf") or ())
