"""Validation of a request to `/v1/responses`: its parameters, tools and output format."""

from typing import Any

from mdstream_core.emulator._bounds import MAX_MESSAGES, MAX_TOKENS_PARAMETER
from mdstream_core.emulator.model_server.responses._errors import invalid, missing, unsupported_value, wrong_type

Json = dict[str, Any]

#: Parameter to its types and their name.
_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "input": ((str, list), "one of an array of objects or a string"),
    "instructions": ((str, list), "a string"),
    "max_output_tokens": ((int,), "an integer"),
    "max_tool_calls": ((int,), "an integer"),
    "include": ((list,), "an array"),
    "metadata": ((dict,), "an object"),
    "text": ((dict,), "an object"),
    "reasoning": ((dict,), "an object"),
    "store": ((bool,), "a boolean"),
    "background": ((bool,), "a boolean"),
    "parallel_tool_calls": ((bool,), "a boolean"),
    "previous_response_id": ((str,), "a string"),
    "conversation": ((str, dict), "one of a string or an object"),
    "prompt": ((dict,), "an object"),
    "service_tier": ((str,), "a string"),
    "truncation": ((str,), "a string"),
    "top_logprobs": ((int,), "an integer"),
}
_OTHER = (
    "model", "stream", "stream_options", "temperature", "top_p", "tools", "tool_choice", "user", "prompt_cache_key",
    "prompt_cache_retention", "prompt_cache_options", "safety_identifier", "context_management", "moderation",
)  # fmt: skip
_INCLUDABLE = (
    "file_search_call.results", "web_search_call.results", "web_search_call.action.sources",
    "message.input_image.image_url", "computer_call_output.output.image_url", "code_interpreter_call.outputs",
    "reasoning.encrypted_content", "message.output_text.logprobs",
)  # fmt: skip
#: Parameters of chat completions that have another name here.
_MOVED = {
    "response_format": "text.format",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "messages": "input",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
}
TOOL_TYPES = ("function", "custom", "web_search", "web_search_preview", "file_search", "code_interpreter",
              "image_generation", "mcp", "computer_use_preview", "local_shell", "shell", "apply_patch")  # fmt: skip
_FORMATS = ("text", "json_object", "json_schema")


def check_parameters(request: Json, *, is_strict: bool) -> None:
    """Reject wrong types, missing and contradictory parameters; if strict, also unknown and moved ones."""
    for name, (types, type_name) in _TYPES.items():
        value = request.get(name)
        if value is not None and (not isinstance(value, types) or (isinstance(value, bool) and bool not in types)):
            raise wrong_type(name, type_name, value)
    if is_strict:
        _check_names(request)
    if not any(request.get(name) is not None for name in ("input", "previous_response_id", "prompt", "conversation")):
        raise missing("input")
    if isinstance(request.get("input"), list) and len(request["input"]) > MAX_MESSAGES:
        raise invalid(f"Invalid 'input': array too long. Expected at most {MAX_MESSAGES} items.", "input")
    limit = request.get("max_output_tokens")
    if limit is not None and not 1 <= limit <= MAX_TOKENS_PARAMETER:
        text = f"Invalid 'max_output_tokens': integer out of range. Expected 1 to {MAX_TOKENS_PARAMETER}, got {limit}."
        raise invalid(text, "max_output_tokens", "integer_out_of_range")
    if request.get("previous_response_id") is not None and request.get("conversation") is not None:
        text = "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. Send one of them."
        raise invalid(text, None, "mutually_exclusive_parameters")
    if request.get("background") and request.get("store") is False:
        raise invalid("Background mode requires 'store' to be true.", "background", "invalid_value")
    _check_include(request)
    _check_format(request.get("text") or {}, is_strict=is_strict)
    for index, tool in enumerate(request.get("tools") or ()):
        _check_tool(tool, f"tools[{index}]", is_strict=is_strict)


def _check_names(request: Json) -> None:
    for name, replacement in _MOVED.items():
        if name in request:
            text = (
                f"Unsupported parameter: '{name}'. In the Responses API, this parameter has moved to '{replacement}'."
            )
            raise invalid(f"{text} Try again with the new parameter.", name, "unsupported_parameter")
    unknown = next((name for name in request if name not in _TYPES and name not in _OTHER), None)
    if unknown is not None:
        raise invalid(f"Unknown parameter: '{unknown[:100]}'.", unknown[:100], "unknown_parameter")


def _check_include(request: Json) -> None:
    for index, value in enumerate(request.get("include") or ()):
        if value not in _INCLUDABLE:
            raise unsupported_value(value, f"include[{index}]", _INCLUDABLE)


def _check_format(text: Json, *, is_strict: bool) -> None:
    requested = text.get("format")
    if requested is None:
        return
    if not isinstance(requested, dict):
        raise wrong_type("text.format", "an object", requested)
    if requested.get("type") not in _FORMATS:
        raise unsupported_value(requested.get("type"), "text.format.type", _FORMATS)
    if requested["type"] != "json_schema":
        return
    for name in ("name", "schema"):
        if not requested.get(name):
            raise missing(f"text.format.{name}")
    if not isinstance(requested["schema"], dict):
        raise wrong_type("text.format.schema", "an object", requested["schema"])
    if is_strict and requested.get("strict") and (problem := _find_schema_problem(requested["schema"], ())):
        text_ = f"Invalid schema for response_format '{requested['name']}': {problem}"
        raise invalid(text_, "text.format.schema", "invalid_json_schema")


def _check_tool(tool: Json, param: str, *, is_strict: bool) -> None:
    if tool.get("type") not in TOOL_TYPES:
        raise unsupported_value(tool.get("type"), param, TOOL_TYPES)
    if tool["type"] in {"function", "custom"} and not isinstance(tool.get("name"), str):
        raise missing(f"{param}.name")
    if tool["type"] == "mcp" and not tool.get("server_label"):
        raise missing(f"{param}.server_label")
    schema = tool.get("parameters")
    if is_strict and tool.get("strict") and isinstance(schema, dict) and (problem := _find_schema_problem(schema, ())):
        text = f"Invalid schema for function '{tool['name']}': {problem}"
        raise invalid(text, f"{param}.parameters", "invalid_function_parameters")


def _find_schema_problem(schema: Json, path: tuple[str, ...]) -> str | None:
    """Return why a schema cannot be followed strictly: an object that allows or omits properties."""
    context = f"In context={path!r}, "
    properties = schema.get("properties")
    if schema.get("type") == "object" or isinstance(properties, dict):
        if schema.get("additionalProperties") is not False:
            return f"{context}'additionalProperties' is required to be supplied and to be false."
        required = schema.get("required") or []
        absent = next((name for name in properties or {} if name not in required), None)
        if absent is not None:
            text = "'required' is required to be supplied and to be an array including every key in properties."
            return f"{context}{text} Missing '{absent}'."
    for name, inner in _subschemas(schema):
        if problem := _find_schema_problem(inner, (*path, *name)):
            return problem
    return None


def _subschemas(schema: Json) -> list[tuple[tuple[str, ...], Json]]:
    children: list[tuple[tuple[str, ...], Any]] = []
    for key in ("properties", "$defs"):
        children += [((key, name), inner) for name, inner in (schema.get(key) or {}).items()]
    children += [(("anyOf", str(index)), inner) for index, inner in enumerate(schema.get("anyOf") or ())]
    children.append((("items",), schema.get("items")))
    return [(path, inner) for path, inner in children if isinstance(inner, dict)]
