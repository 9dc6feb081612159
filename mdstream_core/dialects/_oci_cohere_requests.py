"""Requests in Cohere's first format: one message, a chat history, and tool results without ids."""

from collections.abc import Mapping, Sequence
from typing import Any

from mdstream_core import _json
from mdstream_core.dialects import _oci_requests as oci
from mdstream_core.dialects._assistant_content import filter_assistant_content
from mdstream_core.dialects._oci_requests import Json, ParameterRule
from mdstream_core.dialects._oci_schema import python_type, resolve_references, tool_parameters
from mdstream_core.dialects._tool_results import CallPosition, pair_results

_SINGLE_CHOICE = "this format returns one choice"
_NO_LOGPROBS = "this format has no log probabilities (hint: use apiFormat COHEREV2)"


def build_request(params: Mapping[str, Any]) -> Json:
    """Build the fields of the `chatRequest`."""
    choice, tools = oci.resolve_tool_choice(params)
    payload = oci.translate_params(params, _PARAMETER_RULES)
    payload |= _conversation(list(params.get("messages") or ()))
    if tools and choice != "none":
        payload["tools"] = [_tool(oci.tool_function(tool)) for tool in tools]
    return payload


def _response_format(response_format: Mapping[str, Any]) -> Json:
    if response_format.get("type", "text") == "text":
        return {"responseFormat": {"type": "TEXT"}}
    schema = oci.response_schema(response_format)
    return {"responseFormat": {"type": "JSON_OBJECT", **({"schema": resolve_references(schema)} if schema else {})}}


_PARAMETER_RULES: dict[str, ParameterRule] = {
    **oci.COMMON_PARAMETERS,
    "max_tokens": oci.rename_to("maxTokens"),
    "max_completion_tokens": oci.rename_to("maxTokens"),
    "seed": oci.rename_to("seed"),
    "stop": oci.list_as("stopSequences"),
    "response_format": _response_format,
    "messages": oci.drop,
    "tools": oci.drop,
    "tool_choice": oci.drop_with_warning(
        "tool_choice",
        lambda choice: choice in ("auto", "none"),
        "apiFormat COHERE cannot force a tool call, it only limits the tools to choose from (hint: use COHEREV2)",
    ),
    "n": oci.reject("n", lambda n: n == 1, _SINGLE_CHOICE),
    "logprobs": oci.reject("logprobs", lambda value: not value, _NO_LOGPROBS),
    "top_logprobs": oci.reject("top_logprobs", lambda value: not value, _NO_LOGPROBS),
    "logit_bias": oci.reject("logit_bias", lambda bias: not bias, "this format has no logit_bias"),
    "parallel_tool_calls": oci.drop_with_warning("parallel_tool_calls", bool, oci.PARALLEL_CALLS_UNSUPPORTED),
}


def _conversation(messages: Sequence[Mapping[str, Any]]) -> Json:
    """Build the last message, which is the user's or tool results, and the history before it."""
    results = _results(messages)
    last = len(messages)
    while last and messages[last - 1]["role"] == "tool":
        last -= 1
    if last < len(messages):
        history = _history(messages[:last], results)
        return {"message": "", "chatHistory": history, "toolResults": results[last:]}
    end = last - 1 if last and messages[last - 1]["role"] == "user" else last
    message = oci.content_text(messages[end].get("content")) if end < last else ""
    return {"message": message, "chatHistory": _history(messages[:end], results)}


def _history(messages: Sequence[Mapping[str, Any]], results: Sequence[Json | None]) -> list[Json]:
    history: list[Json] = []
    for message, result in zip(messages, results, strict=False):
        if result is None:
            history.append(_history_entry(message))
            continue
        if not history or history[-1]["role"] != "TOOL":
            history.append({"role": "TOOL", "toolResults": []})
        history[-1]["toolResults"].append(result)
    return history


_ROLES = {"user": "USER", "assistant": "CHATBOT", "system": "SYSTEM", "developer": "SYSTEM"}


def _history_entry(message: Mapping[str, Any]) -> Json:
    entry: Json = {
        "role": oci.map_role(message, _ROLES),
        "message": oci.content_text(filter_assistant_content(message)),
    }
    if calls := message.get("tool_calls"):
        entry["toolCalls"] = [_call(call) for call in calls]
        entry["message"] = entry["message"] or oci.PLACEHOLDER_TEXT
    return entry


def _call(call: Mapping[str, Any]) -> Json:
    return {"name": call["function"]["name"], "parameters": oci.parse_arguments(call)}


def _results(messages: Sequence[Mapping[str, Any]]) -> list[Json | None]:
    """Convert each tool message to a result with its call; `None` for other messages."""
    pairs = pair_results(messages)
    return [
        _result(message, _call_at(messages, pairs.get(at))) if message["role"] == "tool" else None
        for at, message in enumerate(messages)
    ]


def _call_at(messages: Sequence[Mapping[str, Any]], position: CallPosition | None) -> Mapping[str, Any] | None:
    call: Mapping[str, Any] | None = messages[position[0]]["tool_calls"][position[1]] if position else None
    return call


def _result(message: Mapping[str, Any], call: Mapping[str, Any] | None) -> Json:
    name = str(message.get("name") or message.get("tool_call_id"))
    known = _call(call) if call else {"name": name, "parameters": {}}
    return {"call": known, "outputs": [_output(oci.content_text(message.get("content")))]}


def _output(text: str) -> Json:
    """Return a JSON object unchanged, anything else as `{"output": text}`."""
    try:
        value = _json.loads(text)
    except ValueError:
        return {"output": text}
    return value if isinstance(value, dict) and value else {"output": text}


def _tool(function: Mapping[str, Any]) -> Json:
    schema = tool_parameters(function.get("parameters"), strict=bool(function.get("strict")))
    required = set(schema.get("required") or ())
    parameters = {
        name: _parameter(name, field, required=name in required)
        for name, field in (schema.get("properties") or {}).items()
    }
    description = function.get("description") or function["name"]
    return {"name": function["name"], "description": description, "parameterDefinitions": parameters}


#: Keywords that the parameter definition covers by itself.
_NATIVE_KEYWORDS = {"type", "title", "description", "default"}


def _parameter(name: str, schema: Mapping[str, Any], *, required: bool) -> Json:
    """Build a parameter definition. Keywords without a counterpart (enum, items, limits) go into the description."""
    rest = {key: value for key, value in schema.items() if key not in _NATIVE_KEYWORDS}
    sentences = [str(schema.get("description") or schema.get("title") or name)]
    if rest:
        sentences.append(f"JSON Schema: {_json.dumps(rest).decode()}")
    if schema.get("default") is not None:
        sentences.append(f"Default: {_json.dumps(schema['default']).decode()}")
    return {"description": ". ".join(sentences), "type": python_type(schema), "isRequired": required}
