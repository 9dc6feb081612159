"""Our messages as standard content blocks.

Core's best effort loses a tool call's arguments when text stands beside it, and its other translators drop reasoning;
so ours is registered under our own provider names. The string indices keep text, reasoning and each tool call apart
when chunks are merged under `output_version="v1"`; core numbers blocks by type where there are none.
"""

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
        if message.content:
            blocks.append({"type": "text", "text": message.content, "index": "lc_txt_0"})
    else:
        blocks += [block if isinstance(block, dict) else {"type": "text", "text": block} for block in message.content]
    if refusal := message.additional_kwargs.get("refusal"):
        blocks.append(refusal_block(refusal))
    return blocks


def refusal_block(text: str) -> dict[str, Any]:
    """The block of a refusal, for cores that have one and for those that have none."""
    if hasattr(types, "RefusalContentBlock"):
        return {"type": "refusal", "refusal": text, "index": "lc_rf_0"}
    return {"type": "non_standard", "value": {"type": "refusal", "refusal": text}, "index": "lc_rf_0"}


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


def register(provider: str) -> None:
    """Read messages of `provider` by these functions."""
    register_translator(provider, message_blocks, chunk_blocks)
