"""Native requests of OCI Generative AI, turned into the OpenAI-shaped one that a brain understands.

Written from the models of the `oci` SDK (`generative_ai_inference/models`), not from our dialects: it would agree with
their mistakes.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]


class RequestRejected(Exception):
    """The service does not do what was asked."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def malformed_request(message: str) -> RequestRejected:
    """A request that cannot be understood."""
    return RequestRejected(400, "400", message)


#: A field of the request, and what it is called there; fields that all formats share.
_SHARED = {
    "temperature": "temperature", "topP": "top_p", "maxTokens": "max_tokens", "seed": "seed",
    "frequencyPenalty": "frequency_penalty", "presencePenalty": "presence_penalty",
}  # fmt: skip
_GENERIC = _SHARED | {
    "maxCompletionTokens": "max_completion_tokens", "numGenerations": "n", "stop": "stop",
    "isParallelToolCalls": "parallel_tool_calls",
}  # fmt: skip
_COHERE = _SHARED | {"stopSequences": "stop"}


def _renamed(request: Json, names: dict[str, str]) -> Json:
    asked = {ours: request[theirs] for theirs, ours in names.items() if request.get(theirs) is not None}
    if isinstance(asked.get("temperature"), int | float):
        asked["temperature"] = min(asked["temperature"], 2)  # Cohere's own goes up to 5
    return asked


def _list(request: Json, name: str) -> list[Json]:
    value = request.get(name)
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise malformed_request(f"{name} must be a list of objects")
    return value


# GENERIC


def parse_generic(request: Json) -> Json:
    """`apiFormat` GENERIC."""
    asked = _renamed(request, _GENERIC)
    asked["messages"] = [_message(message) for message in _list(request, "messages")]
    if request.get("tools"):
        asked["tools"] = [_tool(tool) for tool in _list(request, "tools")]
    if choice := request.get("toolChoice"):
        named = {"type": "function", "function": {"name": choice.get("name")}}
        asked["tool_choice"] = named if choice["type"] == "FUNCTION" else choice["type"].lower()
    if effort := request.get("reasoningEffort"):
        asked["reasoning_effort"] = effort.lower()
    if form := request.get("responseFormat"):
        asked["response_format"] = _response_format(form)
    if request.get("logProbs"):
        asked |= {"logprobs": True, "top_logprobs": request["logProbs"]}
    return asked


def _message(message: Json) -> Json:
    content = message.get("content")
    if not isinstance(content, list):
        raise malformed_request("content must be a list of objects with a type")
    role = str(message.get("role")).lower()
    if role not in {"system", "developer", "user", "assistant", "tool"}:
        raise malformed_request(f"role {message.get('role')} is unknown")
    said: Json = {"role": role, "content": _contents(content)}
    if calls := message.get("toolCalls"):
        if not any(part.get("text") for part in content):  # seen: the backend fails on it
            raise RequestRejected(500, "InternalServerError", "Internal Server Error")
        said["tool_calls"] = [
            _tool_call(str(call.get("id") or ""), call["name"], call.get("arguments")) for call in calls
        ]
    if role == "tool":
        said["tool_call_id"] = message.get("toolCallId")
    return said


def _tool_call(id: str, name: str, arguments: Any) -> Json:
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments or {})
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


_MEDIA = {
    "IMAGE": "imageUrl",
    "VIDEO": "videoUrl",
    "AUDIO": "audioUrl",
    "DOCUMENT": "documentUrl",
    "IMAGE_URL": "imageUrl",
}
_KINDS = {
    "IMAGE": "image_url",
    "IMAGE_URL": "image_url",
    "VIDEO": "video_url",
    "AUDIO": "audio_url",
    "DOCUMENT": "file",
}


def _contents(parts: list[Json]) -> str | list[Json]:
    """A single text as a string: not every upstream takes parts from a system, an assistant or a tool."""
    contents = [_part(part) for part in parts]
    return str(contents[0]["text"]) if len(contents) == 1 and contents[0]["type"] == "text" else contents


def _part(part: Json) -> Json:
    kind = part.get("type")
    if kind == "TEXT":
        return {"type": "text", "text": part.get("text") or ""}
    if kind not in _MEDIA or not part.get(_MEDIA[kind], {}).get("url"):
        raise malformed_request(f"content of type {kind} cannot be read")
    name = _KINDS[kind]
    return {"type": name, name: {"url": part[_MEDIA[kind]]["url"]}}


def _tool(tool: Json) -> Json:
    if tool.get("type") != "FUNCTION" or "function" in tool or not tool.get("name"):
        raise malformed_request("a tool must have type FUNCTION and a name")
    function = {name: tool.get(name) for name in ("name", "description", "parameters")}
    return {"type": "function", "function": function}


def _response_format(form: Json) -> Json:
    match form.get("type"):
        case "TEXT":
            return {"type": "text"}
        case "JSON_OBJECT" if form.get("schema"):
            return {"type": "json_schema", "json_schema": {"name": "answer", "schema": form["schema"]}}
        case "JSON_OBJECT":
            return {"type": "json_object"}
        case "JSON_SCHEMA" if form.get("jsonSchema", {}).get("name"):
            return {"type": "json_schema", "json_schema": form["jsonSchema"]}
        case _:
            raise malformed_request("responseFormat cannot be read")


# COHERE


def parse_cohere(request: Json) -> Json:
    """`apiFormat` COHERE."""
    results = request.get("toolResults") or []
    if not request.get("message") and not results:
        raise malformed_request(
            "invalid request: message must be at least 1 token long or tool results must be specified."
        )
    asked = _renamed(request, _COHERE)
    said = list(_turns(request, results))
    if documents := request.get("documents"):
        said.insert(
            0, {"role": "system", "content": "Context:\n" + "\n".join(map(_document, documents)) + "\n" + "-" * 5}
        )
    asked["messages"] = said
    if request.get("tools"):
        asked["tools"] = [_cohere_tool(tool) for tool in _list(request, "tools")]
    if form := request.get("responseFormat"):
        asked["response_format"] = _response_format(form)
    return asked


def _document(document: Any) -> str:
    return " ".join(map(str, document.values())) if isinstance(document, dict) else str(document)


def _turns(request: Json, results: list[Json]) -> Iterator[Json]:
    if preamble := request.get("preambleOverride"):
        yield {"role": "system", "content": preamble}
    ids = _CallIds()
    for turn in request.get("chatHistory") or ():
        yield from _turn(turn, ids)
    if request.get("message"):
        yield {"role": "user", "content": request["message"]}
    if results:
        yield from _turn({"role": "TOOL", "toolResults": results}, ids)


class _CallIds:
    """Ids for the calls of a format that has none: a result repeats the call that it answers."""

    def __init__(self) -> None:
        self._count = 0
        self._open: list[tuple[str, Json]] = []  # calls of the last round without a result

    def assign_ids(self, calls: list[Json]) -> list[str]:
        """The ids of a new round of calls."""
        self._open = [(f"call_{self._count + n}", call) for n, call in enumerate(calls)]
        self._count += len(calls)
        return [id for id, _ in self._open]

    def find_id(self, call: Json) -> str:
        """The id of the call that a result repeats: with the same arguments, else of the same name, else the next."""
        alike = sorted(self._open, key=lambda one: (one[1] != call, one[1].get("name") != call.get("name")))
        if not alike:
            return f"call_{self._count}"
        self._open.remove(alike[0])
        return alike[0][0]


def _turn(turn: Json, ids: _CallIds) -> Iterator[Json]:
    role = {"USER": "user", "CHATBOT": "assistant", "SYSTEM": "system", "TOOL": "tool"}.get(str(turn.get("role")))
    if role is None:
        raise malformed_request(f"role {turn.get('role')} is unknown")
    if role == "tool":
        for result in turn["toolResults"]:
            id = ids.find_id(result.get("call") or {})
            yield {"role": "tool", "tool_call_id": id, "content": _outputs(result["outputs"])}
        return
    said: Json = {"role": role, "content": turn.get("message") or ""}
    if calls := turn.get("toolCalls"):
        named = zip(ids.assign_ids(calls), calls, strict=True)
        said["tool_calls"] = [_tool_call(id, call["name"], call["parameters"]) for id, call in named]
    yield said


def _outputs(outputs: list[Json]) -> str:
    if len(outputs) == 1 and list(outputs[0]) == ["output"]:
        return str(outputs[0]["output"])
    return json.dumps(outputs[0] if len(outputs) == 1 else outputs)


_JSON_TYPES = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
}


def _cohere_tool(tool: Json) -> Json:
    if not tool.get("name") or not tool.get("description"):
        raise malformed_request("a tool must have a name and a description")
    given: dict[str, Json] = tool.get("parameterDefinitions") or {}
    properties = {name: _parameter(one) for name, one in given.items()}
    required = [name for name, one in given.items() if one.get("isRequired")]
    schema = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": {**_pick(tool, "name", "description"), "parameters": schema}}


def _parameter(given: Json) -> Json:
    """A parameter; what its description says as JSON Schema is for the model to read."""
    kind = str(given.get("type")).lower()
    if kind not in _JSON_TYPES:
        raise malformed_request(f"parameter type {given.get('type')} is no Python type")
    _, found, more = str(given.get("description") or "").partition("JSON Schema: ")
    told = json.JSONDecoder().raw_decode(more)[0] if found else {}
    return {"type": _JSON_TYPES[kind], "description": given.get("description"), **told}


def _pick(source: Json, *names: str) -> Json:
    return {name: source.get(name) for name in names}


# COHEREV2


def parse_cohere_v2(request: Json) -> Json:
    """`apiFormat` COHEREV2."""
    asked = _renamed(request, _COHERE)
    asked["messages"] = [_message_v2(message) for message in _list(request, "messages")]
    if request.get("tools"):
        asked["tools"] = [{"type": "function", "function": tool["function"]} for tool in _list(request, "tools")]
    if choice := request.get("toolsChoice"):
        if choice not in {"REQUIRED", "NONE"}:
            raise malformed_request("toolsChoice must be REQUIRED or NONE")
        asked["tool_choice"] = choice.lower()
    if (request.get("thinking") or {}).get("type") == "ENABLED":
        asked["reasoning_effort"] = "high"
    if form := request.get("responseFormat"):
        asked["response_format"] = _response_format(form)
    if request.get("isLogProbsEnabled"):
        asked["logprobs"] = True
    return asked


def _message_v2(message: Json) -> Json:
    parts = [part for part in message.get("content") or () if part.get("type") != "THINKING"]
    said: Json = {"role": str(message.get("role")).lower(), "content": _contents(parts)}
    if calls := message.get("toolCalls"):
        said["tool_calls"] = [
            _tool_call(call["id"], call["function"]["name"], call["function"].get("arguments")) for call in calls
        ]
    if message.get("role") == "TOOL":
        said["tool_call_id"] = message.get("toolCallId")
    return said


PARSERS: dict[str, Callable[[Json], Json]] = {
    "GENERIC": parse_generic,
    "COHERE": parse_cohere,
    "COHEREV2": parse_cohere_v2,
}


# generateText


def parse_generate_text(request: Json) -> Json:
    """`generateText`, either runtime."""
    stops = {"COHERE": "stopSequences", "LLAMA": "stop"}.get(str(request.get("runtimeType")))
    if stops is None or not isinstance(request.get("prompt"), str):
        raise malformed_request("runtimeType must be COHERE or LLAMA, and prompt a text")
    return _renamed(request, _SHARED | {stops: "stop", "numGenerations": "n"}) | {"prompt": request["prompt"]}
