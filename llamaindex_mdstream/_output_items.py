"""Output items of OpenAI's Responses API in messages: what a message shows of them, and the items to send back.

An assistant message has them in `additional_kwargs["output_items"]`, in their order and as the service sent them, and
those of built-in tools in `additional_kwargs["built_in_tool_calls"]` too, as LlamaIndex's `OpenAIResponses` has them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ThinkingBlock

Json = dict[str, Any]

#: Types of items that a message has as blocks: text, reasoning and tool calls.
_IN_BLOCKS = frozenset({"message", "reasoning", "function_call", "custom_tool_call"})

#: Fields of a reasoning item that are its text, not additional information.
_REASONING_TEXTS = frozenset({"type", "summary", "content"})


def read_items(kwargs: Mapping[str, Any]) -> list[Json]:
    """Return the output items of a response or a message; none for another API."""
    items = kwargs.get("output_items")
    known = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return [item for item in known if isinstance(item.get("type"), str)]


def item_kwargs(items: Sequence[Json], id: str | None) -> dict[str, Any]:
    """Return `additional_kwargs` of a message with these items, of the response with this id."""
    if not items:
        return {}
    built_in = [item for item in items if item["type"] not in _IN_BLOCKS]
    known = {"response_id": id, "built_in_tool_calls": built_in}
    return {"output_items": list(items), **{name: value for name, value in known.items() if value}}


def thinking_blocks(reasoning: str, items: Sequence[Json]) -> list[ThinkingBlock]:
    """Return the blocks of reasoning: one for each item, with its id and its encrypted content, which may be all of it.

    Args:
        reasoning: The whole reasoning, for a response whose items do not have it.
        items: The output items.
    """
    found = [item for item in items if item["type"] == "reasoning"]
    texts = [_reasoning_text(item) for item in found]
    if not any(texts) and reasoning:
        texts[:1] = [reasoning]
        found = found or [{}]
    return [
        ThinkingBlock(content=text or None, additional_information=_information(item))
        for item, text in zip(found, texts, strict=True)
    ]


def items_to_send(message: ChatMessage, *, reasoning: bool) -> list[Json]:
    """Return the output items of an assistant message to send back.

    Args:
        message: A message of the conversation. One without items, such as a message of LlamaIndex's `OpenAIResponses`,
            has its reasoning in its blocks.
        reasoning: Whether the reasoning is sent back, too.
    """
    items = read_items(message.additional_kwargs) or [
        item for block in message.blocks if isinstance(block, ThinkingBlock) for item in _reasoning_item(block)
    ]
    return items if reasoning else [item for item in items if item["type"] != "reasoning"]


def _reasoning_text(item: Mapping[str, Any]) -> str:
    parts = item.get("content") or item.get("summary") or []
    return "\n\n".join(str(part.get("text") or "") for part in parts if isinstance(part, Mapping))


def _information(item: Mapping[str, Any]) -> Json:
    return {name: value for name, value in item.items() if name not in _REASONING_TEXTS and value is not None}


def _reasoning_item(block: ThinkingBlock) -> list[Json]:
    """Return the item of a block that was one; none for the reasoning of another API."""
    id = block.additional_information.get("id")
    if not isinstance(id, str) or not id.startswith("rs_"):
        return []
    known = {name: block.additional_information.get(name) for name in ("id", "encrypted_content")}
    summary = [{"type": "summary_text", "text": block.content}] if block.content else []
    return [{"type": "reasoning", "summary": summary, **{name: value for name, value in known.items() if value}}]
