"""Convert messages to LangChain's standard content blocks.

LangChain's default translator loses the arguments of a tool call beside text, and its other translators drop reasoning,
so this one is registered under the names of our providers. String indices keep text, reasoning and each tool call apart
when chunks are merged under `output_version="v1"`; without them LangChain numbers blocks by type.
"""

from collections.abc import Mapping
from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages import content as types
from langchain_core.messages.block_translators import register_translator

from langchain_mdstream._output_items import item_blocks, service_tool_blocks

#: Keys of `additional_kwargs` with streamed output, which the last chunk alone does not have.
_STREAMED = frozenset({"reasoning_content", "refusal"})


def message_blocks(message: AIMessage) -> list[types.ContentBlock]:
    """Return the blocks of a whole message."""
    blocks = item_blocks(message)
    if blocks is None:
        service_tools = service_tool_blocks(message.additional_kwargs)
        blocks = [*_text_blocks(message), *service_tools, *_tool_call_blocks(message)]
    return cast("list[types.ContentBlock]", blocks)


def chunk_blocks(message: AIMessageChunk) -> list[types.ContentBlock]:
    """Return the blocks of a chunk: of the last or a merged chunk those of the whole message."""
    blocks = _text_blocks(message)
    if message.chunk_position == "last":
        is_merged = bool(message.content or message.tool_call_chunks or message.additional_kwargs.keys() & _STREAMED)
        if is_merged and (whole := item_blocks(message)) is not None:
            return cast("list[types.ContentBlock]", whole)
        blocks += service_tool_blocks(message.additional_kwargs)
        blocks += _tool_call_blocks(message)
    else:
        blocks += [
            {
                "type": "tool_call_chunk",
                "id": call["id"],
                "name": call["name"],
                "args": call["args"],
                "index": f"lc_tc_{call['index']}",
            }
            for call in message.tool_call_chunks
        ]
    return cast("list[types.ContentBlock]", blocks)


def _text_blocks(message: AIMessage) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if reasoning := message.additional_kwargs.get("reasoning_content"):
        blocks.append({"type": "reasoning", "reasoning": reasoning, "index": "lc_rs_0"})
    if isinstance(message.content, str):
        cited = {"annotations": found} if (found := citation_blocks(message.additional_kwargs)) else {}
        if message.content or cited:
            blocks.append({"type": "text", "text": message.content, **cited, "index": "lc_txt_0"})
    else:
        blocks += map(_standard_block, message.content)
    if refusal := message.additional_kwargs.get("refusal"):
        blocks.append(refusal_block(refusal))
    if isinstance(message.content, str):
        blocks += media_blocks(message.additional_kwargs)
    return blocks


def _standard_block(block: str | dict[str, Any]) -> dict[str, Any]:
    """Return a block of a list; one of a type that LangChain does not know becomes a non-standard block."""
    if isinstance(block, str):
        return {"type": "text", "text": block}
    if block.get("type") in types.KNOWN_BLOCK_TYPES:
        return block
    index = {"index": block["index"]} if "index" in block else {}
    return {"type": "non_standard", "value": block, **index}


def refusal_block(text: str, id: str | None = None) -> dict[str, Any]:
    """Return the block of a refusal, for versions of langchain-core with and without such a block."""
    refusal = {"type": "refusal", "refusal": text, **({"id": id} if id else {})}
    if hasattr(types, "RefusalContentBlock"):
        return {**refusal, "index": "lc_rf_0"}
    return {"type": "non_standard", "value": refusal, "index": "lc_rf_0"}


def citation_blocks(provider_data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return standard citations from Cohere's `citations` and OpenAI's `annotations`.

    Args:
        provider_data: A message's `additional_kwargs`.
    """
    citations = [*_entries(provider_data.get("citations")), *_entries(provider_data.get("annotations"))]
    return [_citation_block(citation) for citation in citations if isinstance(citation, Mapping)]


def _entries(value: Any) -> list[Any]:
    """Return a list as it is, and an empty list for any other value, which a service may send in its place."""
    return value if isinstance(value, list) else []


#: Fields of a standard citation, and the names that services use.
_CITATION_FIELDS = {
    "start_index": ("start", "start_index", "startIndex"),
    "end_index": ("end", "end_index", "endIndex"),
    "cited_text": ("text", "cited_text"),
    "url": ("url",),
    "title": ("title",),
}


def _citation_block(citation: Mapping[str, Any]) -> dict[str, Any]:
    nested = citation.get("url_citation") or citation.get("urlCitation")
    source = nested if isinstance(nested, Mapping) else citation
    fields = {
        field: next((source[name] for name in names if source.get(name) is not None), None)
        for field, names in _CITATION_FIELDS.items()
    }
    known = {name for names in _CITATION_FIELDS.values() for name in names} | {"type"}
    extras = {name: value for name, value in source.items() if name not in known and value is not None}
    present = {name: value for name, value in fields.items() if value is not None}
    return {"type": "citation", **present, **({"extras": extras} if extras else {})}


def media_blocks(provider_data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the blocks of images and audio that the model generated.

    Args:
        provider_data: A message's `additional_kwargs`.
    """
    images = [
        {**_media_block("image", _media_url(image)), "index": f"lc_img_{index}"}
        for index, image in enumerate(_entries(provider_data.get("images")))
    ]
    audio = provider_data.get("audio")
    if not isinstance(audio, Mapping):
        return images
    data = audio.get("data") or ""
    extras = {name: value for name, value in audio.items() if name != "data" or not isinstance(data, str)}
    block = {
        "type": "audio",
        "base64": data if isinstance(data, str) else "",
        "mime_type": "audio/wav",
        "index": "lc_aud_0",
    }
    return [*images, {**block, **({"extras": extras} if extras else {})}]


def _media_url(image: Any) -> str:
    """Return the URL of an image, at whatever depth a server nests it."""
    while isinstance(image, Mapping):
        image = image.get("image_url") or image.get("url")
    return image if isinstance(image, str) else ""


def _media_block(kind: str, url: str) -> dict[str, Any]:
    head, comma, data = url.partition(";base64,")
    if head.startswith("data:") and comma:
        return {"type": kind, "base64": data, "mime_type": head.removeprefix("data:")}
    return {"type": kind, "url": url}


def _tool_call_blocks(message: AIMessage) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = [
        {"type": "tool_call", "id": call["id"], "name": call["name"], "args": call["args"], "index": f"lc_tc_{index}"}
        for index, call in enumerate(message.tool_calls)
    ]
    return calls + [
        {
            "type": "invalid_tool_call",
            "id": call["id"],
            "name": call["name"],
            "args": call["args"],
            "error": call["error"],
            "index": f"lc_tc_{len(calls) + index}",
        }
        for index, call in enumerate(message.invalid_tool_calls)
    ]


#: Values of `model_provider` in messages of this package.
PROVIDERS: set[str] = set()


def register_provider(provider: str) -> None:
    """Register these translators for messages of `provider`."""
    PROVIDERS.add(provider)
    register_translator(provider, message_blocks, chunk_blocks)
