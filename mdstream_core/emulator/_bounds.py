"""Security limits of requests, connections and records, and a JSON parser that enforces them."""

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
MAX_MEMORY_CHARACTERS = 65_536  # of a prompt that is stored, for caching and continuations
MAX_JSON_DEPTH = 64  # levels of nesting
MAX_JSON_CONTAINERS = 250_000  # objects and lists of a document
MAX_JSON_VALUES = 2_000_000  # values of a document
MAX_STRING_CHARACTERS = 2_097_152  # of one text; an image in a data URI may be longer
MAX_TEXT_CHARACTERS = 4 * 1024 * 1024  # of all texts of a request: about a million tokens
MAX_EMBEDDING_CHARACTERS = 4_194_304  # of all texts to embed or rank: about a million tokens
MAX_OUTPUT_TOKENS = 131_072  # of item response, all choices together; a token's `top_logprobs` count as tokens
MAX_EMBEDDING_FLOATS = 2_097_152  # of item response
MAX_CHOICES = 128  # of item response
MAX_TOKENS_PARAMETER = 1_048_576  # `max_tokens`
MAX_MESSAGES = 2_048  # of a conversation, and texts of item request for embeddings
MAX_TOOLS = 128
MAX_DOCUMENTS = 1_000  # of one request for scores
MAX_STOPS = 64

_BINARY = frozenset({"url", "data", "file_data"})  # fields that may contain an image, audio or a file
_THREAD_THRESHOLD = 65_536  # bytes of a response, estimated; a larger one is built on a thread


class TooComplex(ValueError):
    """The document exceeds a limit of size, depth or number of values."""


def read_json(data: bytes) -> Any:
    """Parse a JSON document within the limits.

    Raises:
        ValueError: The document is not JSON; `TooComplex`, a subclass, if it exceeds a limit.
    """
    container_count = data.count(b"{") + data.count(b"[")  # includes those in strings, which never come near the limit
    if container_count > MAX_JSON_CONTAINERS or data.count(b",") > MAX_JSON_VALUES:
        raise TooComplex(f"the document has more than {MAX_JSON_CONTAINERS} objects or {MAX_JSON_VALUES} values")
    value = _json.loads(data)
    _check_shape(value)
    return value


def _check_shape(document: Any) -> None:
    """Raise `TooComplex` if the document is nested too deeply or has too much text."""
    level: list[tuple[str, Any]] = [("", document)]
    characters = 0
    for _ in range(MAX_JSON_DEPTH):
        next_level: list[tuple[str, Any]] = []
        for name, value in level:
            if isinstance(value, str):
                characters += _count_characters(name, value)
            elif isinstance(value, dict):
                next_level += value.items()
            elif isinstance(value, list):
                next_level += [(name, item) for item in value if isinstance(item, (str, dict, list))]
        if characters > MAX_TEXT_CHARACTERS:
            raise TooComplex(f"the request has more than {MAX_TEXT_CHARACTERS} characters of text")
        if not next_level:
            return
        level = next_level
    raise TooComplex(f"the document is nested more than {MAX_JSON_DEPTH} levels deep")


def _count_characters(name: str, text: str) -> int:
    if name in _BINARY or text.startswith("data:"):
        return 0
    if len(text) > MAX_STRING_CHARACTERS:
        raise TooComplex(
            f"Invalid '{name}': string too long. Expected a string with maximum length {MAX_STRING_CHARACTERS}, "
            f"but got a string with length {len(text)} instead."
        )
    return len(text)


async def run_heavy(size: int, build: Callable[[], T]) -> T:
    """Call `build`; on a thread if it builds about `size` bytes and that is much, so that the loop serves others."""
    return await asyncio.to_thread(build) if size > _THREAD_THRESHOLD else build()
