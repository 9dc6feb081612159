"""Convert LlamaIndex messages to messages of the OpenAI API.

Blocks of user, system and tool messages are converted, or rejected with an error that names them. In assistant messages
the blocks of other providers (cache points, citations) are left out, so that a conversation can be continued with
another provider. Media blocks are left out with a warning, because servers accept only text in assistant messages.
"""

import base64
import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import IOBase
from typing import Any

from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    CitableBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from pydantic import BaseModel

Part = dict[str, Any]

#: Roles of other APIs, and their OpenAI role.
_ROLES = {MessageRole.CHATBOT.value: "assistant", MessageRole.MODEL.value: "assistant"}

#: Fields of a tool's result in OpenAI's Responses API, in the `additional_kwargs` of its message.
_RESULT_FIELDS = ("type", "acknowledged_safety_checks")

#: Roles whose content must be text.
_TEXT_ONLY_ROLES = frozenset({"developer", "system"})


def openai_messages(
    messages: Sequence[ChatMessage],
    *,
    reasoning: bool = False,
    find_items: Callable[[ChatMessage], list[dict[str, Any]]] | None = None,
) -> list[dict[str, Any]]:
    """Convert messages to the OpenAI format.

    Media that tools returned are parts of their tool messages; dialects move them to where their servers accept them.

    Args:
        messages: The conversation. It is not changed.
        reasoning: Whether assistant messages include `reasoning_content`, from which `ReasoningHistory` selects.
        find_items: Returns the output items of an assistant message, for OpenAI's Responses API.

    Raises:
        ValueError: A block cannot be converted. The error names its class.

    Example:
        >>> openai_messages([ChatMessage(role="user", content="Hello")])
        [{'role': 'user', 'content': 'Hello'}]
    """
    if find_items is not None:
        return [_message_with_items(message, find_items, reasoning=reasoning) for message in messages]
    return [_message(message, reasoning=reasoning) for message in messages]


def _message_with_items(
    message: ChatMessage, find_items: Callable[[ChatMessage], list[dict[str, Any]]], *, reasoning: bool
) -> dict[str, Any]:
    """Convert a message for OpenAI's Responses API."""
    converted = _message(message, reasoning=reasoning)
    if converted["role"] == "tool":
        known = {name: message.additional_kwargs.get(name) for name in _RESULT_FIELDS}
        return {**converted, **{name: value for name, value in known.items() if value is not None}}
    items = find_items(message) if converted["role"] == "assistant" else []
    return {**converted, "output_items": items} if items else converted


def read_tool_calls(message: ChatMessage) -> list[tuple[str, str, dict[str, Any] | str]]:
    """Return id, name and arguments of the tool calls of a message, from its blocks or else from `additional_kwargs`.

    The id of a call without one is derived from its index, so that it is the same each time.
    """
    found: list[tuple[str | None, str, Any]] = [
        (block.tool_call_id, block.tool_name, block.tool_kwargs)
        for block in message.blocks
        if isinstance(block, ToolCallBlock)
    ]
    if not found:
        calls = message.additional_kwargs.get("tool_calls") or ()
        dicts = [_as_dict(call) for call in (calls if isinstance(calls, list | tuple) else (calls,))]
        found = [(_first_value(call, _IDS), *_function(call)) for call in dicts]
    return [(id or f"call_{index}", name, arguments) for index, (id, name, arguments) in enumerate(found)]


def _reasoning(message: ChatMessage) -> dict[str, Any]:
    """Return the reasoning of an assistant message, without signed blocks, which belong to another provider."""
    is_own = "output_items" in message.additional_kwargs
    blocks = [
        block
        for block in message.blocks
        if isinstance(block, ThinkingBlock) and (is_own or not block.additional_information)
    ]
    text = "".join(block.content or "" for block in blocks) or message.additional_kwargs.get("reasoning_content")
    return {"reasoning_content": text} if isinstance(text, str) and text else {}


def _message(message: ChatMessage, *, reasoning: bool) -> dict[str, Any]:
    role = message.role._value_  # `value` is a property of Python code
    role = _ROLES.get(role, role)
    converted: dict[str, Any] = {"role": role, "content": _content(role, message)}
    if refusal := message.additional_kwargs.get("refusal"):
        converted["content"] = converted["content"] or refusal
    if role == "assistant" and (calls := read_tool_calls(message)):
        converted["content"] = converted["content"] or None
        converted["tool_calls"] = [_wire_call(*call) for call in calls]
    if role == "tool":
        converted["tool_call_id"] = _tool_call_id(message)
    if name := message.additional_kwargs.get("name"):
        converted["name"] = name
    if reasoning and role == "assistant":
        converted |= _reasoning(message)
    return converted


def _content(role: str, message: ChatMessage) -> str | list[Part]:
    blocks = message.blocks
    if len(blocks) == 1 and type(blocks[0]) is TextBlock:  # as in almost all messages
        return blocks[0].text
    if role == "assistant":
        return "\n".join(_assistant_texts(message.blocks))
    parts = _parts(message)
    texts = [part["text"] for part in parts if part["type"] == "text"]
    if len(texts) == len(parts):
        return "\n".join(texts)
    if role in _TEXT_ONLY_ROLES:
        others = {type(block).__name__ for block in message.blocks} - {"TextBlock", "ThinkingBlock", "ToolCallBlock"}
        raise ValueError(f"a message with role {role!r} can contain only text, not {', '.join(sorted(others))}")
    return parts


def _assistant_texts(blocks: Iterable[Any]) -> Iterator[str]:
    """Yield the texts of an assistant message."""
    for block in blocks:
        if isinstance(block, TextBlock):
            yield block.text
        elif isinstance(block, CitableBlock):
            yield from _assistant_texts(block.content)
        elif isinstance(block, _MEDIA):
            text = f"a {type(block).__name__} in an assistant message cannot be sent and is left out"
            warnings.warn(text, RuntimeWarning, stacklevel=2)


def _tool_call_id(message: ChatMessage) -> str:
    id = message.additional_kwargs.get("tool_call_id")
    if not id:
        raise ValueError(
            "a message with role 'tool' has no tool call id (hint: set additional_kwargs={'tool_call_id': …})"
        )
    return str(id)


def _parts(message: ChatMessage) -> list[Part]:
    return [part for block in message.blocks for part in _block(block)]


def _block(block: Any) -> Iterator[Part]:
    if isinstance(block, CitableBlock):
        for inner in block.content:
            yield from _block(inner)
    elif not isinstance(block, _HANDLED_ELSEWHERE):
        convert = _PARTS.get(type(block))
        if convert is None:
            raise ValueError(f"a {type(block).__name__} cannot be converted to a message part of the OpenAI API")
        yield convert(block)


def _text(block: TextBlock) -> Part:
    return {"type": "text", "text": block.text}


def _image(block: ImageBlock) -> Part:
    url = _url(block.image, block.image_mimetype or "image/png", block.url, block.resolve_image)
    detail = {"detail": block.detail} if block.detail else {}
    return {"type": "image_url", "image_url": {"url": url, **detail}}


def _video(block: VideoBlock) -> Part:
    url = _url(block.video, block.video_mimetype or "video/mp4", block.url, block.resolve_video)
    return {"type": "video_url", "video_url": {"url": url}}


def _audio(block: AudioBlock) -> Part:
    if block.url and not str(block.url).startswith("data:"):
        return {"type": "audio_url", "audio_url": {"url": str(block.url)}}
    data = _base64(block.audio, block.resolve_audio)
    return {"type": "input_audio", "input_audio": {"data": data, "format": block.format or "wav"}}


def _document(block: DocumentBlock) -> Part:
    data = _base64(block.data, block.resolve_document)
    kind = block.document_mimetype or "application/octet-stream"
    return {"type": "file", "file": {"filename": block.title, "file_data": f"data:{kind};base64,{data}"}}


#: Converters of blocks to message parts.
_PARTS: dict[type, Callable[[Any], Part]] = {
    TextBlock: _text,
    ImageBlock: _image,
    AudioBlock: _audio,
    VideoBlock: _video,
    DocumentBlock: _document,
}

#: Media blocks, which are left out of assistant messages with a warning.
_MEDIA = (ImageBlock, AudioBlock, VideoBlock, DocumentBlock)

#: Blocks that become `tool_calls` and `reasoning_content` instead of message parts.
_HANDLED_ELSEWHERE = (ThinkingBlock, ToolCallBlock)


def _url(data: Any, kind: str, url: Any, resolve: Callable[[], Any]) -> str:
    return str(url) if url else f"data:{kind};base64,{_base64(data, resolve)}"


def _base64(data: Any, resolve: Callable[[], Any]) -> str:
    """Encode data as base64. Blocks store bytes encoded already, but files and paths as they are."""
    if isinstance(data, bytes) and data:
        return data.decode("ascii")
    if isinstance(data, IOBase):
        data.seek(0)
        return base64.b64encode(data.read()).decode("ascii")
    return base64.b64encode(resolve().read()).decode("ascii")


def _as_dict(call: Any) -> dict[str, Any]:
    if isinstance(call, BaseModel):
        return call.model_dump()
    if not isinstance(call, Mapping):
        raise ValueError(f"a tool call must be a dictionary or a model, not {type(call).__name__}: {call!r:.80}")
    return dict(call)


def _function(call: dict[str, Any]) -> tuple[str, Any]:
    function = _as_dict(call.get("function") or call)
    return str(_first_value(function, ("name", "tool_name")) or ""), _first_value(function, _ARGUMENTS) or {}


#: Keys of a call's id and of its arguments in the formats of several providers (OpenAI Responses, Bedrock, …).
_IDS = ("call_id", "toolUseId", "tool_call_id", "id")
_ARGUMENTS = ("arguments", "input", "args", "parameters", "tool_kwargs")


def _first_value(call: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((call[name] for name in names if call.get(name)), None)


def _wire_call(id: str, name: str, arguments: dict[str, Any] | str) -> dict[str, Any]:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {"id": id, "type": "function", "function": {"name": name, "arguments": text or "{}"}}
