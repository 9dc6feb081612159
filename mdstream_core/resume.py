"""Going on with an answer that broke: when it may be done, and the joint between the two halves. Pure policy.

It is an explicit choice of the caller, because only he knows that the server can continue an answer.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mdstream_core.errors import MDStreamError, StreamFailure, StreamInterrupted
from mdstream_core.events import Event, Logprobs, ModelResponse, ResponseMetadata, StreamResumed, TextDelta, Usage

#: How many letters tell that a server has begun anew, or says again what it said last. Fewer can come by chance.
_MATCH_LENGTH, _MIN_MATCH_LENGTH = 24, 8


def is_resumable(error: MDStreamError, response: ModelResponse) -> bool:
    """Whether an answer that broke so may be gone on with: it is text alone, and enough of it to know it again.

    Half a tool call is never gone on with, nor a thought, which servers keep apart from the text.
    """
    choice, *others = response.choices
    text_alone = not (others or choice.reasoning or choice.refusal or choice.tool_calls or choice.finish_reason)
    broke = isinstance(error, StreamFailure | StreamInterrupted) and error.retryable
    return broke and text_alone and len(choice.text) >= _MIN_MATCH_LENGTH


class ResumePoint:
    """The first half of an answer, and how it ended."""

    def __init__(self, error: MDStreamError, response: ModelResponse) -> None:
        self.error = error
        self.response = response

    @property
    def replay_events(self) -> list[Event]:
        """The first half once more, to be added up with the second."""
        said, logprobs = self.response, self.response.choices[0].logprobs
        counted = [said.usage] if said.usage else []
        return [
            said.metadata,
            TextDelta(said.text),
            *([Logprobs(list(logprobs))] if logprobs else []),
            *said.resumptions,
            *counted,
        ]

    def wrap_decoder(self, inner: Any) -> "ContinuationDecoder":
        """What reads the second half as `inner` does."""
        return ContinuationDecoder(inner, self)


class ContinuationDecoder:
    """A decoder that finds out whether the server goes on or begins anew, before a word is said twice.

    Each event is looked at once, however long that takes to be known.
    """

    def __init__(self, inner: Any, resume_point: ResumePoint) -> None:
        self._inner = inner
        self._resume_point = resume_point
        self._buffer: list[Event] | None = []
        self._said = _normalize(resume_point.response.text)
        self._buffered_text = ""  # the text that is held: without blanks before it, and in small letters

    @property
    def error(self) -> MDStreamError | None:
        """What was wrong with a payload that had events too."""
        return self._inner.error  # type: ignore[no-any-return]

    @property
    def is_finished(self) -> bool:
        """Whether every choice has said why it finished."""
        return bool(self._inner.is_finished)

    @property
    def is_complete(self) -> bool:
        """Whether nothing more of the answer is to come."""
        return bool(self._inner.is_complete)

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """The events of one payload. Raises the first half's error if the server begins anew."""
        return self._filter(self._inner.feed(data, event))

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """There are no more payloads."""
        return [*self._filter(self._inner.finish(is_document=is_document)), *self._release()]

    @property
    def is_buffering(self) -> bool:
        """Whether something has come that is not told yet."""
        return bool(self._buffer)

    def flush(self) -> list[Event]:
        """What has come and was not told yet, but for the same words again."""
        inner = self._inner.flush()
        again = self._said.startswith(self._buffered_text)
        return [*([] if again else self._buffer or ()), *inner]

    def _filter(self, events: Sequence[Event]) -> list[Event]:
        added = [self._add_usage(event) for event in events]
        if self._buffer is None:
            return added
        self._buffer += added
        for event in added:
            if isinstance(event, TextDelta):
                self._buffered_text += event.text.casefold() if self._buffered_text else _normalize(event.text)
        if self._is_repetition:
            self._buffer = []
            error = self._resume_point.error
            error.args = (f"{error}; asked to go on, the server said again what it had said",)
            raise error
        other = any(not isinstance(event, TextDelta | ResponseMetadata | Usage | Logprobs) for event in added)
        return self._release() if other or not self._may_be_repetition else []

    @property
    def _is_repetition(self) -> bool:
        """Whether what is held is the beginning of the first half again, or its end."""
        heard, said = self._buffered_text, self._said
        sizes = range(_MIN_MATCH_LENGTH, min(len(heard), _MATCH_LENGTH) + 1)
        return heard.startswith(said[:_MATCH_LENGTH]) or any(said.endswith(heard[:size]) for size in sizes)

    @property
    def _may_be_repetition(self) -> bool:
        """Whether what is held may still become such."""
        heard, said = self._buffered_text, self._said
        return said.startswith(heard) or heard in said[-_MATCH_LENGTH:]

    def _release(self) -> list[Event]:
        held, self._buffer = self._buffer, None
        error, at = self._resume_point.error, len(self._resume_point.response.text)
        return [StreamResumed(at, str(error), error.code, error.request_id), *held] if held else []

    def _add_usage(self, event: Event) -> Event:
        """The tokens of both halves, where the first were counted."""
        before = self._resume_point.response.usage
        if not isinstance(event, Usage) or before is None:
            return event
        counts = {name: getattr(event, name) + getattr(before, name) for name in ("input", "output", "total")}
        return replace(event, **counts)


def _normalize(text: str) -> str:
    return text.lstrip().casefold()
