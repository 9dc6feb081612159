"""A model that needs no download: rules instead of weights, the same answer to the same question every time."""

import json
import re
from collections.abc import Callable
from typing import Any

from mdstream_core.emulator.model._embedding import embed, relevance, relevances
from mdstream_core.emulator.model._output import ModelOutput, ToolCall, apply_limits, split_tokens
from mdstream_core.emulator.model._request import ParsedRequest
from mdstream_core.emulator.model._rules import (
    answer_by_rules,
    answer_from_context,
    describe_attachments,
    echo,
    is_reasoning_requested,
    write_reasoning,
)
from mdstream_core.emulator.model._structured import fill_requested_schema
from mdstream_core.emulator.model._tools import choose_calls

ModelFunction = Callable[[dict[str, Any]], ModelOutput | str]
"""A brain is any function from the OpenAI-shaped request to what is answered; it refuses with `ValueError`."""


#: What a request of a shape that no client sends ends in.
_UNREADABLE = (AttributeError, LookupError, TypeError, OverflowError, RecursionError, re.error)


def respond(request: dict[str, Any]) -> ModelOutput:
    """The default brain. Raises `ValueError` for a request that it cannot read."""
    try:
        return _reply(request)
    except _UNREADABLE as error:
        raise ValueError(f"the request cannot be read: {error}") from error


def _reply(request: dict[str, Any]) -> ModelOutput:
    question = ParsedRequest(request)
    calls = choose_calls(question)
    reasoning = write_reasoning(question, bool(calls)) if is_reasoning_requested(request) else ""
    if calls:
        return ModelOutput.from_text("", reasoning, calls)
    said = _write_text(question)
    return ModelOutput.from_text(fill_requested_schema(question, said) or said, reasoning)


def _write_text(question: ParsedRequest) -> str:
    if question.results:
        return f"The tool says: {'; '.join(map(_readable, question.results))}"
    rules = (describe_attachments, answer_from_context, answer_by_rules)
    return next((text for rule in rules if (text := rule(question)) is not None), None) or echo(question)


def _readable(result: str) -> str:
    """A result without JSON's quotes around a plain string."""
    try:
        value = json.loads(result)
    except ValueError:
        return result
    return value if isinstance(value, str) else result


__all__ = [
    "ModelFunction",
    "ModelOutput",
    "ToolCall",
    "apply_limits",
    "embed",
    "relevance",
    "relevances",
    "respond",
    "split_tokens",
]
