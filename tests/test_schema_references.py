"""Schemas with many references, and with odd keywords: they stay small, and what is no schema is rejected."""

import json
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel, Field

from mdstream_core import strict_schema
from mdstream_core.dialects._oci_schema import tool_parameters
from mdstream_core.errors import InvalidRequest

Json = dict[str, Any]
STRING = {"type": "string"}


class Tree(BaseModel):
    """A tree, whose parts are described."""

    value: int
    left: "Tree" = Field(None, description="the left part")
    right: "Tree" = Field(None, description="the right part")
    others: list["Tree"] = Field(default_factory=list, description="more parts")


def mutual(count: int, **words: str) -> Json:
    """Types that all refer to each other."""
    parts = {f"p{n}": {"$ref": f"#/$defs/T{n}", **words} for n in range(count)}
    types = {f"T{n}": {"type": "object", "properties": parts} for n in range(count)}
    return {"type": "object", "properties": {"a": {"$ref": "#/$defs/T0", **words}}, "$defs": types}


#: Schemas that have a copy for each way through their references.
WIDE: dict[str, Json] = {
    "a tree": Tree.model_json_schema(),
    "nine types": mutual(9),
    "nine types with words": mutual(9, description="a part"),
    "twelve types with words": mutual(12, title="Part", description="a part"),
    "through allOf": {
        "type": "object",
        "properties": {name: {"allOf": [{"$ref": "#"}], "description": name} for name in "abcdef"},
    },
    "itself": {"type": "object", "properties": {name: {"$ref": "#", "description": name} for name in "abcdef"}},
    "doubled forty times": {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/D0", "description": "a"}},
        "$defs": {
            f"D{n}": {
                "type": "object",
                "properties": {name: {"$ref": f"#/$defs/D{n + 1}", "description": name} for name in "ab"},
            }
            for n in range(40)
        }
        | {"D40": STRING},
    },
}


@pytest.mark.parametrize("schema", WIDE.values(), ids=WIDE)
def test_references_do_not_multiply(schema: Json) -> None:
    """
    With and without references the schema stays small, still takes what it took, and is not changed.
    """
    before = json.dumps(schema)
    for made in (strict_schema(schema), strict_schema(schema, nullable=False), tool_parameters(schema)):
        assert len(json.dumps(made)) < 400_000
        jsonschema.Draft202012Validator.check_schema(made)
    assert "$ref" not in json.dumps(tool_parameters(schema))
    assert before == json.dumps(schema)


def test_a_recursive_schema_is_enforced_on_every_level() -> None:
    """
    The parts of a tree are trees, on every level.
    """
    whole = {"value": 1, "left": None, "right": None, "others": []}
    for schema in (strict_schema(Tree.model_json_schema()), strict_schema(WIDE["itself"])):
        validator = jsonschema.Draft202012Validator(schema)
        assert not validator.is_valid({"value": 1})
        assert not validator.is_valid({**whole, "others": [{**whole, "others": [{"value": "x"}]}]})


def test_an_object_or_null_is_closed_in_any_order() -> None:
    """
    `type` may be a list.
    """
    for kinds in (["null", "object"], ["object", "null"], ["object"], ["string", "object", "null"]):
        inner = {"type": kinds, "properties": {"b": STRING}, "required": ["b"]}
        made = strict_schema({"type": "object", "properties": {"a": inner}, "required": ["a"]})
        assert {**inner, "additionalProperties": False} == made["properties"]["a"]


def test_no_alternatives_are_lost() -> None:
    """
    `oneOf` alone is `anyOf`; beside one, both stay, for the server to reject or not.
    """
    one, other = [STRING], [{"type": "integer"}]
    made = strict_schema(
        {
            "type": "object",
            "properties": {"a": {"oneOf": one, "anyOf": other}, "b": {"oneOf": one}},
            "required": ["a", "b"],
        }
    )

    assert {"a": {"oneOf": one, "anyOf": other}, "b": {"anyOf": one}} == made["properties"]


@pytest.mark.parametrize("schema", [True, "x", [STRING], 5])
def test_an_invalid_schema_is_rejected(schema: Any) -> None:
    """
    As a request that cannot be sent.
    """
    for make in (strict_schema, tool_parameters):
        with pytest.raises(InvalidRequest, match=f"a schema must be an object, not {type(schema).__name__}"):
            make(schema)


@pytest.mark.parametrize("required", [None, True, "a", 5])
def test_odd_keywords_do_not_matter(required: Any) -> None:
    """All fields are required, whatever the schema has."""
    made = strict_schema({"type": "object", "properties": {"a": {"type": "string", "anyOf": 5}}, "required": required})

    assert ["a"] == made["required"]


def test_unresolved_references_keep_their_type() -> None:
    """
    Where a schema has too many ways, what is behind the last reference is of the type that it was.
    """
    schema = mutual(12)
    for node in schema["$defs"].values():
        node["properties"] = {**node["properties"], "name": {"$ref": "#/$defs/Name"}}
    schema["$defs"]["Name"] = {"type": "string", "maxLength": 9}
    parameters = tool_parameters(schema)

    kinds = set()

    def walk(node: Json) -> None:
        for name, inner in node.get("properties", {}).items():
            kinds.add((name == "name", inner["type"]))
            walk(inner)

    walk(parameters)
    assert {(True, "string"), (False, "object")} == kinds
