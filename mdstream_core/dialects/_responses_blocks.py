"""The blocks of a response of OpenAI's Responses API: which text, reasoning or call of a tool comes when."""

from typing import Any

from mdstream_core.dialects._responses_items import OutputItem
from mdstream_core.events import BlockStart, Event

#: Types of items that are received as text, reasoning or tool calls.
_STREAMED = frozenset({"message", "reasoning", "function_call"})

#: The kind of block of a part, by the field of the item.
_KINDS = {"summary": "reasoning"}


class OutputBlocks:
    """Emits `BlockStart` where the output continues with another block.

    A block of reasoning without text, which OpenAI's models send first, waits for the next output: as an event of its
    own it would prevent a retry although nothing was generated.
    """

    __slots__ = ("_known", "_waiting", "position")

    def __init__(self) -> None:
        #: The block that the output is in; the same object until another one starts.
        self.position: tuple[Any, ...] = (None,)
        self._known: set[int] = set()
        self._waiting: list[Event] = []

    def enter(self, item: OutputItem, field: str, at: Any, events: list[Event]) -> tuple[Any, ...]:
        """Emit the start of a block, unless it is the one that the output is in; return its position."""
        position = (item.number, field, at)
        if position != self.position:
            self.position = position
            self._known.add(item.number)
            self.flush(events)
            events.append(_start(item, _KINDS.get(field, field), at))
        return self.position

    def add_whole(self, item: OutputItem, events: list[Event]) -> None:
        """Emit the block of a whole item that has no deltas, once."""
        if item.number in self._known:
            return
        if item.kind == "reasoning":
            self._known.add(item.number)
            self._waiting.append(_start(item, "reasoning", 0))
        elif item.kind not in _STREAMED:
            self._known.add(item.number)
            self.flush(events)
            events.append(_start(item, item.kind, 0, item.to_json()))

    def flush(self, events: list[Event]) -> None:
        """Emit the blocks that wait for further output."""
        events += self._waiting
        self._waiting.clear()


def _start(item: OutputItem, kind: str, at: Any, content: dict[str, Any] | None = None) -> BlockStart:
    id = item.fields.get("id")
    return BlockStart(kind, item.number, at if isinstance(at, int) else 0, id if isinstance(id, str) else None, content)
