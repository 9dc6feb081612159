"""Convert LangChain messages to OpenAI messages, the core's format.

Content blocks come in four formats: LangChain's standard blocks, its older ones, OpenAI's and Anthropic's. Each block
is converted, omitted because another field has it, or rejected by name. In messages of a model, blocks that only its
provider understands (server tools, code execution, signatures …) are omitted, so that a conversation with another
provider can be continued.
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


def read_reasoning(message: AIMessage) -> str:
    """Return the reasoning of a message of ours, or of one without a provider, to send back; `""` for others.

    Reasoning of other providers is not sent: its blocks are signed or encrypted for their own models.
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

#: Fields of a tool's result in OpenAI's Responses API, in the `additional_kwargs` of its message.
_RESULT_FIELDS = ("type", "acknowledged_safety_checks")


def openai_messages(
    messages: Iterable[BaseMessage],
    *,
    reasoning: bool = False,
    find_items: Callable[[AIMessage], list[dict[str, Any]]] | None = None,
) -> list[dict[str, Any]]:
    """Convert a conversation to OpenAI messages.

    Args:
        messages: The conversation.
        reasoning: Whether assistant messages include `reasoning_content`, from which `ReasoningHistory` selects.
        find_items: Returns the output items of a message of ours, for OpenAI's Responses API.

    Raises:
        ValueError: A content block is not supported; the message names its type.
    """
    conversation = list(messages)
    converted: list[dict[str, Any]] = []
    for index, message in enumerate(conversation):
        if type(message) is HumanMessage:  # before the comparisons of `match`, which cost more for pydantic's classes
            converted += _human(message)
            continue
        for one in _message(message, islice(conversation, index + 1, None)):
            if reasoning and one["role"] == "assistant":
                one = _with_reasoning(message, one)
            converted.append(one if find_items is None else _with_items(message, one, find_items))
    return converted


def _with_reasoning(message: BaseMessage, converted: dict[str, Any]) -> dict[str, Any]:
    text = read_reasoning(message) if isinstance(message, AIMessage) else ""
    return {**converted, "reasoning_content": text} if text else converted


def _with_items(
    message: BaseMessage, converted: dict[str, Any], find_items: Callable[[AIMessage], list[dict[str, Any]]]
) -> dict[str, Any]:
    """Add the output items of a message, if its provider is one of ours, and the type of a tool's result."""
    if isinstance(message, ToolMessage):
        return {**converted, **_result_type(message)}
    if not isinstance(message, AIMessage) or message.response_metadata.get("model_provider") not in PROVIDERS:
        return converted
    items = find_items(message)
    return {**converted, "output_items": items} if items else converted


def _result_type(message: ToolMessage) -> dict[str, Any]:
    """Return the fields of a result of a custom tool or of a computer: as `ChatOpenAI`, by the message or its block."""
    blocks = [block.get("value", block) for block in message.content if isinstance(block, dict)]
    named: Mapping[str, Any] = next((block for block in blocks if block.get("type") in _RESULT_BLOCKS), {})
    fields = {name: message.additional_kwargs.get(name) or named.get(name) for name in _RESULT_FIELDS}
    return {name: value for name, value in fields.items() if value is not None}


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
            convert = _assistant_content if message.role == "assistant" else _content
            return [_add_name(message, {"role": message.role, "content": convert(message.content, joined="\n")})]
    raise ValueError(f"messages of type {message.type!r} cannot be sent to a model")


def _add_name(message: BaseMessage, converted: dict[str, Any]) -> dict[str, Any]:
    return {**converted, "name": message.name} if message.name else converted


def _human(message: HumanMessage) -> list[dict[str, Any]]:
    """Convert a human message; Anthropic's tool results inside of it become messages before it."""
    if isinstance(message.content, str):
        return [_add_name(message, {"role": "user", "content": message.content})]
    results = [block for block in message.content if _type(block) == "tool_result"]
    rest = [block for block in message.content if _type(block) != "tool_result"]
    converted: list[dict[str, Any]] = [
        {
            "role": "tool",
            "tool_call_id": None if (id := block.get("tool_use_id")) is None else str(id),
            "content": _content(block.get("content") or "", joined="\n"),
        }
        for block in results
        if isinstance(block, dict)
    ]
    if rest or not results:
        converted.append(_add_name(message, {"role": "user", "content": _content(rest, joined="\n")}))
    return converted


def _assistant(message: AIMessage, following: Iterable[BaseMessage]) -> dict[str, Any]:
    calls = [_call(call["id"], call["name"], _json(call["args"])) for call in message.tool_calls]
    calls += [_call(call["id"], call["name"], call["args"] or "") for call in message.invalid_tool_calls]
    calls += [_call(*call) for call in find_calls_in_content(message, {call["id"] for call in calls}, following)]
    content = _assistant_content(message.content, joined="") or message.additional_kwargs.get("refusal")
    converted: dict[str, Any] = {"role": "assistant", "content": content or (None if calls else "")}
    if calls:
        converted["tool_calls"] = calls
    return converted


def _call(id: str | None, name: str | None, arguments: str) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _assistant_content(content: str | Sequence[str | Mapping[str, Any]], *, joined: str) -> str | list[Part]:
    """Convert the content of a model's message, without the blocks that cannot be sent."""
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
        text = f"a content block of type {kind!r} in a model's message cannot be sent and is omitted"
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    return None


def _content(content: str | Sequence[str | Mapping[str, Any]], *, joined: str) -> str | list[Part]:
    """Convert content: text alone to a string, which every server accepts, anything else to a list of parts."""
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
        is_supported = name in _PARTS
        problem = f"lacks {error}" if is_supported else f"cannot be sent (hint: use {', '.join(sorted(_PARTS))})"
        raise ValueError(f"a content block of type {name!r} {problem}") from None
    except (AttributeError, TypeError) as error:
        raise ValueError(f"a content block of type {name!r} is malformed: {error}") from error


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
        return {"type": "audio_url", "audio_url": {"url": _address(block)}}  # vLLM's extension of OpenAI's input_audio
    subtype = media.partition("/")[2].removeprefix("x-")
    return {"type": "input_audio", "input_audio": {"data": data, "format": {"mpeg": "mp3"}.get(subtype, subtype)}}


def _video(block: Mapping[str, Any]) -> Part:
    return {"type": "video_url", "video_url": {"url": _url(block, "video/mp4")}}


def _document(block: Mapping[str, Any]) -> Part:
    """Convert a document: OCI Generative AI accepts a URL; data becomes a file."""
    if isinstance(block.get("document"), Mapping) or "document_url" in block or "url" in block:
        return {"type": "document_url", "document_url": {"url": _address(block)}}
    return _file(block)


def _file(block: Mapping[str, Any]) -> Part:
    if "document_url" in block:  # langchain-oci's spelling
        return _document(block)
    if isinstance(file := block.get("file"), Mapping):
        return _document({**block, "document": file}) if "url" in file else {"type": "file", "file": file}
    if file_id := block.get("file_id"):
        return {"type": "file", "file": {"file_id": file_id}}
    data, media = _inline_data(block, "application/pdf")
    if data is None:
        raise ValueError(
            "a file by URL cannot be sent: model servers do not fetch files (hint: use base64 data, or, for OCI "
            "Generative AI, {'type': 'document_url', 'document_url': {'url': …}})"
        )
    extras = block.get("extras") or block.get("metadata") or {}
    name = block.get("filename") or extras.get("filename") or extras.get("name") or "file"
    return {"type": "file", "file": {"filename": name, "file_data": f"data:{media};base64,{data}"}}


def _media(block: Mapping[str, Any]) -> Part:
    """Convert data of any kind, according to its media type."""
    kind = str(block["mime_type"]).partition("/")[0]
    return _MEDIA_CONVERTERS.get(kind, _file)({**block, "base64": block["data"]})


def _refusal(block: Mapping[str, Any]) -> Part:
    return {"type": "text", "text": block["refusal"]}


def _input_image(block: Mapping[str, Any]) -> Part:
    """Convert an image in the form of OpenAI's Responses API; one by its id stays as it is."""
    return _image({"detail": block.get("detail"), "url": url}) if (url := block.get("image_url")) else _unchanged(block)


def _input_file(block: Mapping[str, Any]) -> Part:
    if url := block.get("file_url"):
        return {"type": "document_url", "document_url": {"url": url}}
    return {"type": "file", "file": {name: value for name, value in block.items() if name != "type"}}


def _result_output(block: Mapping[str, Any]) -> Part:
    """Convert the item of a tool's result: its text, or the screenshot of a computer."""
    output = block.get("output") or ""
    return _text({"text": output}) if isinstance(output, str) else _PARTS[output["type"]](output) or {}


def _screenshot(block: Mapping[str, Any]) -> Part:
    return _image({"url": url}) if (url := block.get("image_url")) else _unchanged(block)


def _non_standard(block: Mapping[str, Any]) -> Part | None:
    """Convert the block inside: in older versions of langchain-core, a refusal is one."""
    return _part(block["value"])


def _url(block: Mapping[str, Any], media: str) -> str:
    data, media = _inline_data(block, media)
    if data is not None:
        return f"data:{media};base64,{data}"
    return _address(block)


def _address(block: Mapping[str, Any]) -> str:
    """Return the URL of a block: its own, or that of the object in it.

    The object is Anthropic's `source`, or named like the type (`video`) or as in OpenAI's blocks (`video_url`).
    """
    kind = _type(block)
    nested = next((block[name] for name in ("source", kind, f"{kind}_url", "document_url") if name in block), None)
    if isinstance(nested, str):
        return nested
    return str(nested["url"] if isinstance(nested, Mapping) else block["url"])


def _inline_data(block: Mapping[str, Any], media: str) -> tuple[str | None, str]:
    """Return the base64 data of a block in any of the formats, and its media type."""
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
    "input_text": _text,
    "input_image": _input_image,
    "input_file": _input_file,
    "computer_screenshot": _screenshot,
    "computer_call_output": _result_output,
    "custom_tool_call_output": _result_output,
    "mcp_approval_response": _unchanged,
    "non_standard": _non_standard,
}

#: Types of blocks that are the whole result of a tool.
_RESULT_BLOCKS = frozenset({"computer_call_output", "custom_tool_call_output"})

#: Converters by the type of a media type (`image` of `image/png`); anything else is a file.
_MEDIA_CONVERTERS = {"image": _image, "audio": _audio, "video": _video}

#: Media in messages of a model; they are omitted with a warning.
_MEDIA = frozenset({"image", "image_url", "audio", "video", "file", "file_data", "media", "image_generation_call"})

#: Types of blocks that are sent in other fields: tool calls, and reasoning if it is sent at all.
_SENT_ELSEWHERE = frozenset(
    {"tool_call", "tool_call_chunk", "invalid_tool_call", "tool_use", "function_call", "input_json_delta"}
    | {"reasoning", "thinking", "redacted_thinking"}
)
