"""Tools as they come: built-in ones, functions in the shape of every API, and what fields add to their schemas."""

import asyncio
from typing import Annotated, Any

import pytest
from _langchain_platforms import chat_at
from _platforms import PLATFORM_CASES, emulator, shared_emulator
from _tool_models import USER, deployment, llama
from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool, InjectedToolArg, StructuredTool, tool
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel, ConfigDict, Field

from mdstream_core import MDStreamError
from mdstream_core.dialects import dialect
from mdstream_core.emulator import Emulator
from mdstream_core.errors import InvalidRequest

__all__ = ["emulator", "shared_emulator"]  # fixtures

Json = dict[str, Any]


def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"It is sunny in {city}."


#: A tool that a provider runs itself, and what an error must name.
BUILT_IN: dict[str, tuple[Json, str]] = {
    "OpenAI's search": ({"type": "web_search"}, "web_search"),
    "OpenAI's older search": ({"type": "web_search_preview_2025_03_11"}, "web_search_preview_2025_03_11"),
    "OpenAI's interpreter": ({"type": "code_interpreter", "container": {"type": "auto"}}, "code_interpreter"),
    "OpenAI's MCP": ({"type": "mcp", "server_label": "x", "server_url": "https://x"}, "mcp"),
    "OpenAI's custom tool": ({"type": "custom", "name": "sql", "format": {"type": "text"}}, "custom"),
    "Anthropic's search": ({"type": "web_search_20250305", "name": "web_search", "max_uses": 3}, "web_search_20250305"),
    "Anthropic's computer": ({"type": "computer_20250124", "name": "computer", "display_width_px": 9}, "computer_20250124"),
    "Google's search": ({"google_search": {}}, "google_search"),
    "Google's functions": ({"function_declarations": []}, "function_declarations"),
    "Bedrock's": ({"systemTool": {"name": "nova_grounding"}}, "systemTool"),
    "a function without a name": ({"type": "function", "function": {}}, "without a name"),
}  # fmt: skip

#: A function in the shape of somebody's API.
FUNCTIONS: dict[str, Json] = {
    "OpenAI's chat": {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}},
    "OpenAI's responses": {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}},
    "OCI's GENERIC": {
        "type": "FUNCTION",
        "name": "f",
        "description": "d",
        "parameters": {"type": "object", "properties": {"a": {"type": "string"}}},
    },
    "OpenAI's functions": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}},
    "Anthropic's": {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}},
    "Anthropic's with a type": {"type": "custom", "name": "f", "description": "d", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}},
    "MCP's": {"name": "f", "description": "d", "inputSchema": {"type": "object", "properties": {"a": {"type": "string"}}}},
    "Bedrock's": {"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": {"type": "object", "properties": {"a": {"type": "string"}}}}}},
    "a JSON Schema": {"title": "f", "description": "d", "type": "object", "properties": {"a": {"type": "string"}}},
}  # fmt: skip


@pytest.mark.parametrize(("builtin", "name"), BUILT_IN.values(), ids=BUILT_IN)
@pytest.mark.parametrize(
    "platform_case", ["OCI model deployment", "OCI GenAI GENERIC", "OCI GenAI COHERE", "OCI GenAI COHEREV2"]
)
def test_langchain_rejects_a_provider_tool_by_name(
    emulator: Emulator, platform_case: str, builtin: Json, name: str
) -> None:
    """No request is sent."""
    chat: BaseChatModel = chat_at(PLATFORM_CASES[platform_case], emulator)

    with pytest.raises(ValueError, match=name) as caught:
        chat.bind_tools([builtin, get_weather])
    assert isinstance(caught.value, InvalidRequest)
    assert not emulator.requests


@pytest.mark.parametrize(("builtin", "name"), BUILT_IN.values(), ids=BUILT_IN)
@pytest.mark.parametrize("call_method", ["chat", "achat", "chat_with_tools", "achat_with_tools"])
def test_llamaindex_rejects_a_provider_tool_by_name(
    emulator: Emulator, call_method: str, builtin: Json, name: str
) -> None:
    """
    With an error that its engines do not take for an empty response.
    """
    llm = llama(emulator)
    tools: list[Any] = [builtin, FunctionTool.from_defaults(get_weather)]

    def send_request() -> Any:
        match call_method:
            case "chat":
                return llm.chat([ChatMessage("Hi")], tools=tools)
            case "achat":
                return asyncio.run(llm.achat([ChatMessage("Hi")], tools=tools))
            case "chat_with_tools":
                return llm.chat_with_tools(tools, "Hi")
            case _:
                return asyncio.run(llm.achat_with_tools(tools, "Hi"))

    with pytest.raises(MDStreamError, match=name) as caught:
        send_request()
    assert not isinstance(caught.value, ValueError)
    assert not emulator.requests


@pytest.mark.parametrize(("builtin", "name"), BUILT_IN.values(), ids=BUILT_IN)
@pytest.mark.parametrize("dialect_name", ["oci-generic", "oci-cohere", "oci-cohere-v2"])
@pytest.mark.parametrize("choice", [None, "auto", {"type": "function", "function": {"name": "f"}}])
def test_oci_formats_reject_a_provider_tool_by_name(dialect_name: str, builtin: Json, name: str, choice: Any) -> None:
    """For callers of the core, and for `tools` that bypass the frameworks' methods."""
    params = {"messages": [USER], "tools": [FUNCTIONS["MCP's"], builtin], "tool_choice": choice}
    with pytest.raises(InvalidRequest, match=name):
        dialect(dialect_name).build_payload(params, stream=False)


@pytest.mark.parametrize("described", FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions_of_every_shape_are_converted(emulator: Emulator, described: Json) -> None:
    """
    Are the same function, for both frameworks and in OCI's format.
    """
    deployment(emulator).bind_tools([described]).invoke("Hi")
    of_langchain = emulator.last.json["tools"]
    llama(emulator).chat([ChatMessage("Hi")], tools=[described])
    of_llamaindex = emulator.last.json["tools"]
    (native,) = dialect("oci-generic").build_payload({"messages": [USER], "tools": [described]}, stream=False)["tools"]

    wanted = FUNCTIONS["OpenAI's chat"]
    assert [wanted] == of_langchain == of_llamaindex
    assert {"type": "FUNCTION", **wanted["function"]} == native


class Metric(BaseModel):
    """What fields add to their schemas."""

    model_config = ConfigDict(populate_by_name=True)

    metric: str = Field(description="m", json_schema_extra={"enum": ["cpu", "mem"]})
    day: str | None = Field(None, alias="dayOf", json_schema_extra={"format": "date"})
    host: str = Field("a", examples=["a", "b"], json_schema_extra=lambda schema: schema.update(pattern="^[a-z]$"))
    plain: int = Field(3, ge=1)


class Measure(BaseTool):
    """A tool as a class."""

    name: str = "measure"
    description: str = "Measure."
    args_schema: Any = Metric

    def _run(self, **_: Any) -> str:
        return ""


class Bare(BaseTool):
    """A tool as a class, its arguments in its method only."""

    name: str = "measure"
    description: str = "Measure."

    def _run(self, metric: Annotated[str, Field(json_schema_extra={"enum": ["cpu", "mem"]})]) -> str:
        return metric


@tool
def annotated(metric: Annotated[str, Field(json_schema_extra={"enum": ["cpu", "mem"]})]) -> str:
    """Measure."""
    return metric


@tool
def defaulted(metric: str = Field(json_schema_extra={"enum": ["cpu", "mem"]})) -> str:
    """Measure."""
    return metric


@tool
async def injected(
    metric: Annotated[str, Field(json_schema_extra={"enum": ["cpu", "mem"]})],
    secret: Annotated[object, InjectedToolArg()],
) -> str:
    """Measure."""
    return metric


EXTRA: dict[str, Any] = {
    "StructuredTool": StructuredTool.from_function(lambda **_: "", name="m", description="d", args_schema=Metric),
    "BaseTool": Measure(),
    "BaseTool without args_schema": Bare(),
    "a Pydantic class": Metric,
    "an annotated argument": annotated,
    "a default": defaulted,
    "an injected argument": injected,
    "a schema": StructuredTool(name="m", description="d", args_schema=Metric.model_json_schema(), func=lambda **_: ""),
}


@pytest.mark.parametrize("described", EXTRA.values(), ids=EXTRA)
def test_constraints_of_a_field_are_sent(emulator: Emulator, described: Any) -> None:
    """
    Core loses it. Injected arguments stay out. Twice is the same as once.
    """
    for _ in range(2):
        deployment(emulator).bind_tools([described]).invoke("Hi")
        properties = emulator.last.json["tools"][0]["function"]["parameters"]["properties"]

        assert ["cpu", "mem"] == properties["metric"]["enum"]
        assert "secret" not in properties


@pytest.mark.parametrize("name", ["StructuredTool", "BaseTool"])
def test_all_constraints_of_fields(emulator: Emulator, name: str) -> None:
    """
    Formats, examples, functions, and what was there before.
    """
    deployment(emulator).bind_tools([EXTRA[name]]).invoke("Hi")
    properties = emulator.last.json["tools"][0]["function"]["parameters"]["properties"]

    assert "date" == properties["day"]["format"]
    assert {"pattern": "^[a-z]$", "examples": ["a", "b"], "default": "a", "type": "string"} == properties["host"]
    assert {"default": 3, "minimum": 1, "type": "integer"} == properties["plain"]


def test_a_provider_tool_can_be_sent_in_extra_body(emulator: Emulator) -> None:
    """
    Past the check: the OpenAI dialects send what they are given.
    """
    builtin = {"type": "web_search"}
    deployment(emulator).bind(tools=[builtin]).invoke("Hi")
    of_langchain = emulator.last.json["tools"]
    llama(emulator).chat([ChatMessage("Hi")], extra_body={"tools": [builtin]})

    assert [builtin] == of_langchain == emulator.last.json["tools"]


#: Functions whose schema is none.
NO_SCHEMA: dict[str, dict[str, Any]] = {
    "Bedrock, a text": {"toolSpec": {"name": "add", "inputSchema": "{}"}},
    "Bedrock, a text inside": {"toolSpec": {"name": "add", "inputSchema": {"json": "{}"}}},
    "Bedrock, a list": {"toolSpec": {"name": "add", "inputSchema": []}},
    "MCP": {"name": "add", "inputSchema": "{}"},
    "Anthropic": {"name": "add", "type": "custom", "input_schema": ["a"]},
    "OpenAI": {"type": "function", "function": {"name": "add", "parameters": "{}"}},
    "OpenAI, true": {"type": "function", "name": "add", "parameters": True},
}


@pytest.mark.parametrize("strict", [None, True])
@pytest.mark.parametrize("given", NO_SCHEMA.values(), ids=NO_SCHEMA)
def test_a_schema_that_is_not_an_object_is_rejected(
    emulator: Emulator, given: dict[str, Any], strict: bool | None
) -> None:
    """
    With the tool's name, in both frameworks, before anything is sent.
    """
    with pytest.raises(InvalidRequest, match="the schema of the tool 'add' is a"):
        deployment(emulator).bind_tools([given], strict=strict)
    with pytest.raises(InvalidRequest, match="the schema of the tool 'add' is a"):
        llama(emulator, strict=bool(strict)).chat_with_tools([given], user_msg="Hi")
