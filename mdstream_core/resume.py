"""Going on with an answer that broke: when it may be done, and the joint between the two halves. Pure policy.

It is an explicit choice of the caller, because only he knows that the server can continue an answer.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mdstream_core.errors import MDStreamError, StreamFailure, StreamInterrupted
from mdstream_core.events import Event, Logprobs, Reply, Resumed, Served, TextDelta, Usage

#: How many letters tell that a server has begun anew, or says again what it said last. Fewer can come by chance.
_TELLING, _LEAST = 24, 8


def can_go_on(error: MDStreamError, said: Reply) -> bool:
    """Whether an answer that broke so may be gone on with: it is text alone, and enough of it to know it again.

    Half a tool call is never gone on with, nor a thought, which servers keep apart from the text.
    """
    choice, *others = said.choices
    text_alone = not (others or choice.reasoning or choice.refusal or choice.tool_calls or choice.finish_reason)
    broke = isinstance(error, StreamFailure | StreamInterrupted) and error.retryable
    return broke and text_alone and len(choice.text) >= _LEAST


class Joint:
    """The first half of an answer, and how it ended."""

    def __init__(self, error: MDStreamError, said: Reply) -> None:
        self.error = error
        self.said = said

    @property
    def events(self) -> list[Event]:
        """The first half once more, to be added up with the second."""
        said, logprobs = self.said, self.said.choices[0].logprobs
        counted = [said.usage] if said.usage else []
        return [
            said.served,
            TextDelta(said.text),
            *([Logprobs(list(logprobs))] if logprobs else []),
            *said.resumed,
            *counted,
        ]

    def decoder(self, inner: Any) -> "SecondHalf":
        """What reads the second half as `inner` does."""
        return SecondHalf(inner, self)


class SecondHalf:
    """A decoder that finds out whether the server goes on or begins anew, before a word is said twice.

    Each event is looked at once, however long that takes to be known.
    """

    def __init__(self, inner: Any, joint: Joint) -> None:
        self._inner = inner
        self._joint = joint
        self._held: list[Event] | None = []
        self._said = _plain(joint.said.text)
        self._heard = ""  # the text that is held: without blanks before it, and in small letters

    @property
    def broken(self) -> MDStreamError | None:
        """What was wrong with a payload that had events too."""
        return self._inner.broken  # type: ignore[no-any-return]

    @property
    def finished(self) -> bool:
        """Whether every choice has said why it finished."""
        return bool(self._inner.finished)

    @property
    def over(self) -> bool:
        """Whether nothing more of the answer is to come."""
        return bool(self._inner.over)

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """The events of one payload. Raises the first half's error if the server begins anew."""
        return self._told(self._inner.feed(data, event))

    def end(self, *, is_document: bool = False) -> list[Event]:
        """There are no more payloads."""
        return [*self._told(self._inner.end(is_document=is_document)), *self._released()]

    @property
    def holds(self) -> bool:
        """Whether something has come that is not told yet."""
        return bool(self._held)

    def held(self) -> list[Event]:
        """What has come and was not told yet, but for the same words again."""
        inner = self._inner.held()
        again = self._said.startswith(self._heard)
        return [*([] if again else self._held or ()), *inner]

    def _told(self, events: Sequence[Event]) -> list[Event]:
        added = [self._added(event) for event in events]
        if self._held is None:
            return added
        self._held += added
        for event in added:
            if isinstance(event, TextDelta):
                self._heard += event.text.casefold() if self._heard else _plain(event.text)
        if self._repeats:
            self._held = []
            error = self._joint.error
            error.args = (f"{error}; asked to go on, the server said again what it had said",)
            raise error
        other = any(not isinstance(event, TextDelta | Served | Usage | Logprobs) for event in added)
        return self._released() if other or not self._undecided else []

    @property
    def _repeats(self) -> bool:
        """Whether what is held is the beginning of the first half again, or its end."""
        heard, said = self._heard, self._said
        sizes = range(_LEAST, min(len(heard), _TELLING) + 1)
        return heard.startswith(said[:_TELLING]) or any(said.endswith(heard[:size]) for size in sizes)

    @property
    def _undecided(self) -> bool:
        """Whether what is held may still become such."""
        heard, said = self._heard, self._said
        return said.startswith(heard) or heard in said[-_TELLING:]

    def _released(self) -> list[Event]:
        held, self._held = self._held, None
        error, at = self._joint.error, len(self._joint.said.text)
        return [Resumed(at, str(error), error.code, error.request_id), *held] if held else []

    def _added(self, event: Event) -> Event:
        """The tokens of both halves, where the first were counted."""
        before = self._joint.said.usage
        if not isinstance(event, Usage) or before is None:
            return event
        counts = {name: getattr(event, name) + getattr(before, name) for name in ("input", "output", "total")}
        return replace(event, **counts)


def _plain(text: str) -> str:
    return text.lstrip().casefold()
