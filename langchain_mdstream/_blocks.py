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
    return cast("list[types.ContentBlock]", [*_said(message), *_calls(message)])


def chunk_blocks(message: AIMessageChunk) -> list[types.ContentBlock]:
    """The blocks of a chunk: what it adds; of the last or a merged one: what it is."""
    blocks = _said(message)
    if message.chunk_position == "last":
        blocks += _calls(message)
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


def _said(message: AIMessage) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if reasoning := message.additional_kwargs.get("reasoning_content"):
        blocks.append({"type": "reasoning", "reasoning": reasoning, "index": "lc_rs_0"})
    if isinstance(message.content, str):
        cited = {"annotations": found} if (found := citations(message.additional_kwargs)) else {}
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


def citations(beside: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Standard citations, from Cohere's `citations` and OpenAI's `annotations`.

    Args:
        beside: A message's `additional_kwargs`.
    """
    told = [*_entries(beside.get("citations")), *_entries(beside.get("annotations"))]
    return [_citation(one) for one in told if isinstance(one, Mapping)]


def _entries(value: Any) -> list[Any]:
    """The entries of a list; of anything else, which a service may have written in its place, none."""
    return value if isinstance(value, list) else []


#: The names of a standard citation, and what services call them.
_OF_CITATION = {
    "start_index": ("start", "start_index", "startIndex"),
    "end_index": ("end", "end_index", "endIndex"),
    "cited_text": ("text", "cited_text"),
    "url": ("url",),
    "title": ("title",),
}


def _citation(told: Mapping[str, Any]) -> dict[str, Any]:
    nested = told.get("url_citation") or told.get("urlCitation")
    facts = nested if isinstance(nested, Mapping) else told
    named = {
        ours: next((facts[name] for name in names if facts.get(name) is not None), None)
        for ours, names in _OF_CITATION.items()
    }
    known = {name for names in _OF_CITATION.values() for name in names} | {"type"}
    extras = {name: value for name, value in facts.items() if name not in known and value is not None}
    found = {name: value for name, value in named.items() if value is not None}
    return {"type": "citation", **found, **({"extras": extras} if extras else {})}


def media_blocks(beside: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Pictures and sound that the model made.

    Args:
        beside: A message's `additional_kwargs`.
    """
    pictures = [
        {**_addressed("image", _address(one)), "index": f"lc_img_{at}"}
        for at, one in enumerate(_entries(beside.get("images")))
    ]
    sound = beside.get("audio")
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


def _address(picture: Any) -> str:
    """Where a picture is, however deep a server puts that."""
    while isinstance(picture, Mapping):
        picture = picture.get("image_url") or picture.get("url")
    return picture if isinstance(picture, str) else ""


def _addressed(kind: str, url: str) -> dict[str, Any]:
    head, comma, data = url.partition(";base64,")
    if head.startswith("data:") and comma:
        return {"type": kind, "base64": data, "mime_type": head.removeprefix("data:")}
    return {"type": kind, "url": url}


def _calls(message: AIMessage) -> list[dict[str, Any]]:
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


def register(provider: str) -> None:
    """Read messages of `provider` by these functions."""
    PROVIDERS.add(provider)
    register_translator(provider, message_blocks, chunk_blocks)
