"""Tool calls as servers spell them → deltas with one stable index, one id and one name for each call.

| server | what it does |
|---|---|
| vLLM, SGLang, llama-server | index always; id and name in the first delta only |
| vLLM to 0.8.5, LMI, a named tool choice | name in every delta, no id at all |
| llama-cpp-python | name and the full id in every delta |
| TGI | parallel calls all under index 0 and one id; a new call begins with its name |
| OCI, Ollama, dynamo | index 0 or none for parallel calls; a new call begins with another id |
| transformers, some gateways | the whole call in one delta; arguments as an object instead of a string |

So: a call is found by its index, else by its id, else it is the last open one. A new id, another name, or a name that
comes again after complete arguments and is followed by an opening brace, open a new call. Names and ids are never
concatenated. A call is told when its name is known.
"""

import uuid
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from mdstream_core import _json
from mdstream_core.errors import IncompleteToolCall
from mdstream_core.events import ToolCallDelta


class _Call:
    """A call that is coming in."""

    __slots__ = ("arguments", "id", "index", "last", "name", "named_again", "wire_id")

    def __init__(self, index: int, id: str, wire_id: str, name: str) -> None:
        self.index = index
        self.id = id
        self.wire_id = wire_id
        self.name = name
        self.arguments = StringIO()
        self.last = ""
        self.named_again = False

    def take(self, id: str, arguments: str) -> None:
        self.wire_id = self.wire_id or id
        self.arguments.write(arguments)
        self.last = arguments.rstrip() or self.last

    def is_followed_by(self, id: str, name: str, arguments: str) -> bool:
        """Whether these belong to a call of their own."""
        if id and self.wire_id and id != self.wire_id:
            return True
        if name and self.name and name != self.name:
            return True
        # "}" and then "{" can be one JSON text only inside a string, so the text is parsed at most a few times
        ended = self.last.endswith("}")
        self.named_again = self.named_again or (ended and bool(name))
        begins_anew = self.named_again and ended and arguments.lstrip().startswith("{")
        return begins_anew and _is_json(self.arguments.getvalue())

    @property
    def text(self) -> str:
        return self.arguments.getvalue()


class ToolCalls:
    """The calls of one choice."""

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._calls: list[_Call] = []
        self._open: dict[Any, _Call] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def read(self, entries: Sequence[Mapping[str, Any]]) -> list[ToolCallDelta]:
        """The deltas of one payload's `tool_calls`."""
        return [delta for entry in entries if (delta := self._read(entry)) is not None]

    def end(self, *, cut: bool = False) -> None:
        """Raise `IncompleteToolCall` if a call stops in the middle.

        Args:
            cut: Whether the model was stopped (`length`): then a last call whose arguments are not there, or are not
                JSON, is taken for one that was cut, whatever is wrong with them.
        """
        for call in self._calls:
            text = call.text
            last = cut and call is self._calls[-1]
            if not call.name:
                self._incomplete(call, f"the answer ended before the name of a tool call (id {call.wire_id!r})")
            if (last and not _is_json(text)) or (text.strip() and _json.is_unfinished(text)):
                what = f"inside the arguments of the tool call {call.name!r}: {text[-80:]!r} is cut off"
                self._incomplete(call, f"the answer ended {what}")

    def _incomplete(self, call: _Call, sentence: str) -> None:
        raise IncompleteToolCall(
            f"{sentence}. The call must not be executed; raise max_tokens if the finish reason is 'length'",
            code="IncompleteToolCall",
            raw=call.text,
        )

    def _read(self, entry: Mapping[str, Any]) -> ToolCallDelta | None:
        function = entry.get("function") or entry
        id, name = _word(entry.get("id")), _word(function.get("name"))
        arguments = _text(function.get("arguments"))
        key = self._key(entry.get("index"), id)
        call = self._open.get(key)
        if call is None or call.is_followed_by(id, name, arguments):
            if not (id or name or arguments):
                return None
            same = call is not None and id in {"", call.wire_id}
            call = self._open[key] = self._begin(id, name or (call.name if call and same else ""))
            call.take(id, arguments)
            return self._first(call)
        call.take(id, arguments)
        if name and not call.name:
            call.name = name
            return self._first(call)
        return ToolCallDelta(call.index, None, None, arguments, self._choice) if arguments and call.name else None

    def _first(self, call: _Call) -> ToolCallDelta | None:
        """The delta that begins a call, with all that has come; it waits for the name."""
        return ToolCallDelta(call.index, call.id, call.name, call.text, self._choice) if call.name else None

    def _key(self, index: Any, id: str) -> Any:
        if index is not None:
            return index
        if id:
            return id
        return next(reversed(self._open), None)

    def _begin(self, id: str, name: str) -> _Call:
        known = {call.id for call in self._calls}
        call = _Call(len(self._calls), id if id and id not in known else f"call_{uuid.uuid4().hex[:24]}", id, name)
        self._calls.append(call)
        return call


def _word(value: Any) -> str:
    return value if isinstance(value, str) else str(value or "")


def _text(arguments: Any) -> str:
    if not arguments:
        return "{}" if arguments == {} else ""
    return arguments if isinstance(arguments, str) else _json.dumps(arguments).decode("utf-8", "surrogatepass")


def _is_json(text: str) -> bool:
    try:
        _json.loads(text)
    except ValueError:
        return False
    return True
