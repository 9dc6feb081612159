"""Limits of one response: how many choices, tool calls and entries are read of it.

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

#: The most characters of a tool's name, which may come in pieces.
MAX_NAME_CHARS = 4096

#: The most entries of one list beside the text of a choice (annotations, citations, images, parts of another type),
#: and the most content parts of one payload.
MAX_ENTRIES = 100_000

#: The most tokens that a server may have counted; what is more is no count.
MAX_TOKENS = 10**15


def read_count(value: Any) -> int | None:
    """A number of tokens, also in digits; `None` where there is none.

    >>> read_count("12"), read_count(None)
    (12, None)

    Raises:
        ValueError: It is no count.
    """
    if value is None:
        return None
    count = int(value)
    if abs(count) > MAX_TOKENS:
        raise ValueError(f"{count} is no number of tokens")
    return count


def over_limit(what: str, most: int) -> MalformedStream:
    """The error for a response that has more of something than is read.

    >>> over_limit("tool calls", 10_000).code
    'LimitExceeded'
    """
    return MalformedStream(
        f"a response with more than {most} {what} (hint: no model returns so many; check the server or the gateway)",
        code="LimitExceeded",
    )
