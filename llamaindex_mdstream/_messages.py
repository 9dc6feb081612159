"""Messages of LlamaIndex → messages in the OpenAI shape.

What a person, the system or a tool says is translated or refused by its name. From a model's message the blocks that
only its own provider understands (cache points, citations) are left out: a conversation that began elsewhere can be
continued here. Pictures and the like that it made are left out with a warning: servers take only text from a model.
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

#: Names of one role in other APIs.
_ROLES = {MessageRole.CHATBOT: "assistant", MessageRole.MODEL: "assistant"}

#: Roles whose content servers take as text only.
_PLAIN = frozenset({"developer", "function", "system", "tool"})


def openai_messages(messages: Sequence[ChatMessage], *, reasoning: bool = False) -> list[dict[str, Any]]:
    """Messages in the OpenAI shape.

    Pictures and the like that a tool returned follow its results in a message of the user's, because servers take
    text only from tools.

    Args:
        messages: A conversation; it is not changed.
        reasoning: Whether assistant messages have their `reasoning_content`, from which `ReasoningHistory` chooses.

    Raises:
        ValueError: A block cannot be said in this shape; the message names it.

    Example:
        >>> openai_messages([ChatMessage(role="user", content="Hello")])
        [{'role': 'user', 'content': 'Hello'}]
    """
    sent: list[dict[str, Any]] = []
    shown: list[Part] = []
    for message in messages:
        if shown and message.role != MessageRole.TOOL:
            sent.append({"role": "user", "content": shown})
            shown = []
        sent.append(_message(message) | (_reasoning(message) if reasoning else {}))
        if message.role == MessageRole.TOOL:
            shown = [*shown, *(part for part in _parts(message) if part["type"] != "text")]
    return [*sent, {"role": "user", "content": shown}] if shown else sent


def read_tool_calls(message: ChatMessage) -> list[tuple[str, str, dict[str, Any] | str]]:
    """Id, name and arguments of a message's tool calls, from its blocks or else from `additional_kwargs`.

    A call without an id is named after its place, so that it has the same id whoever asks.
    """
    found: list[tuple[str | None, str, Any]] = [
        (block.tool_call_id, block.tool_name, block.tool_kwargs)
        for block in message.blocks
        if isinstance(block, ToolCallBlock)
    ]
    if not found:
        calls = message.additional_kwargs.get("tool_calls") or ()
        wire = [_as_dict(call) for call in (calls if isinstance(calls, list | tuple) else (calls,))]
        found = [(_first(call, _IDS), *_function(call)) for call in wire]
    return [(id or f"call_{place}", name, arguments) for place, (id, name, arguments) in enumerate(found)]


def _reasoning(message: ChatMessage) -> dict[str, Any]:
    """What the model thought, but for blocks that are signed: they are another provider's."""
    if _ROLES.get(message.role, message.role.value) != "assistant":
        return {}
    blocks = [
        block for block in message.blocks if isinstance(block, ThinkingBlock) and not block.additional_information
    ]
    text = "".join(block.content or "" for block in blocks) or message.additional_kwargs.get("reasoning_content")
    return {"reasoning_content": text} if isinstance(text, str) and text else {}


def _message(message: ChatMessage) -> dict[str, Any]:
    role = _ROLES.get(message.role, message.role.value)
    sent: dict[str, Any] = {"role": role, "content": _content(role, message)}
    if refusal := message.additional_kwargs.get("refusal"):
        sent["content"] = sent["content"] or refusal
    if role == "assistant" and (calls := read_tool_calls(message)):
        sent["content"] = sent["content"] or None
        sent["tool_calls"] = [_wire(*call) for call in calls]
    if role == "tool":
        sent["tool_call_id"] = _tool_call_id(message)
    if name := message.additional_kwargs.get("name"):
        sent["name"] = name
    return sent


def _content(role: str, message: ChatMessage) -> str | list[Part]:
    if role == "assistant":
        return "\n".join(_assistant_texts(message.blocks))
    parts = _parts(message)
    texts = [part["text"] for part in parts if part["type"] == "text"]
    if len(texts) == len(parts) or role == "tool":
        return "\n".join(texts)
    if role in _PLAIN:
        others = {type(block).__name__ for block in message.blocks} - {"TextBlock", "ThinkingBlock", "ToolCallBlock"}
        raise ValueError(f"a message of role {role!r} may hold text only, not {', '.join(sorted(others))}")
    return parts


def _assistant_texts(blocks: Iterable[Any]) -> Iterator[str]:
    """The texts of a model's message."""
    for block in blocks:
        if isinstance(block, TextBlock):
            yield block.text
        elif isinstance(block, CitableBlock):
            yield from _assistant_texts(block.content)
        elif isinstance(block, _MEDIA):
            sentence = f"a {type(block).__name__} of a model cannot be sent, and is left out"
            warnings.warn(sentence, RuntimeWarning, stacklevel=2)


def _tool_call_id(message: ChatMessage) -> str:
    id = message.additional_kwargs.get("tool_call_id")
    if not id:
        raise ValueError("a message of role 'tool' needs additional_kwargs={'tool_call_id': …}: which call it answers")
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
            raise ValueError(f"a {type(block).__name__} cannot be sent to an OpenAI-compatible model")
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


#: What is said in a message, part by part.
_PARTS: dict[type, Callable[[Any], Part]] = {
    TextBlock: _text,
    ImageBlock: _image,
    AudioBlock: _audio,
    VideoBlock: _video,
    DocumentBlock: _document,
}

#: Media generated by a model: a warning says that it is left out.
_MEDIA = (ImageBlock, AudioBlock, VideoBlock, DocumentBlock)

#: What is said beside the parts: `tool_calls`, and what the model thought, if that is sent at all.
_HANDLED_ELSEWHERE = (ThinkingBlock, ToolCallBlock)


def _url(data: Any, kind: str, url: Any, resolve: Callable[[], Any]) -> str:
    return str(url) if url else f"data:{kind};base64,{_base64(data, resolve)}"


def _base64(data: Any, resolve: Callable[[], Any]) -> str:
    """Blocks keep bytes as base64 already, open files and paths as they are."""
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
        raise ValueError(f"a tool call must be a dictionary or a model, not a {type(call).__name__}: {call!r:.80}")
    return dict(call)


def _function(call: dict[str, Any]) -> tuple[str, Any]:
    function = _as_dict(call.get("function") or call)
    return str(_first(function, ("name", "tool_name")) or ""), _first(function, _ARGUMENTS) or {}


#: What other integrations call a call's id (OpenAI's Responses and Bedrock beside ours) and its arguments.
_IDS = ("call_id", "toolUseId", "tool_call_id", "id")
_ARGUMENTS = ("arguments", "input", "args", "parameters", "tool_kwargs")


def _first(call: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((call[name] for name in names if call.get(name)), None)


def _wire(id: str, name: str, arguments: dict[str, Any] | str) -> dict[str, Any]:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {"id": id, "type": "function", "function": {"name": name, "arguments": text or "{}"}}
