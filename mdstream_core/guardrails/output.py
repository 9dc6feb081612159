"""`GuardedOutput`: the output of a model, held back until guardrails have checked it. No sockets, no clock.

The text of each kind and choice is a channel, as are the arguments of each tool call and each list of citations. A
window is due when enough characters arrived since the last check. The check covers the held text and the text before
it, so that it sees what a window's end has cut; what passed is released up to the `overlap`, which waits for the next
check.
"""

from collections import deque
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import inf
from typing import NamedTuple

from mdstream_core.errors import ErrorResponse, GuardrailViolation, MDStreamError, extend_error
from mdstream_core.events import (
    Event,
    Finish,
    GuardrailResults,
    Logprobs,
    ModelResponse,
    ProviderData,
    ResponseAccumulator,
    ToolCallDelta,
)
from mdstream_core.guardrails.channel import Channel
from mdstream_core.guardrails.event_texts import (
    Location,
    cited_texts,
    event_text,
    is_checked_whole,
    locate_text,
    replace_cited_texts,
    with_text,
)
from mdstream_core.guardrails.policy import SEPARATOR, GuardrailPolicy
from mdstream_core.guardrails.violations import TextLocation, build_violation, log_violation


class _BufferedEvent(NamedTuple):
    """An event that is held back: text of a channel, or an event that arrived after such text."""

    event: Event
    channel: Channel | None = None
    start: int = 0
    end: int = 0


class GuardedOutput:
    """The events of one output, of which only those are released that passed.

    Args:
        policy: Size of the windows, and what is redacted.
        whole: Whether the output is checked once, at its end.
    """

    def __init__(self, policy: GuardrailPolicy, *, whole: bool = False) -> None:
        self._policy = policy
        self._window: float = inf if whole else policy.window_size
        self._holds_back = policy.hold_back or whole
        self._buffered: deque[_BufferedEvent] = deque()
        self._channels: dict[Location | int, Channel] = {}
        self._unchecked = 0
        self._delivered = ResponseAccumulator()
        #: The error that ended the model's response, if one did.
        self.failure: MDStreamError | None = None

    def add(self, event: Event) -> list[Event]:
        """Add an event of the model; return the events that can be delivered at once."""
        if (location := locate_text(event, self._policy)) is not None:
            return self._add_text(event, location)
        if is_checked_whole(event, self._policy) and isinstance(event, ProviderData):
            return self._add_citations(event)
        if isinstance(event, Logprobs) and self._policy.pii == "redact":
            return []  # they repeat the text, token by token
        if self._buffered or (self._unchecked and isinstance(event, Finish)):
            self._buffered.append(_BufferedEvent(event))
            return []
        return self._deliver([event])

    def _add_text(self, event: Event, location: Location) -> list[Event]:
        name: TextLocation = "tool call" if location.kind is ToolCallDelta else "output"
        channel = self._channels.setdefault(location, Channel(name))
        return self._append(event, channel, event_text(event))

    def _add_citations(self, event: ProviderData) -> list[Event]:
        channel = self._channels[len(self._channels)] = Channel("citation", is_complete=True)
        return self._append(event, channel, SEPARATOR.join(cited_texts(event.value)))

    def _append(self, event: Event, channel: Channel, text: str) -> list[Event]:
        start = channel.end
        channel.append(text)
        self._unchecked += len(text)
        if self._holds_back:
            self._buffered.append(_BufferedEvent(event, channel, start, channel.end))
            return []
        channel.released = channel.end
        return self._deliver([event])

    @property
    def is_due(self) -> bool:
        """Whether the text that was not checked yet fills a window."""
        return self._unchecked >= self._window

    def unchecked(self) -> list[Channel]:
        """Return the channels with text that was not checked yet, and start the next window."""
        self._unchecked = 0
        self._window = self._window if self._window == inf else min(2 * self._window, self._policy.max_window_size)
        return [channel for channel in self._channels.values() if channel.checked < channel.end]

    def record(self, channel: Channel, results: GuardrailResults) -> None:
        """Record what was found in a channel's text.

        Raises:
            GuardrailViolation: The policy does not allow it; `partial` is what was delivered.
        """
        if violations := self._policy.find_violations(results):
            raise build_violation(violations, results, channel.location)
        channel.record(self._policy.redaction_spans(channel.text(), results, channel.location))

    def release(self, *, final: bool = False) -> list[Event]:
        """Return the events that passed.

        Args:
            final: Whether the output has ended, so that its end is released too.
        """
        overlap = 0 if final else self._policy.overlap
        ends = {id(channel): channel.releasable_end(overlap) for channel in self._channels.values()}
        events: list[Event] = []
        while self._buffered:
            event, channel, start, end = self._buffered[0]
            if channel is None:
                events.append(event)
            else:
                limit = min(end, ends[id(channel)])
                if isinstance(event, ProviderData):
                    events += _take_citations(event, channel) if limit == end else []
                elif limit > start or limit == end:
                    events += with_text(event, channel.take(start, limit))
                if limit < end:
                    self._buffered[0] = _BufferedEvent(event, channel, max(start, limit), end)
                    break
            self._buffered.popleft()
        for channel in self._channels.values():
            channel.trim(self._policy.max_window_size)
        return self._deliver(events)

    def _deliver(self, events: list[Event]) -> list[Event]:
        self._delivered.extend(events)
        return events

    @contextmanager
    def attach_partial(self) -> Iterator[None]:
        """Attach what was delivered to an error of a check: it is what passed."""
        try:
            yield
        except MDStreamError as error:
            if isinstance(error, GuardrailViolation):
                log_violation(error)
            else:
                extend_error(error, fact="the output could not be checked by guardrails")
            self.replace_partial(error)
            error.__cause__ = error.__cause__ or self.failure
            raise

    def replace_partial(self, error: MDStreamError) -> MDStreamError:
        """Replace the partial response of an error by what was delivered, so that it has no text that did not pass."""
        partial = self._delivered.response() if self._delivered else None
        old = error.response
        fields = {"type": type(error).__name__, "message": str(error), "code": error.code}
        body = {**(old.json() if old else {"error": fields}), "partial": partial.to_dict() if partial else None}
        status, headers, text = (old.status_code, old.headers, old.text) if old else (error.status or 0, {}, str(error))
        error.partial, error.response = partial, ErrorResponse(status, headers, body, text)
        return error

    def response(self) -> ModelResponse:
        """Return the response so far, of the events that were delivered."""
        return self._delivered.response()


def _take_citations(event: ProviderData, channel: Channel) -> list[Event]:
    """The citations, redacted."""
    texts, start = [], 0
    for text in cited_texts(event.value):
        texts.append(channel.take(start, start + len(text)))
        start += len(text) + len(SEPARATOR)
    return [replace(event, value=replace_cited_texts(event.value, iter(texts)))]


def read_until_failure(events: Generator[Event], output: GuardedOutput) -> Generator[Event]:
    """Yield the events of a model; its error ends them and is kept in `output.failure`."""
    try:
        yield from events
    except MDStreamError as error:
        output.failure = error


async def aread_until_failure(events: AsyncGenerator[Event], output: GuardedOutput) -> AsyncGenerator[Event]:
    """Async variant of `read_until_failure`."""
    try:
        async for event in events:
            yield event
    except MDStreamError as error:
        output.failure = error
