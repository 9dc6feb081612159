"""A request, looked at: who said what last, which tools there are, what form is wanted."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class ToolSpec:
    """A tool as it was described."""

    name: str
    description: str
    schema: Json


def content_text(content: Any) -> str:
    """The text of a message's content, whatever its form."""
    if isinstance(content, str):
        return content
    return "\n".join(part for part in map(_part_text, content if isinstance(content, list) else ()) if part)


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    return part["text"] if isinstance(part.get("text"), str) else content_text(part.get("content"))


#: Security limits: the rules try each place of a text, so that long runs would cost the square of their length.
_READ = 32_768  # characters that are read of a text: half of them at its end, where questions stand
_RUN = 2_048  # characters of a run without a space, or of nothing but spaces
_RUNS = re.compile(rf"(?<!\S)(\S{{{_RUN}}})\S++|(?<!\s)(\s{{{_RUN}}})\s++")


def legible(text: str) -> str:
    """A text as far as the rules read it.

    >>> legible("short"), len(legible("a" * 1_000_000)), len(legible("word " * 100_000))
    ('short', 2048, 32769)
    """
    if len(text) <= _RUN:
        return text
    if len(text) > _READ:
        text = f"{text[: _READ // 2]}\n{text[-_READ // 2 :]}"
    return _RUNS.sub(lambda match: match[1] or match[2], text)


class ParsedRequest:
    """What the rules look at."""

    def __init__(self, request: Json) -> None:
        self.request = request
        self.messages: list[Json] = [message for message in request.get("messages") or () if isinstance(message, dict)]

    @cached_property
    def text(self) -> str:
        """What the user said last."""
        spoken = (content_text(m.get("content")) for m in reversed(self.messages) if m.get("role") == "user")
        return legible(next((text for text in spoken if text.strip()), ""))

    @cached_property
    def system(self) -> str:
        """What the system and the developer said."""
        roles = {"system", "developer"}
        return legible("\n".join(content_text(m.get("content")) for m in self.messages if m.get("role") in roles))

    @cached_property
    def earlier_messages(self) -> list[str]:
        """What the user said earlier, oldest first."""
        said = [legible(content_text(m.get("content"))) for m in self.messages if m.get("role") == "user"]
        return said[:-1]

    @cached_property
    def messages_since(self) -> list[Json]:
        """The messages after the user's last one: calls and their results."""
        at = max((i for i, m in enumerate(self.messages) if m.get("role") == "user"), default=-1)
        return self.messages[at + 1 :]

    @cached_property
    def results(self) -> list[str]:
        """What tools answered to this question."""
        return [
            legible(content_text(m.get("content")))
            for m in self.messages_since
            if m.get("role") in {"tool", "function"}
        ]

    @cached_property
    def called_tools(self) -> set[tuple[str, str]]:
        """Which tools were already called for this question, with which arguments."""
        calls = (call.get("function") or {} for m in self.messages_since for call in m.get("tool_calls") or ())
        return {(str(call.get("name")), _canonical(call.get("arguments"))) for call in calls}

    @cached_property
    def tools(self) -> list[ToolSpec]:
        """Tools in OpenAI's form, or in Anthropic's."""
        return [tool for tool in map(_parse_tool, self.request.get("tools") or ()) if tool is not None]

    @cached_property
    def tool_choice(self) -> str:
        """`auto`, `none`, `required`, or the name of the one tool to be called."""
        choice = self.request.get("tool_choice") or "auto"
        if isinstance(choice, dict):
            named = choice.get("function") or choice
            return str(named.get("name") or {"any": "required"}.get(str(choice.get("type")), "auto"))
        return {"any": "required"}.get(choice, str(choice))

    @cached_property
    def allows_parallel(self) -> bool:
        """Whether several calls may be made at once."""
        return self.request.get("parallel_tool_calls") is not False

    @cached_property
    def attachment_types(self) -> list[str]:
        """The types of the last user message's parts that are no text."""
        content = next((m.get("content") for m in reversed(self.messages) if m.get("role") == "user"), None)
        found = (str(part.get("type")) for part in content or () if isinstance(part, dict))
        return [kind for kind in found if kind not in {"text", "tool_result"}]


def _parse_tool(described: Any) -> ToolSpec | None:
    if not isinstance(described, dict):
        return None
    function = described.get("function") or described
    schema = function.get("parameters") or function.get("input_schema") or {}
    return ToolSpec(str(function.get("name", "")), str(function.get("description") or ""), schema)


def _canonical(arguments: Any) -> str:
    """Arguments in one spelling, so that the same call is known again."""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            return str(arguments)
    return json.dumps(arguments, sort_keys=True, ensure_ascii=False)


def canonical(arguments: Any) -> str:
    """Arguments in one spelling."""
    return _canonical(arguments)


def embedded_objects(text: str) -> Iterator[Json]:
    """JSON objects that stand within a text."""
    decoder, at = json.JSONDecoder(), text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            if isinstance(value, dict):
                yield value
        at = text.find("{", end)
