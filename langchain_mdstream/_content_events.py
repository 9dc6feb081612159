"""Convert events to content-block events, for LangChain's `stream_events(version="v3")` and LangGraph's v3 streams.

LangChain can derive them from chunks. This direct conversion is faster and loses nothing: LangChain's conversion keeps
only the last piece of the log probabilities and of a refusal.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.callbacks import BaseRunManager
from langchain_core.messages import LC_ID_PREFIX, AIMessageChunk
from langchain_core.messages.tool import invalid_tool_call, tool_call

from langchain_mdstream._content_blocks import citation_blocks, media_blocks, refusal_block
from langchain_mdstream._output_items import (
    ReasoningParagraphs,
    call_extras,
    output_items,
    service_tool_blocks,
    tool_item_blocks,
)
from langchain_mdstream._responses import ChunkBuilder
from mdstream_core import BlockStart, Event, Logprobs, ReasoningDelta, RefusalDelta, TextDelta, ToolCall, ToolCallDelta

ContentEvent = dict[str, Any]
"""A `MessagesData` of `langchain_protocol`; all of its types are dictionaries."""

#: Types of the deltas of a block. A refusal has none: its block has a start and a finish only.
_DELTAS = {"text": "text-delta", "reasoning": "reasoning-delta"}

#: Keys of `additional_kwargs` that hold the text of these blocks, as in chunks.
_ADDITIONAL_KWARGS = {"reasoning": "reasoning_content", "refusal": "refusal"}


@dataclass(slots=True)
class _ToolCallState:
    """A tool call that is being received; `index` is the index of its block."""

    index: int
    id: str
    name: str
    pieces: list[str] = field(default_factory=list)


class ContentEventBuilder:
    """Convert the events of one stream to content-block events.

    A block of text, reasoning or refusal ends when another kind of output begins. Tool calls stay open to the end,
    because servers may interleave the fragments of parallel calls, and because a finished call may be executed before
    the stream is known to be complete. Errors are raised and not converted to the protocol's `error` event, after which
    LangChain would not call `on_llm_error`.

    Args:
        provider: As for `ChunkBuilder`.
        model: As for `ChunkBuilder`.
        run: Provides the id of the message, as in LangChain's own events.
    """

    def __init__(self, provider: str, model: str = "", run: BaseRunManager | None = None) -> None:
        self._chunks = ChunkBuilder(provider, model)
        self._provider = provider
        self._id = f"{LC_ID_PREFIX}-{run.run_id}" if run else ""
        self._has_started = False
        self._blocks = 0
        self._kind = ""  # of the open block, with its index and pieces
        self._index = 0
        self._pieces: list[str] = []
        self._block_id: str | None = None
        self._has_block_starts = False
        self._paragraphs = ReasoningParagraphs()
        self._calls: dict[int, _ToolCallState] = {}
        self._provider_data: dict[str, list[str]] = {}
        self._logprobs: list[dict[str, Any]] = []

    def convert(self, event: Event) -> Iterable[ContentEvent]:
        """Return the content-block events of an event; none if it belongs to the final ones."""
        if type(event) is TextDelta and event.choice == 0:  # the usual event: see `ChunkBuilder.convert`
            return self._add_text("text", event.text)
        match event:
            case ReasoningDelta(text, 0):
                return self._add_reasoning(text)
            case RefusalDelta(text, 0):
                return self._add_text("refusal", text)
            case ToolCallDelta(choice=0):
                return self._add_tool_call(event)
            case Logprobs(content, 0):
                self._logprobs += content
            case BlockStart(choice=0):
                return self._start_block(event)
            case _:  # belongs to the last chunk, or to another choice
                self._chunks.convert(event)
        return ()

    def finish(self) -> Iterable[ContentEvent]:
        """Return the final events, which mark the response as complete."""
        chunk = self._chunks.finish()
        message = cast(AIMessageChunk, chunk.message)
        events = self._add_citations(citation_blocks(message.additional_kwargs))
        extras = dict(call_extras(output_items(message.additional_kwargs)))
        events += [_finish(call.index, _complete_call(call, extras)) for call in self._calls.values()]
        tools = () if self._has_block_starts else service_tool_blocks(message.additional_kwargs)
        for block in (*tools, *media_blocks(message.additional_kwargs)):
            events += [_start(index := self._next_index(), block), _finish(index, block)]
        finish: ContentEvent = {"event": "message-finish", "metadata": self._metadata(chunk.generation_info or {})}
        if message.usage_metadata:
            finish["usage"] = message.usage_metadata
        texts = {name: "".join(pieces) for name, pieces in self._provider_data.items()}
        if additional_kwargs := {**texts, **message.additional_kwargs}:
            finish["additional_kwargs"] = additional_kwargs
        return [*events, finish]

    def _start_block(self, start: BlockStart) -> list[ContentEvent]:
        """Start a block where the service started one; the block of a tool that it ran is whole."""
        self._has_block_starts = True
        if start.kind == "custom_tool_call":  # its block is that of the tool call
            return []
        if start.content is None:
            self._paragraphs.start()
            return self._open_block(start.kind, start.id)
        events = self._close_block()
        for block in tool_item_blocks(start.content):
            events += [_start(index := self._next_index(), block), _finish(index, block)]
        return events

    def _add_reasoning(self, text: str) -> list[ContentEvent]:
        if not self._paragraphs.is_separator(text):
            return self._add_text("reasoning", text)
        self._provider_data.setdefault(_ADDITIONAL_KWARGS["reasoning"], []).append(text)
        return []

    def _add_text(self, kind: str, text: str) -> list[ContentEvent]:
        """Continue the open block, or start one of another kind."""
        events = [] if kind == self._kind else self._open_block(kind)
        self._pieces.append(text)
        if delta := _DELTAS.get(kind):
            events.append(_delta(self._index, {"type": delta, kind: text}))
        return events

    def _add_tool_call(self, delta: ToolCallDelta) -> list[ContentEvent]:
        events = []
        call = self._calls.get(delta.index)
        if call is None:
            events = self._close_block()
            call = self._calls[delta.index] = _ToolCallState(self._next_index(), delta.id or "", delta.name or "")
            key = f"lc_tc_{delta.index}"  # as in a chunk's blocks
            first = {"type": "tool_call_chunk", "id": call.id, "name": call.name, "args": "", "index": key}
            events.append(_start(call.index, first))
        elif delta.name:
            call.name += delta.name
        if text := delta.arguments:
            call.pieces.append(text)
            events.append(_delta(call.index, {"type": "tool-call-delta", "args": text}))
        return events

    def _open_block(self, kind: str, id: str | None = None) -> list[ContentEvent]:
        events = self._close_block()
        self._kind, self._index, self._block_id = kind, self._next_index(), id
        events.append(_start(self._index, _block(kind, "", id)))
        return events

    def _close_block(self) -> list[ContentEvent]:
        """Start the message, if it has not started, and finish the open block."""
        events: list[ContentEvent] = []
        if not self._has_started:
            self._has_started = True
            start = {"event": "message-start", "role": "ai", "id": self._id}
            events.append({**start, "metadata": {"provider": self._provider}})
        if self._kind:
            text = "".join(self._pieces)
            if name := _ADDITIONAL_KWARGS.get(self._kind):
                self._provider_data.setdefault(name, []).append(text)
            events.append(_finish(self._index, _block(self._kind, text, self._block_id)))
            self._kind, self._pieces = "", []
        return events

    def _add_citations(self, citations: list[dict[str, Any]]) -> list[ContentEvent]:
        """Finish the text block with its citations; if it is finished already, add a block for them."""
        if not citations:
            return self._close_block()
        events = [] if self._kind == "text" else self._open_block("text")
        *others, last = self._close_block()
        return [*events, *others, {**last, "content": {**last["content"], "annotations": citations}}]

    def _next_index(self) -> int:
        self._blocks += 1
        return self._blocks - 1

    def _metadata(self, info: dict[str, Any]) -> dict[str, Any]:
        logprobs = {"logprobs": {"content": self._logprobs}} if self._logprobs else {}
        return {"model_provider": self._provider, **logprobs, **info}


def _start(index: int, content: Any) -> ContentEvent:
    return {"event": "content-block-start", "index": index, "content": content}


def _delta(index: int, delta: dict[str, str]) -> ContentEvent:
    return {"event": "content-block-delta", "index": index, "delta": delta}


def _finish(index: int, content: Any) -> ContentEvent:
    return {"event": "content-block-finish", "index": index, "content": content}


def _block(kind: str, text: str, id: str | None) -> dict[str, Any]:
    if kind == "refusal":
        return refusal_block(text, id)
    return {"type": kind, kind: text, **({"id": id} if id else {})}


def _complete_call(call: _ToolCallState, extras: Mapping[str, dict[str, Any]]) -> Any:
    """Return the tool call with what the service reports beside it, or an invalid one if its arguments are invalid."""
    received = ToolCall(call.id, call.name, "".join(call.pieces))
    others = {"extras": extras[call.id]} if call.id in extras else {}
    try:
        return {**tool_call(name=call.name, args=received.parse_arguments(), id=call.id), **others}
    except ValueError as error:
        return invalid_tool_call(name=call.name, args=received.arguments, id=call.id, error=str(error))
