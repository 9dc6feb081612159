"""Convert prompts and outputs to the JSON of the conventions: messages that consist of parts.

The data of images and audio is left out, and URLs lose their query, because it may be a signature.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mdstream_core import _json
from mdstream_core.events import Choice, ModelResponse
from mdstream_core.hooks import CallInfo

Part = dict[str, Any]

_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+)?")

#: Parameters of conversations. The conventions have no format for texts to embed or rank.
_CONVERSATION_FIELDS = ("messages", "prompt")


def request_content(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the attributes of the conversation and of the tool definitions."""
    found: dict[str, Any] = {}
    if "messages" in params:
        found["gen_ai.input.messages"] = [_message(message) for message in params["messages"]]
    elif "prompt" in params:
        found["gen_ai.input.messages"] = [{"role": "user", "parts": list(_parts(params["prompt"]))}]
    if tools := params.get("tools"):
        found["gen_ai.tool.definitions"] = [_tool(tool) for tool in tools]
    return {name: _to_text(value) for name, value in found.items()}


def response_content(response: ModelResponse, info: CallInfo) -> dict[str, str]:
    """Return the attributes of the output messages, complete or partial."""
    if not any(name in info.params for name in _CONVERSATION_FIELDS):
        return {}
    messages = [
        {
            "role": "assistant",
            "parts": list(_output_message(choice)),
            "finish_reason": choice.finish_reason or "incomplete",
        }
        for choice in response.choices
    ]
    return {"gen_ai.output.messages": _to_text(messages)}


def _message(value: Any) -> dict[str, Any]:
    message = _object(value)
    role, content = str(message.get("role") or "user"), message.get("content")
    if role == "tool":
        response = content if isinstance(content, str) else list(_parts(content))
        parts = [{"type": "tool_call_response", "id": message.get("tool_call_id"), "response": response}]
    else:
        parts = [*_parts(content), *map(_call, message.get("tool_calls") or ())]
    name = {"name": message["name"]} if message.get("name") else {}
    return {"role": role, "parts": parts, **name}


def _parts(content: Any) -> Iterator[Part]:
    for one in content if isinstance(content, list | tuple) else [content] if content else []:
        yield _text("text", one) if isinstance(one, str) else _part(one)


def _part(block: Any) -> Part:
    """Convert an OpenAI content part. Of types without a counterpart only the name is kept."""
    match block:
        case {"type": "text", "text": text}:
            return _text("text", text)
        case {"type": "image_url", "image_url": {"url": str(url)} | str(url)}:
            return _media("image", url)
        case {"type": "input_audio"}:
            return {"type": "blob", "modality": "audio", "mime_type": None, "content": ""}
        case {"type": kind}:
            return {"type": str(kind)}
        case _:
            return {"type": "unknown"}


def _media(modality: str, url: str) -> Part:
    if data := _DATA.match(url):
        return {"type": "blob", "modality": modality, "mime_type": data[1], "content": ""}
    return {"type": "uri", "modality": modality, "mime_type": None, "uri": url.partition("?")[0]}


def _output_message(choice: Choice) -> Iterator[Part]:
    yield from (_text(*one) for one in _output_parts(choice) if one[1])
    for call in choice.tool_calls:
        yield {"type": "tool_call", "id": call.id, "name": call.name, "arguments": _parse_arguments(call.arguments)}


def _output_parts(choice: Choice) -> Iterable[tuple[str, str]]:
    return ("reasoning", choice.reasoning), ("text", choice.text), ("text", choice.refusal)


def _call(value: Any) -> Part:
    call = _object(value)
    function = _object(call.get("function"))
    identity = {"id": call.get("id"), "name": str(function.get("name"))}
    return {"type": "tool_call", **identity, "arguments": _parse_arguments(function.get("arguments"))}


def _tool(value: Any) -> Part:
    tool = _object(value)
    function = _object(tool.get("function") or tool)
    return {"type": str(tool.get("type") or "function"), "name": str(function.get("name"))}


def _object(value: Any) -> Mapping[str, Any]:
    """Return a mapping or an empty one: invalid requests are rejected by the service, not here."""
    return value if isinstance(value, Mapping) else {}


def _parse_arguments(arguments: Any) -> Any:
    """Parse the arguments of a tool call; invalid JSON is returned unchanged."""
    try:
        return _json.loads(arguments) if isinstance(arguments, str) and arguments else arguments
    except ValueError:
        return arguments


def _text(kind: str, content: Any) -> Part:
    return {"type": kind, "content": str(content)}


def _to_text(value: Any) -> str:
    return _json.dumps(value).decode("utf-8", "replace")
