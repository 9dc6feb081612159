"""A question in Cohere's first format: one message, the history before it, and results of tools instead of ids."""

from collections.abc import Mapping, Sequence
from typing import Any

from mdstream_core import _json
from mdstream_core.dialects import _oci_asking as asking
from mdstream_core.dialects._foreign_parts import filter_assistant_content
from mdstream_core.dialects._oci_asking import Json, Row
from mdstream_core.dialects._oci_schema import python_type, resolved, tool_parameters
from mdstream_core.dialects._tool_rounds import CallPlace, pair_results

_SINGLE = "this format gives one answer"
_WORDS = "this format has no log probabilities: apiFormat COHEREV2 has"


def asked(question: Mapping[str, Any]) -> Json:
    """The fields of the `chatRequest`."""
    choice, tools = asking.chosen(question)
    body = asking.translated(question, _ROWS)
    body |= _conversation(list(question.get("messages") or ()))
    if tools and choice != "none":
        body["tools"] = [_tool(asking.function_of(tool)) for tool in tools]
    return body


def _format(wanted: Mapping[str, Any]) -> Json:
    if wanted.get("type", "text") == "text":
        return {"responseFormat": {"type": "TEXT"}}
    schema = asking.schema_of(wanted)
    return {"responseFormat": {"type": "JSON_OBJECT", **({"schema": resolved(schema)} if schema else {})}}


_ROWS: dict[str, Row] = {
    **asking.NAMES,
    "max_tokens": asking.named("maxTokens"),
    "max_completion_tokens": asking.named("maxTokens"),
    "seed": asking.named("seed"),
    "stop": asking.listed("stopSequences"),
    "response_format": _format,
    "messages": asking.nothing,
    "tools": asking.nothing,
    "tool_choice": asking.only_warned(
        "tool_choice",
        lambda choice: choice in ("auto", "none"),
        "apiFormat COHERE cannot make the model call a tool (COHEREV2 can): it is only offered what is left to choose",
    ),
    "n": asking.refused("n", lambda n: n == 1, _SINGLE),
    "logprobs": asking.refused("logprobs", lambda wanted: not wanted, _WORDS),
    "top_logprobs": asking.refused("top_logprobs", lambda wanted: not wanted, _WORDS),
    "logit_bias": asking.refused("logit_bias", lambda bias: not bias, "this format has no logit_bias"),
    "parallel_tool_calls": asking.only_warned("parallel_tool_calls", bool, asking.SEVERAL),
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
    said = asking.text_of(messages[at].get("content")) if at < last else ""
    return {"message": said, "chatHistory": _history(messages[:at], results)}


def _history(messages: Sequence[Mapping[str, Any]], results: Sequence[Json | None]) -> list[Json]:
    history: list[Json] = []
    for message, result in zip(messages, results, strict=False):
        if result is None:
            history.append(_turn(message))
            continue
        if not history or history[-1]["role"] != "TOOL":
            history.append({"role": "TOOL", "toolResults": []})
        history[-1]["toolResults"].append(result)
    return history


_ROLES = {"user": "USER", "assistant": "CHATBOT", "system": "SYSTEM", "developer": "SYSTEM"}


def _turn(message: Mapping[str, Any]) -> Json:
    turn: Json = {"role": asking.role_of(message, _ROLES), "message": asking.text_of(filter_assistant_content(message))}
    if calls := message.get("tool_calls"):
        turn["toolCalls"] = [_call(call) for call in calls]
        turn["message"] = turn["message"] or asking.SOME_TEXT
    return turn


def _call(call: Mapping[str, Any]) -> Json:
    return {"name": call["function"]["name"], "parameters": asking.arguments_of(call)}


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
    return {"call": known, "outputs": [_output(asking.text_of(message.get("content")))]}


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
_SAID = {"type", "title", "description", "default"}


def _parameter(name: str, schema: Mapping[str, Any], *, required: bool) -> Json:
    """What a type's name cannot say (choices, items, limits) is told in the description."""
    more = {key: value for key, value in schema.items() if key not in _SAID}
    words = [str(schema.get("description") or schema.get("title") or name)]
    if more:
        words.append(f"JSON Schema: {_json.dumps(more).decode()}")
    if schema.get("default") is not None:
        words.append(f"Default: {_json.dumps(schema['default']).decode()}")
    return {"description": ". ".join(words), "type": python_type(schema), "isRequired": required}
