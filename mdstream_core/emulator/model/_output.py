"""`ModelOutput`: the output of a model for one choice, and the limits that a request sets for it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

_TOKEN = re.compile(r"\s?\w{1,8}|\s?[^\w\s]|\s")


def split_tokens(text: str) -> tuple[str, ...]:
    """Split a text into parts of about the size of a model's tokens; joined they are the text again.

    >>> split_tokens("Three rivers: Nile, Amazon")
    ('Three', ' rivers', ':', ' Nile', ',', ' Amazon')
    """
    return tuple(_TOKEN.findall(text))


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call of a model.

    Attributes:
        id: Id of the call, e.g. `chatcmpl-tool-0123456789abcdef`.
        name: Name of the tool.
        arguments: The arguments as JSON text, split into tokens.
    """

    id: str
    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """The output of a model for one choice, split into tokens; `ModelOutput.from_text` splits texts.

    Attributes:
        text: Tokens of the text.
        reasoning: Tokens of the reasoning.
        tool_calls: Tool calls.
        finish: Finish reason: `stop`, `length`, `tool_calls`, `content_filter` …; `error` fails the response where the
            format allows it.
        stop_reason: The stop sequence that ended the text, if any.
        refusal: Tokens of a refusal.
        items: Items of built-in tools, such as `{"type": "web_search_call", …}`, which precede the text; only
            `/v1/responses` sends them.
        annotations: Annotations of the text, such as `url_citation`; only `/v1/responses` sends them.
    """

    text: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str = "stop"
    stop_reason: str | None = None
    refusal: tuple[str, ...] = ()
    items: tuple[dict[str, Any], ...] = field(default=(), hash=False)
    annotations: tuple[dict[str, Any], ...] = field(default=(), hash=False)

    @classmethod
    def from_text(cls, text: str, reasoning: str = "", tool_calls: Iterable[ToolCall] = ()) -> "ModelOutput":
        """Create an output from whole texts, which are split into tokens."""
        calls = tuple(tool_calls)
        return cls(split_tokens(text), split_tokens(reasoning), calls, "tool_calls" if calls else "stop")

    @property
    def token_count(self) -> int:
        """Number of tokens of the output."""
        calls = sum(4 + len(call.arguments) for call in self.tool_calls)
        return len(self.text) + len(self.reasoning) + len(self.refusal) + calls


def _apply_stop(output: ModelOutput, stops: list[str]) -> ModelOutput:
    """Truncate the text before the first stop sequence."""
    text = "".join(output.text)
    matches = [(position, stop) for stop in stops if stop and (position := text.find(stop)) >= 0]
    if not matches:
        return output
    position, stop = min(matches)
    return replace(
        output, text=_first_characters(output.text, position), tool_calls=(), finish="stop", stop_reason=stop
    )


def _first_characters(tokens: tuple[str, ...], count: int) -> tuple[str, ...]:
    first_tokens: list[str] = []
    for token in tokens:
        if count <= 0:
            break
        first_tokens.append(token[:count])
        count -= len(token)
    return tuple(first_tokens)


def _truncate(output: ModelOutput, max_tokens: int) -> ModelOutput:
    """Keep the first `max_tokens` tokens: reasoning, then text, then calls, whose arguments are truncated."""
    if output.token_count <= max_tokens:
        return output
    reasoning = output.reasoning[:max_tokens]
    max_tokens -= len(reasoning)
    text = output.text[:max_tokens]
    max_tokens -= len(text)
    refusal = output.refusal[:max_tokens]
    max_tokens -= len(refusal)
    calls: list[ToolCall] = []
    for call in output.tool_calls:
        if max_tokens < 4:
            break
        calls.append(replace(call, arguments=call.arguments[: max_tokens - 4]))
        max_tokens -= 4 + len(call.arguments)
    truncated = replace(output, reasoning=reasoning, text=text, refusal=refusal, tool_calls=tuple(calls))
    return replace(truncated, annotations=(), finish="length")


def apply_limits(output: ModelOutput, request: Mapping[str, Any]) -> ModelOutput:
    """Apply the `stop` and `max_tokens` of a request to an output."""
    stop = request.get("stop") or []
    output = _apply_stop(output, [stop] if isinstance(stop, str) else list(stop))
    max_tokens = request.get("max_completion_tokens") or request.get("max_tokens")
    return _truncate(output, max_tokens) if isinstance(max_tokens, int) else output
