"""How many inputs one request may have, read from the error of a server that got too many.

Sources: text-embeddings-inference (`router/src/http/server.rs`), Triton, pydantic 1 and 2 (infinity and other FastAPI
servers), the public APIs of OpenAI, Azure, Cohere, Voyage AI, DashScope, SiliconFlow and Zhipu AI.
"""

import re
from dataclasses import dataclass

from mdstream_core.errors import ContextOverflow, InvalidRequest, MDStreamError, ServerError


@dataclass(frozen=True, slots=True)
class BatchLimit:
    """The most that one request may hold: in inputs, in bytes of all inputs, or both. `None` is without a limit."""

    inputs: int | None = None
    bytes: int | None = None

    def combine(self, other: "BatchLimit") -> "BatchLimit":
        """The stricter of both, number by number."""
        return BatchLimit(_lower_limit(self.inputs, other.inputs), _lower_limit(self.bytes, other.bytes))


def find_batch_limit(error: MDStreamError, inputs: int, size: int) -> BatchLimit | None:
    """The limit that an error reports; `None` where the error has another reason, or one input cannot be less.

    A server that names no number is asked with half as much.

    Args:
        error: What the request was answered with.
        inputs: How many inputs it had.
        size: How many bytes all these inputs have.

    >>> find_batch_limit(InvalidRequest("batch bytes 50 > maximum allowed batch bytes 32"), 50, 5000)
    BatchLimit(inputs=32, size=None)
    """
    if inputs < 2 or isinstance(error, ContextOverflow) or not isinstance(error, InvalidRequest | ServerError):
        return None
    words = f"{error} {error.raw or ''}"
    if isinstance(error, ServerError) and _is_busy(error.status, words.lower()):
        return None
    found = (match for match in _LIMIT.finditer(words) if not _is_unrelated(words, match))
    numbers = (int(number) for match in found for number in match.groups() if number)
    if (limit := next((number for number in numbers if 0 < number < inputs), None)) is not None:
        return BatchLimit(inputs=limit)
    if _TOO_MANY.search(words):
        return BatchLimit(inputs=inputs // 2)
    if error.status == 413 or _TOO_LARGE.search(words):
        return BatchLimit(bytes=size // 2)
    return None


#: The statuses of a failed server under which a container reports that a request is wrong.
_CONTAINER_STATUSES = frozenset({424, 500})


def _is_busy(status: int | None, words: str) -> bool:
    """Whether a failed server speaks of its own load, and not of the request's batch."""
    return "queue" in words or (status not in _CONTAINER_STATUSES and "batch" not in words)


#: What a limit's sentence is about where it is not a batch: the server's load, or the length of one text.
_OTHER_CAUSES = re.compile(
    r"queue|overload|\bbusy\b|\bworkers?\b|\bwaiting\b|\bconcurren"
    r"|\b(?:input|text|document|sentence|string|query)[ _-]length\b"
    r"|\blength of (?:the |each |an? |one )?(?:input|text|document|sentence|string|query)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.;\n]\s|[{}]")

#: How far a sentence is read before and behind its number, in characters.
_CONTEXT_LENGTH = 80


def _is_unrelated(words: str, match: re.Match[str]) -> bool:
    """Whether the sentence of a number is about something else than how many inputs there are."""
    before = _SENTENCE_END.split(words[max(0, match.start() - _CONTEXT_LENGTH) : match.start()])[-1]
    behind = _SENTENCE_END.split(words[match.end() : match.end() + _CONTEXT_LENGTH])[0]
    return _OTHER_CAUSES.search(f"{before}{match[0]}{behind}") is not None


_INPUTS = r"(?:inputs?|texts?|documents?|sentences?|strings?|items?|instances?|elements?|queries|array|list)"
_AT_MOST = (
    r"(?:at most|up to|no more than|limited to|limit(?: is| of|:)?|less than or equal to|max(?:imum)?(?: is| of|:)?"
    r"|<=|≤|(?:not|cannot|can't)(?: be)? (?:exceed|larger than|greater than|more than|longer than)|exceeds(?: the)?)"
)
#: A number, unless it counts something else than inputs.
_NUMBER = r"\b(\d{1,6})\b(?!\s*(?:tokens?|characters|chars|bytes|words|dimensions|[kmg]i?b)\b)"

#: Sentences with the number in them.
_LIMIT = re.compile(
    "|".join(
        (
            rf"max(?:imum)?(?:[ _-](?:allowed|client|supported))*[ _-]batch[ _-]?size\W*(?:is|of)?\W*{_NUMBER}",
            rf"batch[ _-]?size\b[^.]{{0,40}}?{_AT_MOST}\W{{0,10}}{_NUMBER}",
            rf"has at most {_NUMBER} items",
            rf"maximum length {_NUMBER}, but got",
            rf"maxItems\W{{0,10}}{_NUMBER}",
            rf"max(?:imum)?(?: allowed)? number of {_INPUTS}\W*(?:is|of)?\W*{_NUMBER}",
            rf"\b{_INPUTS}\b[^.]{{0,60}}?{_AT_MOST}\W{{0,10}}{_NUMBER}",
            rf"{_AT_MOST} {_NUMBER} {_INPUTS}\b",
            rf"takes {_NUMBER} at most",
            rf"{_NUMBER} {_INPUTS}(?:\(s\))?(?: is| are)? allowed",
            r"不(?:得|能|可|应|要)?(?:超过|大于|多于)\D{0,4}(\d{1,6})\s*[条个]",
        )
    ),
    re.IGNORECASE,
)

#: Sentences without a number.
_TOO_MANY = re.compile(rf"too many {_INPUTS}\b|batch(?: size)?(?: is)? too (?:large|big|long)", re.IGNORECASE)

#: The inputs of a request are too large together.
_TOO_LARGE = re.compile(
    r"length limit exceeded|payload too large|request entity too large|tokens per (?:submitted )?(?:batch|request)",
    re.IGNORECASE,
)


def _lower_limit(one: int | None, other: int | None) -> int | None:
    return min((number for number in (one, other) if number is not None), default=None)
