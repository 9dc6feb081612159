"""Strict schemas: closed in all their objects, for tools and answers of both frameworks."""

import asyncio
import json
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import jsonschema
import pytest
from _langchain_platforms import chat_at
from _platforms import PLATFORM_CASES, emulator, shared_emulator
from _tool_models import deployment, llama
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from llamaindex_mdstream import MDStreamLLM
from mdstream_core import strict_schema
from mdstream_core.dialects._oci_schema import tool_parameters
from mdstream_core.emulator import Emulator

__all__ = ["emulator", "shared_emulator"]  # fixtures

Json = dict[str, Any]
STRING = {"type": "string"}


class Kind(StrEnum):
    """An enumeration."""

    RIVER = "river"
    LAKE = "lake"


class PlatformCase(BaseModel):
    """A place."""

    name: str
    kind: Kind = Field(description="which")
    length: float | None = None
    tags: list[str] = Field(default_factory=list)
    depth: int = 3


class Trip(BaseModel):
    """A trip, whose parts may be trips."""

    title: str = Field(description="its title")
    stops: list[PlatformCase]
    best: PlatformCase = Field(description="the best one")
    next: "Trip | None" = None


class Leg(TypedDict):
    """A leg."""

    to: str
    by: Annotated[str, None, "how"]


class Route(TypedDict):
    """A route."""

    legs: list[Leg]
    note: Annotated[str, None, "a note"]


RAW = {
    "title": "Route",
    "description": "A route.",
    "type": "object",
    "properties": {
        "leg": {"$ref": "#/$defs/Leg", "description": "which"},
        "kind": {"oneOf": [{"type": "string", "default": "x"}, {"type": "integer"}], "discriminator": {"propertyName": "x"}},
        "note": {"type": ["string", "null"]},
        "n": {"type": "integer", "default": 3},
        "scores": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
    "required": ["leg"],
    "$defs": {"Leg": {"type": "object", "properties": {"to": {"type": "string"}, "by": {"type": "string", "enum": ["car"]}}}},
}  # fmt: skip


def check_strict(node: Any, root: Json | None = None) -> None:
    """What OpenAI's strict mode rejects, but for maps, which have no strict form."""
    root = node if root is None else root
    if isinstance(node, list):
        for one in node:
            check_strict(one, root)
    if not isinstance(node, dict):
        return
    if "properties" in node:
        assert node["additionalProperties"] is False
        assert sorted(node["properties"]) == sorted(node["required"])
    assert not {"default", "oneOf", "discriminator"} & node.keys()
    assert "$ref" not in node or ["$ref"] == list(node)
    for name, value in node.items():
        if name in {"properties", "$defs"}:
            for one in value.values():
                check_strict(one, root)
        elif name not in {"enum", "required"}:
            check_strict(value, root)


PARIS: Json = {"name": "Paris", "kind": "river", "length": None, "tags": [], "depth": 1}
TRIP: Json = {"title": "T", "stops": [PARIS], "best": PARIS, "next": None}
ROUTE: Json = {"leg": {"to": "x", "by": None}, "kind": 1, "note": None, "n": 1, "scores": {"a": 1}}


def test_a_strict_schema_is_closed_everywhere() -> None:
    """
    A field that could be left out may be null, unless it has a value for that; free keys have no strict form.
    """
    before = json.dumps(RAW)
    strict = strict_schema({name: value for name, value in RAW.items() if name not in {"title", "description"}})

    check_strict(strict)
    assert before == json.dumps(RAW)
    jsonschema.validate(ROUTE, strict)
    for wrong in ({"leg": {"to": "x"}}, {"n": None}, {"kind": 1.5}, {"scores": {"a": "x"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**ROUTE, **wrong}, strict)


def test_a_strict_schema_of_a_class_matches_the_class() -> None:
    """
    Null is allowed where the class allows `None`, and nowhere else.
    """
    strict = strict_schema(Trip.model_json_schema(), nullable=False)

    check_strict(strict)
    jsonschema.validate(TRIP, strict)
    assert Trip.model_validate(TRIP).best.name == "Paris"
    for name in ("tags", "depth"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**TRIP, "best": {**PARIS, name: None}}, strict)


def test_a_recursive_strict_schema_ends() -> None:
    """
    Also where there are words beside the reference.
    """
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node", "description": "the next"}}}
    check_strict(
        strict_schema({"type": "object", "properties": {"n": {"$ref": "#/$defs/Node"}}, "$defs": {"Node": node}})
    )


Sent = Callable[[Json], Json]


def of_tool(body: Json) -> Json:
    function: Json = body["tools"][0]["function"]
    assert function["strict"] is True
    return dict(function["parameters"])


def of_format(body: Json) -> Json:
    wanted: Json = body["response_format"]["json_schema"]
    assert wanted["strict"] is True
    return dict(wanted["schema"])


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("call_method", ["bind_tools", "json_schema", "function_calling"])
@pytest.mark.parametrize(("schema", "instance"), [(Trip, TRIP), (RAW, ROUTE), (Route, {"legs": [{"to": "x", "by": None}], "note": None})])  # fmt: skip
def test_strict_in_langchain(
    emulator: Emulator, schema: Any, instance: Json, call_method: Any, asynchronous: bool
) -> None:
    """
    In tools and in answers, nested objects included.
    """
    chat = deployment(emulator)
    if call_method == "bind_tools":
        bound: Any = chat.bind_tools([schema], strict=True)
    else:
        bound = chat.with_structured_output(schema, method=call_method, strict=True, include_raw=True)
    if asynchronous:
        asyncio.run(bound.ainvoke("Hi"))
    else:
        bound.invoke("Hi")
    sent = of_format(emulator.last.json) if call_method == "json_schema" else of_tool(emulator.last.json)

    check_strict(sent)
    jsonschema.validate(instance, sent)


def test_strict_of_a_tool_takes_precedence(emulator: Emulator) -> None:
    """LangChain rejects a contradiction; LlamaIndex keeps the tool's value."""
    open_one = {"type": "function", "function": {"name": "f", "strict": False, "parameters": {"type": "object", "properties": {"a": STRING}}}}  # fmt: skip
    with pytest.raises(ValueError, match="strict=False"):
        deployment(emulator).bind_tools([open_one], strict=True)
    deployment(emulator).bind_tools([{"name": "f", "parameters": {"type": "object"}}], strict=False).invoke("Hi")
    assert {"name": "f", "parameters": {"type": "object"}, "strict": False} == emulator.last.json["tools"][0][
        "function"
    ]
    llama(emulator, strict=True).chat([ChatMessage("Hi")], tools=[open_one])
    assert [open_one] == emulator.last.json["tools"]


def trip(title: str, stops: list[PlatformCase], best: PlatformCase, next: Trip | None = None) -> str:
    """Make a trip."""
    return title


PROMPT = PromptTemplate("Plan {x}.")


def request_llamaindex(llm: MDStreamLLM, call_method: str) -> None:
    made = FunctionTool.from_defaults(trip)
    match call_method:
        case "chat_with_tools":
            llm.chat_with_tools([made], "Hi")
        case "achat_with_tools":
            asyncio.run(llm.achat_with_tools([made], "Hi"))
        case "chat":
            llm.chat([ChatMessage("Hi")], tools=[made])
        case "a dictionary":
            llm.chat_with_tools([RAW], "Hi")  # type: ignore[list-item]
        case "response_format":
            llm.chat([ChatMessage("Hi")], response_format=Trip)


@pytest.mark.parametrize(
    "call_method",
    ["chat_with_tools", "achat_with_tools", "chat", "a dictionary", "response_format"],
)
def test_strict_in_llamaindex(emulator: Emulator, call_method: str) -> None:
    """
    In tools and in answers, nested objects included; without `strict` nothing changes.
    """
    request_llamaindex(llama(emulator, strict=True), call_method)
    sent = of_format(emulator.last.json) if call_method == "response_format" else of_tool(emulator.last.json)
    check_strict(sent)
    jsonschema.validate(ROUTE if call_method == "a dictionary" else TRIP, sent)

    request_llamaindex(llama(emulator), call_method)
    if call_method == "response_format":
        assert Trip.model_json_schema() == emulator.last.json["response_format"]["json_schema"]["schema"]
    else:
        assert "strict" not in emulator.last.json["tools"][0]["function"]


def test_strict_predictions_of_llamaindex(emulator: Emulator) -> None:
    """`should_use_structured_outputs` sends a schema, a program sends a tool."""
    for by_schema in (True, False):
        llm = llama(emulator, strict=True, should_use_structured_outputs=by_schema)
        llm.structured_predict(PlatformCase, PROMPT, x="a place")
        check_strict(of_format(emulator.last.json) if by_schema else of_tool(emulator.last.json))
        asyncio.run(llm.astructured_predict(PlatformCase, PROMPT, x="a place"))
        check_strict(of_format(emulator.last.json) if by_schema else of_tool(emulator.last.json))


@pytest.mark.parametrize("model", ["google.gemini-2.5-pro", "xai.grok-4", "cohere.command-a-reasoning"])
def test_strict_on_oci_makes_nullable_fields_optional(emulator: Emulator, model: str) -> None:
    """OCI's formats have no null for omitted fields: these are optional instead."""
    chat_at(PLATFORM_CASES["OCI GenAI GENERIC"], emulator, model=model).bind_tools([RAW], strict=True).invoke("Hi")
    tool = emulator.last.json["chatRequest"]["tools"][0]
    parameters = (tool.get("function") or tool)["parameters"]

    assert ["leg", "n"] == parameters["required"]
    assert ["to", "by"] == list(parameters["properties"]["leg"]["properties"])
    assert [] == parameters["properties"]["leg"]["required"]
    assert "null" not in json.dumps(parameters)


def test_a_tool_without_parameters() -> None:
    """
    Nothing is an object without fields.
    """
    assert {"type": "object", "properties": {}} == tool_parameters(None) == tool_parameters({})
    assert {"type": "object", "properties": {}, "required": [], "additionalProperties": False} == strict_schema(None)
