"""What a request, a connection and the records may cost: security limits, and JSON that is read within them."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from mdstream_core import _json

T = TypeVar("T")

# Each of these is a security limit.
MAX_HEAD_BYTES = 65_536  # request line and header fields
MAX_HEADERS = 100  # header fields of a request
MAX_CONNECTIONS = 4_096  # open at the same time
MAX_RECORD_BYTES = 64 * 1024 * 1024  # of all recorded requests together
MAX_MEMORY_CHARACTERS = 65_536  # of a prompt that is remembered, for caching and continuations
MAX_JSON_DEPTH = 64  # levels of nesting
MAX_JSON_CONTAINERS = 250_000  # objects and lists of a document
MAX_JSON_VALUES = 2_000_000  # values of a document
MAX_STRING_CHARACTERS = 2_097_152  # of one text; a picture in a data URI may be longer
MAX_TEXT_CHARACTERS = 4 * 1024 * 1024  # of all texts of a request: about a million tokens
MAX_EMBEDDING_CHARACTERS = 4_194_304  # of all texts to embed or rank: about a million tokens
MAX_OUTPUT_TOKENS = 131_072  # of one response, all choices together; a token's `top_logprobs` count as tokens
MAX_EMBEDDING_FLOATS = 2_097_152  # of one response
MAX_CHOICES = 128  # of one response
MAX_TOKENS_ASKED = 1_048_576  # `max_tokens`
MAX_MESSAGES = 2_048  # of a conversation, and texts of one request for embeddings
MAX_TOOLS = 128
MAX_DOCUMENTS = 1_000  # to rank
MAX_STOPS = 64

_BINARY = frozenset({"url", "data", "file_data"})  # fields that may hold a picture, a sound or a file
_HEAVY = 65_536  # bytes to write, about: what is more is written on a thread, and the loop serves others meanwhile


class TooComplex(ValueError):
    """A document that is longer, deeper or fuller than the limits allow."""


def read_json(data: bytes) -> Any:
    """Read a JSON document within the limits.

    Raises:
        ValueError: It is no JSON. `TooComplex`, which is one, where it goes beyond a limit.
    """
    opened = data.count(b"{") + data.count(b"[")  # those in strings count too: no document comes near by chance
    if opened > MAX_JSON_CONTAINERS or data.count(b",") > MAX_JSON_VALUES:
        raise TooComplex(f"the document has more than {MAX_JSON_CONTAINERS} objects or {MAX_JSON_VALUES} values")
    value = _json.loads(data)
    _check_shape(value)
    return value


def _check_shape(document: Any) -> None:
    """Raise `TooComplex` for what is nested too deeply, and for too much text."""
    level: list[tuple[str, Any]] = [("", document)]
    characters = 0
    for _ in range(MAX_JSON_DEPTH):
        following: list[tuple[str, Any]] = []
        for name, value in level:
            if isinstance(value, str):
                characters += _characters(name, value)
            elif isinstance(value, dict):
                following += value.items()
            elif isinstance(value, list):
                following += [(name, one) for one in value if isinstance(one, (str, dict, list))]
        if characters > MAX_TEXT_CHARACTERS:
            raise TooComplex(f"the request has more than {MAX_TEXT_CHARACTERS} characters of text")
        if not following:
            return
        level = following
    raise TooComplex(f"the document is nested more than {MAX_JSON_DEPTH} levels deep")


def _characters(name: str, text: str) -> int:
    if name in _BINARY or text.startswith("data:"):
        return 0
    if len(text) > MAX_STRING_CHARACTERS:
        raise TooComplex(
            f"Invalid '{name}': string too long. Expected a string with maximum length {MAX_STRING_CHARACTERS}, "
            f"but got a string with length {len(text)} instead."
        )
    return len(text)


async def run_heavy(size: int, make: Callable[[], T]) -> T:
    """What `make` makes; on a thread where about so many bytes (`size`) are written, for the loop to serve others."""
    return await asyncio.to_thread(make) if size > _HEAVY else make()
