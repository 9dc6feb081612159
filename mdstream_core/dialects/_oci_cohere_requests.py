"""A question in Cohere's first format: one message, the history before it, and results of tools instead of ids."""

from collections.abc import Mapping, Sequence
from typing import Any

from mdstream_core import _json
from mdstream_core.dialects import _oci_requests as asking
from mdstream_core.dialects._assistant_content import filter_assistant_content
from mdstream_core.dialects._oci_requests import Json, Row
from mdstream_core.dialects._oci_schema import python_type, resolve_references, tool_parameters
from mdstream_core.dialects._tool_results import CallPlace, pair_results

_SINGLE_CHOICE = "this format gives one answer"
_NO_LOGPROBS = "this format has no log probabilities: apiFormat COHEREV2 has"


def build_request(params: Mapping[str, Any]) -> Json:
    """The fields of the `chatRequest`."""
    choice, tools = asking.resolve_tool_choice(params)
    body = asking.translate_params(params, _ROWS)
    body |= _conversation(list(params.get("messages") or ()))
    if tools and choice != "none":
        body["tools"] = [_tool(asking.tool_function(tool)) for tool in tools]
    return body


def _format(wanted: Mapping[str, Any]) -> Json:
    if wanted.get("type", "text") == "text":
        return {"responseFormat": {"type": "TEXT"}}
    schema = asking.response_schema(wanted)
    return {"responseFormat": {"type": "JSON_OBJECT", **({"schema": resolve_references(schema)} if schema else {})}}


_ROWS: dict[str, Row] = {
    **asking.NAMES,
    "max_tokens": asking.rename_to("maxTokens"),
    "max_completion_tokens": asking.rename_to("maxTokens"),
    "seed": asking.rename_to("seed"),
    "stop": asking.list_as("stopSequences"),
    "response_format": _format,
    "messages": asking.drop,
    "tools": asking.drop,
    "tool_choice": asking.drop_with_warning(
        "tool_choice",
        lambda choice: choice in ("auto", "none"),
        "apiFormat COHERE cannot make the model call a tool (COHEREV2 can): it is only offered what is left to choose",
    ),
    "n": asking.reject("n", lambda n: n == 1, _SINGLE_CHOICE),
    "logprobs": asking.reject("logprobs", lambda wanted: not wanted, _NO_LOGPROBS),
    "top_logprobs": asking.reject("top_logprobs", lambda wanted: not wanted, _NO_LOGPROBS),
    "logit_bias": asking.reject("logit_bias", lambda bias: not bias, "this format has no logit_bias"),
    "parallel_tool_calls": asking.drop_with_warning("parallel_tool_calls", bool, asking.PARALLEL_CALLS_UNSUPPORTED),
}


def _conversation(messages: Sequence[Mapping[str, Any]]) -> Json:
    """The last word, which is the user's or some tools', and everything before it."""
    results = _results(messages)
    last = len(messages)
    while last and messages[last - 1]["role"] == "tool":
        last -= 1
    if last < len(messages):
        history = _history(messages[:last], results)
        return {"message": "", "chatHistory": history, "toolResults": results[last:]}
    at = last - 1 if last and messages[last - 1]["role"] == "user" else last
    said = asking.content_text(messages[at].get("content")) if at < last else ""
    return {"message": said, "chatHistory": _history(messages[:at], results)}


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
    turn: Json = {
        "role": asking.map_role(message, _ROLES),
        "message": asking.content_text(filter_assistant_content(message)),
    }
    if calls := message.get("tool_calls"):
        turn["toolCalls"] = [_call(call) for call in calls]
        turn["message"] = turn["message"] or asking.PLACEHOLDER_TEXT
    return turn


def _call(call: Mapping[str, Any]) -> Json:
    return {"name": call["function"]["name"], "parameters": asking.parse_arguments(call)}


def _results(messages: Sequence[Mapping[str, Any]]) -> list[Json | None]:
    """The result that each message is, beside its call; `None` for messages that are none."""
    pairs = pair_results(messages)
    return [
        _result(message, _call_at(messages, pairs.get(at))) if message["role"] == "tool" else None
        for at, message in enumerate(messages)
    ]


def _call_at(messages: Sequence[Mapping[str, Any]], place: CallPlace | None) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = messages[place[0]]["tool_calls"][place[1]] if place else None
    return found


def _result(message: Mapping[str, Any], call: Mapping[str, Any] | None) -> Json:
    name = str(message.get("name") or message.get("tool_call_id"))
    known = _call(call) if call else {"name": name, "parameters": {}}
    return {"call": known, "outputs": [_output(asking.content_text(message.get("content")))]}


def _output(text: str) -> Json:
    """An object as it is, everything else as the text that it is."""
    try:
        value = _json.loads(text)
    except ValueError:
        return {"output": text}
    return value if isinstance(value, dict) and value else {"output": text}


def _tool(function: Mapping[str, Any]) -> Json:
    schema = tool_parameters(function.get("parameters"), strict=bool(function.get("strict")))
    required = set(schema.get("required") or ())
    parameters = {
        name: _parameter(name, one, required=name in required) for name, one in (schema.get("properties") or {}).items()
    }
    description = function.get("description") or function["name"]
    return {"name": function["name"], "description": description, "parameterDefinitions": parameters}


#: What the name of a Python type says already.
_NATIVE_KEYWORDS = {"type", "title", "description", "default"}


def _parameter(name: str, schema: Mapping[str, Any], *, required: bool) -> Json:
    """What a type's name cannot say (choices, items, limits) is told in the description."""
    more = {key: value for key, value in schema.items() if key not in _NATIVE_KEYWORDS}
    words = [str(schema.get("description") or schema.get("title") or name)]
    if more:
        words.append(f"JSON Schema: {_json.dumps(more).decode()}")
    if schema.get("default") is not None:
        words.append(f"Default: {_json.dumps(schema['default']).decode()}")
    return {"description": ". ".join(words), "type": python_type(schema), "isRequired": required}
