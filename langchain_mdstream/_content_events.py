"""Events → content-block events: what LangChain's `stream_events(version="v3")` and LangGraph's v3 streams are made of.

Core can make them from our chunks. Made here a token costs a fraction of that, and nothing is lost on the way: core's
bridge keeps of log probabilities, and of a refusal in pieces, the last piece alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.callbacks import BaseRunManager
from langchain_core.messages import LC_ID_PREFIX, AIMessageChunk
from langchain_core.messages.tool import invalid_tool_call, tool_call

from langchain_mdstream._content_blocks import citation_blocks, media_blocks, refusal_block
from langchain_mdstream._responses import ChunkBuilder
from mdstream_core import Event, Logprobs, ReasoningDelta, RefusalDelta, TextDelta, ToolCall, ToolCallDelta

ContentEvent = dict[str, Any]
"""A `MessagesData` of `langchain_protocol`: all of its types are dictionaries."""

#: What a block's delta is called. A refusal has none: its block is told when it begins and when it is whole.
_DELTAS = {"text": "text-delta", "reasoning": "reasoning-delta"}

#: Where chunks, too, have what was said in these blocks.
_ADDITIONAL_KWARGS = {"reasoning": "reasoning_content", "refusal": "refusal"}


@dataclass(slots=True)
class _ToolCallState:
    """A tool call while it comes in; `index` is its block's index."""

    index: int
    id: str
    name: str
    pieces: list[str] = field(default_factory=list)


class ContentEventBuilder:
    """Turns the events of one stream into content-block events.

    Text, reasoning or a refusal goes on until something else is said. Tool calls stay open to the end: servers may mix
    the fragments of parallel calls, and a call that is told as whole may be executed, so the stream has to be known to
    have ended well. An error is raised and not told as the protocol's `error` event, after which core would call no
    `on_llm_error`.

    Args:
        provider: As for `ChunkBuilder`.
        model: As for `ChunkBuilder`.
        run: Names the message, as core does where it makes the events.
    """

    def __init__(self, provider: str, model: str = "", run: BaseRunManager | None = None) -> None:
        self._once = ChunkBuilder(provider, model)
        self._provider = provider
        self._id = f"{LC_ID_PREFIX}-{run.run_id}" if run else ""
        self._has_started = False
        self._blocks = 0
        self._kind = ""  # of the words that go on, which have a place and pieces
        self._index = 0
        self._pieces: list[str] = []
        self._calls: dict[int, _ToolCallState] = {}
        self._provider_data: dict[str, list[str]] = {}
        self._logprobs: list[dict[str, Any]] = []

    def convert(self, event: Event) -> Iterable[ContentEvent]:
        """What there is to tell of an event; nothing if it has its place in the last ones."""
        if type(event) is TextDelta and event.choice == 0:  # a token: see `ChunkBuilder.chunk`
            return self._add_text("text", event.text)
        match event:
            case ReasoningDelta(text, 0):
                return self._add_text("reasoning", text)
            case RefusalDelta(text, 0):
                return self._add_text("refusal", text)
            case ToolCallDelta(choice=0):
                return self._add_tool_call(event)
            case Logprobs(content, 0):
                self._logprobs += content
            case _:  # has its place in the last chunk too, or is another choice's
                self._once.convert(event)
        return ()

    def finish(self) -> Iterable[ContentEvent]:
        """What says that the answer is whole."""
        chunk = self._once.finish()
        message = cast(AIMessageChunk, chunk.message)
        told = self._add_citations(citation_blocks(message.additional_kwargs))
        told += [_finish(call.index, _complete_call(call)) for call in self._calls.values()]
        for block in media_blocks(message.additional_kwargs):
            told += [_start(at := self._next_index(), block), _finish(at, block)]
        finish: ContentEvent = {"event": "message-finish", "metadata": self._metadata(chunk.generation_info or {})}
        if message.usage_metadata:
            finish["usage"] = message.usage_metadata
        said = {name: "".join(pieces) for name, pieces in self._provider_data.items()}
        if beside := {**said, **message.additional_kwargs}:
            finish["additional_kwargs"] = beside
        return [*told, finish]

    def _add_text(self, kind: str, text: str) -> list[ContentEvent]:
        """More of the same, or the first of something else."""
        told = [] if kind == self._kind else self._open_block(kind)
        self._pieces.append(text)
        if delta := _DELTAS.get(kind):
            told.append(_delta(self._index, {"type": delta, kind: text}))
        return told

    def _add_tool_call(self, delta: ToolCallDelta) -> list[ContentEvent]:
        told = []
        call = self._calls.get(delta.index)
        if call is None:
            told = self._close_block()
            call = self._calls[delta.index] = _ToolCallState(self._next_index(), delta.id or "", delta.name or "")
            key = f"lc_tc_{delta.index}"  # as in a chunk's blocks
            first = {"type": "tool_call_chunk", "id": call.id, "name": call.name, "args": "", "index": key}
            told.append(_start(call.index, first))
        elif delta.name:
            call.name += delta.name
        if text := delta.arguments:
            call.pieces.append(text)
            told.append(_delta(call.index, {"type": "tool-call-delta", "args": text}))
        return told

    def _open_block(self, kind: str) -> list[ContentEvent]:
        told = self._close_block()
        self._kind, self._index = kind, self._next_index()
        told.append(_start(self._index, _block(kind, "")))
        return told

    def _close_block(self) -> list[ContentEvent]:
        """The message's beginning, if this is it, and the end of the words that went on until now."""
        told: list[ContentEvent] = []
        if not self._has_started:
            self._has_started = True
            start = {"event": "message-start", "role": "ai", "id": self._id}
            told.append({**start, "metadata": {"provider": self._provider}})
        if self._kind:
            text = "".join(self._pieces)
            if name := _ADDITIONAL_KWARGS.get(self._kind):
                self._provider_data.setdefault(name, []).append(text)
            told.append(_finish(self._index, _block(self._kind, text)))
            self._kind, self._pieces = "", []
        return told

    def _add_citations(self, found: list[dict[str, Any]]) -> list[ContentEvent]:
        """The end of the words, with what they cite; where they have ended before, the citations stand alone."""
        if not found:
            return self._close_block()
        told = [] if self._kind == "text" else self._open_block("text")
        *others, last = self._close_block()
        return [*told, *others, {**last, "content": {**last["content"], "annotations": found}}]

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


def _block(kind: str, text: str) -> dict[str, Any]:
    return refusal_block(text) if kind == "refusal" else {"type": kind, kind: text}


def _complete_call(call: _ToolCallState) -> Any:
    """The call, or what the model wrote in its place."""
    written = ToolCall(call.id, call.name, "".join(call.pieces))
    try:
        return tool_call(name=call.name, args=written.parse_arguments(), id=call.id)
    except ValueError as error:
        return invalid_tool_call(name=call.name, args=written.arguments, id=call.id, error=str(error))
