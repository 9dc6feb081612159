"""Our messages as standard content blocks.

Core's best effort loses a tool call's arguments when text stands beside it, and its other translators drop reasoning;
so ours is registered under our own provider names. The string indices keep text, reasoning and each tool call apart
when chunks are merged under `output_version="v1"`; core numbers blocks by type where there are none.
"""

from collections.abc import Mapping
from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages import content as types
from langchain_core.messages.block_translators import register_translator


def message_blocks(message: AIMessage) -> list[types.ContentBlock]:
    """The blocks of a whole message."""
    return cast("list[types.ContentBlock]", [*_text_blocks(message), *_tool_call_blocks(message)])


def chunk_blocks(message: AIMessageChunk) -> list[types.ContentBlock]:
    """The blocks of a chunk: what it adds; of the last or a merged one: what it is."""
    blocks = _text_blocks(message)
    if message.chunk_position == "last":
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
        blocks += [block if isinstance(block, dict) else {"type": "text", "text": block} for block in message.content]
    if refusal := message.additional_kwargs.get("refusal"):
        blocks.append(refusal_block(refusal))
    if isinstance(message.content, str):
        blocks += media_blocks(message.additional_kwargs)
    return blocks


def refusal_block(text: str) -> dict[str, Any]:
    """The block of a refusal, for cores that have one and for those that have none."""
    if hasattr(types, "RefusalContentBlock"):
        return {"type": "refusal", "refusal": text, "index": "lc_rf_0"}
    return {"type": "non_standard", "value": {"type": "refusal", "refusal": text}, "index": "lc_rf_0"}


def citation_blocks(provider_data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Standard citations, from Cohere's `citation_blocks` and OpenAI's `annotations`.

    Args:
        provider_data: A message's `additional_kwargs`.
    """
    told = [*_entries(provider_data.get("citations")), *_entries(provider_data.get("annotations"))]
    return [_citation_block(one) for one in told if isinstance(one, Mapping)]


def _entries(value: Any) -> list[Any]:
    """The entries of a list; of anything else, which a service may have written in its place, none."""
    return value if isinstance(value, list) else []


#: The names of a standard citation, and what services call them.
_CITATION_FIELDS = {
    "start_index": ("start", "start_index", "startIndex"),
    "end_index": ("end", "end_index", "endIndex"),
    "cited_text": ("text", "cited_text"),
    "url": ("url",),
    "title": ("title",),
}


def _citation_block(citation: Mapping[str, Any]) -> dict[str, Any]:
    nested = citation.get("url_citation") or citation.get("urlCitation")
    facts = nested if isinstance(nested, Mapping) else citation
    named = {
        ours: next((facts[name] for name in names if facts.get(name) is not None), None)
        for ours, names in _CITATION_FIELDS.items()
    }
    known = {name for names in _CITATION_FIELDS.values() for name in names} | {"type"}
    extras = {name: value for name, value in facts.items() if name not in known and value is not None}
    found = {name: value for name, value in named.items() if value is not None}
    return {"type": "citation", **found, **({"extras": extras} if extras else {})}


def media_blocks(provider_data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Pictures and sound that the model made.

    Args:
        provider_data: A message's `additional_kwargs`.
    """
    pictures = [
        {**_media_block("image", _media_url(one)), "index": f"lc_img_{at}"}
        for at, one in enumerate(_entries(provider_data.get("images")))
    ]
    sound = provider_data.get("audio")
    if not isinstance(sound, Mapping):
        return pictures
    data = sound.get("data") or ""
    extras = {name: value for name, value in sound.items() if name != "data" or not isinstance(data, str)}
    block = {
        "type": "audio",
        "base64": data if isinstance(data, str) else "",
        "mime_type": "audio/wav",
        "index": "lc_aud_0",
    }
    return [*pictures, {**block, **({"extras": extras} if extras else {})}]


def _media_url(picture: Any) -> str:
    """Where a picture is, however deep a server puts that."""
    while isinstance(picture, Mapping):
        picture = picture.get("image_url") or picture.get("url")
    return picture if isinstance(picture, str) else ""


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


#: The names of our platforms in messages.
PROVIDERS: set[str] = set()


def register_provider(provider: str) -> None:
    """Read messages of `provider` by these functions."""
    PROVIDERS.add(provider)
    register_translator(provider, message_blocks, chunk_blocks)
