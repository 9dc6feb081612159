"""Numbers of a stream, and explanations of failures."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta, Usage

_OUTPUT_EVENTS = (TextDelta, ReasoningDelta, RefusalDelta, ToolCallDelta)

#: Minimum duration for which a rate is computed, in seconds.
_MIN_SECONDS = 0.05

#: Explanations of failures, by the name of the error class. The most specific class counts.
_EXPLANATIONS = {
    "IncompleteToolCall": "The response ended within a tool call. Do not execute the call.",
    "MalformedStream": "The response could not be parsed.",
    "StreamStalled": "No data was received for too long.",
    "StreamInterrupted": "The response was interrupted before its end.",
    "StreamTimeout": "The service stopped the response because it took too long.",
    "StreamFailure": "The service reported that the response failed.",
    "RateLimited": "Too many requests at once.",
    "ContextOverflow": "The prompt is longer than the model's context window.",
    "ContentRefused": "A content filter rejected the request or the response.",
    "InvalidRequest": "The service rejected the request.",
    "NotFound": "The endpoint or the model does not exist, or access to it is not allowed.",
    "PermissionDenied": "The credentials were accepted, but do not allow this request.",
    "AuthenticationError": "The credentials were rejected.",
    "ServerError": "The service or the model server failed.",
    "ConnectionFailed": "The service could not be reached.",
}


@dataclass(frozen=True, slots=True)
class Summary:
    """Numbers of one stream, so far or at its end.

    Attributes:
        seconds: Time since the request was sent, in seconds.
        time_to_first_token: Time to the first token, in seconds; `None` before it.
        chunk_count: Number of received chunks.
        usage: Token counts of the server, if reported.
        characters: Number of received characters of text.
    """

    seconds: float
    time_to_first_token: float | None = None
    chunk_count: int = 0
    usage: Usage | None = None
    characters: int = 0

    @property
    def tokens_per_second(self) -> float | None:
        """Output tokens per second after the first token. Without usage, each chunk counts as one token."""
        spent = self.seconds - (self.time_to_first_token or self.seconds)
        count = (self.usage.output if self.usage and self.usage.output else self.chunk_count) - 1
        return count / spent if count > 0 and spent >= _MIN_SECONDS else None

    def to_text(self) -> str:
        """Format the numbers as one line."""
        about = "" if self.usage and self.usage.output else "about "
        parts = [
            f"first token {self.time_to_first_token:.2f} s" if self.time_to_first_token is not None else "",
            f"{self.seconds:.1f} s",
            f"{about}{self.tokens_per_second:.0f} tokens/s" if self.tokens_per_second else "",
            f"{self.usage.input:,} tokens in, {self.usage.output:,} out" if self.usage else "",
        ]
        return " · ".join(part for part in parts if part)


class StreamStatistics:
    """Collects the numbers of a stream while it is received."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._first: float | None = None
        self._chunk_count = self._characters = 0
        self._usage: Usage | None = None

    def add(self, event: Event) -> None:
        """Count an event."""
        if isinstance(event, Usage):
            self._usage = event
        elif isinstance(event, _OUTPUT_EVENTS):
            self._first = self._clock() - self._started if self._first is None else self._first
            self._chunk_count += 1
            self._characters += len(event.text) if isinstance(event, TextDelta) else 0

    def summary(self) -> Summary:
        """Return the numbers so far."""
        return Summary(self._clock() - self._started, self._first, self._chunk_count, self._usage, self._characters)


def describe_failure(error: Exception) -> tuple[str, list[str]]:
    """Return an explanation of an error, and its details: message, ids, and the size of the partial response."""
    if not isinstance(error, MDStreamError):
        return "The request failed.", [f"{type(error).__name__}: {error}"]
    explanation = next(
        (_EXPLANATIONS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _EXPLANATIONS),
        "The request failed.",
    )
    facts = [
        f"code {error.code}" if error.code else "",
        f"request id {error.request_id}" if error.request_id else "",
        "a retry may succeed" if error.retryable else "",
    ]
    text = error.partial.text if error.partial else ""
    partial = f"The error's partial response has {len(text):,} characters of text." if text else ""
    return explanation, [
        line for line in (f"{type(error).__name__}: {error}", " · ".join(filter(None, facts)), partial) if line
    ]
