"""What a brain answers, and the limits that a request puts on it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

_TOKEN = re.compile(r"\s?\w{1,8}|\s?[^\w\s]|\s")


def split_tokens(text: str) -> tuple[str, ...]:
    """Cut a text into pieces of about the size of a model's tokens; joined they give the text again.

    >>> split_tokens("Three rivers: Nile, Amazon")
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
class ModelOutput:
    """What one choice says, in pieces of one token each."""

    text: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str = "stop"
    stop_reason: str | None = None

    @classmethod
    def from_text(cls, text: str, reasoning: str = "", tool_calls: Iterable[ToolCall] = ()) -> "ModelOutput":
        """Cut texts into pieces."""
        calls = tuple(tool_calls)
        return cls(split_tokens(text), split_tokens(reasoning), calls, "tool_calls" if calls else "stop")

    @property
    def token_count(self) -> int:
        """How many tokens were said."""
        return len(self.text) + len(self.reasoning) + sum(4 + len(call.arguments) for call in self.tool_calls)


def _apply_stop(output: ModelOutput, stops: list[str]) -> ModelOutput:
    """Cut at the first stop sequence, as servers do: it is not part of the text."""
    text = "".join(output.text)
    found = [(at, stop) for stop in stops if stop and (at := text.find(stop)) >= 0]
    if not found:
        return output
    at, stop = min(found)
    return replace(output, text=_first_characters(output.text, at), tool_calls=(), finish="stop", stop_reason=stop)


def _first_characters(pieces: tuple[str, ...], count: int) -> tuple[str, ...]:
    kept: list[str] = []
    for piece in pieces:
        if count <= 0:
            break
        kept.append(piece[:count])
        count -= len(piece)
    return tuple(kept)


def _truncate(output: ModelOutput, max_tokens: int) -> ModelOutput:
    """Keep the first `max_tokens` tokens: reasoning, then text, then calls, whose arguments end in the middle."""
    if output.token_count <= max_tokens:
        return output
    reasoning = output.reasoning[:max_tokens]
    max_tokens -= len(reasoning)
    text = output.text[:max_tokens]
    max_tokens -= len(text)
    calls: list[ToolCall] = []
    for call in output.tool_calls:
        if max_tokens < 4:
            break
        calls.append(replace(call, arguments=call.arguments[: max_tokens - 4]))
        max_tokens -= 4 + len(call.arguments)
    return replace(output, reasoning=reasoning, text=text, tool_calls=tuple(calls), finish="length")


def apply_limits(output: ModelOutput, request: Mapping[str, Any]) -> ModelOutput:
    """The answer as `stop` and `max_tokens` leave it."""
    stop = request.get("stop") or []
    output = _apply_stop(output, [stop] if isinstance(stop, str) else list(stop))
    room = request.get("max_completion_tokens") or request.get("max_tokens")
    return _truncate(output, room) if isinstance(room, int) else output
