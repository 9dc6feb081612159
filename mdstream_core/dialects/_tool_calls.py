"""Decode tool calls into deltas with one stable index, one id and one name for each call.

| server | format |
|---|---|
| vLLM, SGLang, llama-server | always an index; id and name in the first delta only |
| vLLM to 0.8.5, LMI, a named tool choice | name in every delta, no id at all |
| llama-cpp-python | name and the full id in every delta |
| TGI | all parallel calls under index 0 and one id; a new call starts with its name |
| OCI, Ollama, dynamo | index 0 or none for parallel calls; a new call starts with another id |
| transformers, some gateways | the whole call in one delta; arguments as an object instead of a string |
| LiteLLM's gateway | name `"null"` in later deltas (BerriAI/litellm#12513); a string as index |
| some gateways | another id in each delta of one call; the name in two pieces before the arguments |
| vLLM with gpt-oss | the next marker in the name: `query<|channel|>commentary` (vllm-project/vllm#32587) |

Rules: an entry belongs to the call of its index, else of its id, else to the last open call. A new call starts with a
new id, with another name, or with a repeated name after complete arguments and before an opening brace. While the
arguments of a call are missing or incomplete, an entry under the same index continues them, unless it has another name.
A call is emitted when its name is known.
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

#: Values that serializers write for a missing name or id.
_NULL_VALUES = frozenset({"null", "none", "undefined", "nil"})

_DIGITS = re.compile(r"[0-9]{1,9}")

#: How many times as long the same JSON may be in another spelling: one emoji may be twelve characters of escapes.
_MAX_LENGTH_RATIO = 16


class _ToolCallState:
    """State of one tool call while it is received."""

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
        """Append arguments and return them, without whitespace before the first ones."""
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
        """Return whether this id, name and arguments belong to a new call."""
        if name and self.name and name != self.name:
            return True
        if id and self.wire_id and id != self.wire_id:
            if not self.last:
                return not arguments
            starts_object = bool(name) and arguments.lstrip().startswith("{")
            return starts_object or not self._is_unfinished()
        ended = self.last.endswith("}")
        self.repeated_name = self.repeated_name or (ended and bool(name))
        starts_again = self.repeated_name and ended and arguments.lstrip().startswith("{")
        return starts_again and not self._is_unfinished()

    def is_repeated_by(self, id: str, name: str, arguments: str) -> bool:
        """Return whether this is the same whole call again: the last event of some servers repeats everything."""
        if not (id and id == self.wire_id and name == self.name and arguments and self.last) or self._is_unfinished():
            return False
        if (
            len(arguments) * _MAX_LENGTH_RATIO < self.arguments.tell()
        ):  # too short to be the same JSON: no need to parse it
            return False
        return arguments == self.text or _is_same_json(arguments, self.text)

    def continue_name(self, name: str) -> str:
        """Append the next piece of the name, or the rest of a longer one, and return what was appended."""
        rest = name.removeprefix(self.name)
        self.name += rest
        if len(self.name) > MAX_NAME_CHARS:
            raise over_limit("characters of a tool's name", MAX_NAME_CHARS)
        return rest

    def is_open(self) -> bool:
        """Return whether arguments are missing or incomplete."""
        return not self.last or self._is_unfinished()

    def _is_unfinished(self) -> bool:
        """Return whether the arguments are an incomplete object. Each piece is scanned only once."""
        if self._brackets is None:
            self._brackets = JSONValueScanner()
            self._brackets.find_end(self.text, 0)
        return self._is_object and not self._brackets.is_closed

    @property
    def text(self) -> str:
        return self.arguments.getvalue()


class ToolCallReader:
    """Reader for the tool calls of one choice."""

    #: Whether a name may be received in pieces under one index.
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
        """Return whether the last call of this index has missing or incomplete arguments."""
        call = self._open.get(index)
        return call is not None and call.is_open()

    def read(self, entries: Sequence[Mapping[str, Any]]) -> Iterator[ToolCallDelta]:
        """Yield the deltas of the `tool_calls` of one payload. Raises at the first entry that cannot be read."""
        for entry in entries:
            if entry is not None and (delta := self._read(entry)) is not None:
                yield delta

    def merge(self, entries: Sequence[Mapping[str, Any]]) -> list[ToolCallDelta]:
        """Return what is new in the whole calls of a streamed response. Raises `ValueError` if they differ."""
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

    def complete(self, entry: Mapping[str, Any]) -> ToolCallDelta | None:
        """Return what is new in a whole call that follows the deltas of its index; `None` if nothing is.

        Raises:
            ValueError: The call differs from what was streamed.
        """
        call = self._open.get(entry["index"])
        if call is None:
            return self._read(entry)
        size = len(_arguments(entry.get("function") or entry))
        if size and size * _MAX_LENGTH_RATIO < call.arguments.tell():  # too short to be the same JSON
            raise ValueError(f"other arguments of {call.name!r} than those that were streamed")
        return self._remaining_delta(call, entry) if size else None

    def check_complete(self, *, truncated: bool = False) -> None:
        """Raise if a call must not be executed.

        Args:
            truncated: Whether the model reached its token limit (`length`). Then a last call whose arguments are
                missing or not JSON are treated as truncated, whatever is wrong with them.

        Raises:
            IncompleteToolCall: A call is truncated.
            MalformedStream: The object of a call is followed by another object or by text. Parsers that repair
                JSON, as LangChain's core does, would use the first object and drop the rest.
        """
        for call in self._calls:
            text = call.text
            if not call.name:
                raise _incomplete_error(
                    text, f"the response ended before the name of a tool call (id {call.wire_id!r})"
                )
            if _is_json(text):
                continue
            last = truncated and call is self._calls[-1]
            if last or (text.strip() and _json.is_unfinished(text)):
                where = f"inside the arguments of the tool call {call.name!r}: {text[-80:]!r}"
                raise _incomplete_error(text, f"the response ended {where}")
            if rest := _json.text_after_object(text):
                raise _malformed_error(call.name, text, rest)

    def _read(self, entry: Mapping[str, Any]) -> ToolCallDelta | None:
        function = entry.get("function") or entry
        call = self._open.get(entry.get("index"))
        if call is not None and call.name and not (call.repeated_name or entry.get("id") or function.get("name")):
            piece = function.get("arguments")  # the fast path: most entries only continue the arguments
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
            return self._start_next(call, key, id, name, arguments)
        arguments = call.add_arguments(id, arguments)
        if name and not call.name:
            call.name = name
            return self._first_delta(call)
        return self._next_delta(call, arguments)

    def _find(self, key: Any, index: Any, id: str, *, is_whole: bool) -> _ToolCallState | None:
        """Return the call that an entry continues or follows."""
        call = self._open.get(key)
        if call is None and id and (index is None or is_whole):
            return self._by_id.get(id)
        if call is not None and id and id != call.wire_id and id in self._by_id:
            call = self._open[key] = self._by_id[id]  # servers may interleave the pieces of calls under one index
        return call

    def _start_next(
        self, call: _ToolCallState | None, key: Any, id: str, name: str, arguments: str
    ) -> ToolCallDelta | None:
        """Start a call with this id, name and arguments, after `call`."""
        if not (id or name or arguments):
            return None
        has_same_id = call is not None and id in {"", call.wire_id}
        started = self._open[key] = self._start(id, name or (call.name if call and has_same_id else ""))
        started.add_arguments(id, arguments)
        return self._first_delta(started)

    def _first_delta(self, call: _ToolCallState) -> ToolCallDelta | None:
        """Return the delta that starts a call, with all its arguments so far; `None` until its name is known."""
        return ToolCallDelta(call.index, call.id, call.name, call.text, self._choice) if call.name else None

    def _next_delta(self, call: _ToolCallState, arguments: str, name: str = "") -> ToolCallDelta | None:
        if not call.name or not (arguments or name):
            return None
        return ToolCallDelta(call.index, None, name or None, arguments, self._choice)

    def _continues_name(self, call: _ToolCallState, index: Any, id: str, name: str) -> bool:
        """Return whether a name is the next piece of the call's name: same index, no arguments yet, no id.

        If calls have no ids, or all have the same id, another name is another call.
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

    def _start(self, id: str, name: str) -> _ToolCallState:
        if len(self._calls) >= MAX_TOOL_CALLS:
            raise over_limit("tool calls", MAX_TOOL_CALLS)
        unique_id = id if id and id not in self._ids else f"call_{uuid.uuid4().hex[:24]}"
        call = _ToolCallState(len(self._calls), unique_id, id, name)
        self._calls.append(call)
        self._ids.add(unique_id)
        if id:
            self._by_id[id] = call
        return call

    def _add_complete(self, entry: Mapping[str, Any]) -> ToolCallDelta | None:
        """Add a whole call that was not streamed."""
        function = entry.get("function") or entry
        id = _id(entry.get("id"))
        call = self._start(id, _name(function.get("name")))
        call.add_arguments(id, _arguments(function))
        return self._first_delta(call)

    def _remaining_delta(self, call: _ToolCallState, entry: Mapping[str, Any]) -> ToolCallDelta | None:
        """Return the part of a whole call that was not streamed."""
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


def _incomplete_error(text: str, reason: str) -> IncompleteToolCall:
    return IncompleteToolCall(
        f"{reason}. The call must not be executed (hint: raise max_tokens if the finish reason is 'length')",
        code="IncompleteToolCall",
        raw=_json.replace_lone_surrogates(text),
    )


def _malformed_error(name: str, text: str, rest: str) -> MalformedStream:
    return MalformedStream(
        f"the arguments of the tool call {name!r} are not a single JSON object: the object is followed by "
        f"{rest[:80]!r}. The call must not be executed",
        code="MalformedToolCall",
        raw=_json.replace_lone_surrogates(text),
    )


def _index(value: Any) -> Any:
    """Return the index of a call; some gateways send it as a string."""
    return int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value


def _id(value: Any) -> str:
    id = _json.to_text(value)
    return "" if id.lower() in _NULL_VALUES else id


def _name(value: Any) -> str:
    """Return the name of a tool, without a marker of gpt-oss's format at its end."""
    name = value if isinstance(value, str) else _json.to_text(value or "")
    name = name.partition("<|")[0].rstrip() if "<|" in name else name
    return "" if name.lower() in _NULL_VALUES else name


#: Names of the field with the arguments of a call.
_ARGUMENT_FIELDS = ("arguments", "parameters", "input")


def _arguments(function: Mapping[str, Any]) -> str:
    """Return the arguments of a call as JSON text."""
    arguments = function.get("arguments")
    if arguments is None:
        arguments = next((function[name] for name in _ARGUMENT_FIELDS if function.get(name) is not None), None)
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
