"""Conversion of a request to `/v1/responses` into the OpenAI-shaped chat request that a model function gets."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mdstream_core.emulator.model_server.responses._items import item_type

Json = dict[str, Any]

_SAME = ("model", "temperature", "top_p", "parallel_tool_calls", "top_logprobs", "seed", "stop", "chat_template_kwargs")
_SEARCHES = {"web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_call",
             "mcp_approval_response", "computer_call_output", "local_shell_call_output"}  # fmt: skip


def to_chat_request(request: Json, items: Sequence[Json]) -> Json:
    """Build the chat request; built-in tools are in `hosted_tools`, their items since the last user message in
    `hosted_items`."""
    instructions = request.get("instructions")
    opening = [{"role": "system", "content": instructions}] if isinstance(instructions, str) else []
    chat: Json = {name: request[name] for name in _SAME if request.get(name) is not None}
    functions, hosted = _split_tools(request)
    reasoning = request.get("reasoning") or {}
    optional = {
        "tools": functions,
        "hosted_tools": hosted,
        "hosted_items": list(_hosted_items(items)),
        "tool_choice": _tool_choice(request.get("tool_choice")),
        "max_tokens": request.get("max_output_tokens"),
        "response_format": _response_format(request.get("text") or {}),
        "reasoning_effort": reasoning.get("effort") or ("medium" if reasoning else None),
    }
    chat |= {name: value for name, value in optional.items() if value}
    return {**chat, "messages": [*opening, *_messages(items)]}


def custom_tool_names(request: Json) -> set[str]:
    """Return the names of the custom tools, whose input is free text."""
    return {str(tool.get("name")) for tool in request.get("tools") or () if tool.get("type") == "custom"}


def _split_tools(request: Json) -> tuple[list[Json], list[Json]]:
    """Return the functions in the format of chat completions, and the built-in tools."""
    tools, choice = request.get("tools") or [], request.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        allowed = [(entry.get("type"), entry.get("name")) for entry in choice.get("tools") or ()]
        tools = [tool for tool in tools if (tool.get("type"), tool.get("name")) in allowed]
    elif isinstance(choice, dict):
        tools = [
            tool
            for tool in tools
            if tool.get("type") == choice.get("type") and choice.get("name") in {None, tool.get("name")}
        ]
    functions = [_function(tool) for tool in tools if tool.get("type") in {"function", "custom"}]
    return functions, [tool for tool in tools if tool.get("type") not in {"function", "custom"}]


def _function(tool: Json) -> Json:
    schema = tool.get("parameters") or {}
    if tool["type"] == "custom":
        schema = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    function = {"name": tool["name"], "description": tool.get("description") or "", "parameters": schema}
    return {"type": "function", "function": function}


def _tool_choice(choice: Any) -> Any:
    if not isinstance(choice, dict):
        return choice
    if choice.get("type") == "allowed_tools":
        return choice.get("mode") or "auto"
    if choice.get("type") in {"function", "custom"}:
        return {"type": "function", "function": {"name": choice.get("name")}}
    return "auto"  # a built-in tool, which is the only one that is left


def _response_format(text: Json) -> Json | None:
    requested = text.get("format") or {}
    if requested.get("type") == "json_schema":
        names = ("name", "schema", "strict", "description")
        return {"type": "json_schema", "json_schema": {name: requested[name] for name in names if name in requested}}
    return {"type": "json_object"} if requested.get("type") == "json_object" else None


def _hosted_items(items: Sequence[Json]) -> Iterator[Json]:
    last = max((i for i, item in enumerate(items) if item.get("role") == "user"), default=-1)
    return (item for item in items[last + 1 :] if item_type(item) in _SEARCHES)


def _messages(items: Iterable[Json]) -> list[Json]:
    """Convert items to messages: calls join the assistant's message before them, reasoning the one after it."""
    messages: list[Json] = []
    reasoning = ""
    for item in items:
        kind = item_type(item)
        if kind == "reasoning":
            reasoning += _reasoning_text(item)
        elif kind in {"function_call", "custom_tool_call"}:
            reasoning = _append_call(messages, item, reasoning)
        elif kind in {"function_call_output", "custom_tool_call_output"}:
            output = item["output"]
            content = output if isinstance(output, str) else [_part(part) for part in output]
            messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": content})
        elif kind == "message":
            messages.append(_message(item, reasoning))
            reasoning = ""
    return messages


def _append_call(messages: list[Json], item: Json, reasoning: str) -> str:
    """Append a call to the last message, or to a new one with the reasoning; return the reasoning that is left."""
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None, **({"reasoning": reasoning} if reasoning else {})})
        reasoning = ""
    arguments = item["arguments"] if "arguments" in item else item["input"]
    function = {"name": item["name"], "arguments": arguments}
    messages[-1].setdefault("tool_calls", []).append({"id": item["call_id"], "type": "function", "function": function})
    return reasoning


def _message(item: Json, reasoning: str) -> Json:
    content = item["content"]
    if isinstance(content, list):
        content = [_part(part) for part in content]
    if isinstance(content, list) and item["role"] == "assistant":
        content = "".join(part.get("text") or "" for part in content)
    return {"role": item["role"], "content": content, **({"reasoning": reasoning} if reasoning else {})}


def _part(part: Json) -> Json:
    match part["type"]:
        case "input_image":
            return {"type": "image_url", "image_url": {"url": part.get("image_url") or part.get("file_id")}}
        case "input_file":
            names = ("file_data", "filename", "file_id", "file_url")
            return {"type": "file", "file": {name: part[name] for name in names if part.get(name)}}
        case "input_audio":
            return part
        case "refusal":
            return {"type": "text", "text": part["refusal"]}
    return {"type": "text", "text": part["text"]}


def _reasoning_text(item: Json) -> str:
    parts = item.get("content") or item.get("summary") or ()
    return "\n".join(str(part.get("text")) for part in parts if isinstance(part, dict))
