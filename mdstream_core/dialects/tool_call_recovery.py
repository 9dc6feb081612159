"""Recover a tool call that a server has left in the text: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`.

Hermes, Qwen and many fine-tuned models write calls like this. A server without a tool call parser returns them as text,
with the finish reason `stop`, so that an agent would end with the call as its output. Only a text that is exactly one
complete call of an offered tool is recovered; every other text stays text. `TextParsingDialect` reads calls inside of
other text, on request.
"""

from collections.abc import Collection, Mapping
from typing import Any

from mdstream_core import _json
from mdstream_core.dialects._delegation import DelegatingDecoder, DelegatingDialect
from mdstream_core.dialects._dialect import Decoder, Dialect
from mdstream_core.dialects._text_scanner import name_and_arguments
from mdstream_core.dialects._tool_calls import ToolCallReader
from mdstream_core.events import BlockStart, Event, Finish, ModelResponse, TextDelta, ToolCallDelta

_OPENING, _CLOSING = "<tool_call>", "</tool_call>"

#: The most text that is held back, in characters; a longer one is no call.
_MAX_CALL = 1024 * 1024

#: An empty delta is returned each time that so many characters were held back, so that timeouts see progress.
_PROGRESS_INTERVAL = 1024


class _HeldText:
    """The text of one choice, which is held back while it may be a tool call."""

    __slots__ = ("may_be_call", "pieces", "shown", "size", "start")

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.start = ""  # without white space, up to the length of the marker
        self.size = self.shown = 0
        self.may_be_call = True

    def add(self, text: str) -> bool:
        """Add text. Return whether all of it may be a tool call."""
        self.pieces.append(text)
        self.size += len(text)
        if len(self.start) < len(_OPENING):
            self.start = (self.start + text).lstrip()[: len(_OPENING)]
            self.may_be_call = _OPENING.startswith(self.start)
        self.may_be_call = self.may_be_call and self.size <= _MAX_CALL
        return self.may_be_call

    def take(self) -> str:
        text = "".join(self.pieces)
        self.pieces.clear()
        return text


class ToolCallRecoveryDecoder(DelegatingDecoder):
    """Decoder that holds text back only while it may be a tool call: normal text is returned at once."""

    def __init__(self, inner: Decoder, tools: Collection[str]) -> None:
        super().__init__(inner)
        self._tools = tools
        self._held: dict[int, _HeldText] = {}

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """Decode one payload."""
        events = self._inner.feed(data, event)
        if not events or self.is_transparent:  # a caller may keep this method for the payloads of one read
            return events
        events = self._read(events)
        if self._held and not any(held.may_be_call for held in self._held.values()):
            self.feed = self._inner.feed  # type: ignore[method-assign]  # there is no call: later payloads cost nothing
            self.is_transparent = True
        return events if self.error is None else [*events, *self._release()]

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """Check that the response is complete."""
        return [*self._read(self._inner.finish(is_document=is_document)), *self._release()]

    def flush(self) -> list[Event]:
        """Return the text that is held back, as text: the response was interrupted."""
        return [*self._release(), *self._inner.flush()]

    def _read(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            match event:
                case TextDelta(choice=choice):
                    self._read_text(event, self._held.get(choice) or self._held.setdefault(choice, _HeldText()), out)
                case ToolCallDelta(choice=choice):  # the server has a parser
                    self._stop(choice, out)
                    out.append(event)
                case BlockStart(choice=choice):
                    if (held := self._held.get(choice)) and held.pieces:  # the text is not all of the output
                        self._stop(choice, out)
                    out.append(event)
                case Finish():
                    out += self._read_finish(event)
                case _:
                    out.append(event)
        return out

    def _read_text(self, event: TextDelta, held: _HeldText, out: list[Event]) -> None:
        if not held.may_be_call:
            out.append(event)
        elif not held.add(event.text):
            out.append(TextDelta(held.take(), event.choice))
        elif held.size - held.shown >= _PROGRESS_INTERVAL:
            held.shown = held.size
            out.append(TextDelta("", event.choice))

    def _stop(self, choice: int, out: list[Event]) -> None:
        """Return the text of a choice, and hold no more of it back."""
        held = self._held.setdefault(choice, _HeldText())
        held.may_be_call = False
        if text := held.take():
            out.append(TextDelta(text, choice))

    def _read_finish(self, event: Finish) -> list[Event]:
        held = self._held.get(event.choice)
        text = held.take() if held else ""
        if held:
            held.may_be_call = False
        if call := parse_single_call(text, self._tools) if event.reason in {"stop", "tool_calls"} else None:
            name, arguments = call
            entry = {"index": 0, "function": {"name": name, "arguments": arguments}}
            return [*ToolCallReader(event.choice).read([entry]), Finish("tool_calls", event.choice)]
        return [TextDelta(text, event.choice), event] if text else [event]

    def _release(self) -> list[Event]:
        out: list[Event] = []
        for choice in self._held:
            self._stop(choice, out)
        return out


def parse_single_call(text: str, tools: Collection[str]) -> tuple[str, str] | None:
    """Return name and arguments if a text is exactly one complete call of one of the tools.

    >>> parse_single_call('<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>', ["f"])
    ('f', '{"a":1}')
    """
    body = text.strip()
    if not (body.startswith(_OPENING) and body.endswith(_CLOSING)):
        return None
    try:
        name, arguments = name_and_arguments(_json.loads(body[len(_OPENING) : -len(_CLOSING)]))
        is_object = isinstance(_json.loads(arguments), dict) if name else False
    except (ValueError, RecursionError):
        return None
    return (name, arguments) if is_object and name in tools else None


class ToolCallRecoveryDialect(DelegatingDialect):
    """Dialect of one request with tools, that recovers a tool call which the server has left in the text.

    Args:
        dialect: The dialect of the server.
        tools: The names of the tools that the request offers.
    """

    def __init__(self, dialect: Dialect, tools: Collection[str]) -> None:
        super().__init__(dialect)
        self._tools = frozenset(tools)
        self._is_resumed = False

    def build_continuation(self, payload: Mapping[str, Any], partial: ModelResponse) -> dict[str, Any] | None:
        """Delegate to the inner dialect. The rest of a text is not the whole text, so no call is recovered from it."""
        self._is_resumed = True
        return self._dialect.build_continuation(payload, partial)

    def create_decoder(self) -> Decoder:
        """Create a decoder for one response, around the inner dialect's."""
        inner = self._dialect.create_decoder()
        return inner if self._is_resumed else ToolCallRecoveryDecoder(inner, self._tools)


def recover_tool_calls(dialect: Dialect, params: Mapping[str, Any]) -> Dialect:
    """Return the dialect for a request that may have its tool call in the text; unchanged if it offers no tools.

    Args:
        dialect: The dialect of the server.
        params: Parameters of the request in the OpenAI JSON shape.
    """
    tools = params.get("tools")
    if not isinstance(tools, list) or params.get("tool_choice") == "none":
        return dialect
    functions = [tool.get("function") for tool in tools if isinstance(tool, Mapping)]
    names = [function.get("name") for function in functions if isinstance(function, Mapping)]
    return ToolCallRecoveryDialect(dialect, [name for name in names if isinstance(name, str)]) if names else dialect
