"""Output items of OpenAI's Responses API in messages: standard content blocks of them, and the items to send back.

A message has them in `additional_kwargs["output_items"]`, in their order and as the service sent them. LangChain's own
translator of OpenAI's content converts them, so that the blocks are those of `ChatOpenAI(use_responses_api=True)`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from langchain_core.messages import AIMessage
from langchain_core.messages.block_translators import get_translator
from langchain_core.messages.tool import tool_call

import mdstream_core

Json = dict[str, Any]

#: Types of items whose content is streamed as text, reasoning or tool calls.
_STREAMED = frozenset({"message", "reasoning", "function_call", "custom_tool_call"})


def output_items(additional_kwargs: Mapping[str, Any]) -> list[Json]:
    """Return the output items of a message; none for a message of another API."""
    items = additional_kwargs.get("output_items")
    known = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return [item for item in known if isinstance(item.get("type"), str)]


def items_to_send(message: AIMessage, *, reasoning: bool) -> list[Json]:
    """Return the output items to send back.

    Args:
        message: A message of the conversation.
        reasoning: Whether the reasoning is sent back, too.
    """
    items = output_items(message.additional_kwargs)
    return items if reasoning else [item for item in items if item["type"] != "reasoning"]


def item_blocks(message: AIMessage) -> list[Json] | None:
    """Return the content blocks of a whole message from its items; `None` if they are not known, or its text was
    changed.
    """
    items = output_items(message.additional_kwargs)
    restored = (
        mdstream_core.restore_texts(items, message.content) if items and isinstance(message.content, str) else None
    )
    return None if restored is None else _translate([block for item in restored for block in _content(item)], message)


def service_tool_blocks(additional_kwargs: Mapping[str, Any]) -> list[Json]:
    """Return the blocks of the tools that the service ran, with an index: those that no other chunk has."""
    items = [item for item in output_items(additional_kwargs) if item["type"] not in _STREAMED]
    blocks = _translate([_without_nulls(item) for item in items], AIMessage(content=""))
    return [{**block, "index": f"lc_srv_{at}"} for at, block in enumerate(blocks)]


def tool_item_blocks(item: Mapping[str, Any]) -> list[Json]:
    """Return the blocks of a tool that the service ran: of its call, and of its result if the item has one."""
    return _translate([_without_nulls(item)], AIMessage(content=""))


def call_extras(items: list[Json]) -> list[tuple[str, Json]]:
    """Return the ids of tool calls, each with what its block has beyond the call: the id of its item, its status."""
    calls = [item for item in items if item["type"] == "function_call"]
    known = [tool_call(name=str(item.get("name")), args={}, id=str(item.get("call_id"))) for item in calls]
    blocks = _translate([_without_nulls(item) for item in calls], AIMessage(content="", tool_calls=known))
    return [(str(block.get("id")), block["extras"]) for block in blocks if "extras" in block]


def part_blocks(item: Json) -> Iterator[tuple[int, Json]]:
    """Yield the parts of a message or of reasoning, each with its block; a text that is not repeated is empty."""
    if item["type"] == "message":
        for at, part in enumerate(item.get("content") or ()):
            content = list(_content({**item, "content": [part if part.get("refusal") else {"text": "", **part}]}))
            yield from ((at, block) for block in _translate(content, AIMessage(content="")))
    elif item["type"] == "reasoning":
        known = {name: value for name, value in item.items() if name != "content"}
        yield from enumerate(_translate([{"summary": [], **_without_nulls(known)}], AIMessage(content="")))


class ReasoningParagraphs:
    """Find the empty lines between two blocks of reasoning, which are part of neither of them."""

    def __init__(self) -> None:
        self._is_first_piece = False
        self._has_text = False

    def start(self) -> None:
        """Begin a block of reasoning."""
        self._is_first_piece = True

    def is_separator(self, text: str) -> bool:
        """Whether a piece of reasoning is the empty line before a block."""
        is_separator = text == "\n\n" and self._is_first_piece and self._has_text
        self._is_first_piece, self._has_text = False, True
        return is_separator


def _translate(content: list[Json], message: AIMessage) -> list[Json]:
    if not content:
        return []
    calls = {"tool_calls": message.tool_calls, "invalid_tool_calls": message.invalid_tool_calls}
    translator = cast(Any, get_translator("openai"))
    blocks: list[Json] = translator["translate_content"](AIMessage(content=cast(Any, content), **calls))
    return blocks


def _content(item: Json) -> Iterator[Json]:
    """Yield the content of `ChatOpenAI` for an item."""
    if item["type"] != "message":
        yield _without_nulls(item)
        return
    common = {name: item[name] for name in ("id", "phase") if item.get(name) is not None}
    for part in item.get("content") or ():
        if part.get("refusal"):
            yield {"type": "refusal", "refusal": part["refusal"], **common}
        elif isinstance(part.get("text"), str):
            annotations = [_annotation(_without_nulls(one)) for one in part.get("annotations") or ()]
            yield {"type": "text", "text": part["text"], "annotations": annotations, **common}


def _annotation(annotation: Json) -> Json:
    """Rename `index`, by which LangChain merges blocks."""
    if annotation.get("type") != "file_citation" or "index" not in annotation:
        return annotation
    return {("file_index" if name == "index" else name): value for name, value in annotation.items()}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nulls(field) for name, field in value.items() if field is not None}
    return [_without_nulls(entry) for entry in value] if isinstance(value, list) else value
