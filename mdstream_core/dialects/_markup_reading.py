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
from mdstream_core.dialects._brackets import Brackets
from mdstream_core.dialects._tool_calls import ToolCalls
from mdstream_core.errors import IncompleteToolCall, MalformedStream
from mdstream_core.events import Event, ReasoningDelta, TextDelta

Reasoning = Literal["think", "open"]

#: The longest beginning of a call, up to its arguments, in characters.
LONGEST_HEAD = 1024

#: The most that is held back, in characters.
_MOST = 1024 * 1024

#: After so many characters that were held back an empty text says that the stream is alive.
_SIGN_OF_LIFE = 1024

#: What stands before the arguments, where they can be passed on as they come.
HEAD = re.compile(
    r'\{\s*(?:"type"\s*:\s*"\w*"\s*,\s*)?+"name"\s*:\s*"(?P<name>[^"\\]+)"\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)'
)

#: A name, wherever it stands in JSON that is wrong.
_NAME = re.compile(r'"name"\s*:\s*"([^"\\]+)"')

#: Where brackets and strings begin. In JSON no `<` stands outside of a string: there it is over, closed or not.
_MARKUP_MARK = re.compile(r'["{}\[\]<]')

_BLANK = re.compile(r"\s*")


def find(text: str, marker: str, at: int = 0) -> int:
    """Where a marker stands, or begins at the end of the text; the text's end if it does neither.

    >>> find("a < b <tool", "<tool_call>"), find("a < b", "<tool_call>")
    (6, 5)
    """
    found = text.find(marker, at)
    if found < 0:  # the first character of a marker is nowhere else in it
        found = text.rfind(marker[0], max(at, len(text) - len(marker) + 1))
    return found if found >= 0 and marker.startswith(text[found : found + len(marker)]) else len(text)


def behind_blank(text: str, at: int) -> int:
    """The position behind the blanks that stand here."""
    found = _BLANK.match(text, at)
    return found.end() if found else at


_BEGIN, _END = "<think>", "</think>"


class Thought:
    """The thought before an answer."""

    def __init__(self, choice: int, reasoning: Reasoning) -> None:
        self._choice = choice
        self._open = reasoning == "open"
        self._held = ""
        #: Whether it is known that there is one, and whether it has ended or there is none.
        self.begun = self.over = False

    def feed(self, text: str, out: list[Event]) -> str:
        """Add to `out` what is thought, and return the text behind it."""
        text, self._held = self._held + text, ""
        if not self.begun:
            text = self._begin(text, out)
        if self.over or not self.begun:
            return text
        at = find(text, _END)
        self._think(text[:at], out)
        self.over = text.startswith(_END, at)
        if self.over:
            return text[at + len(_END) :]
        self._held = text[at:]
        return ""

    def flush(self, out: list[Event]) -> str:
        """Nothing more is to come: what was held back is thought, or else the text that is returned."""
        held, self._held = self._held, ""
        if not (self.begun or self._open):
            return held
        self._think(held, out)
        return ""

    def _begin(self, text: str, out: list[Event]) -> str:
        """What is to be read behind the first marker, or without one."""
        bare = text.lstrip()
        if len(bare) < len(_BEGIN) and _BEGIN.startswith(bare):
            blank, self._held = text[: len(text) - len(bare)], bare
            if not self._open:
                return blank
            self._think(blank, out)
            return ""
        self.begun = self._open or bare.startswith(_BEGIN)
        self.over = not self.begun
        blank, begin, rest = text.partition(_BEGIN) if bare.startswith(_BEGIN) else ("", "", text)
        if self._open or not begin:
            return blank + rest
        if blank:
            out.append(TextDelta(blank, self._choice))
        return rest

    def _think(self, text: str, out: list[Event]) -> None:
        if text:
            out.append(ReasoningDelta(text, self._choice))


class Reader:
    """Passes text on, and the calls in it as calls. This one finds none.

    A state takes the text from a position on and says how far it came; what it holds it sees once more, with what
    comes next behind it. So each character is looked at a few times only, whatever is sent.
    """

    marker: ClassVar[str] = ""  #: what announces a call
    first: ClassVar[str] = ""  #: how an answer begins that is a call without one
    most: ClassVar[int] = _MOST

    def __init__(self, choice: int) -> None:
        self.calls = ToolCalls(choice)
        self._choice = choice
        self._index = -1  # of the call that is read
        self._sign = self.marker[:1]
        self._state: Callable[[str, int], int] = self._start if self.first else self._text
        self._idle = not self.first
        self._out: list[Event] = []
        self._held = ""  # an ending that cannot be told yet
        self._kept: list[str] = []  # what was received of a call and not handed out
        self._size = self._shown = 0
        self._cut: str | None = None  # what there was of a call that is not whole
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
        if self._size - self._shown >= _SIGN_OF_LIFE:
            self._shown = self._size
            out.append(TextDelta("", self._choice))

    def flush(self, out: list[Event]) -> None:
        """Nothing more is to come: hand out what was held back."""
        self._out = out
        if self._unfinished():
            self._cut = "".join(self._kept) + self._held
        self._give_up()
        self._say(self._held)
        self._held = ""

    def end(self, *, cut: bool) -> None:
        """Raise `IncompleteToolCall` if a call stops in the middle; `cut` if the model was stopped."""
        self.calls.end(cut=cut)
        if self._surplus:
            raise MalformedStream(
                f"behind the object of a tool call in the answer's text stands another: {self._surplus!r}. "
                "The call must not be executed",
                code="MalformedToolCall",
                raw=self._surplus,
            )
        if self._cut is not None:
            where = f"at {self._cut[-80:]!r}" if self._cut else "before its last brace"
            raise IncompleteToolCall(
                f"a tool call in the answer's text stops in the middle, {where}. "
                "The call must not be executed; raise max_tokens if the finish reason is 'length'",
                code="IncompleteToolCall",
                raw=self._cut,
            )

    def _start(self, text: str, at: int) -> int:
        end = behind_blank(text, at)
        self._say(text[at:end])
        if end < len(text):
            self._state = self._opening if text[end] == self.first else self._text
        return end

    def _text(self, text: str, at: int) -> int:
        if not self.marker:
            self._say(text[at:])
            return len(text)
        found = find(text, self.marker, at)
        self._say(text[at:found])
        if not text.startswith(self.marker, found):
            return self._hold(text, found)
        self._keep(self.marker)
        self._state = self._opening
        return found + len(self.marker)

    def _opening(self, text: str, at: int) -> int:
        """Behind the marker, or at the start: here nothing announces a call."""
        self._give_up()
        return at

    def _note_surplus(self, text: str, at: int) -> None:
        """Note an object that stands right behind the object of a call: neither of the two may run."""
        if text.startswith("{", at):
            self._surplus = text[at : at + 80]

    def _unfinished(self) -> bool:
        return False

    def _say(self, text: str) -> None:
        if text:
            self._out.append(TextDelta(text, self._choice))

    def _hold(self, text: str, at: int) -> int:
        self._held = text[at:]
        return len(text)

    def _keep(self, text: str) -> None:
        self._kept.append(text)
        self._size += len(text)
        if self._size > self.most:
            raise MalformedStream(f"a tool call in the text cannot be told within {self.most} characters")

    def _blank(self, text: str, at: int) -> int:
        """Keep the blanks that stand here, and step over them."""
        end = behind_blank(text, at)
        if end > at:
            self._keep(text[at:end])
        return end

    def _drop(self) -> None:
        self._kept.clear()
        self._size = self._shown = 0

    def _give_up(self) -> None:
        """It is no call: what was kept of it is text."""
        self._say("".join(self._kept))
        self._drop()
        self._state = self._text

    def _call(self, name: str, arguments: str = "", id: str | None = None) -> None:
        """A call begins: what was kept of it is told by this."""
        self._drop()
        self._index += 1
        function = {"name": name, "arguments": arguments}
        self._out += self.calls.read([{"index": self._index, "id": id, "function": function}])


class Objects(Reader, ABC):
    """Calls as JSON objects."""

    def __init__(self, choice: int) -> None:
        super().__init__(choice)
        self._brackets = Brackets(mark=_MARKUP_MARK)
        self._begun = 0  # how many of the kept pieces stand before the object
        self._named = False  # whether the arguments may still be passed on as they come
        self._enveloped = True  # whether the arguments stand in an object with their name

    def _begin(self, text: str, at: int, head: re.Pattern[str], begun: re.Pattern[str]) -> int:
        """A call that begins with `head`, or text."""
        if found := head.match(text, at, at + LONGEST_HEAD):
            self._call(found["name"], id=found.groupdict().get("id"))
            self._begin_arguments(enveloped=head is HEAD)
            return found.end()
        if len(text) - at < LONGEST_HEAD and begun.match(text, at):
            return self._hold(text, at)
        if at < len(text):
            self._give_up()
        return at

    def _begin_arguments(self, *, enveloped: bool = True) -> None:
        self._brackets = Brackets(mark=_MARKUP_MARK)
        self._enveloped = enveloped
        self._state = self._arguments

    def _begin_object(self) -> None:
        self._brackets = Brackets(mark=_MARKUP_MARK)
        self._begun = len(self._kept)
        self._named = self._enveloped = True
        self._state = self._object

    def _object(self, text: str, at: int) -> int:
        """Inside a call whose name is not known."""
        if self._named:
            before = "".join(self._kept[self._begun :])
            body = before + text[at : at + LONGEST_HEAD]
            if head := HEAD.match(body, 0, LONGEST_HEAD):
                self._call(head["name"])
                self._begin_arguments()
                return at + head.end() - len(before)
            self._named = len(body) < LONGEST_HEAD
        end = self._brackets.end(text, at)
        self._keep(text[at:end])
        if self._brackets.closed:
            self._state = self._closing
            self._whole("".join(self._kept[self._begun :]))
        return end

    def _whole(self, body: str) -> None:
        """A call that could be told at its end only."""
        try:
            name, arguments = _called(_json.loads(body))
        except (ValueError, RecursionError):  # with its marker nobody can take it for an object of arguments
            named = _NAME.search(body)
            name, arguments = named[1] if named else "", self.marker + body
        if name:
            self._call(name, arguments)
        else:
            self._give_up()

    def _arguments(self, text: str, at: int) -> int:
        end = self._brackets.end(text, at)
        self._out += self.calls.read([{"index": self._index, "function": {"arguments": text[at:end]}}])
        if self._brackets.closed:
            within = self._enveloped and not self._brackets.broken
            self._state = self._envelope if within else self._closing
            self._brackets = Brackets(depth=1, mark=_MARKUP_MARK)
        return end

    def _envelope(self, text: str, at: int) -> int:
        """Behind the arguments, before the last brace. What else an object says, an id or so, says nothing."""
        end = self._brackets.end(text, at)
        self._keep(text[at:end])
        if self._brackets.closed:
            if self._brackets.broken:  # closed by its marker: the last brace is missing
                self._cut = "".join(self._kept)
            self._drop()
            self._state = self._closing
        return end

    @abstractmethod
    def _closing(self, text: str, at: int) -> int:
        """Behind a call."""

    def _unfinished(self) -> bool:
        return self._state not in (self._text, self._closing)


def _called(value: Any) -> tuple[str, str]:
    """Name and arguments of a call whose keys stand in any order; no name if it is none."""
    function = value.get("function", value) if isinstance(value, dict) else None
    if not isinstance(function, dict) or not isinstance(name := function.get("name"), str):
        return "", ""
    arguments = function.get("arguments", function.get("parameters"))
    if isinstance(arguments, str):
        return name, arguments
    return name, _json.dumps({} if arguments is None else arguments).decode("utf-8", "replace")
