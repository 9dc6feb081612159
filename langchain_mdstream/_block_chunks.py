"""Chunks whose content is a list of blocks, for OpenAI's Responses API and `output_version="v1"`.

LangChain merges the blocks of chunks by their index, in the order in which it meets them. So each text, each reasoning
and each tool of the service has an index of its own, in the order in which the service sent them, as with `ChatOpenAI`.
What is known only at the end, such as citations and encrypted reasoning, is in the last chunk, under the same index.
"""

from collections.abc import Iterator
from typing import Any

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_mdstream._content_blocks import refusal_block
from langchain_mdstream._output_items import (
    Json,
    ReasoningParagraphs,
    call_extras,
    output_items,
    part_blocks,
    tool_item_blocks,
)
from langchain_mdstream._responses import ChunkBuilder
from mdstream_core import BlockStart, Event, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta

#: Prefixes of indices by the kind of a block. LangChain merges only blocks whose index starts with `lc_`.
_PREFIXES = {"text": "lc_txt", "reasoning": "lc_rs", "refusal": "lc_rf"}

#: Fields that the first delta of a block has.
_SENT = frozenset({"type", "text", "reasoning", "value", "refusal", "id"})


class BlockChunkBuilder(ChunkBuilder):
    """Convert the events of one stream to chunks with blocks. Arguments as for `ChunkBuilder`."""

    def __init__(self, provider: str, model: str = "") -> None:
        super().__init__(provider, model)
        self._blocks = 0
        self._open: dict[str, str] = {}  # the index of the last block of each kind
        self._id: str | None = None  # of the block whose first delta follows
        self._parts: dict[int, dict[int, str]] = {}  # the indices of each item's parts
        self._used: set[str | None] = set()  # the indices of blocks that a chunk has
        self._calls: dict[str, str] = {}  # the index of the block of each call, by its id
        self._is_custom_call = False
        self._paragraphs = ReasoningParagraphs()

    def convert(self, event: Event) -> ChatGenerationChunk | None:
        """Return the chunk of an event, or `None` if its data is stored for the last chunk or ignored."""
        match event:
            case TextDelta(text, 0):
                return self._chunk([self._delta("text", text)])
            case ReasoningDelta(text, 0):
                blocks = [] if self._paragraphs.is_separator(text) else [self._delta("reasoning", text)]
                return self._chunk(blocks, {"reasoning_content": text})
            case RefusalDelta(text, 0):
                delta = self._delta("refusal", text)
                return self._chunk(
                    [{**refusal_block(text, delta.get("id")), "index": delta["index"]}], {"refusal": text}
                )
            case ToolCallDelta(choice=0):
                return self._call_chunk(event)
            case BlockStart(choice=0):
                return self._start_block(event)
        return super().convert(event)

    def finish(self) -> ChatGenerationChunk:
        """Return the last chunk, which marks the response as complete."""
        chunk = super().finish()
        items = output_items(chunk.message.additional_kwargs)
        chunk.message.content = [block for at, item in enumerate(items) for block in self._remaining(at, item)]
        return chunk

    def _start_block(self, start: BlockStart) -> ChatGenerationChunk | None:
        if start.content is not None:
            index = self._next_index(start, "lc_srv")
            self._is_custom_call = start.kind == "custom_tool_call"
            blocks = tool_item_blocks(start.content)
            return self._chunk([{**block, "index": f"{index}_{at}"} for at, block in enumerate(blocks)])
        self._open[start.kind] = index = self._next_index(start, _PREFIXES[start.kind])
        if start.kind != "reasoning":
            self._id = start.id
            return None
        self._paragraphs.start()
        self._used.add(index)  # at once, because it may have no text
        return self._chunk([{"type": "reasoning", **({"id": start.id} if start.id else {}), "index": index}])

    def _next_index(self, start: BlockStart, prefix: str) -> str:
        index = f"{prefix}_{self._blocks}"
        self._blocks += 1
        self._parts.setdefault(start.item, {})[start.part] = index
        return index

    def _delta(self, kind: str, text: str) -> Json:
        index = self._open.setdefault(kind, _PREFIXES[kind])
        self._used.add(index)
        block = {"type": kind, kind: text, "index": index}
        if self._id:
            block["id"], self._id = self._id, None
        return block

    def _call_chunk(self, delta: ToolCallDelta) -> ChatGenerationChunk:
        """Return the chunk of a tool call. A call of a custom tool has a block already, that of its item."""
        call = tool_call_chunk(name=delta.name, args=delta.arguments, id=delta.id, index=delta.index)
        blocks: list[Json] = []
        if not self._is_custom_call:
            index = f"lc_tc_{delta.index}"
            blocks = [{**call, "index": index}]
            self._calls |= {delta.id: index} if delta.id else {}
        self._is_custom_call = False
        return self._chunk(blocks, calls=[call])

    def _chunk(
        self, blocks: list[Json], extra: dict[str, Any] | None = None, calls: list[Any] | None = None
    ) -> ChatGenerationChunk:
        content: list[Any] = blocks
        return self._generation_chunk(
            AIMessageChunk(content=content, additional_kwargs=extra or {}, tool_call_chunks=calls or [])
        )

    def _chunk_metadata(self) -> dict[str, Any]:
        return {**super()._chunk_metadata(), "output_version": "v1"}

    def _remaining(self, at: int, item: Json) -> Iterator[Any]:
        """Yield what the blocks of an item have beyond their deltas, under the same index."""
        for id, extras in call_extras([item]):
            if index := self._calls.get(id):
                yield {"type": "tool_call_chunk", "index": index, "extras": extras}
        indices = self._parts.get(at, {})
        for part, block in part_blocks(item):
            rest = {name: value for name, value in block.items() if name not in _SENT}
            if rest and (index := indices.get(part)) in self._used:
                yield {"type": block["type"], **rest, "index": index}
