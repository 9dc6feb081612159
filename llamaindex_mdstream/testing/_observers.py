"""Those who are told of a call: a callback handler, a listener on the dispatcher, a rate limiter."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llama_index.core.callbacks import CBEventType
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.rate_limiter import BaseRateLimiter
from llama_index_instrumentation import get_dispatcher
from pydantic import Field


class RecordingCallbackHandler(BaseCallbackHandler):
    """What the callback manager tells of one kind of event."""

    def __init__(self, kind: CBEventType) -> None:
        super().__init__([], [])
        self._kind = kind
        self.starts: list[dict[str, Any]] = []
        self.ends: list[dict[str, Any]] = []

    def on_event_start(
        self, event_type: CBEventType, payload: Any = None, event_id: str = "", parent_id: str = "", **_: Any
    ) -> str:
        """Keep the payload."""
        if event_type is self._kind:
            self.starts.append(payload or {})
        return event_id

    def on_event_end(self, event_type: CBEventType, payload: Any = None, event_id: str = "", **_: Any) -> None:
        """Keep the payload."""
        if event_type is self._kind:
            self.ends.append(payload or {})

    def start_trace(self, trace_id: str | None = None) -> None:
        """Not listened to."""

    def end_trace(self, trace_id: str | None = None, trace_map: Any = None) -> None:
        """Not listened to."""


class RecordingEventHandler(BaseEventHandler):
    """What the dispatcher tells."""

    events: list[BaseEvent] = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        """The handler's name."""
        return "ConformanceListener"

    def handle(self, event: BaseEvent, **_: Any) -> None:
        """Keep the event."""
        self.events.append(event)

    def count(self, ending: str) -> int:
        """How many events have a name that ends so, of the calls that began while it listened.

        The dispatcher is everybody's: a stream that somebody else left is told of when it is collected.
        """
        begun = {event.span_id for event in self.events if event.class_name().endswith("StartEvent")}
        return sum(event.span_id in begun and event.class_name().endswith(ending) for event in self.events)


@contextmanager
def record_events() -> Iterator[RecordingEventHandler]:
    """A listener on the root dispatcher."""
    handler, root = RecordingEventHandler(), get_dispatcher()
    root.event_handlers.append(handler)
    try:
        yield handler
    finally:
        root.event_handlers.remove(handler)


class CountingRateLimiter(BaseRateLimiter):
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.count = 0

    def acquire(self, num_tokens: int = 0) -> None:
        """Count."""
        self.count += 1

    async def async_acquire(self, num_tokens: int = 0) -> None:
        """Count."""
        self.count += 1
