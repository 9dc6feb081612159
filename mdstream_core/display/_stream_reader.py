"""Convert the items of a stream to events, and build its complete result.

The chunks of LangChain and the responses of LlamaIndex are recognized by their attributes, because the core imports
neither framework.
"""

from collections.abc import Iterator
from typing import Any, Protocol, get_args, runtime_checkable

from mdstream_core.events import Event, ReasoningDelta, ResponseAccumulator, TextDelta, ToolCallDelta, Usage

_EVENT_TYPES = get_args(Event)


@runtime_checkable
class MessageChunk(Protocol):
    """A message chunk of LangChain."""

    additional_kwargs: dict[str, Any]
    tool_call_chunks: list[Any]
    usage_metadata: Any

    @property
    def text(self) -> str: ...

    def __add__(self, others: Any, /) -> Any: ...


@runtime_checkable
class LlamaIndexResponse(Protocol):
    """A response of LlamaIndex, with the new text and all text so far."""

    delta: str | None
    raw: Any
    additional_kwargs: dict[str, Any]


class StreamReader:
    """Reads one stream."""

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._accumulator = ResponseAccumulator()
        self._argument_lengths: dict[int, int] = {}

    def parse_item(self, item: Any) -> list[Event]:
        """Convert an item to events.

        Raises:
            TypeError: The item is neither an event, nor a string, a chunk of LangChain or a response of LlamaIndex.
        """
        match item:
            case str():
                self._items.append(item)
                return [TextDelta(item)]
            case MessageChunk():
                self._items.append(item)
                return list(_events_of_chunk(item))
            case LlamaIndexResponse():
                self._items = [item]
                return list(self._events_of_response(item))
        if not isinstance(item, _EVENT_TYPES):
            raise TypeError(
                f"a stream of {type(item).__name__} cannot be displayed (hint: pass a stream of Client.stream, of "
                "LangChain's stream, or of LlamaIndex's stream_chat or stream_complete)"
            )
        self._accumulator.add(item)
        return [item]

    def result(self) -> Any:
        """Return the complete response: `ModelResponse`, LangChain's message or text, or LlamaIndex's last response."""
        if not self._items:
            return self._accumulator.response()
        first, *others = self._items
        if isinstance(first, str):
            return "".join(self._items)
        return first + others if others else first

    def _events_of_response(self, response: LlamaIndexResponse) -> Iterator[Event]:
        kwargs = response.additional_kwargs
        if reasoning := kwargs.get("thinking_delta"):
            yield ReasoningDelta(str(reasoning))
        if response.delta:
            yield TextDelta(response.delta)
        for index, call in enumerate(_tool_calls(response)):
            function = call.get("function") or {}
            arguments = str(function.get("arguments") or "")
            before = self._argument_lengths.get(index)
            self._argument_lengths[index] = len(arguments)
            if before is None:
                yield ToolCallDelta(index, call.get("id"), function.get("name"), arguments)
            elif arguments[before:]:
                yield ToolCallDelta(index, arguments=arguments[before:])
        if kwargs.get("completion_tokens"):
            yield Usage(*(int(kwargs.get(f"{name}_tokens") or 0) for name in ("prompt", "completion", "total")))


def _tool_calls(response: LlamaIndexResponse) -> list[dict[str, Any]]:
    calls = getattr(getattr(response, "message", None), "additional_kwargs", {}).get("tool_calls") or ()
    return [call for call in calls if isinstance(call, dict)]


def _events_of_chunk(chunk: MessageChunk) -> Iterator[Event]:
    if reasoning := chunk.additional_kwargs.get("reasoning_content"):
        yield ReasoningDelta(str(reasoning))
    if text := str(chunk.text):
        yield TextDelta(text)
    for position, call in enumerate(chunk.tool_call_chunks):
        index = call.get("index")
        yield ToolCallDelta(
            index if isinstance(index, int) else position, call.get("id"), call.get("name"), call.get("args") or ""
        )
    if usage := chunk.usage_metadata:
        yield Usage(usage["input_tokens"], usage["output_tokens"], usage["total_tokens"])
