"""JSON Schema, as far as filling one needs it: references, unions, what is required."""

from typing import Any

Json = dict[str, Any]

_MERGED = 200  # `allOf`s to one value; a security limit


def resolve(schema: Any, root: Json, merged: list[Json] | None = None) -> Json:
    """The schema itself: references followed, `allOf` merged, a union's first alternative that is not null.

    Raises `ValueError` where too much would have to be merged: definitions that name each other twice double the work
    with each level. `merged` counts.
    """
    merged = [] if merged is None else merged
    for _ in range(16):  # a schema may refer to itself; filling one does not have to end with it
        if not isinstance(schema, dict):
            break
        if "$ref" in schema:
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**_at(root, schema["$ref"]), **rest}
        elif "allOf" in schema:
            schema = _merged(schema, root, merged)
        elif union := schema.get("anyOf") or schema.get("oneOf"):
            rest = {key: value for key, value in schema.items() if key not in {"anyOf", "oneOf", "default"}}
            schema = {**rest, **next((one for one in union if one.get("type") != "null"), {})}
        else:
            break
    return schema if isinstance(schema, dict) else {}


def _at(root: Json, reference: str) -> Json:
    node: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        node = node.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(node, dict) else {}
    return node if isinstance(node, dict) else {}


def _merged(schema: Json, root: Json, merged: list[Json]) -> Json:
    merged.append(schema)
    if len(merged) > _MERGED:
        raise ValueError(f"the schema merges more than {_MERGED} definitions")
    rest = {key: value for key, value in schema.items() if key != "allOf"}
    total: Json = {}
    for one in [*schema["allOf"], rest]:
        one = resolve(one, root, merged)
        properties = {**total.get("properties", {}), **one.get("properties", {})}
        required = [*total.get("required", []), *one.get("required", [])]
        total = {**total, **one} | ({"properties": properties} if properties else {})
        total |= {"required": required} if required else {}
    return total


def kind(schema: Json) -> str:
    """The type's name, guessed where it is not given."""
    given = schema.get("type")
    if isinstance(given, list):
        given = next((one for one in given if one != "null"), "null")
    if given:
        return str(given)
    if "enum" in schema or "const" in schema:
        return "enum"
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def nullable(schema: Json) -> bool:
    """Whether `null` is allowed."""
    given = schema.get("type")
    if given == "null" or (isinstance(given, list) and "null" in given):
        return True
    return any(one.get("type") == "null" for one in schema.get("anyOf") or schema.get("oneOf") or ())
