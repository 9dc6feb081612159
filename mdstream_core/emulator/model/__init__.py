"""The built-in model: rules instead of weights, no download, the same output for the same request."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mdstream_core.emulator.model._embedding import embed, relevance, relevances
from mdstream_core.emulator.model._hosted_tools import annotate, is_waiting, use_hosted_tools
from mdstream_core.emulator.model._output import ModelOutput, ToolCall, apply_limits, split_tokens
from mdstream_core.emulator.model._request import ParsedRequest
from mdstream_core.emulator.model._rules import (
    REFUSAL,
    apply_rules,
    describe_attachments,
    echo,
    is_reasoning_requested,
    is_refused,
    quote_context,
    write_reasoning,
)
from mdstream_core.emulator.model._structured import fill_requested_schema
from mdstream_core.emulator.model._tools import choose_calls

ModelFunction = Callable[[dict[str, Any]], ModelOutput | str]
"""A model: a function from the OpenAI-shaped request to a text or a `ModelOutput`; it rejects one with `ValueError`."""


#: Exceptions that the rules raise for a request of an unexpected shape.
_SHAPE_ERRORS = (AttributeError, LookupError, TypeError, OverflowError, RecursionError, re.error)


def respond(request: dict[str, Any]) -> ModelOutput:
    """The built-in model: generate the output for a request. Raises `ValueError` for one of an unexpected shape."""
    try:
        return _generate(request)
    except _SHAPE_ERRORS as error:
        raise ValueError(f"the request cannot be read: {error}") from error


def _generate(request: dict[str, Any]) -> ModelOutput:
    parsed = ParsedRequest(request)
    calls = choose_calls(parsed)
    reasoning = write_reasoning(parsed, bool(calls)) if is_reasoning_requested(request) else ""
    items = use_hosted_tools(parsed)
    if calls or is_waiting(items):
        return replace(ModelOutput.from_text("", reasoning, calls), items=items)
    if is_refused(parsed):
        return ModelOutput(reasoning=split_tokens(reasoning), refusal=split_tokens(REFUSAL))
    text = _write_text(parsed)
    text = fill_requested_schema(parsed, text) or text
    return replace(ModelOutput.from_text(text, reasoning), items=items, annotations=annotate(items, text))


def _write_text(parsed: ParsedRequest) -> str:
    if parsed.results:
        return f"The tool says: {'; '.join(map(_readable, parsed.results))}"
    rules = (describe_attachments, quote_context, apply_rules)
    return next((text for rule in rules if (text := rule(parsed)) is not None), None) or echo(parsed)


def _readable(result: str) -> str:
    """Remove the JSON quotes around a result that is a plain string."""
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
