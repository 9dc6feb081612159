"""Tool calls as servers spell them → deltas with one stable index, one id and one name for each call.

| server | what it does |
|---|---|
| vLLM, SGLang, llama-server | index always; id and name in the first delta only |
| vLLM to 0.8.5, LMI, a named tool choice | name in every delta, no id at all |
| llama-cpp-python | name and the full id in every delta |
| TGI | parallel calls all under index 0 and one id; a new call begins with its name |
| OCI, Ollama, dynamo | index 0 or none for parallel calls; a new call begins with another id |
| transformers, some gateways | the whole call in one delta; arguments as an object instead of a string |
| LiteLLM's gateway | name `"null"` in later deltas (BerriAI/litellm#12513); an index that is a string |
| some gateways | another id in each delta of one call; a name in two pieces before the arguments |
| vLLM with gpt-oss | the name runs into the next marker: `query<|channel|>commentary` (vllm-project/vllm#32587) |

So: a call is found by its index, else by its id, else it is the last open one. A new id, another name, or a name that
comes again after complete arguments and is followed by an opening brace, open a new call; but while arguments have not
come or stop in the middle, what comes under the same index goes on with them, unless it has another name. A call is
told when its name is known.
"""

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from typing import Any, ClassVar

from mdstream_core import _json
from mdstream_core.dialects._json_scanner import JSONValueScanner
from mdstream_core.dialects._limits import MAX_NAME_CHARS, MAX_TOOL_CALLS, over_limit
from mdstream_core.errors import IncompleteToolCall, MalformedStream
from mdstream_core.events import ToolCallDelta

#: What serializers make of a name or an id that is not there.
_NULL_WORDS = frozenset({"null", "none", "undefined", "nil"})

_DIGITS = re.compile(r"[0-9]{1,9}")

#: How many times as long another spelling of the same JSON may be: an emoji of one character as twelve of escapes.
_SPELLING = 16


class _ToolCallState:
    """A call that is coming in."""

    __slots__ = ("_brackets", "_is_object", "arguments", "id", "index", "last", "name", "repeated_name", "wire_id")

    def __init__(self, index: int, id: str, wire_id: str, name: str) -> None:
        self.index = index
        self.id = id
        self.wire_id = wire_id
        self.name = name
        self.arguments = StringIO()
        self.last = ""
        self.repeated_name = False
        self._brackets: JSONValueScanner | None = None
        self._is_object = False

    def add_arguments(self, id: str, arguments: str) -> str:
        """Add arguments; what is new of them. Blanks before the first of them mean nothing."""
        self.wire_id = self.wire_id or id
        if not self.last:
            arguments = arguments.lstrip(" \t\r\n")
            self._is_object = arguments.startswith("{")
        self.arguments.write(arguments)
        self.last = arguments.rstrip() or self.last
        if self._brackets is not None and not self._brackets.is_closed:
            self._brackets.find_end(arguments, 0)
        return arguments

    def is_followed_by(self, id: str, name: str, arguments: str) -> bool:
        """Whether these belong to a call of their own."""
        if name and self.name and name != self.name:
            return True
        if id and self.wire_id and id != self.wire_id:
            if not self.last:
                return not arguments
            begins_object = bool(name) and arguments.lstrip().startswith("{")
            return begins_object or not self._is_unfinished()
        ended = self.last.endswith("}")
        self.repeated_name = self.repeated_name or (ended and bool(name))
        begins_anew = self.repeated_name and ended and arguments.lstrip().startswith("{")
        return begins_anew and not self._is_unfinished()

    def is_repeated_by(self, id: str, name: str, arguments: str) -> bool:
        """Whether this is the same call once more, whole: the last event of some servers says everything again."""
        if not (id and id == self.wire_id and name == self.name and arguments and self.last) or self._is_unfinished():
            return False
        if len(arguments) * _SPELLING < self.arguments.tell():  # no spelling of it is as long: no need to read it all
            return False
        return arguments == self.text or _is_same_json(arguments, self.text)

    def continue_name(self, name: str) -> str:
        """The rest of a name that came in pieces, or again and longer; the call has it from now on."""
        rest = name.removeprefix(self.name)
        self.name += rest
        if len(self.name) > MAX_NAME_CHARS:
            raise over_limit("characters of a tool's name", MAX_NAME_CHARS)
        return rest

    def is_open(self) -> bool:
        """Whether arguments are still to come: none have, or their object has not ended."""
        return not self.last or self._is_unfinished()

    def _is_unfinished(self) -> bool:
        """Whether the arguments are an object that has begun. Each piece is scanned once, however often it is asked."""
        if self._brackets is None:
            self._brackets = JSONValueScanner()
            self._brackets.find_end(self.text, 0)
        return self._is_object and not self._brackets.is_closed

    @property
    def text(self) -> str:
        return self.arguments.getvalue()


class ToolCallReader:
    """The calls of one choice."""

    #: Whether a name may come in pieces under one index.
    has_named_pieces: ClassVar[bool] = True

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._calls: list[_ToolCallState] = []
        self._open: dict[Any, _ToolCallState] = {}
        self._by_id: dict[str, _ToolCallState] = {}
        self._ids: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._calls)

    def is_open(self, index: Any) -> bool:
        """Whether arguments are still to come for the last call of this index."""
        call = self._open.get(index)
        return call is not None and call.is_open()

    def read(self, entries: Sequence[Mapping[str, Any]]) -> Iterator[ToolCallDelta]:
        """The deltas of one payload's `tool_calls`, those before an entry that cannot be read first."""
        for entry in entries:
            if entry is not None and (delta := self._read(entry)) is not None:
                yield delta

    def merge(self, entries: Sequence[Mapping[str, Any]]) -> list[ToolCallDelta]:
        """What is new in the whole calls of an answer that was streamed. Raises `ValueError` where they differ."""
        if entries and len(entries) < len(self._calls):
            raise ValueError(f"{len(entries)} tool calls, after {len(self._calls)} were streamed")
        streamed = len(self._calls)
        ordered = [self._by_id.get(_id(entry.get("id"))) for entry in entries[:streamed]]
        calls = ordered if None not in ordered and len(set(map(id, ordered))) == streamed else self._calls
        deltas = [
            self._remaining_delta(call, entry) for call, entry in zip(calls, entries, strict=False) if call is not None
        ]
        added = [self._add_complete(entry) for entry in entries[streamed:]]
        return [delta for delta in (*deltas, *added) if delta is not None]

    def check_complete(self, *, truncated: bool = False) -> None:
        """Raise an error if a call must not be executed.

        Args:
            truncated: Whether the model was stopped (`length`): then a last call whose arguments are not there, or
            are not
                JSON, is taken for one that was cut, whatever is wrong with them.

        Raises:
            IncompleteToolCall: A call stops in the middle.
            MalformedStream: Behind a call's object stands something else: another object, or text. Parsers that mend
                JSON, as LangChain's core does, would run the first object and lose the rest.
        """
        for call in self._calls:
            text = call.text
            if not call.name:
                raise _incomplete_error(text, f"the answer ended before the name of a tool call (id {call.wire_id!r})")
            if _is_json(text):
                continue
            last = truncated and call is self._calls[-1]
            if last or (text.strip() and _json.is_unfinished(text)):
                what = f"inside the arguments of the tool call {call.name!r}: {text[-80:]!r} is cut off"
                raise _incomplete_error(text, f"the answer ended {what}")
            if rest := _json.text_after_object(text):
                raise _malformed_error(call.name, text, rest)

    def _read(self, entry: Mapping[str, Any]) -> ToolCallDelta | None:
        function = entry.get("function") or entry
        call = self._open.get(entry.get("index"))
        if call is not None and call.name and not (call.repeated_name or entry.get("id") or function.get("name")):
            piece = function.get("arguments")  # the next one, as most are
            return self._next_delta(
                call, call.add_arguments("", piece if isinstance(piece, str) else _arguments(function))
            )
        index, id = _index(entry.get("index")), _id(entry.get("id"))
        name, arguments = _name(function.get("name")), _arguments(function)
        key = self._key(index, id)
        call = self._find(key, index, id, is_whole=bool(name and arguments))
        if call is not None and call.is_repeated_by(id, name, arguments):
            return None
        if call is not None and self._continues_name(call, index, id, name):
            rest = call.continue_name(name)
            return self._next_delta(call, call.add_arguments(id, arguments), rest)
        if call is None or call.is_followed_by(id, name, arguments):
            return self._begin_next(call, key, (id, name, arguments))
        arguments = call.add_arguments(id, arguments)
        if name and not call.name:
            call.name = name
            return self._first_delta(call)
        return self._next_delta(call, arguments)

    def _find(self, key: Any, index: Any, id: str, *, is_whole: bool) -> _ToolCallState | None:
        """The call that an entry belongs to, or may follow."""
        call = self._open.get(key)
        if call is None and id and (index is None or is_whole):
            return self._by_id.get(id)
        if call is not None and id and id != call.wire_id and id in self._by_id:
            call = self._open[key] = self._by_id[id]  # servers may mix the pieces of calls under one index
        return call

    def _begin_next(self, call: _ToolCallState | None, key: Any, said: tuple[str, str, str]) -> ToolCallDelta | None:
        """Begin a call with this id, name and arguments."""
        id, name, arguments = said
        if not (id or name or arguments):
            return None
        same = call is not None and id in {"", call.wire_id}
        begun = self._open[key] = self._begin(id, name or (call.name if call and same else ""))
        begun.add_arguments(id, arguments)
        return self._first_delta(begun)

    def _first_delta(self, call: _ToolCallState) -> ToolCallDelta | None:
        """The delta that begins a call, with all that has come; it waits for the name."""
        return ToolCallDelta(call.index, call.id, call.name, call.text, self._choice) if call.name else None

    def _next_delta(self, call: _ToolCallState, arguments: str, name: str = "") -> ToolCallDelta | None:
        if not call.name or not (arguments or name):
            return None
        return ToolCallDelta(call.index, None, name or None, arguments, self._choice)

    def _continues_name(self, call: _ToolCallState, index: Any, id: str, name: str) -> bool:
        """Whether a name is the next piece of the call's: under its index, before any arguments, without an id.

        Where no call has an id, or all have the same, another name is another call.
        """
        if not (self.has_named_pieces and name and call.name and name != call.name):
            return False
        grows = id == call.wire_id and name.startswith(call.name)
        return index is not None and not call.last and (grows or bool(call.wire_id and not id))

    def _key(self, index: Any, id: str) -> Any:
        if index is not None:
            return index
        if id:
            return id
        return next(reversed(self._open), None)

    def _begin(self, id: str, name: str) -> _ToolCallState:
        if len(self._calls) >= MAX_TOOL_CALLS:
            raise over_limit("tool calls", MAX_TOOL_CALLS)
        own = id if id and id not in self._ids else f"call_{uuid.uuid4().hex[:24]}"
        call = _ToolCallState(len(self._calls), own, id, name)
        self._calls.append(call)
        self._ids.add(own)
        if id:
            self._by_id[id] = call
        return call

    def _add_complete(self, entry: Mapping[str, Any]) -> ToolCallDelta | None:
        """A whole call that was not streamed."""
        function = entry.get("function") or entry
        id = _id(entry.get("id"))
        call = self._begin(id, _name(function.get("name")))
        call.add_arguments(id, _arguments(function))
        return self._first_delta(call)

    def _remaining_delta(self, call: _ToolCallState, entry: Mapping[str, Any]) -> ToolCallDelta | None:
        """What of a whole call was not streamed."""
        function = entry.get("function") or entry
        name, whole, text = (
            _name(function.get("name")),
            _arguments(function).strip(),
            _json.replace_lone_surrogates(call.text),
        )
        if name and call.name and name != call.name:
            raise ValueError(f"the tool call {name!r}, after {call.name!r} was streamed")
        if not call.name:
            call.name = name
            call.add_arguments("", whole.removeprefix(text))
            return self._first_delta(call)
        if whole.startswith(text):
            return self._next_delta(call, call.add_arguments("", whole[len(text) :]))
        if whole and not _is_same_json(whole, text):
            raise ValueError(f"other arguments of {name!r} than those that were streamed")
        return None


def _incomplete_error(text: str, sentence: str) -> IncompleteToolCall:
    return IncompleteToolCall(
        f"{sentence}. The call must not be executed; raise max_tokens if the finish reason is 'length'",
        code="IncompleteToolCall",
        raw=_json.replace_lone_surrogates(text),
    )


def _malformed_error(name: str, text: str, rest: str) -> MalformedStream:
    return MalformedStream(
        f"the arguments of the tool call {name!r} are not one JSON object: behind it stands {rest[:80]!r}. "
        "The call must not be executed",
        code="MalformedToolCall",
        raw=_json.replace_lone_surrogates(text),
    )


def _index(value: Any) -> Any:
    """A call's index; some gateways write it as a string."""
    return int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value


def _id(value: Any) -> str:
    id = _json.to_text(value)
    return "" if id.lower() in _NULL_WORDS else id


def _name(value: Any) -> str:
    """A tool's name, without the marker of gpt-oss's format that runs into it."""
    name = value if isinstance(value, str) else _json.to_text(value or "")
    name = name.partition("<|")[0].rstrip() if "<|" in name else name
    return "" if name.lower() in _NULL_WORDS else name


#: What servers call the arguments of a call.
_ARGUMENTS = ("arguments", "parameters", "input")


def _arguments(function: Mapping[str, Any]) -> str:
    """The arguments of a call as JSON text."""
    arguments = function.get("arguments")
    if arguments is None:
        arguments = next((function[name] for name in _ARGUMENTS if function.get(name) is not None), None)
    if not arguments:
        return "{}" if arguments == {} else "[]" if arguments == [] else ""
    return arguments if isinstance(arguments, str) else _json.dumps(arguments).decode("utf-8", "surrogatepass")


def _is_json(text: str) -> bool:
    try:
        _json.loads(text)
    except ValueError:
        return False
    return True


def _is_same_json(one: str, other: str) -> bool:
    try:
        return bool(_json.loads(one) == _json.loads(other))
    except ValueError:
        return False
