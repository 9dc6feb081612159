"""Limits of one response: how many choices, tool calls and entries are decoded.

All of them are security limits. A server decides how many objects a client builds, and a byte of JSON becomes up to a
hundred bytes of memory. No real service comes near these numbers: OpenAI takes `n` up to 128 and returns at most 128
tool calls; vLLM's own limit for `n` is 16,384.
"""

from typing import Any

from mdstream_core.errors import MalformedStream

#: The most choices of one response.
MAX_CHOICES = 16_384

#: The most tool calls of one choice.
MAX_TOOL_CALLS = 10_000

#: The most characters of a tool's name, which may be received in pieces.
MAX_NAME_CHARS = 4096

#: The most entries of one list beside the text of a choice (annotations, citations, images, parts of another type),
#: and the most content parts of one payload.
MAX_ENTRIES = 100_000

#: The most tokens that a server may report; larger numbers are rejected.
MAX_TOKENS = 10**15


def read_count(value: Any) -> int | None:
    """Return a number of tokens, which may be a string of digits; `None` stays `None`.

    >>> read_count("12"), read_count(None)
    (12, None)

    Raises:
        ValueError: The value is not a number of tokens.
    """
    if value is None or (type(value) is int and 0 <= value <= MAX_TOKENS):  # as almost always
        return value
    count = int(value)
    if abs(count) > MAX_TOKENS:
        raise ValueError(f"{count} is not a number of tokens")
    return count


def over_limit(what: str, limit: int) -> MalformedStream:
    """Build the error for a response that exceeds a limit.

    >>> over_limit("tool calls", 10_000).code
    'LimitExceeded'
    """
    return MalformedStream(
        f"a response with more than {limit} {what} (hint: no model returns so many; check the server or the gateway)",
        code="LimitExceeded",
    )
