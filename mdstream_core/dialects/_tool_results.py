"""Match tool results with tool calls.

The id of a call is unique within one response only: TGI numbers its calls `0`, `1` …, other servers count by position
in every response, and a call without an id gets one from its index (`call_0`, `call_1` …). A result therefore belongs
to the nearest assistant message before it that has a call with this id. The remaining results, which have no id or an
unknown one, belong to the next open calls.
"""

import operator
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Message = Mapping[str, Any]

#: The index of an assistant message in the conversation, and the index of the call in that message.
CallPosition = tuple[int, int]

_RESULT_ROLES = frozenset({"tool", "function"})


def _calls(message: Any) -> Sequence[Mapping[str, Any]]:
    """Return the calls of a message; none if they have an unexpected shape, which the service will reject."""
    # Almost all messages are plain and without calls. `isinstance` with an abstract class takes longer than the rest.
    calls = message.get("tool_calls") if type(message) is dict or isinstance(message, Mapping) else None
    if not calls or not isinstance(calls, list | tuple):
        return ()
    return calls if all(isinstance(call, Mapping) for call in calls) else ()


def have_tools(messages: Iterable[Any]) -> bool:
    """Whether a message may have tool calls or be the result of one: others need no pairs.

    >>> have_tools([{"role": "user", "content": "Hi"}]), have_tools([{"role": "tool", "content": "3"}])
    (False, True)
    """
    for message in messages:
        if type(message) is not dict or message.get("tool_calls") or message.get("role") in _RESULT_ROLES:
            return True
    return False


def _name(call: Mapping[str, Any]) -> Any:
    function = call.get("function")
    return function.get("name") if isinstance(function, Mapping) else None


def _default_id(index: int) -> str:
    """Return the id of a call that has none."""
    return f"call_{index}"


class _ToolRound:
    """The tool calls of one assistant message, and which of them have a result."""

    def __init__(self, at: int, calls: Sequence[Mapping[str, Any]]) -> None:
        self.at = at
        self.has_id = [bool(call.get("id")) for call in calls]
        self.ids = [call.get("id") or _default_id(index) for index, call in enumerate(calls)]
        self.names = [_name(call) for call in calls]
        self.with_result: set[int] = set()

    def assign_result(self, candidates: Iterable[int], *, allow_second: bool = False) -> CallPosition | None:
        """Assign a result to the first of these calls that has none, and return its position.

        Args:
            candidates: Indices of calls.
            allow_second: Whether to assign it to the last of these calls if all have results.
        """
        indices = list(candidates)
        last = indices[-1] if indices and allow_second else None
        index = next((index for index in indices if index not in self.with_result), last)
        if index is None:
            return None
        self.with_result.add(index)
        return self.at, index

    def find_by_id(self, id: Any) -> list[int]:
        """Return the calls with this id; those with an id of their own first."""
        indices = (index for index, call_id in enumerate(self.ids) if call_id == id)
        return sorted(indices, key=lambda index: not self.has_id[index])

    def find_without_id(self, id: Any, name: Any) -> list[int]:
        """Return the calls that a result without a known id may belong to; those with the result's name first."""
        indices = [index for index, has_id in enumerate(self.has_id) if not (id and has_id)]
        return sorted(indices, key=lambda index: name is None or self.names[index] != name)


def pair_results(messages: Sequence[Message]) -> dict[int, CallPosition]:
    """Map the index of each tool message to the position of its call. Results without a call are omitted.

    >>> call = {"id": "call_0", "function": {"name": "weather"}}
    >>> turn = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "call_0"}]
    >>> pair_results([*turn, *turn])
    {1: (0, 0), 3: (2, 0)}
    """
    rounds: list[_ToolRound] = []
    pairs: dict[int, CallPosition | None] = {}
    unmatched: list[tuple[int, Message, _ToolRound]] = []
    for at, message in enumerate(messages):
        if calls := _calls(message):
            rounds.append(_ToolRound(at, calls))
        elif rounds and isinstance(message, Mapping) and message.get("role") in _RESULT_ROLES:
            pairs[at] = _match_by_id(message.get("tool_call_id"), rounds)
            if pairs[at] is None:
                unmatched.append((at, message, rounds[-1]))
    for at, message, last in unmatched:
        pairs[at] = last.assign_result(last.find_without_id(message.get("tool_call_id"), message.get("name")))
    return {at: position for at, position in pairs.items() if position is not None}


def _match_by_id(id: Any, rounds: Sequence[_ToolRound]) -> CallPosition | None:
    known = next((tool_round for tool_round in reversed(rounds) if id in tool_round.ids), None) if id else None
    return known.assign_result(known.find_by_id(id), allow_second=True) if known is not None else None


def with_call_ids(messages: Sequence[Message], *, across_turns: bool) -> Sequence[Message]:
    """Return the messages with a unique id for each tool call, and the same id in its result.

    Args:
        messages: A conversation; it is not changed.
        across_turns: Whether ids must be unique in the whole conversation, or only within one message.

    Returns:
        The same object if all ids are unique already.
    """
    if has_matching_ids(messages, across_turns=across_turns) or not any(map(_calls, messages)):
        return messages
    return assign_ids(messages, across_turns=across_turns)


def has_matching_ids(messages: Iterable[Any], *, across_turns: bool) -> bool:
    """Whether each call has a unique id, and each result the id of an earlier call, as in almost all conversations.

    Then `assign_ids` changes nothing, which takes it fifty times as long to find out. Messages of an unusual shape are
    left to it.
    """
    known: set[str] = set()
    for message in messages:
        if type(message) is not dict:
            return False
        if calls := message.get("tool_calls"):
            if type(calls) is not list:
                return False
            used = known if across_turns else set()
            for call in calls:
                id = call.get("id") if type(call) is dict else None
                if type(id) is not str or not id or id in used:
                    return False
                used.add(id)
                known.add(id)
        elif message.get("role") == "tool":
            id = message.get("tool_call_id")
            if type(id) is not str or id not in known:
                return False
    return True


def assign_ids(messages: Sequence[Message], *, across_turns: bool) -> Sequence[Message]:
    """Return the messages with the ids of `with_call_ids`, whatever ids they have."""
    new_ids, pairs = _unique_ids(messages, across_turns=across_turns), pair_results(messages)
    renamed = [_with_ids(at, message, new_ids, pairs.get(at)) for at, message in enumerate(messages)]
    return messages if all(map(operator.is_, renamed, messages)) else renamed


def _with_ids(at: int, message: Message, new_ids: Mapping[CallPosition, str], position: CallPosition | None) -> Message:
    """Return the message with these ids; the same object if it has them already."""
    calls = _calls(message)
    if any(call.get("id") != new_ids[at, n] for n, call in enumerate(calls)):
        return {**message, "tool_calls": [{**call, "id": new_ids[at, n]} for n, call in enumerate(calls)]}
    if position is None or message.get("role") != "tool" or message.get("tool_call_id") == new_ids[position]:
        return message
    return {**message, "tool_call_id": new_ids[position]}


def _unique_ids(messages: Sequence[Message], *, across_turns: bool) -> dict[CallPosition, str]:
    """Return an id for each call: its own if it is unique, else its own with a number."""
    new_ids: dict[CallPosition, str] = {}
    used: set[str] = set()
    counts: Counter[str] = Counter()
    for at, message in enumerate(messages):
        if not across_turns:
            used, counts = set(), Counter()
        for index, call in enumerate(_calls(message)):
            id = original = str(call.get("id") or _default_id(index))
            while id in used:
                counts[original] += 1
                id = f"{original}_{counts[original] + 1}"
            used.add(id)
            new_ids[at, index] = id
    return new_ids
