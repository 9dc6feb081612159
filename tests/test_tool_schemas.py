"""Schemas of tools on OCI Generative AI: lists of types, exclusive bounds, and what MCP servers write."""

import json
from typing import Any

import pytest
from _langchain_platforms import chat_at
from _platforms import PLATFORM_CASES, emulator, shared_emulator
from _tool_models import USER, genai
from langchain_core.tools import StructuredTool
from llama_index.core.llms import ChatMessage

from mdstream_core.dialects import dialect
from mdstream_core.dialects._oci_schema import flatten_nullable, resolve_references
from mdstream_core.emulator import Emulator

__all__ = ["emulator", "shared_emulator"]  # fixtures

Json = dict[str, Any]


STRING, INTEGER, NULL = {"type": "string"}, {"type": "integer"}, {"type": "null"}

#: name: (a schema, as OCI's models take it, the same without null)
TYPES: dict[str, tuple[Json, Json, Json]] = {
    "X or null": ({"type": ["string", "null"], "minLength": 1}, {"anyOf": [{**STRING, "minLength": 1}, NULL]}, {**STRING, "minLength": 1}),
    "null or X": ({"type": ["null", "integer"], "default": None}, {"anyOf": [NULL, INTEGER], "default": None}, INTEGER),
    "one type": ({"type": ["string"]}, STRING, STRING),
    "several": ({"type": ["string", "integer"], "description": "d"}, {"anyOf": [STRING, INTEGER], "description": "d"}, {"anyOf": [STRING, INTEGER], "description": "d"}),
    "several and null": ({"type": ["string", "integer", "null"]}, {"anyOf": [STRING, INTEGER, NULL]}, {"anyOf": [STRING, INTEGER]}),
    "values": (
        {"type": ["string", "integer", "null"], "enum": ["a", 1, None]},
        {"anyOf": [{**STRING, "enum": ["a"]}, {**INTEGER, "enum": [1]}, NULL]},
        {"anyOf": [{**STRING, "enum": ["a"]}, {**INTEGER, "enum": [1]}]},
    ),
    "an object or null": (
        {"type": ["object", "null"], "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]},
        {"anyOf": [{"type": "object", "properties": {"a": {"anyOf": [STRING, NULL]}}, "required": ["a"]}, NULL]},
        {"type": "object", "properties": {"a": STRING}, "required": ["a"]},
    ),
    "an array or a word": (
        {"type": ["array", "string"], "items": {"type": ["integer", "null"]}, "maxLength": 3},
        {"anyOf": [{"type": "array", "items": {"anyOf": [INTEGER, NULL]}}, {**STRING, "maxLength": 3}]},
        {"anyOf": [{"type": "array", "items": INTEGER}, {**STRING, "maxLength": 3}]},
    ),
    "alternatives": ({"anyOf": [STRING, INTEGER, NULL]}, {"anyOf": [STRING, INTEGER, NULL]}, {"anyOf": [STRING, INTEGER]}),
    "a constant null": ({"oneOf": [STRING, {"const": None}]}, {"oneOf": [STRING, {"const": None}]}, STRING),
    "a value that is null": ({"enum": ["a", None]}, {"enum": ["a", None]}, {"enum": ["a"]}),
    "an array of anything": ({"type": "array"}, {"type": "array", "items": {}}, {"type": "array", "items": {}}),
    "no keywords": (
        {"properties": {"type": {"type": ["string", "null"]}, "$schema": STRING, "anyOf": STRING}, "default": {"type": ["string"]}},
        {"properties": {"type": {"anyOf": [STRING, NULL]}, "$schema": STRING, "anyOf": STRING}, "default": {"type": ["string"]}},
        {"properties": {"type": STRING, "$schema": STRING, "anyOf": STRING}, "default": {"type": ["string"]}},
    ),
    "about itself": ({**STRING, "$schema": "http://json-schema.org/draft-07/schema#", "$id": "x", "$comment": "c"}, STRING, STRING),
}  # fmt: skip


@pytest.mark.parametrize(("schema", "wanted", "without_null"), TYPES.values(), ids=TYPES)
def test_lists_of_types_are_replaced(schema: Json, wanted: Json, without_null: Json) -> None:
    """
    A list of types means the same as alternatives; the schema that was given is left alone.
    """
    before = json.dumps(schema)

    assert wanted == resolve_references(schema)
    assert without_null == flatten_nullable(resolve_references(schema))
    assert before == json.dumps(schema)


WHOLE, ANY = {"type": "integer"}, {"type": "number"}

#: name: (a schema, for Gemini, for others)
BOUNDS: dict[str, tuple[Json, Json, Json]] = {
    "whole, above": ({**WHOLE, "exclusiveMinimum": 0}, {**WHOLE, "minimum": 1}, {**WHOLE, "exclusiveMinimum": 0}),
    "whole, below": ({**WHOLE, "exclusiveMaximum": 10}, {**WHOLE, "maximum": 9}, {**WHOLE, "exclusiveMaximum": 10}),
    "whole, above a half": ({**WHOLE, "exclusiveMinimum": 0.5}, {**WHOLE, "minimum": 1}, {**WHOLE, "exclusiveMinimum": 0.5}),
    "whole, below a half": ({**WHOLE, "exclusiveMaximum": 9.5}, {**WHOLE, "maximum": 9}, {**WHOLE, "exclusiveMaximum": 9.5}),
    "any, both": (
        {**ANY, "exclusiveMinimum": 0, "exclusiveMaximum": 1.5},
        {**ANY, "minimum": 0, "maximum": 1.5},
        {**ANY, "exclusiveMinimum": 0, "exclusiveMaximum": 1.5},
    ),
    "the tighter one": (
        {**WHOLE, "minimum": 5, "exclusiveMinimum": 0, "maximum": 20, "exclusiveMaximum": 10},
        {**WHOLE, "minimum": 5, "maximum": 9},
        {**WHOLE, "minimum": 5, "exclusiveMinimum": 0, "maximum": 20, "exclusiveMaximum": 10},
    ),
    "draft 4, whole": ({**WHOLE, "minimum": 0, "exclusiveMinimum": True}, {**WHOLE, "minimum": 1}, {**WHOLE, "exclusiveMinimum": 0}),
    "draft 4, any": ({**ANY, "maximum": 1, "exclusiveMaximum": True}, {**ANY, "maximum": 1}, {**ANY, "exclusiveMaximum": 1}),
    "draft 4, not": ({**WHOLE, "minimum": 0, "exclusiveMinimum": False}, {**WHOLE, "minimum": 0}, {**WHOLE, "minimum": 0}),
    "draft 4, of nothing": ({**WHOLE, "exclusiveMinimum": True}, WHOLE, WHOLE),
    "of one alternative": (
        {"type": ["integer", "null"], "exclusiveMinimum": 0},
        {"anyOf": [{**WHOLE, "minimum": 1}, NULL]},
        {"anyOf": [{**WHOLE, "exclusiveMinimum": 0}, NULL]},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("schema", "gemini", "others"), BOUNDS.values(), ids=BOUNDS)
def test_exclusive_bounds(schema: Json, gemini: Json, others: Json) -> None:
    """
    Gemini gets the inclusive ones that are nearest; in the schema of a response, too.
    """
    inside = {"type": "object", "properties": {"n": schema}}
    wanted = {"google.gemini-2.5-pro": gemini, "openai.gpt-5": others, "xai.grok-4": others}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": inside}}
    for model, properties in wanted.items():
        requested = {
            "messages": [USER],
            "model": model,
            "tools": [{"name": "f", "parameters": inside}],
            "response_format": form,
        }
        name = "oci-generic-google" if model.startswith("google") else "oci-generic"
        body = dialect(name).build_payload(requested, stream=False)

        assert {"n": properties} == body["responseFormat"]["jsonSchema"]["schema"]["properties"]
        assert {"n": flatten_nullable(properties)} == body["tools"][0]["parameters"]["properties"]


MCP: dict[str, Json] = {
    "bare": {"type": "object"},
    "nothing": {},
    "empty": {"type": "object", "properties": {}, "additionalProperties": False, "$schema": "http://json-schema.org/draft-07/schema#"},
    "rows": {
        "type": "object",
        "properties": {"rows": {"type": "array", "items": {"type": ["object", "null"], "properties": {"a": {"type": ["string", "null"]}}}}},
    },
}  # fmt: skip


def lists_of_types(node: Any) -> int:
    inside = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return (isinstance(node, dict) and isinstance(node.get("type"), list)) + sum(map(lists_of_types, inside))


@pytest.mark.parametrize(
    "model", ["google.gemini-2.5-pro", "openai.gpt-5", "meta.llama-4", "cohere.command-a-reasoning"]
)
@pytest.mark.parametrize("schema", MCP.values(), ids=MCP)
def test_tools_of_mcp_servers(emulator: Emulator, model: str, schema: Json) -> None:
    """
    As tools of LangChain and as dictionaries of LlamaIndex: an object has `properties`, and no list of types.
    """
    described = StructuredTool(name="f", description="d", args_schema=schema, func=lambda **_: "")
    if schema:
        chat_at(PLATFORM_CASES["OCI GenAI GENERIC"], emulator, model=model).bind_tools([described]).invoke("Hi")
    else:
        genai(emulator, model).chat(
            [ChatMessage("Hi")], tools=[{"name": "f", "description": "d", "inputSchema": schema}]
        )
    of_langchain = emulator.last.json["chatRequest"]["tools"][0]
    genai(emulator, model).chat([ChatMessage("Hi")], tools=[{"name": "f", "description": "d", "inputSchema": schema}])
    of_llamaindex = emulator.last.json["chatRequest"]["tools"][0]
    parameters = (of_llamaindex.get("function") or of_llamaindex)["parameters"]

    assert of_langchain == of_llamaindex
    assert "object" == parameters["type"]
    assert schema.get("properties", {}).keys() == parameters["properties"].keys()
    assert not lists_of_types(parameters)
    assert "$schema" not in parameters
