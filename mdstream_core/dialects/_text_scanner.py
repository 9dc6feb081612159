"""Base parsers for streamed text with markers: reasoning before it, tool calls inside it.

Text is emitted at once, except for an end that may be the start of a marker. Arguments are emitted as they are received
once the name of the tool is known. What cannot be decided yet is buffered, up to a limit. What turns out not to be a
tool call is emitted as text, including its markers. Tool calls are never repaired.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal

from mdstream_core import _json
from mdstream_core.dialects._json_scanner import JSONValueScanner
from mdstream_core.dialects._tool_calls import ToolCallReader
from mdstream_core.errors import IncompleteToolCall, MalformedStream
from mdstream_core.events import Event, ReasoningDelta, TextDelta

Reasoning = Literal["think", "open"]

#: The longest start of a tool call, up to its arguments, in characters.
MAX_HEAD = 1024

#: The most text that is buffered, in characters.
_MAX_BUFFERED = 1024 * 1024

#: How many buffered characters trigger an empty text delta, which shows that the stream makes progress.
_PROGRESS_INTERVAL = 1024

#: The start of a tool call whose arguments can be emitted as they are received.
HEAD = re.compile(
    r'\{\s*(?:"type"\s*:\s*"\w*"\s*,\s*)?+"name"\s*:\s*"(?P<name>[^"\\]+)"\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)'
)

#: A tool name in invalid JSON.
_NAME = re.compile(r'"name"\s*:\s*"([^"\\]+)"')

#: Brackets and string delimiters. JSON has no `<` outside of strings: it ends the value, closed or not.
_DELIMITERS = re.compile(r'["{}\[\]<]')

_WHITESPACE = re.compile(r"\s*")


def find_marker(text: str, marker: str, at: int = 0) -> int:
    """Return the position of a marker, or of its start at the end of the text; else the length of the text.

    >>> find_marker("a < b <tool", "<tool_call>"), find_marker("a < b", "<tool_call>")
    (6, 5)
    """
    position = text.find(marker, at)
    if position < 0:  # the first character of a marker occurs only once in it
        position = text.rfind(marker[0], max(at, len(text) - len(marker) + 1))
    return position if position >= 0 and marker.startswith(text[position : position + len(marker)]) else len(text)


def skip_whitespace(text: str, at: int) -> int:
    """Return the position after the whitespace at a position."""
    match = _WHITESPACE.match(text, at)
    return match.end() if match else at


_START, _END = "<think>", "</think>"


class ReasoningParser:
    """Parser for reasoning before the text of one choice."""

    def __init__(self, choice: int, reasoning: Reasoning) -> None:
        self._choice = choice
        self._open = reasoning == "open"
        self._buffer = ""
        #: Whether reasoning has started, and whether it has ended or there is none.
        self.has_started = self.is_complete = False

    def feed(self, text: str, out: list[Event]) -> str:
        """Append reasoning to `out`, and return the text after it."""
        text, self._buffer = self._buffer + text, ""
        if not self.has_started:
            text = self._start(text, out)
        if self.is_complete or not self.has_started:
            return text
        at = find_marker(text, _END)
        self._read_reasoning(text[:at], out)
        self.is_complete = text.startswith(_END, at)
        if self.is_complete:
            return text[at + len(_END) :]
        self._buffer = text[at:]
        return ""

    def flush(self, out: list[Event]) -> str:
        """Append the buffered reasoning at the end of the response, or return the buffered text."""
        buffered, self._buffer = self._buffer, ""
        if not (self.has_started or self._open):
            return buffered
        self._read_reasoning(buffered, out)
        return ""

    def _start(self, text: str, out: list[Event]) -> str:
        """Read the first marker, if there is one, and return the text after it."""
        stripped = text.lstrip()
        if len(stripped) < len(_START) and _START.startswith(stripped):
            blank, self._buffer = text[: len(text) - len(stripped)], stripped
            if not self._open:
                return blank
            self._read_reasoning(blank, out)
            return ""
        self.has_started = self._open or stripped.startswith(_START)
        self.is_complete = not self.has_started
        blank, start, rest = text.partition(_START) if stripped.startswith(_START) else ("", "", text)
        if self._open or not start:
            return blank + rest
        if blank:
            out.append(TextDelta(blank, self._choice))
        return rest

    def _read_reasoning(self, text: str, out: list[Event]) -> None:
        if text:
            out.append(ReasoningDelta(text, self._choice))


class TextParser:
    """State machine that emits text and the tool calls in it. This base class finds no tool calls.

    A state is a method that reads the text from a position and returns the position that it reached. Text that a state
    keeps is read again with the next piece. So each character is read only a few times, whatever a server sends.
    """

    marker: ClassVar[str] = ""  #: the text before a tool call
    first: ClassVar[str] = ""  #: the first character of an output that is a tool call without a marker
    max_buffered: ClassVar[int] = _MAX_BUFFERED  #: the most text that is buffered, in characters

    def __init__(self, choice: int) -> None:
        self.calls = ToolCallReader(choice)
        self._choice = choice
        self._index = -1  # of the current tool call
        self._marker_start = self.marker[:1]
        self._state: Callable[[str, int], int] = self._start if self.first else self._text
        self._idle = not self.first
        self._out: list[Event] = []
        self._incomplete = ""  # the end of the text, which may be the start of a marker
        self._buffer: list[str] = []  # what was received of a tool call and not emitted
        self._size = self._emitted = 0
        self._truncated: str | None = None  # what was received of a truncated tool call
        self._surplus = ""  # an object after the object of a tool call

    def feed(self, event: TextDelta, out: list[Event]) -> None:
        """Append the events of the next piece of text to `out`. Raises `MalformedStream` if too much is buffered."""
        if self._idle and not (self._marker_start and self._marker_start in event.text):
            out.append(event)
            return
        self._out = out
        text, at, self._incomplete = self._incomplete + event.text, 0, ""
        while at < len(text):
            at = self._state(text, at)
        self._idle = self._state == self._text and not self._incomplete
        if self._size - self._emitted >= _PROGRESS_INTERVAL:
            self._emitted = self._size
            out.append(TextDelta("", self._choice))

    def flush(self, out: list[Event]) -> None:
        """Append what is buffered at the end of the response to `out`."""
        self._out = out
        if self._unfinished():
            self._truncated = "".join(self._buffer) + self._incomplete
        self._emit_buffer_as_text()
        self._emit_text(self._incomplete)
        self._incomplete = ""

    def finish(self, *, truncated: bool) -> None:
        """Check that the tool calls are complete.

        Args:
            truncated: Whether the model reached its token limit (`length`).

        Raises:
            IncompleteToolCall: A call is truncated.
            MalformedStream: The object of a call is followed by another one.
        """
        self.calls.check_complete(truncated=truncated)
        if self._surplus:
            raise MalformedStream(
                f"the object of a tool call in the text is followed by another: {self._surplus!r}. "
                "The call must not be executed",
                code="MalformedToolCall",
                raw=self._surplus,
            )
        if self._truncated is not None:
            where = f"at {self._truncated[-80:]!r}" if self._truncated else "before its last brace"
            raise IncompleteToolCall(
                f"a tool call in the text is truncated, {where}. "
                "The call must not be executed (hint: raise max_tokens if the finish reason is 'length')",
                code="IncompleteToolCall",
                raw=self._truncated,
            )

    def _start(self, text: str, at: int) -> int:
        end = skip_whitespace(text, at)
        self._emit_text(text[at:end])
        if end < len(text):
            self._state = self._read_opening if text[end] == self.first else self._text
        return end

    def _text(self, text: str, at: int) -> int:
        if not self.marker:
            self._emit_text(text[at:])
            return len(text)
        position = find_marker(text, self.marker, at)
        self._emit_text(text[at:position])
        if not text.startswith(self.marker, position):
            return self._wait_for_more(text, position)
        self._append_buffer(self.marker)
        self._state = self._read_opening
        return position + len(self.marker)

    def _read_opening(self, text: str, at: int) -> int:
        """State after the marker, or at the start of the output."""
        self._emit_buffer_as_text()
        return at

    def _note_surplus(self, text: str, at: int) -> None:
        """Record an object right after the object of a call: neither of the two may be executed."""
        if text.startswith("{", at):
            self._surplus = text[at : at + 80]

    def _unfinished(self) -> bool:
        return False

    def _emit_text(self, text: str) -> None:
        if text:
            self._out.append(TextDelta(text, self._choice))

    def _wait_for_more(self, text: str, at: int) -> int:
        self._incomplete = text[at:]
        return len(text)

    def _append_buffer(self, text: str) -> None:
        self._buffer.append(text)
        self._size += len(text)
        if self._size > self.max_buffered:
            raise MalformedStream(f"a tool call in the text is not complete within {self.max_buffered} characters")

    def _buffer_whitespace(self, text: str, at: int) -> int:
        """Buffer the whitespace at a position and return the position after it."""
        end = skip_whitespace(text, at)
        if end > at:
            self._append_buffer(text[at:end])
        return end

    def _discard_buffer(self) -> None:
        self._buffer.clear()
        self._size = self._emitted = 0

    def _emit_buffer_as_text(self) -> None:
        """Emit the buffer as text: it is not a tool call."""
        self._emit_text("".join(self._buffer))
        self._discard_buffer()
        self._state = self._text

    def _emit_call(self, name: str, arguments: str = "", id: str | None = None) -> None:
        """Emit the start of a tool call, which replaces the buffer."""
        self._discard_buffer()
        self._index += 1
        function = {"name": name, "arguments": arguments}
        self._out += self.calls.read([{"index": self._index, "id": id, "function": function}])


class JSONCallParser(TextParser, ABC):
    """Base class of parsers for tool calls that are JSON objects."""

    def __init__(self, choice: int) -> None:
        super().__init__(choice)
        self._brackets = JSONValueScanner(delimiters=_DELIMITERS)
        self._object_start = 0  # how many pieces of the buffer precede the object
        self._may_stream = False  # whether the arguments may still be emitted as they are received
        self._enveloped = True  # whether the arguments are inside an object with the name

    def _start_call(self, text: str, at: int, head: re.Pattern[str], partial_head: re.Pattern[str]) -> int:
        """Read the start of a tool call that matches `head`; emit other text."""
        if match := head.match(text, at, at + MAX_HEAD):
            self._emit_call(match["name"], id=match.groupdict().get("id"))
            self._start_arguments(enveloped=head is HEAD)
            return match.end()
        if len(text) - at < MAX_HEAD and partial_head.match(text, at):
            return self._wait_for_more(text, at)
        if at < len(text):
            self._emit_buffer_as_text()
        return at

    def _start_arguments(self, *, enveloped: bool = True) -> None:
        self._brackets = JSONValueScanner(delimiters=_DELIMITERS)
        self._enveloped = enveloped
        self._state = self._arguments

    def _start_object(self) -> None:
        self._brackets = JSONValueScanner(delimiters=_DELIMITERS)
        self._object_start = len(self._buffer)
        self._may_stream = self._enveloped = True
        self._state = self._object

    def _object(self, text: str, at: int) -> int:
        """State inside a tool call whose name is not known yet."""
        if self._may_stream:
            before = "".join(self._buffer[self._object_start :])
            body = before + text[at : at + MAX_HEAD]
            if head := HEAD.match(body, 0, MAX_HEAD):
                self._emit_call(head["name"])
                self._start_arguments()
                return at + head.end() - len(before)
            self._may_stream = len(body) < MAX_HEAD
        end = self._brackets.find_end(text, at)
        self._append_buffer(text[at:end])
        if self._brackets.is_closed:
            self._state = self._read_closing
            self._emit_complete_call("".join(self._buffer[self._object_start :]))
        return end

    def _emit_complete_call(self, body: str) -> None:
        """Emit a tool call whose name was found at its end only."""
        try:
            name, arguments = name_and_arguments(_json.loads(body))
        except (ValueError, RecursionError):  # with its marker it cannot be mistaken for an object of arguments
            match = _NAME.search(body)
            name, arguments = match[1] if match else "", self.marker + body
        if name:
            self._emit_call(name, arguments)
        else:
            self._emit_buffer_as_text()

    def _arguments(self, text: str, at: int) -> int:
        end = self._brackets.find_end(text, at)
        self._out += self.calls.read([{"index": self._index, "function": {"arguments": text[at:end]}}])
        if self._brackets.is_closed:
            is_inside = self._enveloped and not self._brackets.is_malformed
            self._state = self._envelope if is_inside else self._read_closing
            self._brackets = JSONValueScanner(depth=1, delimiters=_DELIMITERS)
        return end

    def _envelope(self, text: str, at: int) -> int:
        """State after the arguments, before the last brace. Further fields, for example an id, are ignored."""
        end = self._brackets.find_end(text, at)
        self._append_buffer(text[at:end])
        if self._brackets.is_closed:
            if self._brackets.is_malformed:  # ended by the closing marker: the last brace is missing
                self._truncated = "".join(self._buffer)
            self._discard_buffer()
            self._state = self._read_closing
        return end

    @abstractmethod
    def _read_closing(self, text: str, at: int) -> int:
        """State after a tool call."""

    def _unfinished(self) -> bool:
        return self._state not in (self._text, self._read_closing)


def name_and_arguments(value: Any) -> tuple[str, str]:
    """Return name and arguments of a tool call with keys in any order; an empty name if it is not a tool call."""
    function = value.get("function", value) if isinstance(value, dict) else None
    if not isinstance(function, dict) or not isinstance(name := function.get("name"), str):
        return "", ""
    arguments = function.get("arguments", function.get("parameters"))
    if isinstance(arguments, str):
        return name, arguments
    return name, _json.dumps({} if arguments is None else arguments).decode("utf-8", "replace")
