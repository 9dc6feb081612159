"""Tool calls in an answer's text, as models write them → text and deltas of calls. One reader for one choice.

| `--tool-call-parser` of vLLM | what the model writes |
|---|---|
| `hermes` | `<tool_call>{"name": "f", "arguments": {…}}</tool_call>`, text around them |
| `mistral` | `[TOOL_CALLS][{"name": "f", "arguments": {…}}, …]`, or `[TOOL_CALLS]f{…}`, with `[CALL_ID]` and `[ARGS]` |
| `llama3_json` | `{"name": "f", "parameters": {…}}`, after `<|python_tag|>` or at the start, several with `;` between |
| `pythonic` | `[f(city="Paris"), g()]`, the whole answer, and every value a literal |

Text is passed on at once, but for an ending that may be the beginning of a marker. Arguments are passed on as they are
written once the name before them is known. What cannot be told sooner (arguments before their name, calls in Python)
is held back, up to a bound. What turns out to be no call is text, markers and all. A call is never repaired.
"""

import ast
import re
from collections.abc import Callable
from typing import Any, ClassVar

from mdstream_core import _json
from mdstream_core.dialects._tool_calls import ToolCalls
from mdstream_core.errors import IncompleteToolCall, MalformedStream
from mdstream_core.events import Event, TextDelta

#: The most that is held back, in characters.
_MOST = 1024 * 1024

#: … of calls in Python, whose syntax tree takes 500 times the memory.
_MOST_PYTHON = 128 * 1024

#: The longest beginning of a call, up to its arguments, in characters.
_HEAD_MOST = 1024

#: After so many characters that were held back an empty text says that the stream is alive.
_SIGN_OF_LIFE = 1024

_BLANK = re.compile(r"\s*")

#: What stands before the arguments, where they can be passed on as they come.
_HEAD = re.compile(
    r'\{\s*(?:"type"\s*:\s*"\w*"\s*,\s*)?+"name"\s*:\s*"([^"\\]+)"\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)'
)

#: Any beginning of it.
_HEAD_BEGUN = re.compile(
    r"""\{\s*(?:"type"\s*:\s*"\w*"\s*,\s*)?+(?:\Z|"\w*\Z|"(?:type|name)"\s*(?:\Z|:\s*(?:\Z|"[^"\\]*+(?:\Z|"\s*(?:\Z|,\s*
    (?:\Z|"\w*\Z|"(?:arguments|parameters)"\s*(?:\Z|:\s*\Z)))))))""",
    re.VERBOSE,
)

#: A name, wherever it stands in JSON that is wrong.
_NAME = re.compile(r'"name"\s*:\s*"([^"\\]+)"')

#: Mistral's name of a call, and any beginning of it.
_NAMED = re.compile(r"([\w.-]+)(?:\[CALL_ID\](\w+))?(?:\[ARGS\])?\s*(?=\{)")
_NAMED_BEGUN = re.compile(r"[\w.-]++(?:\[[A-Z_]*+\]?\w*+)*+\s*\Z")

#: The first call of a list in Python, and any beginning of it.
_PYTHON_HEAD = re.compile(r"\[\s*[A-Za-z_]\w*\(\s*(?:\)|[A-Za-z_]\w*\s*=)")
_PYTHON_BEGUN = re.compile(r"\[\s*(?:\Z|[A-Za-z_]\w*+(?:\Z|\(\s*(?:\Z|[A-Za-z_]\w*+\s*\Z)))")

#: Where brackets and strings begin. In JSON no `<` stands outside of a string: there it is over, closed or not.
_JSON_MARK = re.compile(r'["{}\[\]<]')
_PYTHON_MARK = re.compile(r"""["'(){}\[\]]""")
_IN_STRING = {quote: re.compile(rf"[{quote}\\]") for quote in "\"'"}


class _Brackets:
    """Looks for the bracket that closes a value which comes in pieces."""

    __slots__ = ("_depth", "_mark", "_quote", "_skip", "broken")

    def __init__(self, depth: int = 0, mark: re.Pattern[str] = _JSON_MARK) -> None:
        self._depth = depth
        self._mark = mark
        self._quote = ""
        self._skip = 0
        self.broken = False

    def end(self, text: str, at: int) -> int:
        """The position behind the last bracket, -1 if it is still to come."""
        at += self._skip
        while found := (_IN_STRING[self._quote] if self._quote else self._mark).search(text, at):
            mark, at = found[0], found.end()
            if mark == "\\":
                at += 1
            elif mark == "<":
                self.broken = True
                return found.start()
            elif mark in "\"'":
                self._quote = "" if self._quote else mark
            else:
                self._depth += 1 if mark in "([{" else -1
                if not self._depth:
                    return at
        self._skip = max(0, at - len(text))  # the other half of an escape
        return -1


def find(text: str, marker: str, at: int = 0) -> int:
    """Where a marker stands, or begins at the end of the text; -1 if it does neither.

    >>> find("a < b <tool", "<tool_call>"), find("a < b", "<tool_call>")
    (6, -1)
    """
    found = text.find(marker, at)
    if found < 0:  # the first character of a marker is nowhere else in it
        found = text.rfind(marker[0], max(at, len(text) - len(marker) + 1))
        if found >= 0 and not marker.startswith(text[found:]):
            return -1
    return found


class Reader:
    """Passes text on, and the calls in it as calls. This one finds none.

    A state takes the text from a position on and says how far it came; what it holds it sees once more, with what
    comes next before its end. So each character is looked at a few times only, whatever is sent.
    """

    marker: ClassVar[str] = ""  #: what announces a call
    most: ClassVar[int] = _MOST

    def __init__(self, choice: int) -> None:
        self.calls = ToolCalls(choice)
        self._choice = choice
        self._index = -1  # of the call that is read
        self._sign = self.marker[:1]
        self._state: Callable[[str, int], int] = self._text
        self._idle = True
        self._out: list[Event] = []
        self._held = ""  # an ending that cannot be told yet
        self._kept: list[str] = []  # what was received of a call and not handed out
        self._size = self._shown = 0
        self._cut: str | None = None  # what there was of a call that is not whole

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
        if self._cut is not None:
            raise IncompleteToolCall(
                f"the answer ended inside a tool call in its text: {self._cut[-80:]!r} is cut off. The call must not be "
                "executed; raise max_tokens if the finish reason is 'length'",
                code="IncompleteToolCall",
                raw=self._cut,
            )

    def _text(self, text: str, at: int) -> int:
        self._say(text[at:])
        return len(text)

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
            raise MalformedStream(f"a tool call in the text is not told within {self.most} characters")

    def _blank(self, text: str, at: int) -> int:
        """Keep the blanks that stand here, and step over them."""
        end = _end_of_blank(text, at)
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

    def _call(self, name: str, arguments: Any = "", id: str = "") -> None:
        """A call begins: what was kept of it is told by this."""
        self._drop()
        self._index += 1
        function = {"name": name, "arguments": arguments}
        self._out += self.calls.read([{"index": self._index, "id": id, "function": function}])


class _Objects(Reader):
    """Calls as JSON objects behind a marker."""

    def __init__(self, choice: int) -> None:
        super().__init__(choice)
        self._brackets = _Brackets()
        self._begun = 0  # how many of the kept pieces stand before the object
        self._named = False  # whether the arguments may still be passed on as they come
        self._enveloped = True  # whether the arguments stand in an object with their name

    def _text(self, text: str, at: int) -> int:
        found = find(text, self.marker, at)
        self._say(text[at : found if found >= 0 else None])
        if found < 0:
            return len(text)
        if not text.startswith(self.marker, found):
            return self._hold(text, found)
        self._keep(self.marker)
        self._state = self._opening
        return found + len(self.marker)

    def _opening(self, text: str, at: int) -> int:
        """Behind the marker."""
        at = self._blank(text, at)
        if text.startswith("{", at):
            self._begin_object()
        elif at < len(text):
            self._give_up()
        return at

    def _begin_object(self) -> None:
        self._begun = len(self._kept)
        self._brackets = _Brackets()
        self._named = True
        self._state = self._object

    def _begin_arguments(self, *, enveloped: bool = True) -> None:
        self._brackets = _Brackets()
        self._enveloped = enveloped
        self._state = self._arguments

    def _object(self, text: str, at: int) -> int:
        """Inside a call whose name is not known."""
        if self._named:
            before = "".join(self._kept[self._begun :])
            body = before + text[at : at + _HEAD_MOST]
            if head := _HEAD.match(body, 0, _HEAD_MOST):
                self._call(head[1])
                self._begin_arguments()
                return at + head.end() - len(before)
            self._named = len(body) < _HEAD_MOST
        end = self._brackets.end(text, at)
        self._keep(text[at : end if end >= 0 else None])
        if end < 0:
            return len(text)
        self._state = self._closing
        self._whole("".join(self._kept[self._begun :]))
        return end

    def _whole(self, body: str) -> None:
        """A call that could be told at its end only. One that is wrong keeps its marker: nobody can take it for JSON."""
        if called := _called(body):
            self._call(*called)
        elif not _is_json(body) and (named := _NAME.search(body)):
            self._call(named[1], self.marker + body)
        else:
            self._give_up()

    def _arguments(self, text: str, at: int) -> int:
        end = self._brackets.end(text, at)
        piece = text[at : end if end >= 0 else None]
        self._out += self.calls.read([{"index": self._index, "function": {"arguments": piece}}])
        if end < 0:
            return len(text)
        self._state = self._closing
        if self._enveloped and not self._brackets.broken:
            self._brackets = _Brackets(depth=1)
            self._state = self._envelope
        return end

    def _envelope(self, text: str, at: int) -> int:
        """Behind the arguments, before the last brace. What else an object says, an id or so, says nothing."""
        end = self._brackets.end(text, at)
        self._keep(text[at : end if end >= 0 else None])
        if end < 0:
            return len(text)
        if self._brackets.broken:  # its marker came first
            self._cut = "".join(self._kept)
        self._drop()
        self._state = self._closing
        return end

    def _closing(self, text: str, at: int) -> int:
        """Behind a call."""
        self._state = self._text
        return at

    def _unfinished(self) -> bool:
        return self._state not in (self._text, self._closing)


class Hermes(_Objects):
    """The habit of Hermes and Qwen."""

    marker = "<tool_call>"
    _last: ClassVar[str] = "</tool_call>"

    def _closing(self, text: str, at: int) -> int:
        at = _end_of_blank(text, at)
        if text.startswith(self._last, at):
            self._state = self._text
            return at + len(self._last)
        if self._last.startswith(text[at : at + len(self._last)]):
            return self._hold(text, at)
        self._state = self._text
        return at


class Mistral(_Objects):
    """The habits of Mistral's models: a list of objects, or a marker and a name for each call."""

    marker = "[TOOL_CALLS]"

    def _opening(self, text: str, at: int) -> int:
        at = self._blank(text, at)
        if text.startswith("[", at):
            self._keep("[")
            self._state = self._element
            return at + 1
        if named := _NAMED.match(text, at, at + _HEAD_MOST):
            self._call(named[1], id=named[2] or "")
            self._begin_arguments(enveloped=False)
            return named.end()
        if len(text) - at < _HEAD_MOST and _NAMED_BEGUN.match(text, at):
            return self._hold(text, at)
        if at < len(text):
            self._give_up()
        return at

    def _element(self, text: str, at: int) -> int:
        """Between the calls of a list."""
        at = self._blank(text, at)
        if text.startswith("{", at):
            self._begin_object()
        elif text.startswith(",", at):
            self._keep(",")
            at += 1
        elif text.startswith("]", at):
            self._drop()
            self._state = self._text
            at += 1
        elif at < len(text):
            self._give_up()
        return at

    def _closing(self, text: str, at: int) -> int:
        self._state = self._element if self._enveloped else self._text
        return at

    def _unfinished(self) -> bool:
        between = self._state == self._element and not "".join(self._kept).strip()
        return super()._unfinished() and not between


class Llama(_Objects):
    """The habit of Llama 3: nothing but a call, or several. Where a JSON answer is no call, its first keys show it."""

    marker = "<|python_tag|>"

    def __init__(self, choice: int) -> None:
        super().__init__(choice)
        self._state = self._start
        self._idle = False

    def _start(self, text: str, at: int) -> int:
        end = _end_of_blank(text, at)
        self._say(text[at:end])
        if end < len(text):
            self._state = self._opening if text[end] == "{" else self._text
        return end

    def _opening(self, text: str, at: int) -> int:
        at = self._blank(text, at)
        if head := _HEAD.match(text, at, at + _HEAD_MOST):
            self._call(head[1])
            self._begin_arguments()
            return head.end()
        if len(text) - at < _HEAD_MOST and _HEAD_BEGUN.match(text, at):
            return self._hold(text, at)
        if at < len(text):
            self._give_up()
        return at

    def _closing(self, text: str, at: int) -> int:
        at = _end_of_blank(text, at)
        if text.startswith(";", at):
            self._keep(";")
            self._state = self._opening
            return at + 1
        if at < len(text):
            self._state = self._text
        return at

    def _unfinished(self) -> bool:
        if self._state == self._opening:
            return '"name"' in self._held
        return self._state != self._start and super()._unfinished()


class Pythonic(Reader):
    """The habit of Llama 3.2, Llama 4 and ToolACE: a list of calls in Python. Only the end shows that nothing follows."""

    most = _MOST_PYTHON

    def __init__(self, choice: int) -> None:
        super().__init__(choice)
        self._brackets = _Brackets(mark=_PYTHON_MARK)
        self._state = self._start
        self._idle = False

    def flush(self, out: list[Event]) -> None:
        """Nothing more is to come: hand out what was held back, as calls if it is a list of them."""
        self._out = out
        if self._state == self._over:
            for name, arguments in _python_calls("".join(self._kept)):
                self._call(name, arguments)
        super().flush(out)

    def _start(self, text: str, at: int) -> int:
        end = _end_of_blank(text, at)
        self._say(text[at:end])
        if end < len(text):
            self._state = self._opening if text[end] == "[" else self._text
        return end

    def _opening(self, text: str, at: int) -> int:
        if _PYTHON_HEAD.match(text, at, at + _HEAD_MOST):
            self._state = self._list
        elif len(text) - at < _HEAD_MOST and _PYTHON_BEGUN.match(text, at):
            return self._hold(text, at)
        else:
            self._state = self._text
        return at

    def _list(self, text: str, at: int) -> int:
        end = self._brackets.end(text, at)
        self._keep(text[at : end if end >= 0 else None])
        if end >= 0:
            self._state = self._over
            return end
        return len(text)

    def _over(self, text: str, at: int) -> int:
        at = self._blank(text, at)
        if at < len(text):
            self._give_up()
        return at

    def _unfinished(self) -> bool:
        return self._state == self._list or "(" in self._held


FORMATS: dict[str, type[Reader]] = {
    "hermes": Hermes,
    "mistral": Mistral,
    "llama3_json": Llama,
    "pythonic": Pythonic,
}


def _end_of_blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _is_json(text: str) -> bool:
    try:
        _json.loads(text)
    except ValueError:
        return False
    return True


def _called(text: str) -> tuple[str, Any] | None:
    """Name and arguments of a call whose keys stand in any order."""
    try:
        value = _json.loads(text)
    except ValueError:
        return None
    function = value.get("function", value) if isinstance(value, dict) else value
    name = function.get("name") if isinstance(function, dict) else None
    if not (name and isinstance(name, str)):
        return None
    return name, function.get("arguments", function.get("parameters", {}))


def _python_calls(text: str) -> list[tuple[str, str]]:
    """Names and arguments of a list of calls in Python, empty if it is none. Nothing of it is run."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        return [_python_call(node) for node in tree.elts] if isinstance(tree, ast.List) else []
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the parser's words for "too deeply nested"
        return []


def _python_call(node: ast.expr) -> tuple[str, str]:
    match node:
        case ast.Call(ast.Name(name), [], keywords):
            values = {_string(word.arg): _literal(word.value) for word in keywords}
            return name, _json.dumps(values).decode("utf-8", "surrogatepass")
    raise ValueError(f"{ast.dump(node)} is no call with named arguments")


#: How some models write `True`, `False` and `None`.
_JSON_NAMES = {"true": True, "false": False, "null": None}


def _literal(node: ast.expr | None) -> Any:
    match node:
        case ast.Constant(str() | int() | float() | None as value):
            return value
        case ast.Name(name) if name in _JSON_NAMES:
            return _JSON_NAMES[name]
        case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as number)):
            return -number
        case ast.List(values) | ast.Tuple(values):
            return [_literal(value) for value in values]
        case ast.Dict(keys, values):
            return {_string(_literal(key)): _literal(value) for key, value in zip(keys, values, strict=True)}
    raise ValueError("no literal")


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no name")
    return value
