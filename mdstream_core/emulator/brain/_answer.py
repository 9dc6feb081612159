"""What a brain answers, and the limits that a request puts on it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

_TOKEN = re.compile(r"\s?\w{1,8}|\s?[^\w\s]|\s")


def tokens(text: str) -> tuple[str, ...]:
    """Cut a text into pieces of about the size of a model's tokens; joined they give the text again.

    >>> tokens("Three rivers: Nile, Amazon")
    ('Three', ' rivers', ':', ' Nile', ',', ' Amazon')
    """
    return tuple(_TOKEN.findall(text))


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call: a name, and the pieces of its arguments' JSON text."""

    id: str
    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one choice says, in pieces of one token each."""

    text: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str = "stop"
    stop_reason: str | None = None

    @classmethod
    def of(cls, text: str, reasoning: str = "", tool_calls: Iterable[ToolCall] = ()) -> "Answer":
        """Cut texts into pieces."""
        calls = tuple(tool_calls)
        return cls(tokens(text), tokens(reasoning), calls, "tool_calls" if calls else "stop")

    @property
    def size(self) -> int:
        """How many tokens were said."""
        return len(self.text) + len(self.reasoning) + sum(4 + len(call.arguments) for call in self.tool_calls)


def _stopped(answer: Answer, stops: list[str]) -> Answer:
    """Cut at the first stop sequence, as servers do: it is not part of the text."""
    text = "".join(answer.text)
    found = [(at, stop) for stop in stops if stop and (at := text.find(stop)) >= 0]
    if not found:
        return answer
    at, stop = min(found)
    return replace(answer, text=_first_characters(answer.text, at), tool_calls=(), finish="stop", stop_reason=stop)


def _first_characters(pieces: tuple[str, ...], count: int) -> tuple[str, ...]:
    kept: list[str] = []
    for piece in pieces:
        if count <= 0:
            break
        kept.append(piece[:count])
        count -= len(piece)
    return tuple(kept)


def _shortened(answer: Answer, room: int) -> Answer:
    """Keep the first `room` tokens: reasoning, then text, then calls, whose arguments end in the middle."""
    if answer.size <= room:
        return answer
    reasoning = answer.reasoning[:room]
    room -= len(reasoning)
    text = answer.text[:room]
    room -= len(text)
    calls: list[ToolCall] = []
    for call in answer.tool_calls:
        if room < 4:
            break
        calls.append(replace(call, arguments=call.arguments[: room - 4]))
        room -= 4 + len(call.arguments)
    return replace(answer, reasoning=reasoning, text=text, tool_calls=tuple(calls), finish="length")


def limited(answer: Answer, request: Mapping[str, Any]) -> Answer:
    """The answer as `stop` and `max_tokens` leave it."""
    stop = request.get("stop") or []
    answer = _stopped(answer, [stop] if isinstance(stop, str) else list(stop))
    room = request.get("max_completion_tokens") or request.get("max_tokens")
    return _shortened(answer, room) if isinstance(room, int) else answer
