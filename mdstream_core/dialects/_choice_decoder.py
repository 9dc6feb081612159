"""What the decoders of OpenAI's and OCI's formats share: the choices of an answer, its end, its first error."""

from typing import Any, ClassVar, Generic, TypeVar

from mdstream_core import _json
from mdstream_core.dialects._choice import Choice
from mdstream_core.dialects._limits import MAX_CHOICES, over_limit
from mdstream_core.dialects._surrogates import SurrogateJoiner
from mdstream_core.errors import (
    SHAPE_ERRORS,
    MalformedStream,
    MDStreamError,
    StreamFailure,
    StreamInterrupted,
    quote_payload,
    unexpected_shape,
)
from mdstream_core.events import Event

C = TypeVar("C", bound=Choice)

#: In place of a payload: `[DONE]`, nothing, or what no parser reads.
_NO_JSON = object()


class ChoiceDecoder(Generic[C]):
    """Decoder for one answer, streamed or whole, whose payloads are JSON objects. A format reads the payloads."""

    #: The state of one choice.
    choice_class: ClassVar[type[Any]] = Choice
    #: What the format calls its finish reason.
    reason_name: ClassVar[str] = "finish reason"

    def __init__(self) -> None:
        self._choices: dict[int, C] = {}
        self._unfinished = 0
        self._done = False
        self._joiner: SurrogateJoiner | None = None
        #: What was wrong with a payload that had events too.
        self.broken: MDStreamError | None = None

    @property
    def finished(self) -> bool:
        """Whether every choice that was seen has finished. The usage may still come."""
        return not self._unfinished and bool(self._choices) and self.broken is None

    @property
    def done(self) -> bool:
        """Whether `[DONE]` has come."""
        return self._done

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """The events of one payload."""
        try:
            payload = _json.parse(data)
        except _json.UNPARSED:
            payload = self._parse_bent(data)
            if payload is _NO_JSON:
                return self._not_json(data, event)
        events: list[Event] = []
        try:
            self._read(payload, data, event, events)
        except MDStreamError as error:
            self._fail(error, data)
        except SHAPE_ERRORS as error:
            self._fail(unexpected_shape(data, error), data)
        if self._joiner is not None:
            events = self._joiner.join(events)
        if not events and self.broken is not None:
            raise self.broken
        return events

    def end(self, *, is_document: bool = False) -> list[Event]:
        """Check that the answer is whole.

        Args:
            is_document: Whether the body was one JSON document: a whole answer in it has ended with it.
        """
        events: list[Event] = []
        if self.broken:
            raise self.broken
        if not self._choices:
            raise StreamInterrupted("the stream ended without an answer: not one choice was in it", code="EmptyStream")
        if is_document:
            self._end_document(events)
        if not self.finished:
            raise StreamInterrupted(self._interrupted())
        for choice in self._choices.values():
            choice.calls.end(cut=choice.reason == "length")
        return [*events, *self.held()]

    def held(self) -> list[Event]:
        """What has come and was not told yet: pieces of sound, the last entries of a list, half a character."""
        media = [event for choice in self._choices.values() if choice.media for event in choice.media.rest()]
        return [*media, *self._halves()]

    def _read(self, payload: Any, data: bytes, event: str, events: list[Event]) -> None:
        """Add the events of a payload. Raises for what is wrong with it."""
        raise NotImplementedError

    def _has_ended_with(self, choice: C) -> bool:
        """Whether a choice without a known finish reason is whole when a body that is one document is."""
        raise NotImplementedError

    def _parse_bent(self, data: bytes) -> Any:
        """A payload that a fast parser refuses: half a character, NaN; or `_NO_JSON`."""
        try:
            payload = _json.loads_bent(data)
        except ValueError:
            return _NO_JSON
        self._joiner = self._joiner or SurrogateJoiner()
        return payload

    def _halves(self) -> list[Event]:
        return self._joiner.flush() if self._joiner else []

    def _fail(self, error: MDStreamError, data: bytes) -> None:
        """Keep the first error: what comes behind it explains less."""
        if self.broken is None:
            error.raw = error.raw or quote_payload(data, 2000)
            self.broken = error

    def _known(self, index: int) -> C:
        """The choice of this index, a new one if it was not seen before."""
        choice = self._choices.get(index)
        if choice is None:
            if len(self._choices) >= MAX_CHOICES:
                raise over_limit("choices", MAX_CHOICES)
            choice = self._choices[index] = self.choice_class(index)
            self._unfinished += 1
        return choice

    def _take_reason(self, choice: C, reason: Any, events: list[Event]) -> None:
        """Take a finish reason, which may say "not yet"."""
        self._unfinished -= choice.end(reason, events)

    def _reopen(self, choice: C) -> None:
        """There is more behind a finish reason, so it was no ending."""
        if choice.reason:
            self._unfinished += choice.reopen()

    def _confirm(self, events: list[Event]) -> None:
        """Take what says that the answer is over, behind a reason that nobody knows."""
        for choice in self._choices.values():
            self._unfinished -= choice.confirm(events)

    def _end_document(self, events: list[Event]) -> None:
        for choice in self._choices.values():
            if self._has_ended_with(choice):
                choice.reason = choice.reason or "stop"
                self._unfinished -= choice.confirm(events)

    def _interrupted(self) -> str:
        words = sorted({choice.reason for choice in self._choices.values() if choice.reason and not choice.finished})
        unknown = f" that is known (it said {', '.join(map(repr, words))})" if words else ""
        return f"the stream ended before a {self.reason_name}{unknown}{', with [DONE]' if self._done else ''}"

    def _not_json(self, data: bytes, event: str) -> list[Event]:
        text = data.strip()
        events: list[Event] = []
        if text == b"[DONE]":
            if not self._done:  # once: looking at every choice costs more than a payload has bytes
                self._confirm(events)
            self._done = True
        elif event == "error":
            raise StreamFailure(
                f"the service ended the stream: {quote_payload(text) or 'no words'}", raw=quote_payload(text)
            )
        elif text:
            raise MalformedStream(f"a payload that is not JSON: {quote_payload(text)}", raw=quote_payload(text))
        return events
