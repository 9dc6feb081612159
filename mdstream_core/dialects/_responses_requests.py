"""Requests of OpenAI's Responses API: parameters in the shape of chat completions become its fields.

Parameters of other names are passed through: `store`, `previous_response_id`, `conversation`, `include`,
`instructions`, `truncation` … OpenAI's API has no `stop` and no `seed`, but vLLM's has; a server without them rejects
them by name.

Sources: OpenAI's API reference ("Create a model response", "Migrate to the Responses API"); `openai` SDK 3.52
(`types/responses`); vllm-project/vllm (`entrypoints/openai/responses/protocol.py`).
"""

from collections.abc import Mapping
from typing import Any

from mdstream_core.dialects._function_tools import function_tool
from mdstream_core.dialects._oci_requests import ParameterRule, drop, reject, rename_to
from mdstream_core.dialects._responses_input import build_input
from mdstream_core.errors import InvalidRequest

Json = dict[str, Any]

#: What `include` must contain for log probabilities.
_LOGPROBS = "message.output_text.logprobs"


def build_request(params: Mapping[str, Any], *, stream: bool) -> Json:
    """Build the body of a request.

    Raises:
        InvalidRequest: The API has no equivalent of a parameter or of a part of a message.
    """
    if params.get("background") and not stream:
        raise InvalidRequest(
            "background=True: the service returns before the response is complete (hint: stream it, or remove it)",
            code="InvalidParameter",
        )
    payload: Json = {}
    for name, value in params.items():
        if value is None:
            continue
        fields = _PARAMETER_RULES[name](value) if name in _PARAMETER_RULES else {name: value}
        payload |= {field: _merge(payload.get(field), content) for field, content in fields.items()}
    if messages := params.get("messages"):
        payload["input"] = build_input(messages, is_stored=params.get("store") is not False)
    return {**payload, "stream": True} if stream else payload


def _merge(known: Any, value: Any) -> Any:
    """Add the fields of an object or the entries of a list to those that another parameter has set."""
    if isinstance(known, Mapping) and isinstance(value, Mapping):
        return {**known, **value}
    if isinstance(known, list) and isinstance(value, list):
        return [*known, *(entry for entry in value if entry not in known)]
    return value


def _tools(tools: Any) -> Json:
    return {"tools": [_tool(tool) for tool in tools]} if tools else {}


def _tool(tool: Any) -> Any:
    """Convert a function to the flat form of this API. Tools that the service runs are passed through."""
    is_function = not isinstance(tool, Mapping) or tool.get("type") in (None, "function", "object")
    is_function = is_function or (tool.get("type") == "custom" and bool(tool.keys() & {"input_schema", "parameters"}))
    if not is_function:
        return tool
    converted = function_tool(tool)
    others = {name: value for name, value in converted.items() if name not in ("type", "function")}
    return {"type": "function", "parameters": {"type": "object", "properties": {}}, **converted["function"], **others}


def _tool_choice(choice: Any) -> Json:
    if isinstance(choice, Mapping) and isinstance(function := choice.get("function"), Mapping):
        return {"tool_choice": {"type": "function", "name": function["name"]}}
    return {"tool_choice": "required" if choice == "any" else choice}


def _response_format(response_format: Mapping[str, Any]) -> Json:
    schema = response_format.get("json_schema")
    if not isinstance(schema, Mapping):
        return {"text": {"format": dict(response_format)}}
    return {"text": {"format": {"type": "json_schema", "name": "answer", **schema}}}


def _stream_options(options: Mapping[str, Any]) -> Json:
    """Drop `include_usage`: the last event always has the usage."""
    others = {name: value for name, value in options.items() if name != "include_usage"}
    return {"stream_options": others} if others else {}


def _prompt(prompt: Any) -> Json:
    """Send a text as the input; an object is a prompt that OpenAI stores."""
    return {"input": prompt} if isinstance(prompt, str) else {"prompt": prompt}


_PARAMETER_RULES: dict[str, ParameterRule] = {
    "messages": drop,
    "stream": drop,
    "prompt": _prompt,
    "max_tokens": rename_to("max_output_tokens"),
    "max_completion_tokens": rename_to("max_output_tokens"),
    "reasoning_effort": lambda effort: {"reasoning": {"effort": effort}},
    "reasoning": lambda reasoning: {"reasoning": reasoning},
    "verbosity": lambda verbosity: {"text": {"verbosity": verbosity}},
    "response_format": _response_format,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "stream_options": _stream_options,
    "logprobs": lambda value: {"include": [_LOGPROBS]} if value else {},
    "top_logprobs": lambda n: {"top_logprobs": n, "include": [_LOGPROBS]} if n else {},
    "n": reject("n", lambda n: n == 1, "this API returns one response"),
}
