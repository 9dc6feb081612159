"""Convert LlamaIndex tools to the OpenAI format, and the tool calls of a response to tool selections."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeGuard

import pydantic_core
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools.types import BaseTool

from llamaindex_mdstream._messages import read_tool_calls
from mdstream_core import ToolCall, errors, function_tool, with_strict

#: Values of `tool_choice` other than the name of a tool.
_CHOICES = frozenset({"auto", "none", "required"})


#: Types of tools that are functions, in whatever format.
_FUNCTION_TYPES = (None, "function", "object")

#: Fields of a function's schema, by which a tool of another type is one.
_SCHEMA_FIELDS = frozenset({"function", "input_schema", "parameters"})


def wire_tools(
    tools: Sequence[BaseTool | dict[str, Any]], *, strict: bool = False, allows_any: bool = False
) -> list[dict[str, Any]]:
    """Convert tools to the OpenAI format. Tools in that format are kept.

    Args:
        tools: Tools of LlamaIndex, or dictionaries in the format of any provider.
        strict: Whether the server must follow the schema exactly; that closes all its objects.
        allows_any: Whether the service runs tools itself, which are kept as they are.

    Raises:
        InvalidRequest: A tool that a provider runs itself, such as `{"type": "web_search"}`. The error names it.
    """
    return [
        tool
        if allows_any and _is_built_in(tool)
        else (_wire_dict(tool, strict) if isinstance(tool, dict) else _wire_tool(tool, strict))
        for tool in tools
    ]


def _is_built_in(tool: Any) -> TypeGuard[dict[str, Any]]:
    """Return whether a tool is one that the service runs itself, or has free text instead of a schema."""
    return isinstance(tool, dict) and tool.get("type") not in _FUNCTION_TYPES and not tool.keys() & _SCHEMA_FIELDS


def tool_choice(choice: str | dict[str, Any] | None, *, required: bool) -> str | dict[str, Any]:
    """Return `tool_choice` in the OpenAI format.

    >>> tool_choice(None, required=True), tool_choice("none", required=True)
    ('required', 'none')
    >>> tool_choice("add", required=False)
    {'type': 'function', 'function': {'name': 'add'}}
    """
    if choice is None:
        return "required" if required else "auto"
    if isinstance(choice, dict) or choice in _CHOICES:
        return choice
    return "required" if choice == "any" else {"type": "function", "function": {"name": choice}}


def append_message(chat_history: Sequence[ChatMessage] | None, user_msg: str | ChatMessage | None) -> list[ChatMessage]:
    """Return a new list of the conversation and the next message."""
    if isinstance(user_msg, str):
        user_msg = ChatMessage(role=MessageRole.USER, content=user_msg)
    return [*(chat_history or ()), *((user_msg,) if user_msg is not None else ())]


def read_tool_selections(response: ChatResponse) -> list[ToolSelection]:
    """Return the tool calls of a response.

    Chunks of a stream return calls with the arguments received so far, complete responses only complete calls.

    Raises:
        StreamInterrupted: The response is the partial response of a failed stream.
        IncompleteToolCall: The arguments of a call are truncated.
        MalformedStream: The arguments of a call are not a JSON object.
    """
    calls = read_tool_calls(response.message)
    if not calls:
        return []
    finish = response.additional_kwargs.get("finish_reason")
    if finish == "error":
        raise errors.StreamInterrupted(
            "the response is incomplete because of an error: its tool calls must not be executed"
        )
    if finish is None and is_partial(response.raw):
        return [_build_selection(id, name, _parse_partial(arguments)) for id, name, arguments in calls]
    return [_build_selection(id, name, _complete_selection(id, name, arguments)) for id, name, arguments in calls]


def _wire_tool(tool: BaseTool, strict: bool) -> dict[str, Any]:
    wire = tool.metadata.to_openai_tool(skip_length_check=True)
    wire["function"]["parameters"]["additionalProperties"] = False
    return with_strict(wire, nullable=False) if strict else wire


def _wire_dict(tool: dict[str, Any], strict: bool) -> dict[str, Any]:
    wire = function_tool(tool)
    return with_strict(wire) if strict and wire["function"].get("strict") is None else wire


def is_partial(raw: Any) -> bool:
    """Return whether `raw` is that of a chunk of an unfinished stream."""
    if not isinstance(raw, dict) or raw.get("object") != "chat.completion.chunk":
        return False
    return all(choice.get("finish_reason") is None for choice in raw["choices"])


def _parse_partial(arguments: dict[str, Any] | str) -> dict[str, Any]:
    if isinstance(arguments, dict):
        return arguments
    flat = _parse_flat(arguments)
    return _parse_prefix(arguments) if flat is None else dict(flat)


@lru_cache(maxsize=16)
def _parse_flat(arguments: str) -> dict[str, Any] | None:
    """Parse partial arguments, cached because agents do so for each chunk; `None` if there are mutable values."""
    value = _parse_prefix(arguments)
    return None if any(isinstance(inner, dict | list) for inner in value.values()) else value


def _parse_prefix(arguments: str) -> dict[str, Any]:
    """Parse the beginning of a JSON object as far as possible."""
    try:
        value = pydantic_core.from_json(arguments, allow_partial="trailing-strings")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _complete_selection(id: str, name: str, arguments: dict[str, Any] | str) -> dict[str, Any]:
    if isinstance(arguments, dict):
        return arguments
    call = ToolCall(id, name, arguments)
    if call.is_truncated:
        raise errors.IncompleteToolCall(
            f"the arguments of the tool call {name!r} are truncated: it must not be executed",
            code="IncompleteToolCall",
            raw=arguments,
        )
    try:
        return call.parse_arguments()
    except ValueError as error:
        raise errors.MalformedStream(
            f"the arguments of the tool call {name!r} are not a JSON object: it must not be executed: {error}",
            code="MalformedToolCall",
            raw=arguments,
        ) from error


def _build_selection(id: str, name: str, arguments: dict[str, Any]) -> ToolSelection:
    return ToolSelection(tool_id=id, tool_name=name, tool_kwargs=arguments)
