"""Parsers of OCI Generative AI's native requests: each builds the OpenAI-shaped request for the model server.

Written from the models of the `oci` SDK (`generative_ai_inference/models`), not from mdstream's dialects, so that the
two do not share mistakes.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]


class RequestRejected(Exception):
    """The service rejects the request: status, code, message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def malformed_request(message: str) -> RequestRejected:
    """Build the error for a request that cannot be parsed."""
    return RequestRejected(400, "400", message)


#: Field of OCI's request to OpenAI's name for it: the fields that all formats share.
_COMMON_FIELDS = {
    "temperature": "temperature", "topP": "top_p", "maxTokens": "max_tokens", "seed": "seed",
    "frequencyPenalty": "frequency_penalty", "presencePenalty": "presence_penalty",
}  # fmt: skip
_GENERIC_FIELDS = _COMMON_FIELDS | {
    "maxCompletionTokens": "max_completion_tokens", "numGenerations": "n", "stop": "stop",
    "isParallelToolCalls": "parallel_tool_calls",
}  # fmt: skip
_COHERE_FIELDS = _COMMON_FIELDS | {"stopSequences": "stop"}


def _rename_fields(request: Json, names: dict[str, str]) -> Json:
    params = {
        openai_name: request[oci_name] for oci_name, openai_name in names.items() if request.get(oci_name) is not None
    }
    if isinstance(params.get("temperature"), int | float):
        params["temperature"] = min(params["temperature"], 2)  # Cohere's range goes up to 5
    return params


def _object_list(request: Json, name: str) -> list[Json]:
    value = request.get(name)
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise malformed_request(f"{name} must be a list of objects")
    return value


# GENERIC


def parse_generic(request: Json) -> Json:
    """Parse a request with `apiFormat` GENERIC."""
    params = _rename_fields(request, _GENERIC_FIELDS)
    params["messages"] = [_convert_message(message) for message in _object_list(request, "messages")]
    if request.get("tools"):
        params["tools"] = [_convert_tool(tool) for tool in _object_list(request, "tools")]
    if choice := request.get("toolChoice"):
        tool_choice = {"type": "function", "function": {"name": choice.get("name")}}
        params["tool_choice"] = tool_choice if choice["type"] == "FUNCTION" else choice["type"].lower()
    if effort := request.get("reasoningEffort"):
        params["reasoning_effort"] = effort.lower()
    if response_format := request.get("responseFormat"):
        params["response_format"] = _response_format(response_format)
    if request.get("logProbs"):
        params |= {"logprobs": True, "top_logprobs": request["logProbs"]}
    return params


def _convert_message(message: Json) -> Json:
    content = message.get("content")
    if not isinstance(content, list):
        raise malformed_request("content must be a list of objects with a type")
    role = str(message.get("role")).lower()
    if role not in {"system", "developer", "user", "assistant", "tool"}:
        raise malformed_request(f"role {message.get('role')} is unknown")
    openai_message: Json = {"role": role, "content": _convert_content(content)}
    if calls := message.get("toolCalls"):
        if not any(part.get("text") for part in content):  # observed: the backend fails
            raise RequestRejected(500, "InternalServerError", "Internal Server Error")
        openai_message["tool_calls"] = [
            _tool_call(str(call.get("id") or ""), call["name"], call.get("arguments")) for call in calls
        ]
    if role == "tool":
        openai_message["tool_call_id"] = message.get("toolCallId")
    return openai_message


def _tool_call(id: str, name: str, arguments: Any) -> Json:
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments or {})
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


_URL_FIELDS = {
    "IMAGE": "imageUrl",
    "VIDEO": "videoUrl",
    "AUDIO": "audioUrl",
    "DOCUMENT": "documentUrl",
    "IMAGE_URL": "imageUrl",
}
_OPENAI_TYPES = {
    "IMAGE": "image_url",
    "IMAGE_URL": "image_url",
    "VIDEO": "video_url",
    "AUDIO": "audio_url",
    "DOCUMENT": "file",
}


def _convert_content(parts: list[Json]) -> str | list[Json]:
    """Convert the parts of a content; a single text becomes a string, because some upstreams reject parts."""
    contents = [_convert_part(part) for part in parts]
    return str(contents[0]["text"]) if len(contents) == 1 and contents[0]["type"] == "text" else contents


def _convert_part(part: Json) -> Json:
    kind = part.get("type")
    if kind == "TEXT":
        return {"type": "text", "text": part.get("text") or ""}
    if kind not in _URL_FIELDS or not part.get(_URL_FIELDS[kind], {}).get("url"):
        raise malformed_request(f"content of type {kind} cannot be read")
    name = _OPENAI_TYPES[kind]
    return {"type": name, name: {"url": part[_URL_FIELDS[kind]]["url"]}}


def _convert_tool(tool: Json) -> Json:
    if tool.get("type") != "FUNCTION" or "function" in tool or not tool.get("name"):
        raise malformed_request("a tool must have type FUNCTION and a name")
    function = {name: tool.get(name) for name in ("name", "description", "parameters")}
    return {"type": "function", "function": function}


def _response_format(response_format: Json) -> Json:
    match response_format.get("type"):
        case "TEXT":
            return {"type": "text"}
        case "JSON_OBJECT" if response_format.get("schema"):
            return {"type": "json_schema", "json_schema": {"name": "answer", "schema": response_format["schema"]}}
        case "JSON_OBJECT":
            return {"type": "json_object"}
        case "JSON_SCHEMA" if response_format.get("jsonSchema", {}).get("name"):
            return {"type": "json_schema", "json_schema": response_format["jsonSchema"]}
        case _:
            raise malformed_request("responseFormat cannot be read")


# COHERE


def parse_cohere(request: Json) -> Json:
    """Parse a request with `apiFormat` COHERE."""
    results = request.get("toolResults") or []
    if not request.get("message") and not results:
        raise malformed_request(
            "invalid request: message must be at least 1 token long or tool results must be specified."
        )
    params = _rename_fields(request, _COHERE_FIELDS)
    messages = list(_cohere_messages(request, results))
    if documents := request.get("documents"):
        context = "Context:\n" + "\n".join(map(_document_text, documents)) + "\n" + "-" * 5
        messages.insert(0, {"role": "system", "content": context})
    params["messages"] = messages
    if request.get("tools"):
        params["tools"] = [_convert_cohere_tool(tool) for tool in _object_list(request, "tools")]
    if response_format := request.get("responseFormat"):
        params["response_format"] = _response_format(response_format)
    return params


def _document_text(document: Any) -> str:
    return " ".join(map(str, document.values())) if isinstance(document, dict) else str(document)


def _cohere_messages(request: Json, results: list[Json]) -> Iterator[Json]:
    if preamble := request.get("preambleOverride"):
        yield {"role": "system", "content": preamble}
    ids = _CallIdAssigner()
    for turn in request.get("chatHistory") or ():
        yield from _cohere_turn(turn, ids)
    if request.get("message"):
        yield {"role": "user", "content": request["message"]}
    if results:
        yield from _cohere_turn({"role": "TOOL", "toolResults": results}, ids)


class _CallIdAssigner:
    """Assigns ids to tool calls of a format without ids, where a result repeats its call."""

    def __init__(self) -> None:
        self._count = 0
        self._pending: list[tuple[str, Json]] = []  # calls of the last round without a result

    def assign_ids(self, calls: list[Json]) -> list[str]:
        """Assign ids to a new round of calls."""
        self._pending = [(f"call_{self._count + n}", call) for n, call in enumerate(calls)]
        self._count += len(calls)
        return [id for id, _ in self._pending]

    def find_id(self, call: Json) -> str:
        """Return the id of the call that a result repeats: same arguments, else same name, else the next call."""
        candidates = sorted(
            self._pending, key=lambda entry: (entry[1] != call, entry[1].get("name") != call.get("name"))
        )
        if not candidates:
            return f"call_{self._count}"
        self._pending.remove(candidates[0])
        return candidates[0][0]


def _cohere_turn(turn: Json, ids: _CallIdAssigner) -> Iterator[Json]:
    role = {"USER": "user", "CHATBOT": "assistant", "SYSTEM": "system", "TOOL": "tool"}.get(str(turn.get("role")))
    if role is None:
        raise malformed_request(f"role {turn.get('role')} is unknown")
    if role == "tool":
        for result in turn["toolResults"]:
            id = ids.find_id(result.get("call") or {})
            yield {"role": "tool", "tool_call_id": id, "content": _output_text(result["outputs"])}
        return
    openai_message: Json = {"role": role, "content": turn.get("message") or ""}
    if calls := turn.get("toolCalls"):
        named_calls = zip(ids.assign_ids(calls), calls, strict=True)
        openai_message["tool_calls"] = [_tool_call(id, call["name"], call["parameters"]) for id, call in named_calls]
    yield openai_message


def _output_text(outputs: list[Json]) -> str:
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


def _convert_cohere_tool(tool: Json) -> Json:
    if not tool.get("name") or not tool.get("description"):
        raise malformed_request("a tool must have a name and a description")
    definitions: dict[str, Json] = tool.get("parameterDefinitions") or {}
    properties = {name: _convert_parameter(definition) for name, definition in definitions.items()}
    required = [name for name, definition in definitions.items() if definition.get("isRequired")]
    schema = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": {**_pick(tool, "name", "description"), "parameters": schema}}


def _convert_parameter(definition: Json) -> Json:
    """Convert a parameter; a JSON Schema in its description is included, because mdstream's requests have it there."""
    kind = str(definition.get("type")).lower()
    if kind not in _JSON_TYPES:
        raise malformed_request(f"parameter type {definition.get('type')} is no Python type")
    _, separator, schema_text = str(definition.get("description") or "").partition("JSON Schema: ")
    json_schema = json.JSONDecoder().raw_decode(schema_text)[0] if separator else {}
    return {"type": _JSON_TYPES[kind], "description": definition.get("description"), **json_schema}


def _pick(source: Json, *names: str) -> Json:
    return {name: source.get(name) for name in names}


# COHEREV2


def parse_cohere_v2(request: Json) -> Json:
    """Parse a request with `apiFormat` COHEREV2."""
    params = _rename_fields(request, _COHERE_FIELDS)
    params["messages"] = [_convert_message_v2(message) for message in _object_list(request, "messages")]
    if request.get("tools"):
        params["tools"] = [
            {"type": "function", "function": tool["function"]} for tool in _object_list(request, "tools")
        ]
    if choice := request.get("toolsChoice"):
        if choice not in {"REQUIRED", "NONE"}:
            raise malformed_request("toolsChoice must be REQUIRED or NONE")
        params["tool_choice"] = choice.lower()
    if (request.get("thinking") or {}).get("type") == "ENABLED":
        params["reasoning_effort"] = "high"
    if response_format := request.get("responseFormat"):
        params["response_format"] = _response_format(response_format)
    if request.get("isLogProbsEnabled"):
        params["logprobs"] = True
    return params


def _convert_message_v2(message: Json) -> Json:
    parts = [part for part in message.get("content") or () if part.get("type") != "THINKING"]
    openai_message: Json = {"role": str(message.get("role")).lower(), "content": _convert_content(parts)}
    if calls := message.get("toolCalls"):
        openai_message["tool_calls"] = [
            _tool_call(call["id"], call["function"]["name"], call["function"].get("arguments")) for call in calls
        ]
    if message.get("role") == "TOOL":
        openai_message["tool_call_id"] = message.get("toolCallId")
    return openai_message


PARSERS: dict[str, Callable[[Json], Json]] = {
    "GENERIC": parse_generic,
    "COHERE": parse_cohere,
    "COHEREV2": parse_cohere_v2,
}


# generateText


def parse_generate_text(request: Json) -> Json:
    """Parse a `generateText` request of either runtime."""
    stops = {"COHERE": "stopSequences", "LLAMA": "stop"}.get(str(request.get("runtimeType")))
    if stops is None or not isinstance(request.get("prompt"), str):
        raise malformed_request("runtimeType must be COHERE or LLAMA, and prompt a text")
    params = _rename_fields(request, _COMMON_FIELDS | {stops: "stop", "numGenerations": "n"})
    return params | {"prompt": request["prompt"]}
