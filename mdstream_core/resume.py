"""Resuming interrupted streams: which are resumable, and how the continuation is joined to the text received.

Resuming is disabled by default, because only the user knows whether the server can continue a response.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mdstream_core.errors import MDStreamError, StreamFailure, StreamInterrupted
from mdstream_core.events import Event, Logprobs, ModelResponse, ResponseMetadata, StreamResumed, TextDelta, Usage

#: How many equal characters show that the server started over, or repeats the end of its output: at most and at least.
#: Fewer may be equal by chance.
_MATCH_LENGTH, _MIN_MATCH_LENGTH = 24, 8


def is_resumable(error: MDStreamError, response: ModelResponse) -> bool:
    """Whether a stream that ended with this error and partial response can be resumed.

    The response must be plain text, long enough to recognize a repetition. Partial tool calls are never resumed, nor is
    reasoning, which servers keep apart from the text.
    """
    choice, *others = response.choices
    only_text = not (others or choice.reasoning or choice.refusal or choice.tool_calls or choice.finish_reason)
    is_interrupted = isinstance(error, StreamFailure | StreamInterrupted) and error.retryable
    return is_interrupted and only_text and len(choice.text) >= _MIN_MATCH_LENGTH


class ResumePoint:
    """Where a stream was interrupted: the partial response, and the error."""

    def __init__(self, error: MDStreamError, response: ModelResponse) -> None:
        self.error = error
        self.response = response

    @property
    def replay_events(self) -> list[Event]:
        """Events of the partial response, for accumulating them with those of the continuation."""
        response, logprobs = self.response, self.response.choices[0].logprobs
        usage = [response.usage] if response.usage else []
        return [
            response.metadata,
            TextDelta(response.text),
            *([Logprobs(list(logprobs))] if logprobs else []),
            *response.resumptions,
            *usage,
        ]

    def wrap_decoder(self, inner: Any) -> "ContinuationDecoder":
        """Wrap the dialect's decoder for the continuation."""
        return ContinuationDecoder(inner, self)


class ContinuationDecoder:
    """Decoder of a continuation. It detects a server that repeats its output, so that no text is delivered twice.

    The first events are buffered until it is certain that their text is not a repetition.
    """

    def __init__(self, inner: Any, resume_point: ResumePoint) -> None:
        self._inner = inner
        self._resume_point = resume_point
        self._buffer: list[Event] | None = []
        self._previous_text = _normalize(resume_point.response.text)
        self._buffered_text = ""  # normalized like `_previous_text`

    @property
    def error(self) -> MDStreamError | None:
        """The error of a payload that also had events."""
        return self._inner.error  # type: ignore[no-any-return]

    @property
    def is_finished(self) -> bool:
        """Whether every choice has a finish reason."""
        return bool(self._inner.is_finished)

    @property
    def is_complete(self) -> bool:
        """Whether the response has no further events."""
        return bool(self._inner.is_complete)

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """Decode one payload. If the server starts over, the error that interrupted the stream is raised."""
        return self._filter(self._inner.feed(data, event))

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """Return the last events; there are no more payloads."""
        return [*self._filter(self._inner.finish(is_document=is_document)), *self._release()]

    @property
    def is_buffering(self) -> bool:
        """Whether events were received that are not delivered yet."""
        return bool(self._buffer)

    def flush(self) -> list[Event]:
        """Return the buffered events, unless their text is a repetition."""
        inner = self._inner.flush()
        repeats = self._previous_text.startswith(self._buffered_text)
        return [*([] if repeats else self._buffer or ()), *inner]

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
            error.args = (f"{error}; the server repeated its earlier output instead of continuing it",)
            raise error
        other = any(not isinstance(event, TextDelta | ResponseMetadata | Usage | Logprobs) for event in added)
        return self._release() if other or not self._may_be_repetition else []

    @property
    def _is_repetition(self) -> bool:
        """Whether the buffered text repeats the start or the end of the previous text."""
        text, previous = self._buffered_text, self._previous_text
        sizes = range(_MIN_MATCH_LENGTH, min(len(text), _MATCH_LENGTH) + 1)
        return text.startswith(previous[:_MATCH_LENGTH]) or any(previous.endswith(text[:size]) for size in sizes)

    @property
    def _may_be_repetition(self) -> bool:
        """Whether the buffered text may still turn out to be a repetition."""
        text, previous = self._buffered_text, self._previous_text
        return previous.startswith(text) or text in previous[-_MATCH_LENGTH:]

    def _release(self) -> list[Event]:
        buffered, self._buffer = self._buffer, None
        error, at = self._resume_point.error, len(self._resume_point.response.text)
        return [StreamResumed(at, str(error), error.code, error.request_id), *buffered] if buffered else []

    def _add_usage(self, event: Event) -> Event:
        """Add the token counts of the interrupted response, if the server reported them."""
        before = self._resume_point.response.usage
        if not isinstance(event, Usage) or before is None:
            return event
        counts = {name: getattr(event, name) + getattr(before, name) for name in ("input", "output", "total")}
        return replace(event, **counts)


def _normalize(text: str) -> str:
    return text.lstrip().casefold()
