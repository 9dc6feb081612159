"""Find the most inputs per request in the error response of a server that received too many.

Sources: text-embeddings-inference (`router/src/http/server.rs`), Triton, pydantic 1 and 2 (infinity and other FastAPI
servers), the public APIs of OpenAI, Azure, Cohere, Voyage AI, DashScope, SiliconFlow and Zhipu AI.
"""

import re
from dataclasses import dataclass

from mdstream_core._lazy import lazy_pattern
from mdstream_core.errors import ContextOverflow, InvalidRequest, MDStreamError, ServerError


@dataclass(frozen=True, slots=True)
class BatchLimit:
    """The most inputs of one request.

    Attributes:
        inputs: The most inputs; `None` (the default) without a limit.
        bytes: The most bytes of all inputs together; `None` (the default) without a limit.
    """

    inputs: int | None = None
    bytes: int | None = None

    def combine(self, other: "BatchLimit") -> "BatchLimit":
        """Return the stricter of both limits, field by field."""
        return BatchLimit(_lower_limit(self.inputs, other.inputs), _lower_limit(self.bytes, other.bytes))


def find_batch_limit(error: MDStreamError, inputs: int, size: int) -> BatchLimit | None:
    """Return the limit that an error reports; `None` if it has another cause, or the request had a single input.

    If the error has no number, the limit is half of the request.

    Args:
        error: The error response of the request.
        inputs: The number of inputs of the request.
        size: The size of all inputs together, in bytes.

    >>> find_batch_limit(InvalidRequest("batch size 50 > maximum allowed batch size 32"), 50, 5000)
    BatchLimit(inputs=32, bytes=None)
    """
    if inputs < 2 or isinstance(error, ContextOverflow) or not isinstance(error, InvalidRequest | ServerError):
        return None
    message = f"{error} {error.raw or ''}"
    if isinstance(error, ServerError) and _is_overloaded(error.status, message.lower()):
        return None
    matches = (match for match in _LIMIT.finditer(message) if not _is_unrelated(message, match))
    numbers = (int(number) for match in matches for number in match.groups() if number)
    if (limit := next((number for number in numbers if 0 < number < inputs), None)) is not None:
        return BatchLimit(inputs=limit)
    if _TOO_MANY.search(message):
        return BatchLimit(inputs=inputs // 2)
    if error.status == 413 or _TOO_LARGE.search(message):
        return BatchLimit(bytes=size // 2)
    return None


#: Statuses of server errors with which containers also report invalid requests.
_CONTAINER_STATUSES = frozenset({424, 500})


def _is_overloaded(status: int | None, message: str) -> bool:
    """Return whether a server error is about the server's load, and not about the batch size."""
    return "queue" in message or (status not in _CONTAINER_STATUSES and "batch" not in message)


#: Sentences with a limit that is not a batch size: the server's load, or the length of one text.
_OTHER_CAUSES = lazy_pattern(
    r"queue|overload|\bbusy\b|\bworkers?\b|\bwaiting\b|\bconcurren"
    r"|\b(?:input|text|document|sentence|string|query)[ _-]length\b"
    r"|\blength of (?:the |each |an? |one )?(?:input|text|document|sentence|string|query)\b",
    re.IGNORECASE,
)
_SENTENCE_END = lazy_pattern(r"[.;\n]\s|[{}]")

#: How much of a sentence is searched before and after its number, in characters.
_CONTEXT_LENGTH = 80


def _is_unrelated(message: str, match: re.Match[str]) -> bool:
    """Return whether the sentence around a number is not about the number of inputs."""
    before = _SENTENCE_END.split(message[max(0, match.start() - _CONTEXT_LENGTH) : match.start()])[-1]
    after = _SENTENCE_END.split(message[match.end() : match.end() + _CONTEXT_LENGTH])[0]
    return _OTHER_CAUSES.search(f"{before}{match[0]}{after}") is not None


_INPUTS = r"(?:inputs?|texts?|documents?|sentences?|strings?|items?|instances?|elements?|queries|array|list)"
_AT_MOST = (
    r"(?:at most|up to|no more than|limited to|limit(?: is| of|:)?|less than or equal to|max(?:imum)?(?: is| of|:)?"
    r"|<=|≤|(?:not|cannot|can't)(?: be)? (?:exceed|larger than|greater than|more than|longer than)|exceeds(?: the)?)"
)
#: A number that is not followed by another unit than inputs.
_NUMBER = r"\b(\d{1,6})\b(?!\s*(?:tokens?|characters|chars|bytes|words|dimensions|[kmg]i?b)\b)"

#: Sentences with a number.
_LIMIT = lazy_pattern(
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
_TOO_MANY = lazy_pattern(rf"too many {_INPUTS}\b|batch(?: size)?(?: is)? too (?:large|big|long)", re.IGNORECASE)

#: Sentences about the total size of the inputs.
_TOO_LARGE = lazy_pattern(
    r"length limit exceeded|payload too large|request entity too large|tokens per (?:submitted )?(?:batch|request)",
    re.IGNORECASE,
)


def _lower_limit(one: int | None, other: int | None) -> int | None:
    return min((number for number in (one, other) if number is not None), default=None)
