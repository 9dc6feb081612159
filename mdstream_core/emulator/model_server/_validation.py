"""Validation of a request: types, ranges and lengths of its fields."""

from collections.abc import Callable
from typing import Any

from mdstream_core.emulator._bounds import (
    MAX_CHOICES,
    MAX_DOCUMENTS,
    MAX_MESSAGES,
    MAX_STOPS,
    MAX_TOKENS_PARAMETER,
    MAX_TOOLS,
)
from mdstream_core.emulator.model_server._errors import ModelServerError
from mdstream_core.emulator.model_server._flavours import Json

_NUMBER, _INTEGER = (int, float), (int,)
_FIELDS: dict[str, tuple[tuple[type, ...], str]] = {
    "model": ((str,), "string"),
    "messages": ((list,), "list"),
    "tools": ((list,), "list"),
    "documents": ((list,), "list"),
    "texts": ((list,), "list"),
    "query": ((str,), "string"),
    "prompt": ((str, list), "string or list"),
    "stop": ((str, list), "string or list"),
    "temperature": (_NUMBER, "number"),
    "top_p": (_NUMBER, "number"),
    "min_p": (_NUMBER, "number"),
    "presence_penalty": (_NUMBER, "number"),
    "frequency_penalty": (_NUMBER, "number"),
    "repetition_penalty": (_NUMBER, "number"),
    "max_tokens": (_INTEGER, "integer"),
    "max_completion_tokens": (_INTEGER, "integer"),
    "min_tokens": (_INTEGER, "integer"),
    "n": (_INTEGER, "integer"),
    "best_of": (_INTEGER, "integer"),
    "top_k": (_INTEGER, "integer"),
    "top_n": (_INTEGER, "integer"),
    "seed": (_INTEGER, "integer"),
    "logprobs": ((bool, int), "boolean or integer"),
    "top_logprobs": (_INTEGER, "integer"),
    "prompt_logprobs": (_INTEGER, "integer"),
    "dimensions": (_INTEGER, "integer"),
    "stream": ((bool,), "boolean"),
    "echo": ((bool,), "boolean"),
    "stream_options": ((dict,), "dictionary"),
    "response_format": ((dict,), "dictionary"),
    "structured_outputs": ((dict,), "dictionary"),
    "chat_template_kwargs": ((dict,), "dictionary"),
    "reasoning": ((dict,), "dictionary"),
    "logit_bias": ((dict,), "dictionary"),
    "parameters": ((dict,), "dictionary"),
    "tool_choice": ((str, dict), "string or dictionary"),
    "reasoning_effort": ((str,), "string"),
    "guided_choice": ((list,), "list"),
}
#: Minimum and maximum of each number.
_RANGES: dict[str, tuple[float, float]] = {
    "n": (1, MAX_CHOICES),
    "best_of": (1, MAX_CHOICES),
    "max_tokens": (1, MAX_TOKENS_PARAMETER),
    "max_completion_tokens": (1, MAX_TOKENS_PARAMETER),
    "min_tokens": (0, MAX_TOKENS_PARAMETER),
    "temperature": (0, 2),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "repetition_penalty": (0, 10),
    "logprobs": (0, 20),
    "top_logprobs": (0, 20),
    "prompt_logprobs": (-1, 20),
    "top_n": (0, MAX_DOCUMENTS),
}
#: Maximum number of entries of each list.
_LENGTHS = {
    "messages": MAX_MESSAGES,
    "tools": MAX_TOOLS,
    "stop": MAX_STOPS,
    "documents": MAX_DOCUMENTS,
    "texts": MAX_DOCUMENTS,
    "guided_choice": MAX_DOCUMENTS,
}
#: Types of each list's entries.
_ENTRIES: dict[str, tuple[type, ...]] = {
    "messages": (dict,),
    "tools": (dict,),
    "stop": (str,),
    "texts": (str,),
    "documents": (str, dict),
}


def validate_request(request: Json) -> Json:
    """Return the request; raise `ModelServerError` if a field has a wrong type or is out of range."""
    for name, (types, type_name) in _FIELDS.items():
        value = request.get(name)
        if value is not None and not _has_type(value, types):
            raise ModelServerError(400, f"{name}: Input should be a valid {type_name}", param=name)
    for name, max_length in _LENGTHS.items():
        value = request.get(name)
        if isinstance(value, list):
            _check_list(name, value, max_length)
    for name, (minimum, maximum) in _RANGES.items():
        if request.get(name) is not None and not minimum <= request[name] <= maximum:
            raise _out_of_range(name, request[name], minimum, maximum)
    for index, message in enumerate(request.get("messages") or ()):
        _check_message(message)
        _check_tool_content(index, message)
    for tool in request.get("tools") or ():
        _check_tool(tool)
    return request


def _has_type(value: Any, types: tuple[type, ...]) -> bool:
    """Return whether a value has one of the types; `true` is no number."""
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))


def _check_list(name: str, value: list[Any], maximum: int) -> None:
    if len(value) > maximum:
        text = f"{name}: Input should have at most {maximum} items, not {len(value)}"
        raise ModelServerError(400, text, param=name)
    types = _ENTRIES.get(name, (object,))
    if not all(isinstance(item, types) for item in value):
        type_name = "string" if str in types else "dictionary"
        raise ModelServerError(400, f"{name}: Input should be a valid {type_name}", param=name)


def _check_message(message: Json) -> None:
    content, calls = message.get("content"), message.get("tool_calls")
    if content is not None and not isinstance(content, str | list):
        raise ModelServerError(400, "messages: content should be a valid string or list", param="messages")
    if not isinstance(message.get("role") or "", str):
        raise ModelServerError(400, "messages: role should be a valid string", param="messages")
    if calls is not None and not (isinstance(calls, list) and all(map(_is_call, calls))):
        raise ModelServerError(400, "messages: tool_calls should be a valid list of calls", param="messages")


def _check_tool_content(index: int, message: Json) -> None:
    """Reject an image in a tool result, as OpenAI and vLLM do; the text is OpenAI's."""
    content = message.get("content")
    parts = content if message.get("role") == "tool" and isinstance(content, list) else ()
    if any(isinstance(part, dict) and str(part.get("type")).startswith("image") for part in parts):
        text = (
            f"Invalid 'messages[{index}]'. Image URLs are only allowed for messages with role 'user', but this message "
            "with role 'tool' contains an image URL."
        )
        raise ModelServerError(400, text, param=f"messages[{index}]")


def _is_call(call: Any) -> bool:
    return isinstance(call, dict) and isinstance(call.get("function") or {}, dict)


def _check_tool(tool: Json) -> None:
    function = tool.get("function") or tool
    schema = function.get("parameters") or function.get("input_schema") or {} if isinstance(function, dict) else None
    name = (function or {}).get("name") if isinstance(schema, dict) else None
    if not isinstance(schema, dict) or not isinstance(name or "", str) or len(name or "") > 256:
        raise ModelServerError(400, "tools: Input should be a valid function", param="tools")


def _out_of_range(name: str, value: float, minimum: float, maximum: float) -> ModelServerError:
    if value > maximum:
        rule = f"must be at most {maximum:g}" if maximum < 1e5 else f"must be at most {maximum:.0f}"
    else:
        rule = "must be non-negative" if minimum == 0 else f"must be at least {minimum:g}"
    value_text = str(float(value) if name == "temperature" and abs(value) < 1e9 else value)[:40]
    return ModelServerError(400, f"{name} {rule}, got {value_text}. (parameter={name}, value={value_text})", param=name)


def _between(minimum: float, maximum: float) -> Callable[[Any], bool]:
    return lambda value: minimum <= value <= maximum


def _are_texts(value: list[Any]) -> bool:
    return len(value) <= MAX_STOPS and all(isinstance(item, str) for item in value)


_ANY: tuple[tuple[type, ...], str, Callable[[Any], bool]] = ((), "", lambda value: True)
_BOOLEAN = ((bool,), "must be a boolean", lambda value: True)
#: TGI's `parameters`: types, the rule as in TGI's messages, and the check of it.
_TGI_PARAMETERS: dict[str, tuple[tuple[type, ...], str, Callable[[Any], bool]]] = {
    "best_of": (_INTEGER, "must be > 0 and <= 2", _between(1, 2)),
    "max_new_tokens": (_INTEGER, f"must be > 0 and <= {MAX_TOKENS_PARAMETER}", _between(1, MAX_TOKENS_PARAMETER)),
    "truncate": (_INTEGER, f"must be > 0 and <= {MAX_TOKENS_PARAMETER}", _between(1, MAX_TOKENS_PARAMETER)),
    "top_n_tokens": (_INTEGER, "must be >= 0 and <= 5", _between(0, 5)),
    "top_k": (_INTEGER, "must be strictly positive", lambda value: value > 0),
    "temperature": (_NUMBER, "must be >= 0 and <= 100", _between(0, 100)),
    "top_p": (_NUMBER, "must be > 0.0 and <= 1.0", lambda value: 0 < value <= 1),
    "typical_p": (_NUMBER, "must be > 0.0 and <= 1.0", lambda value: 0 < value <= 1),
    "repetition_penalty": (_NUMBER, "must be strictly positive", lambda value: value > 0),
    "frequency_penalty": (_NUMBER, "must be >= -2.0 and <= 2.0", _between(-2, 2)),
    "seed": (_INTEGER, "must be >= 0", lambda value: value >= 0),
    "stop": ((list,), f"supports up to {MAX_STOPS} stop sequences", _are_texts),
    **dict.fromkeys(("details", "decoder_input_details", "return_full_text", "do_sample", "watermark"), _BOOLEAN),
}


def check_generate(request: Json) -> None:
    """Reject `parameters` of `/generate` as TGI does: status 422, with its message."""

    if not isinstance(request.get("inputs", ""), str):
        text = "Failed to deserialize the JSON body into the target type: inputs: expected a string"
        raise ModelServerError(422, text, "Validation", "inputs")
    for name, value in (request.get("parameters") or {}).items():
        types, rule, is_valid = _TGI_PARAMETERS.get(name, _ANY)
        if types and value is not None and not (_has_type(value, types) and is_valid(value)):
            suffix = "" if isinstance(value, list | dict) else f". Given: {str(value)[:40]}"
            raise ModelServerError(422, f"Input validation error: `{name}` {rule}{suffix}", "Validation", name)
