"""The texts of an event that guardrails check: text, reasoning, refusals, arguments of tool calls, and citations."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from mdstream_core.events import Event, ProviderData, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta
from mdstream_core.guardrails.inputs import replace_at
from mdstream_core.guardrails.policy import GuardrailPolicy

_TEXT_EVENTS = (TextDelta, ReasoningDelta, RefusalDelta)

#: Lists of citations: Cohere's, and OpenAI's.
CITATIONS = frozenset({"citations", "annotations"})

#: Their fields that people read, in any nesting. Others are ids, offsets and URLs.
_CITED_FIELDS = frozenset({"text", "title", "quote", "cited_text", "citedText", "snippet", "content"})

#: How deep a citation may be nested; a security limit.
_MAX_DEPTH = 8


class Location(NamedTuple):
    """Which text of an output a piece belongs to."""

    kind: type[Event]
    choice: int
    call: int = 0


def locate_text(event: Event, policy: GuardrailPolicy) -> Location | None:
    """Return the text that an event continues; `None` if it has none to check, or has it whole.

    Args:
        event: An event of the output.
        policy: Whether tool calls are checked.
    """
    if isinstance(event, _TEXT_EVENTS):
        return Location(type(event), event.choice)
    if isinstance(event, ToolCallDelta) and policy.check_tool_calls:
        return Location(ToolCallDelta, event.choice, event.index)
    return None


def is_checked_whole(event: Event, policy: GuardrailPolicy) -> bool:
    """Whether an event has whole texts: a list of citations."""
    return isinstance(event, ProviderData) and event.name in CITATIONS and policy.check_citations


def event_text(event: Event) -> str:
    """Return the text of an event that continues one."""
    return event.arguments if isinstance(event, ToolCallDelta) else str(getattr(event, "text", ""))


def with_text(event: Event, text: str) -> list[Event]:
    """Return the event with another text; none if all of its text was redacted, and there is nothing else."""
    if isinstance(event, ToolCallDelta):
        return [event if event.arguments == text else replace(event, arguments=text)]
    if not isinstance(event, _TEXT_EVENTS) or event.text == text:
        return [event]
    return [replace(event, text=text)] if text else []


def cited_texts(value: Any) -> list[str]:
    """Return the texts of citations that people read.

    >>> cited_texts([{"type": "url_citation", "url_citation": {"url": "https://x", "title": "Jane"}}])
    ['Jane']
    """
    return [text for _, text in _find_texts(value, (), _MAX_DEPTH)]


def replace_cited_texts(value: Any, texts: Iterator[str]) -> Any:
    """Return citations with other texts, in the order of `cited_texts`."""
    for path, _ in list(_find_texts(value, (), _MAX_DEPTH)):
        value = replace_at(value, path, next(texts))
    return value


def _find_texts(value: Any, path: tuple[str | int, ...], depth: int) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if depth == 0:
        return
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if isinstance(inner, str):
                if name in _CITED_FIELDS:
                    yield (*path, name), inner
            else:
                yield from _find_texts(inner, (*path, name), depth - 1)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _find_texts(inner, (*path, index), depth - 1)
