"""Reading text that comes in pieces and has marks in it: a thought before it, calls inside it.

Text is passed on at once, but for an ending that may be the beginning of a marker. Arguments are passed on as they are
written once the name before them is known. What cannot be told sooner is held back, up to a bound. What turns out to
be no call is text, markers and all. A call is never repaired.
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

#: The longest beginning of a call, up to its arguments, in characters.
MAX_HEAD = 1024

#: The most that is held back, in characters.
_MAX_BUFFERED = 1024 * 1024

#: After so many characters that were held back an empty text says that the stream is alive.
_PROGRESS_INTERVAL = 1024

#: What stands before the arguments, where they can be passed on as they come.
HEAD = re.compile(
    r'\{\s*(?:"type"\s*:\s*"\w*"\s*,\s*)?+"name"\s*:\s*"(?P<name>[^"\\]+)"\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)'
)

#: A name, wherever it stands in JSON that is wrong.
_NAME = re.compile(r'"name"\s*:\s*"([^"\\]+)"')

#: Where brackets and strings begin. In JSON no `<` stands outside of a string: there it is over, closed or not.
_DELIMITERS = re.compile(r'["{}\[\]<]')

_WHITESPACE = re.compile(r"\s*")


def find_marker(text: str, marker: str, at: int = 0) -> int:
    """Where a marker stands, or begins at the end of the text; the text's end if it does neither.

    >>> find_marker("a < b <tool", "<tool_call>"), find_marker("a < b", "<tool_call>")
    (6, 5)
    """
    found = text.find(marker, at)
    if found < 0:  # the first character of a marker is nowhere else in it
        found = text.rfind(marker[0], max(at, len(text) - len(marker) + 1))
    return found if found >= 0 and marker.startswith(text[found : found + len(marker)]) else len(text)


def skip_whitespace(text: str, at: int) -> int:
    """The position behind the blanks that stand here."""
    found = _WHITESPACE.match(text, at)
    return found.end() if found else at


_BEGIN, _END = "<think>", "</think>"


class ReasoningParser:
    """The thought before an answer."""

    def __init__(self, choice: int, reasoning: Reasoning) -> None:
        self._choice = choice
        self._open = reasoning == "open"
        self._buffer = ""
        #: Whether it is known that there is one, and whether it has ended or there is none.
        self.has_started = self.is_complete = False

    def feed(self, text: str, out: list[Event]) -> str:
        """Add to `out` what is thought, and return the text behind it."""
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
        """Nothing more is to come: what was held back is thought, or else the text that is returned."""
        held, self._buffer = self._buffer, ""
        if not (self.has_started or self._open):
            return held
        self._read_reasoning(held, out)
        return ""

    def _start(self, text: str, out: list[Event]) -> str:
        """What is to be read behind the first marker, or without one."""
        bare = text.lstrip()
        if len(bare) < len(_BEGIN) and _BEGIN.startswith(bare):
            blank, self._buffer = text[: len(text) - len(bare)], bare
            if not self._open:
                return blank
            self._read_reasoning(blank, out)
            return ""
        self.has_started = self._open or bare.startswith(_BEGIN)
        self.is_complete = not self.has_started
        blank, begin, rest = text.partition(_BEGIN) if bare.startswith(_BEGIN) else ("", "", text)
        if self._open or not begin:
            return blank + rest
        if blank:
            out.append(TextDelta(blank, self._choice))
        return rest

    def _read_reasoning(self, text: str, out: list[Event]) -> None:
        if text:
            out.append(ReasoningDelta(text, self._choice))


class TextParser:
    """Passes text on, and the calls in it as calls. This one finds none.

    A state takes the text from a position on and says how far it came; what it holds it sees once more, with what
    comes next behind it. So each character is looked at a few times only, whatever is sent.
    """

    marker: ClassVar[str] = ""  #: what announces a call
    first: ClassVar[str] = ""  #: how an answer begins that is a call without one
    max_buffered: ClassVar[int] = _MAX_BUFFERED

    def __init__(self, choice: int) -> None:
        self.calls = ToolCallReader(choice)
        self._choice = choice
        self._index = -1  # of the call that is read
        self._sign = self.marker[:1]
        self._state: Callable[[str, int], int] = self._start if self.first else self._text
        self._idle = not self.first
        self._out: list[Event] = []
        self._held = ""  # an ending that cannot be told yet
        self._buffer: list[str] = []  # what was received of a call and not handed out
        self._size = self._emitted = 0
        self._truncated: str | None = None  # what there was of a call that is not whole
        self._surplus = ""  # an object behind that of a call

    def feed(self, event: TextDelta, out: list[Event]) -> None:
        """Add to `out` what is in the next piece of text. Raises `MalformedStream` if too much would be held back."""
        if self._idle and not (self._sign and self._sign in event.text):
            out.append(event)
            return
        self._out = out
        text, at, self._held = self._held + event.text, 0, ""
        while at < len(text):
            at = self._state(text, at)
        self._idle = self._state == self._text and not self._held
        if self._size - self._emitted >= _PROGRESS_INTERVAL:
            self._emitted = self._size
            out.append(TextDelta("", self._choice))

    def flush(self, out: list[Event]) -> None:
        """Nothing more is to come: hand out what was held back."""
        self._out = out
        if self._unfinished():
            self._truncated = "".join(self._buffer) + self._held
        self._emit_buffer_as_text()
        self._emit_text(self._held)
        self._held = ""

    def finish(self, *, truncated: bool) -> None:
        """Raise `IncompleteToolCall` if a call stops in the middle; `truncated` if the model was stopped."""
        self.calls.check_complete(truncated=truncated)
        if self._surplus:
            raise MalformedStream(
                f"behind the object of a tool call in the answer's text stands another: {self._surplus!r}. "
                "The call must not be executed",
                code="MalformedToolCall",
                raw=self._surplus,
            )
        if self._truncated is not None:
            where = f"at {self._truncated[-80:]!r}" if self._truncated else "before its last brace"
            raise IncompleteToolCall(
                f"a tool call in the answer's text stops in the middle, {where}. "
                "The call must not be executed; raise max_tokens if the finish reason is 'length'",
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
        found = find_marker(text, self.marker, at)
        self._emit_text(text[at:found])
        if not text.startswith(self.marker, found):
            return self._wait_for_more(text, found)
        self._append_buffer(self.marker)
        self._state = self._read_opening
        return found + len(self.marker)

    def _read_opening(self, text: str, at: int) -> int:
        """Behind the marker, or at the start: here nothing announces a call."""
        self._emit_buffer_as_text()
        return at

    def _note_surplus(self, text: str, at: int) -> None:
        """Note an object that stands right behind the object of a call: neither of the two may run."""
        if text.startswith("{", at):
            self._surplus = text[at : at + 80]

    def _unfinished(self) -> bool:
        return False

    def _emit_text(self, text: str) -> None:
        if text:
            self._out.append(TextDelta(text, self._choice))

    def _wait_for_more(self, text: str, at: int) -> int:
        self._held = text[at:]
        return len(text)

    def _append_buffer(self, text: str) -> None:
        self._buffer.append(text)
        self._size += len(text)
        if self._size > self.max_buffered:
            raise MalformedStream(f"a tool call in the text cannot be told within {self.max_buffered} characters")

    def _buffer_whitespace(self, text: str, at: int) -> int:
        """Keep the blanks that stand here, and step over them."""
        end = skip_whitespace(text, at)
        if end > at:
            self._append_buffer(text[at:end])
        return end

    def _discard_buffer(self) -> None:
        self._buffer.clear()
        self._size = self._emitted = 0

    def _emit_buffer_as_text(self) -> None:
        """It is no call: what was kept of it is text."""
        self._emit_text("".join(self._buffer))
        self._discard_buffer()
        self._state = self._text

    def _emit_call(self, name: str, arguments: str = "", id: str | None = None) -> None:
        """A call begins: what was kept of it is told by this."""
        self._discard_buffer()
        self._index += 1
        function = {"name": name, "arguments": arguments}
        self._out += self.calls.read([{"index": self._index, "id": id, "function": function}])


class JSONCallParser(TextParser, ABC):
    """Calls as JSON objects."""

    def __init__(self, choice: int) -> None:
        super().__init__(choice)
        self._brackets = JSONValueScanner(mark=_DELIMITERS)
        self._has_started = 0  # how many of the kept pieces stand before the object
        self._has_name = False  # whether the arguments may still be passed on as they come
        self._enveloped = True  # whether the arguments stand in an object with their name

    def _start_call(self, text: str, at: int, head: re.Pattern[str], has_started: re.Pattern[str]) -> int:
        """A call that begins with `head`, or text."""
        if found := head.match(text, at, at + MAX_HEAD):
            self._emit_call(found["name"], id=found.groupdict().get("id"))
            self._begin_arguments(enveloped=head is HEAD)
            return found.end()
        if len(text) - at < MAX_HEAD and has_started.match(text, at):
            return self._wait_for_more(text, at)
        if at < len(text):
            self._emit_buffer_as_text()
        return at

    def _begin_arguments(self, *, enveloped: bool = True) -> None:
        self._brackets = JSONValueScanner(mark=_DELIMITERS)
        self._enveloped = enveloped
        self._state = self._arguments

    def _begin_object(self) -> None:
        self._brackets = JSONValueScanner(mark=_DELIMITERS)
        self._has_started = len(self._buffer)
        self._has_name = self._enveloped = True
        self._state = self._object

    def _object(self, text: str, at: int) -> int:
        """Inside a call whose name is not known."""
        if self._has_name:
            before = "".join(self._buffer[self._has_started :])
            body = before + text[at : at + MAX_HEAD]
            if head := HEAD.match(body, 0, MAX_HEAD):
                self._emit_call(head["name"])
                self._begin_arguments()
                return at + head.end() - len(before)
            self._has_name = len(body) < MAX_HEAD
        end = self._brackets.find_end(text, at)
        self._append_buffer(text[at:end])
        if self._brackets.is_closed:
            self._state = self._read_closing
            self._emit_complete_call("".join(self._buffer[self._has_started :]))
        return end

    def _emit_complete_call(self, body: str) -> None:
        """A call that could be told at its end only."""
        try:
            name, arguments = _name_and_arguments(_json.loads(body))
        except (ValueError, RecursionError):  # with its marker nobody can take it for an object of arguments
            named = _NAME.search(body)
            name, arguments = named[1] if named else "", self.marker + body
        if name:
            self._emit_call(name, arguments)
        else:
            self._emit_buffer_as_text()

    def _arguments(self, text: str, at: int) -> int:
        end = self._brackets.find_end(text, at)
        self._out += self.calls.read([{"index": self._index, "function": {"arguments": text[at:end]}}])
        if self._brackets.is_closed:
            within = self._enveloped and not self._brackets.is_malformed
            self._state = self._envelope if within else self._read_closing
            self._brackets = JSONValueScanner(depth=1, mark=_DELIMITERS)
        return end

    def _envelope(self, text: str, at: int) -> int:
        """Behind the arguments, before the last brace. What else an object says, an id or so, says nothing."""
        end = self._brackets.find_end(text, at)
        self._append_buffer(text[at:end])
        if self._brackets.is_closed:
            if self._brackets.is_malformed:  # closed by its marker: the last brace is missing
                self._truncated = "".join(self._buffer)
            self._discard_buffer()
            self._state = self._read_closing
        return end

    @abstractmethod
    def _read_closing(self, text: str, at: int) -> int:
        """Behind a call."""

    def _unfinished(self) -> bool:
        return self._state not in (self._text, self._read_closing)


def _name_and_arguments(value: Any) -> tuple[str, str]:
    """Name and arguments of a call whose keys stand in any order; no name if it is none."""
    function = value.get("function", value) if isinstance(value, dict) else None
    if not isinstance(function, dict) or not isinstance(name := function.get("name"), str):
        return "", ""
    arguments = function.get("arguments", function.get("parameters"))
    if isinstance(arguments, str):
        return name, arguments
    return name, _json.dumps({} if arguments is None else arguments).decode("utf-8", "replace")
