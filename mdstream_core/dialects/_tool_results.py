"""Which tool result belongs to which call.

The id of a call is unique within one response only: TGI numbers its calls `0`, `1` …, other servers count by position
in every response, and a call without an id is named after its place (`call_0`, `call_1` …). A result therefore belongs
to the nearest assistant message before it that has a call with its id or of its name by place. The results that are
left, which have no id or an unknown one, belong to the next open calls.
"""

import operator
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Message = Mapping[str, Any]

#: The place of an assistant message in the conversation, and the place of the call in that message.
CallPlace = tuple[int, int]

_RESULT_ROLES = frozenset({"tool", "function"})


def _calls(message: Any) -> Sequence[Mapping[str, Any]]:
    """The calls of a message; none where it has another shape, which is for the service to refuse."""
    calls = message.get("tool_calls") if isinstance(message, Mapping) else None
    return calls if isinstance(calls, list | tuple) and all(isinstance(call, Mapping) for call in calls) else ()


def _name(call: Mapping[str, Any]) -> Any:
    function = call.get("function")
    return function.get("name") if isinstance(function, Mapping) else None


def _name_by_place(place: int) -> str:
    """How a call without an id is named."""
    return f"call_{place}"


class _ToolRound:
    """The calls of one assistant message, and which of them have a result."""

    def __init__(self, at: int, calls: Sequence[Mapping[str, Any]]) -> None:
        self.at = at
        self.own_ids = [bool(call.get("id")) for call in calls]
        self.ids = [call.get("id") or _name_by_place(place) for place, call in enumerate(calls)]
        self.names = [_name(call) for call in calls]
        self.answered: set[int] = set()

    def mark_answered(self, places: Iterable[int], *, again: bool = False) -> CallPlace | None:
        """Mark the first open call of `places`; with `again` the last one of them, if all have results."""
        found = list(places)
        place = next((place for place in found if place not in self.answered), found[-1] if found and again else None)
        if place is None:
            return None
        self.answered.add(place)
        return self.at, place

    def by_id(self, id: Any) -> list[int]:
        """Calls of this id; those that have it themselves before those that are named by their place."""
        return sorted(
            (place for place, one in enumerate(self.ids) if one == id), key=lambda place: not self.own_ids[place]
        )

    def by_place(self, id: Any, name: Any) -> list[int]:
        """Calls that a result without a known id may answer; those with the result's name first."""
        free = [place for place, own in enumerate(self.own_ids) if not (id and own)]
        return sorted(free, key=lambda place: name is None or self.names[place] != name)


def pair_results(messages: Sequence[Message]) -> dict[int, CallPlace]:
    """Map the place of each tool message to the place of its call. A result that answers no call is left out.

    >>> call = {"id": "call_0", "function": {"name": "weather"}}
    >>> turn = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "call_0"}]
    >>> pair_results([*turn, *turn])
    {1: (0, 0), 3: (2, 0)}
    """
    rounds: list[_ToolRound] = []
    pairs: dict[int, CallPlace | None] = {}
    left: list[tuple[int, Message, _ToolRound]] = []
    for at, message in enumerate(messages):
        if calls := _calls(message):
            rounds.append(_ToolRound(at, calls))
        elif rounds and isinstance(message, Mapping) and message.get("role") in _RESULT_ROLES:
            pairs[at] = _place_by_id(message.get("tool_call_id"), rounds)
            if pairs[at] is None:
                left.append((at, message, rounds[-1]))
    for at, message, last in left:
        pairs[at] = last.mark_answered(last.by_place(message.get("tool_call_id"), message.get("name")))
    return {at: place for at, place in pairs.items() if place is not None}


def _place_by_id(id: Any, rounds: Sequence[_ToolRound]) -> CallPlace | None:
    known = next((one for one in reversed(rounds) if id in one.ids), None) if id else None
    return known.mark_answered(known.by_id(id), again=True) if known is not None else None


def with_call_ids(messages: Sequence[Message], *, across_turns: bool) -> Sequence[Message]:
    """The messages with an id for each call, which no other call has, and its results under the same id.

    Args:
        messages: A conversation; it is not changed.
        across_turns: Whether ids must differ in the whole conversation, or only within one message.

    Returns:
        The same object where nothing had to be renamed.
    """
    named, pairs = _call_ids(messages, across_turns=across_turns), pair_results(messages)
    renamed = [_with_ids(at, message, named, pairs.get(at)) for at, message in enumerate(messages)]
    return messages if all(map(operator.is_, renamed, messages)) else renamed


def _with_ids(at: int, message: Message, new_ids: Mapping[CallPlace, str], place: CallPlace | None) -> Message:
    """The message under these ids; the same object where it has them."""
    calls = _calls(message)
    if any(call.get("id") != new_ids[at, n] for n, call in enumerate(calls)):
        return {**message, "tool_calls": [{**call, "id": new_ids[at, n]} for n, call in enumerate(calls)]}
    if place is None or message.get("role") != "tool" or message.get("tool_call_id") == new_ids[place]:
        return message
    return {**message, "tool_call_id": new_ids[place]}


def _call_ids(messages: Sequence[Message], *, across_turns: bool) -> dict[CallPlace, str]:
    """An id for each call: its own where it is free, else a numbered one."""
    named: dict[CallPlace, str] = {}
    taken: set[str] = set()
    seen: Counter[str] = Counter()
    for at, message in enumerate(messages):
        if not across_turns:
            taken, seen = set(), Counter()
        for place, call in enumerate(_calls(message)):
            id = wanted = str(call.get("id") or _name_by_place(place))
            while id in taken:
                seen[wanted] += 1
                id = f"{wanted}_{seen[wanted] + 1}"
            taken.add(id)
            named[at, place] = id
    return named
