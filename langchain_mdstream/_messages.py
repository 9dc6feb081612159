"""LangChain's messages → the OpenAI JSON shape that the core speaks.

Content comes in four dialects: LangChain's standard blocks, its older ones, OpenAI's own and Anthropic's. Each block
is translated, left out because something else says it, or refused by its name. In a message of a model the blocks that
only its own provider understands (server tools, code execution, signatures …) are left out: a conversation that
began elsewhere can be continued here.
"""

import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_mdstream._content_blocks import PROVIDERS
from langchain_mdstream._content_tool_calls import find_calls_in_content

# The reasoning in a message of a model, as text that can be sent back to it.


def read_reasoning(message: AIMessage) -> str:
    """The reasoning of a response of ours, or of a message that names no provider; `""` for others.

    Another provider's is not sent: its blocks are signed or encrypted, and mean nothing to this model.
    """
    provider = message.response_metadata.get("model_provider")
    if provider is not None and provider not in PROVIDERS:
        return ""
    text = message.additional_kwargs.get("reasoning_content")
    if isinstance(text, str) and text:
        return text
    blocks = [block for block in message.content if isinstance(block, dict) and block.get("type") == "reasoning"]
    return "".join(block["reasoning"] for block in blocks if provider and isinstance(block.get("reasoning"), str))


Part = dict[str, Any]


def openai_messages(messages: Iterable[BaseMessage], *, reasoning: bool = False) -> list[dict[str, Any]]:
    """The conversation as OpenAI messages.

    Args:
        messages: The conversation.
        reasoning: Whether assistant messages have their `reasoning_content`, from which `ReasoningHistory` chooses.

    Raises:
        ValueError: A content block that these servers cannot take, by its name.
    """
    conversation = list(messages)
    wires = (
        (message, wire)
        for at, message in enumerate(conversation)
        for wire in _message(message, islice(conversation, at + 1, None))
    )
    return [_with_reasoning(message, wire) if reasoning else wire for message, wire in wires]


def _with_reasoning(message: BaseMessage, wire: dict[str, Any]) -> dict[str, Any]:
    text = read_reasoning(message) if isinstance(message, AIMessage) else ""
    return {**wire, "reasoning_content": text} if text else wire


def _message(message: BaseMessage, following: Iterable[BaseMessage]) -> list[dict[str, Any]]:
    match message:
        case AIMessage():
            return [_add_name(message, _assistant(message, following))]
        case ToolMessage():
            content = _content(message.content, joined="\n")
            return [{"role": "tool", "tool_call_id": message.tool_call_id, "content": content or ""}]
        case HumanMessage():
            return _human(message)
        case SystemMessage():
            role = message.additional_kwargs.get("__openai_role__", "system")
            return [_add_name(message, {"role": role, "content": _content(message.content, joined="\n")})]
        case FunctionMessage():
            return [{"role": "function", "name": message.name, "content": _content(message.content, joined="\n")}]
        case ChatMessage():
            read = _assistant_content if message.role == "assistant" else _content
            return [_add_name(message, {"role": message.role, "content": read(message.content, joined="\n")})]
    raise ValueError(f"a message of type {message.type!r} cannot be sent to a model")


def _add_name(message: BaseMessage, wire: dict[str, Any]) -> dict[str, Any]:
    return {**wire, "name": message.name} if message.name else wire


def _human(message: HumanMessage) -> list[dict[str, Any]]:
    """Anthropic's tool results stand inside a human message; here they are messages of their own, before it."""
    if isinstance(message.content, str):
        return [_add_name(message, {"role": "user", "content": message.content})]
    results = [block for block in message.content if _type(block) == "tool_result"]
    rest = [block for block in message.content if _type(block) != "tool_result"]
    wires: list[dict[str, Any]] = [
        {
            "role": "tool",
            "tool_call_id": None if (id := block.get("tool_use_id")) is None else str(id),
            "content": _content(block.get("content") or "", joined="\n"),
        }
        for block in results
        if isinstance(block, dict)
    ]
    if rest or not results:
        wires.append(_add_name(message, {"role": "user", "content": _content(rest, joined="\n")}))
    return wires


def _assistant(message: AIMessage, following: Iterable[BaseMessage]) -> dict[str, Any]:
    calls = [_call(call["id"], call["name"], _json(call["args"])) for call in message.tool_calls]
    calls += [_call(call["id"], call["name"], call["args"] or "") for call in message.invalid_tool_calls]
    calls += [_call(*call) for call in find_calls_in_content(message, {call["id"] for call in calls}, following)]
    said = _assistant_content(message.content, joined="") or message.additional_kwargs.get("refusal")
    wire: dict[str, Any] = {"role": "assistant", "content": said or (None if calls else "")}
    if calls:
        wire["tool_calls"] = calls
    return wire


def _call(id: str | None, name: str | None, arguments: str) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _assistant_content(content: str | Sequence[str | Mapping[str, Any]], *, joined: str) -> str | list[Part]:
    """Translate the content of a model's message, without the blocks that cannot be sent."""
    if isinstance(content, str):
        return content
    return _join_text_parts([part for block in content if (part := _assistant_part(block)) is not None], joined)


def _assistant_part(block: str | Mapping[str, Any]) -> Part | None:
    if _type(block) == "non_standard":
        value = block.get("value") if isinstance(block, Mapping) else None
        return _assistant_part(value) if isinstance(value, Mapping) else None
    try:
        part = _part(block)
    except ValueError:
        part = None
    if part is not None and (part["type"] != "text" or isinstance(part["text"], str)):
        return part
    if (kind := _type(block)) in _MEDIA:
        warnings.warn(f"a {kind!r} of a model cannot be sent, and is left out", RuntimeWarning, stacklevel=2)
    return None


def _content(content: str | Sequence[str | Mapping[str, Any]], *, joined: str) -> str | list[Part]:
    """Text alone is a string, which every server takes; anything else is a list of parts."""
    if isinstance(content, str):
        return content
    return _join_text_parts([part for block in content if (part := _part(block)) is not None], joined)


def _join_text_parts(parts: list[Part], separator: str) -> str | list[Part]:
    if all(part["type"] == "text" for part in parts):
        return separator.join(part["text"] for part in parts)
    return parts


def _type(block: str | Mapping[str, Any]) -> str:
    if isinstance(block, str):
        return "text"
    return str(block.get("type", "text")) if isinstance(block, Mapping) else type(block).__name__


def _part(block: str | Mapping[str, Any]) -> Part | None:
    if isinstance(block, str):
        return {"type": "text", "text": block}
    name = _type(block)
    if name in _SENT_ELSEWHERE:
        return None
    try:
        return _PARTS[name](block)
    except KeyError as error:
        known = name in _PARTS
        what = f"lacks {error}" if known else f"cannot be sent: known are {', '.join(sorted(_PARTS))}"
        raise ValueError(f"a content block of type {name!r} {what}") from None
    except (AttributeError, TypeError) as error:
        raise ValueError(f"a content block of type {name!r} has another shape: {error}") from error


def _text(block: Mapping[str, Any]) -> Part:
    if not isinstance(text := block["text"], str):
        raise TypeError(f"its text is a {type(text).__name__}")
    return {"type": "text", "text": text}


def _unchanged(block: Mapping[str, Any]) -> Part:
    return {name: value for name, value in block.items() if name not in {"cache_control", "index", "id"}}


def _image(block: Mapping[str, Any]) -> Part:
    url: dict[str, Any] = {"url": _url(block, "image/png")}
    if detail := block.get("detail"):
        url["detail"] = detail
    return {"type": "image_url", "image_url": url}


def _audio(block: Mapping[str, Any]) -> Part:
    data, media = _inline_data(block, "audio/wav")
    if data is None:
        return {"type": "audio_url", "audio_url": {"url": _address(block)}}  # vLLM's own, beside OpenAI's input_audio
    form = media.partition("/")[2].removeprefix("x-")
    return {"type": "input_audio", "input_audio": {"data": data, "format": {"mpeg": "mp3"}.get(form, form)}}


def _video(block: Mapping[str, Any]) -> Part:
    return {"type": "video_url", "video_url": {"url": _url(block, "video/mp4")}}


def _document(block: Mapping[str, Any]) -> Part:
    """As OCI Generative AI takes it by its address; its data is a file."""
    given = block.get("document")
    if isinstance(given, Mapping) or "url" in block:
        return {"type": "document_url", "document_url": {"url": _address(block)}}
    return _file(block)


def _file(block: Mapping[str, Any]) -> Part:
    if isinstance(given := block.get("file"), Mapping):
        return _document({**block, "document": given}) if "url" in given else {"type": "file", "file": given}
    if file_id := block.get("file_id"):
        return {"type": "file", "file": {"file_id": file_id}}
    data, media = _inline_data(block, "application/pdf")
    if data is None:
        raise ValueError(
            "a file by URL cannot be sent: model servers do not fetch files; send its base64 data, or, to OCI "
            "Generative AI, {'type': 'document_url', 'document_url': {'url': …}}"
        )
    extras = block.get("extras") or block.get("metadata") or {}
    name = block.get("filename") or extras.get("filename") or extras.get("name") or "file"
    return {"type": "file", "file": {"filename": name, "file_data": f"data:{media};base64,{data}"}}


def _media(block: Mapping[str, Any]) -> Part:
    """Data of any kind, by its media type."""
    kind = str(block["mime_type"]).partition("/")[0]
    return _MEDIA_CONVERTERS.get(kind, _file)({**block, "base64": block["data"]})


def _refusal(block: Mapping[str, Any]) -> Part:
    return {"type": "text", "text": block["refusal"]}


def _non_standard(block: Mapping[str, Any]) -> Part | None:
    """What core has no name for: a refusal, in older cores. Anything else is as if it stood alone."""
    return _part(block["value"])


def _url(block: Mapping[str, Any], media: str) -> str:
    data, media = _inline_data(block, media)
    if data is not None:
        return f"data:{media};base64,{data}"
    return _address(block)


def _address(block: Mapping[str, Any]) -> str:
    """The URL of a block: its own, or inside what its type, or Anthropic, names."""
    inside = block.get("source", block.get(_type(block)))
    return str(inside["url"] if isinstance(inside, Mapping) else block["url"])


def _inline_data(block: Mapping[str, Any], media: str) -> tuple[str | None, str]:
    """The base64 data of a block in any of the dialects, and its media type."""
    source = block.get("source")
    if isinstance(source, Mapping):  # Anthropic
        return source.get("data"), source.get("media_type") or media
    return block.get("base64") or block.get("data"), block.get("mime_type") or media


_PARTS: dict[str, Callable[[Mapping[str, Any]], Part | None]] = {
    "text": _text,
    "text-plain": _text,
    "image": _image,
    "image_url": _unchanged,
    "audio": _audio,
    "audio_url": _unchanged,
    "input_audio": _unchanged,
    "video": _video,
    "video_url": _unchanged,
    "file": _file,
    "document": _document,
    "document_url": _unchanged,
    "media": _media,
    "output_text": _text,
    "refusal": _refusal,
    "non_standard": _non_standard,
}

#: What data is, by the first half of its media type; anything else is a file.
_MEDIA_CONVERTERS = {"image": _image, "audio": _audio, "video": _video}

#: Media generated by a model: a warning says that it is left out.
_MEDIA = frozenset({"image", "image_url", "audio", "video", "file", "file_data", "media", "image_generation_call"})

#: Tool calls stand in the message's `tool_calls`, reasoning in a field of its own, if it is sent at all.
_SENT_ELSEWHERE = frozenset(
    {"tool_call", "tool_call_chunk", "invalid_tool_call", "tool_use", "function_call", "input_json_delta"}
    | {"reasoning", "thinking", "redacted_thinking"}
)
