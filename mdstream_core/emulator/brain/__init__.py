"""A model that needs no download: rules instead of weights, the same answer to the same question every time."""

import json
import re
from collections.abc import Callable
from typing import Any

from mdstream_core.emulator.brain._answer import Answer, ToolCall, limited, tokens
from mdstream_core.emulator.brain._context import from_context
from mdstream_core.emulator.brain._embedding import embed, relevance, relevances
from mdstream_core.emulator.brain._facts import echo, from_facts, from_parts
from mdstream_core.emulator.brain._question import Question
from mdstream_core.emulator.brain._reason import thinks, thoughts
from mdstream_core.emulator.brain._structured import from_schema
from mdstream_core.emulator.brain._tools import wanted

Brain = Callable[[dict[str, Any]], Answer | str]
"""A brain is any function from the OpenAI-shaped request to what is answered; it refuses with `ValueError`."""


#: What a request of a shape that no client sends ends in.
_UNREADABLE = (AttributeError, LookupError, TypeError, OverflowError, RecursionError, re.error)


def reply(request: dict[str, Any]) -> Answer:
    """The default brain. Raises `ValueError` for a request that it cannot read."""
    try:
        return _reply(request)
    except _UNREADABLE as error:
        raise ValueError(f"the request cannot be read: {error}") from error


def _reply(request: dict[str, Any]) -> Answer:
    question = Question(request)
    calls = wanted(question)
    reasoning = thoughts(question, bool(calls)) if thinks(request) else ""
    if calls:
        return Answer.of("", reasoning, calls)
    said = _in_words(question)
    return Answer.of(from_schema(question, said) or said, reasoning)


def _in_words(question: Question) -> str:
    if question.results:
        return f"The tool says: {'; '.join(map(_readable, question.results))}"
    rules = (from_parts, from_context, from_facts)
    return next((text for rule in rules if (text := rule(question)) is not None), None) or echo(question)


def _readable(result: str) -> str:
    """A result without JSON's quotes around a plain string."""
    try:
        value = json.loads(result)
    except ValueError:
        return result
    return value if isinstance(value, str) else result


__all__ = ["Answer", "Brain", "ToolCall", "embed", "limited", "relevance", "relevances", "reply", "tokens"]
