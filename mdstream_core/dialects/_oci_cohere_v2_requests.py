"""A question in Cohere's second format: messages with typed parts, tools with ids."""

from collections.abc import Mapping
from typing import Any

from mdstream_core.dialects import _oci_requests as asking
from mdstream_core.dialects._assistant_content import filter_assistant_content
from mdstream_core.dialects._oci_requests import Json, Row
from mdstream_core.dialects._oci_schema import resolve_references, tool_parameters
from mdstream_core.dialects._tool_results import with_call_ids


def build_request(params: Mapping[str, Any]) -> Json:
    """The fields of the `chatRequest`."""
    choice, tools = asking.resolve_tool_choice(params)
    body = asking.translate_params(params, _ROWS)
    messages = with_call_ids(params.get("messages") or (), across_turns=True)
    body["messages"] = [_message(message) for message in messages]
    if tools:
        functions = [asking.tool_function(tool) for tool in tools]
        body["tools"] = [_tool(function) for function in functions]
        if any(function.get("strict") for function in functions):
            body["isStrictToolsEnabled"] = True
    if choice != "auto" and tools:
        body["toolsChoice"] = choice.upper()  # REQUIRED or NONE: the service spells the field with an s
    return body


#: The types of parts beside text.
_TAKES = ("image_url", "document", "thinking")

_ROLES = {"system": "SYSTEM", "developer": "SYSTEM", "user": "USER", "assistant": "ASSISTANT", "tool": "TOOL"}


def _message(message: Mapping[str, Any]) -> Json:
    role = asking.map_role(message, _ROLES)
    content = filter_assistant_content(message, _TAKES)
    given = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    said: Json = {"role": role, "content": [_part(part) for part in given]}
    if role == "ASSISTANT" and (reasoning := message.get("reasoning_content")):
        said["content"].insert(0, {"type": "THINKING", "thinking": reasoning})
    if calls := message.get("tool_calls"):
        said["toolCalls"] = [_call(call) for call in calls]
    if not said["content"]:
        said["content"] = [{"type": "TEXT", "text": asking.PLACEHOLDER_TEXT if calls else ""}]
    if role == "TOOL":
        said["toolCallId"] = message.get("tool_call_id")
    return said


def _call(call: Mapping[str, Any]) -> Json:
    function = {"name": call["function"]["name"], "arguments": asking.serialize_arguments(call)}
    return {"id": call.get("id"), "type": "FUNCTION", "function": function}


def _part(part: Any) -> Json:
    part = {"type": "text", "text": part} if isinstance(part, str) else part
    match part.get("type"):
        case "text":
            return {"type": "TEXT", "text": part["text"]}
        case "image_url":
            image = part["image_url"] if isinstance(part["image_url"], dict) else {"url": part["image_url"]}
            detail = {"detail": str(image["detail"]).upper()} if image.get("detail") else {}
            return {"type": "IMAGE_URL", "imageUrl": {"url": image["url"], **detail}}
        case "document":
            return {"type": "DOCUMENT", "document": part["document"]}
        case "thinking":
            return {"type": "THINKING", "thinking": part["thinking"]}
        case _:
            raise asking.unsupported_part(part, "text, image_url, document, thinking")


def _tool(function: Mapping[str, Any]) -> Json:
    schema = tool_parameters(function.get("parameters"), strict=bool(function.get("strict")))
    description = function.get("description") or function["name"]
    return {
        "type": "FUNCTION",
        "function": {"name": function["name"], "description": description, "parameters": schema},
    }


def _format(wanted: Mapping[str, Any]) -> Json:
    if wanted.get("type", "text") == "text":
        return {"responseFormat": {"type": "TEXT"}}
    schema = asking.response_schema(wanted)
    return {"responseFormat": {"type": "JSON_OBJECT", **({"schema": resolve_references(schema)} if schema else {})}}


def _thinking(effort: Any) -> Json:
    """The format knows on and off only."""
    return {"thinking": {"type": "DISABLED" if str(effort).lower() == "none" else "ENABLED"}}


_ROWS: dict[str, Row] = {
    **asking.NAMES,
    "max_tokens": asking.rename_to("maxTokens"),
    "max_completion_tokens": asking.rename_to("maxTokens"),
    "seed": asking.rename_to("seed"),
    "stop": asking.list_as("stopSequences"),
    "response_format": _format,
    "reasoning_effort": _thinking,
    "parallel_tool_calls": asking.drop_with_warning("parallel_tool_calls", bool, asking.PARALLEL_CALLS_UNSUPPORTED),
    "logprobs": lambda wanted: {"isLogProbsEnabled": True} if wanted else {},
    "messages": asking.drop,
    "tools": asking.drop,
    "tool_choice": asking.drop,
    "top_logprobs": asking.reject("top_logprobs", lambda most: not most, "this format reports the chosen tokens only"),
    "n": asking.reject("n", lambda n: n == 1, "this format gives one answer"),
    "logit_bias": asking.reject("logit_bias", lambda bias: not bias, "this format has no logit_bias"),
}
