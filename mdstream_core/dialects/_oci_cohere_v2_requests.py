"""Requests in Cohere's second format: messages with typed content parts, tool calls with ids."""

from collections.abc import Mapping
from typing import Any

from mdstream_core.dialects import _oci_requests as oci
from mdstream_core.dialects._assistant_content import filter_assistant_content
from mdstream_core.dialects._oci_requests import Json, ParameterRule
from mdstream_core.dialects._oci_schema import resolve_references, tool_parameters
from mdstream_core.dialects._tool_media import move_tool_media
from mdstream_core.dialects._tool_results import with_call_ids


def build_request(params: Mapping[str, Any]) -> Json:
    """Build the fields of the `chatRequest`."""
    choice, tools = oci.resolve_tool_choice(params)
    payload = oci.translate_params(params, _PARAMETER_RULES)
    messages = move_tool_media(with_call_ids(params.get("messages") or (), across_turns=True))
    payload["messages"] = [_message(message) for message in messages]
    if tools:
        functions = [oci.tool_function(tool) for tool in tools]
        payload["tools"] = [_tool(function) for function in functions]
        if any(function.get("strict") for function in functions):
            payload["isStrictToolsEnabled"] = True
    if choice != "auto" and tools:
        payload["toolsChoice"] = choice.upper()  # REQUIRED or NONE: the service spells the field with an s
    return payload


#: The types of content parts that the format supports beside text.
_SUPPORTED_PARTS = ("image_url", "document", "thinking")

_ROLES = {"system": "SYSTEM", "developer": "SYSTEM", "user": "USER", "assistant": "ASSISTANT", "tool": "TOOL"}


def _message(message: Mapping[str, Any]) -> Json:
    role = oci.map_role(message, _ROLES)
    content = filter_assistant_content(message, _SUPPORTED_PARTS)
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    converted: Json = {"role": role, "content": [_part(part) for part in parts]}
    if role == "ASSISTANT" and (reasoning := message.get("reasoning_content")):
        converted["content"].insert(0, {"type": "THINKING", "thinking": reasoning})
    if calls := message.get("tool_calls"):
        converted["toolCalls"] = [_call(call) for call in calls]
    if not converted["content"]:
        converted["content"] = [{"type": "TEXT", "text": oci.PLACEHOLDER_TEXT if calls else ""}]
    if role == "TOOL":
        converted["toolCallId"] = message.get("tool_call_id")
    return converted


def _call(call: Mapping[str, Any]) -> Json:
    function = {"name": call["function"]["name"], "arguments": oci.serialize_arguments(call)}
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
            raise oci.unsupported_part_error(part, "text, image_url, document, thinking")


def _tool(function: Mapping[str, Any]) -> Json:
    schema = tool_parameters(function.get("parameters"), strict=bool(function.get("strict")))
    description = function.get("description") or function["name"]
    return {
        "type": "FUNCTION",
        "function": {"name": function["name"], "description": description, "parameters": schema},
    }


def _response_format(response_format: Mapping[str, Any]) -> Json:
    if response_format.get("type", "text") == "text":
        return {"responseFormat": {"type": "TEXT"}}
    schema = oci.response_schema(response_format)
    return {"responseFormat": {"type": "JSON_OBJECT", **({"schema": resolve_references(schema)} if schema else {})}}


def _thinking(effort: Any) -> Json:
    """Enable or disable thinking: the format has no other levels."""
    return {"thinking": {"type": "DISABLED" if str(effort).lower() == "none" else "ENABLED"}}


_PARAMETER_RULES: dict[str, ParameterRule] = {
    **oci.COMMON_PARAMETERS,
    "max_tokens": oci.rename_to("maxTokens"),
    "max_completion_tokens": oci.rename_to("maxTokens"),
    "seed": oci.rename_to("seed"),
    "stop": oci.list_as("stopSequences"),
    "response_format": _response_format,
    "reasoning_effort": _thinking,
    "parallel_tool_calls": oci.drop_with_warning("parallel_tool_calls", bool, oci.PARALLEL_CALLS_UNSUPPORTED),
    "logprobs": lambda value: {"isLogProbsEnabled": True} if value else {},
    "messages": oci.drop,
    "tools": oci.drop,
    "tool_choice": oci.drop,
    "top_logprobs": oci.reject("top_logprobs", lambda n: not n, "this format reports the chosen tokens only"),
    "n": oci.reject("n", lambda n: n == 1, "this format returns one choice"),
    "logit_bias": oci.reject("logit_bias", lambda bias: not bias, "this format has no logit_bias"),
}
