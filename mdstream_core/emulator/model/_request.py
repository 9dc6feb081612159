"""`ParsedRequest`: the parts of a request that the rules use: the prompt, the tools, their results."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class ToolSpec:
    """A tool as the request describes it."""

    name: str
    description: str
    schema: Json


def content_text(content: Any) -> str:
    """Return the text of a message's content, in any of its forms."""
    if isinstance(content, str):
        return content
    return "\n".join(part for part in map(_part_text, content if isinstance(content, list) else ()) if part)


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    return part["text"] if isinstance(part.get("text"), str) else content_text(part.get("content"))


#: Security limits: the rules search from each position of a text, so that a long run costs the square of its length.
_MAX_TEXT = 32_768  # characters of a text that are used: half of them at its end, where the prompt's question is
_MAX_RUN = 2_048  # characters of a run without a space, or of nothing but spaces
_LONG_RUNS = re.compile(rf"(?<!\S)(\S{{{_MAX_RUN}}})\S++|(?<!\s)(\s{{{_MAX_RUN}}})\s++")


def limit_text(text: str) -> str:
    """Shorten a text to the part that the rules use.

    >>> limit_text("short"), len(limit_text("a" * 1_000_000)), len(limit_text("word " * 100_000))
    ('short', 4097, 32769)
    """
    if len(text) <= _MAX_RUN:
        return text
    if len(text) > _MAX_TEXT:
        text = f"{text[: _MAX_TEXT // 2]}\n{text[-_MAX_TEXT // 2 :]}"
    return _LONG_RUNS.sub(lambda match: match[1] or match[2], text)


class ParsedRequest:
    """A request, with the parts that the rules use."""

    def __init__(self, request: Json) -> None:
        self.request = request
        self.messages: list[Json] = [message for message in request.get("messages") or () if isinstance(message, dict)]

    @cached_property
    def text(self) -> str:
        """The last message of the user that has a text."""
        texts = (content_text(m.get("content")) for m in reversed(self.messages) if m.get("role") == "user")
        return limit_text(next((text for text in texts if text.strip()), ""))

    @cached_property
    def system(self) -> str:
        """The system and developer messages."""
        roles = {"system", "developer"}
        return limit_text("\n".join(content_text(m.get("content")) for m in self.messages if m.get("role") in roles))

    @cached_property
    def earlier_messages(self) -> list[str]:
        """The earlier messages of the user, oldest first."""
        texts = [limit_text(content_text(m.get("content"))) for m in self.messages if m.get("role") == "user"]
        return texts[:-1]

    @cached_property
    def messages_since(self) -> list[Json]:
        """The messages after the user's last one: tool calls and their results."""
        start = max((i for i, m in enumerate(self.messages) if m.get("role") == "user"), default=-1)
        return self.messages[start + 1 :]

    @cached_property
    def results(self) -> list[str]:
        """The results of the tools since the user's last message."""
        return [
            limit_text(content_text(m.get("content")))
            for m in self.messages_since
            if m.get("role") in {"tool", "function"}
        ]

    @cached_property
    def called_tools(self) -> set[tuple[str, str]]:
        """The tools that were called since the user's last message, with their arguments."""
        calls = (call.get("function") or {} for m in self.messages_since for call in m.get("tool_calls") or ())
        return {(str(call.get("name")), normalize_arguments(call.get("arguments"))) for call in calls}

    @cached_property
    def tools(self) -> list[ToolSpec]:
        """The tools, in OpenAI's or Anthropic's format."""
        return [tool for tool in map(_parse_tool, self.request.get("tools") or ()) if tool is not None]

    @cached_property
    def hosted_tools(self) -> list[Json]:
        """The built-in tools of a request to `/v1/responses`: `web_search`, `mcp` …"""
        return [tool for tool in self.request.get("hosted_tools") or () if isinstance(tool, dict)]

    @cached_property
    def tool_choice(self) -> str:
        """`auto`, `none`, `required`, or the name of the tool to call."""
        choice = self.request.get("tool_choice") or "auto"
        if isinstance(choice, dict):
            function = choice.get("function") or choice
            return str(function.get("name") or {"any": "required"}.get(str(choice.get("type")), "auto"))
        return {"any": "required"}.get(choice, str(choice))

    @cached_property
    def allows_parallel(self) -> bool:
        """Whether several tools may be called at once."""
        return self.request.get("parallel_tool_calls") is not False

    @cached_property
    def attachment_types(self) -> list[str]:
        """The types of the non-text parts of the user's last message."""
        content = next((m.get("content") for m in reversed(self.messages) if m.get("role") == "user"), None)
        types = (str(part.get("type")) for part in content or () if isinstance(part, dict))
        return [kind for kind in types if kind not in {"text", "tool_result"}]


def _parse_tool(definition: Any) -> ToolSpec | None:
    if not isinstance(definition, dict):
        return None
    function = definition.get("function") or definition
    schema = function.get("parameters") or function.get("input_schema") or {}
    return ToolSpec(str(function.get("name", "")), str(function.get("description") or ""), schema)


def normalize_arguments(arguments: Any) -> str:
    """Normalize arguments, so that two calls can be compared."""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            return str(arguments)
    return json.dumps(arguments, sort_keys=True, ensure_ascii=False)


def find_objects(text: str) -> Iterator[Json]:
    """Find the JSON objects inside a text."""
    decoder, start = json.JSONDecoder(), text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            if isinstance(value, dict):
                yield value
        start = text.find("{", end)
