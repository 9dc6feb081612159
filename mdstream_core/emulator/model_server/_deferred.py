"""A response that is computed but not written yet, and what a route gets from its server."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mdstream_core.emulator._response_plan import ResponsePlan
from mdstream_core.emulator.model import ModelOutput

EVENT_BYTES = 250  # bytes of one token's event, estimated


@dataclass(frozen=True, slots=True)
class DeferredResponse:
    """A response that is computed but not written yet.

    Attributes:
        size: Bytes that it will have, estimated.
        write: Writes the response. It may run on another thread, so it must not change the server's state.
    """

    size: int
    write: Callable[[], ResponsePlan]


@dataclass(frozen=True, slots=True)
class Generation:
    """The output for one chat request, with the numbers of its usage.

    Attributes:
        output: The output, within the limits of the request.
        prompt_tokens: Number of tokens of the prompt.
        cached_tokens: How many of them a prefix cache contained.
        max_tokens: Limit of the output in tokens.
    """

    output: ModelOutput
    prompt_tokens: int
    cached_tokens: int
    max_tokens: int


Generate = Callable[[dict[str, Any]], Generation]
"""Generates the output for a chat request; raises `ModelServerError` if the server rejects it."""
