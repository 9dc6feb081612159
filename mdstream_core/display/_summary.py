"""How an answer went, in numbers and in plain words."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta, Usage

_OUTPUT_EVENTS = (TextDelta, ReasoningDelta, RefusalDelta, ToolCallDelta)

#: A rate over less time than this says nothing, in seconds.
_MIN_SECONDS = 0.05

#: What kinds of failure mean, by the class's name; the most special class that is here counts.
_EXPLANATIONS = {
    "IncompleteToolCall": "The answer stopped inside a tool call, which must not be run.",
    "MalformedStream": "What came cannot be read as an answer.",
    "StreamStalled": "Nothing came for too long, so we stopped waiting.",
    "StreamInterrupted": "The answer was cut off before its end.",
    "StreamTimeout": "The service stopped, because the answer took too long.",
    "StreamFailure": "The service said that the answer failed.",
    "RateLimited": "Too much was asked at once.",
    "ContextOverflow": "The question is longer than the model can read.",
    "ContentRefused": "Content control stopped it.",
    "InvalidRequest": "The service cannot do what was asked.",
    "NotFound": "There is no such endpoint or model, or no right to see it.",
    "PermissionDenied": "The credential was accepted, but this is not allowed.",
    "AuthenticationError": "The credential was not accepted.",
    "ServerError": "The service or the model server failed.",
    "ConnectionFailed": "The service was not reached.",
}


@dataclass(frozen=True, slots=True)
class Summary:
    """The numbers of one answer, whole or not.

    Attributes:
        seconds: From the question to now, or to the end.
        time_to_first_token: To the first token; `None` if none has come.
        chunk_count: How many pieces have come.
        usage: What the server counted.
        characters: How much text has come.
    """

    seconds: float
    time_to_first_token: float | None = None
    chunk_count: int = 0
    usage: Usage | None = None
    characters: int = 0

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens a second, behind the first; where the server does not count, a piece is taken for a token."""
        spent = self.seconds - (self.time_to_first_token or self.seconds)
        count = (self.usage.output if self.usage and self.usage.output else self.chunk_count) - 1
        return count / spent if count > 0 and spent >= _MIN_SECONDS else None

    def to_text(self) -> str:
        """All in one line."""
        about = "" if self.usage and self.usage.output else "about "
        parts = [
            f"first token {self.time_to_first_token:.2f} s" if self.time_to_first_token is not None else "",
            f"{self.seconds:.1f} s",
            f"{about}{self.tokens_per_second:.0f} tokens/s" if self.tokens_per_second else "",
            f"{self.usage.input:,} tokens in, {self.usage.output:,} out" if self.usage else "",
        ]
        return " · ".join(part for part in parts if part)


class StreamStatistics:
    """Counts while an answer comes."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._first: float | None = None
        self._chunk_count = self._characters = 0
        self._usage: Usage | None = None

    def add(self, event: Event) -> None:
        """Count an event in."""
        if isinstance(event, Usage):
            self._usage = event
        elif isinstance(event, _OUTPUT_EVENTS):
            self._first = self._clock() - self._started if self._first is None else self._first
            self._chunk_count += 1
            self._characters += len(event.text) if isinstance(event, TextDelta) else 0

    def summary(self) -> Summary:
        """The numbers so far."""
        return Summary(self._clock() - self._started, self._first, self._chunk_count, self._usage, self._characters)


def describe_failure(error: Exception) -> tuple[str, list[str]]:
    """A failure in plain words, and the details: what the service said, its ids, what is kept of the answer."""
    if not isinstance(error, MDStreamError):
        return "It failed.", [f"{type(error).__name__}: {error}"]
    plain = next(
        (_EXPLANATIONS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _EXPLANATIONS), "It failed."
    )
    facts = [
        f"code {error.code}" if error.code else "",
        f"request id {error.request_id}" if error.request_id else "",
        "asking again may help" if error.retryable else "",
    ]
    text = error.partial.text if error.partial else ""
    kept = f"What was received is kept in the error's partial: {len(text):,} characters of text." if text else ""
    return plain, [line for line in (f"{type(error).__name__}: {error}", " · ".join(filter(None, facts)), kept) if line]
