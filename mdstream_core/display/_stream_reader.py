"""What streams are made of → events of the core; and the whole answer, in the words of whoever streamed it.

The frameworks' values are known by their shape: the core imports neither.
"""

from collections.abc import Iterator
from typing import Any, Protocol, get_args, runtime_checkable

from mdstream_core.events import Event, ReasoningDelta, ResponseAccumulator, TextDelta, ToolCallDelta, Usage

_EVENT_TYPES = get_args(Event)


@runtime_checkable
class MessageChunk(Protocol):
    """A message chunk of LangChain's."""

    additional_kwargs: dict[str, Any]
    tool_call_chunks: list[Any]
    usage_metadata: Any

    @property
    def text(self) -> str: ...

    def __add__(self, others: Any, /) -> Any: ...


@runtime_checkable
class LlamaIndexResponse(Protocol):
    """A response of LlamaIndex's: each says what is new, and all that there is so far."""

    delta: str | None
    raw: Any
    additional_kwargs: dict[str, Any]


class StreamReader:
    """Reads one stream."""

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._accumulator = ResponseAccumulator()
        self._shown: dict[int, int] = {}

    def parse_item(self, item: Any) -> list[Event]:
        """What an item says. Raises `TypeError` if it is nothing that a model streams."""
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
                f"a stream of {type(item).__name__} cannot be shown: give what Client.stream, LangChain's stream or "
                "LlamaIndex's stream_chat and stream_complete return"
            )
        self._accumulator.add(item)
        return [item]

    def result(self) -> Any:
        """The whole answer: a `ModelResponse`, a message of LangChain's, LlamaIndex's last response, or a text."""
        if not self._items:
            return self._accumulator.response()
        first, *others = self._items
        if isinstance(first, str):
            return "".join(self._items)
        return first + others if others else first

    def _events_of_response(self, response: LlamaIndexResponse) -> Iterator[Event]:
        more = response.additional_kwargs
        if thought := more.get("thinking_delta"):
            yield ReasoningDelta(str(thought))
        if response.delta:
            yield TextDelta(response.delta)
        for index, call in enumerate(_tool_calls(response)):
            function = call.get("function") or {}
            arguments = str(function.get("arguments") or "")
            before = self._shown.get(index)
            self._shown[index] = len(arguments)
            if before is None:
                yield ToolCallDelta(index, call.get("id"), function.get("name"), arguments)
            elif arguments[before:]:
                yield ToolCallDelta(index, arguments=arguments[before:])
        if more.get("completion_tokens"):
            yield Usage(*(int(more.get(f"{name}_tokens") or 0) for name in ("prompt", "completion", "total")))


def _tool_calls(response: LlamaIndexResponse) -> list[dict[str, Any]]:
    told = getattr(getattr(response, "message", None), "additional_kwargs", {}).get("tool_calls") or ()
    return [call for call in told if isinstance(call, dict)]


def _events_of_chunk(chunk: MessageChunk) -> Iterator[Event]:
    if thought := chunk.additional_kwargs.get("reasoning_content"):
        yield ReasoningDelta(str(thought))
    if text := str(chunk.text):
        yield TextDelta(text)
    for place, call in enumerate(chunk.tool_call_chunks):
        index = call.get("index")
        yield ToolCallDelta(
            index if isinstance(index, int) else place, call.get("id"), call.get("name"), call.get("args") or ""
        )
    if counted := chunk.usage_metadata:
        yield Usage(counted["input_tokens"], counted["output_tokens"], counted["total_tokens"])
