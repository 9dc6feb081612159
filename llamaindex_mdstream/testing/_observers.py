"""Recording callback handler, event handler and rate limiter."""

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
    """Records the callback events of one type."""

    def __init__(self, kind: CBEventType) -> None:
        super().__init__([], [])
        self._kind = kind
        self.starts: list[dict[str, Any]] = []
        self.ends: list[dict[str, Any]] = []

    def on_event_start(
        self, event_type: CBEventType, payload: Any = None, event_id: str = "", parent_id: str = "", **_: Any
    ) -> str:
        """Record the payload."""
        if event_type is self._kind:
            self.starts.append(payload or {})
        return event_id

    def on_event_end(self, event_type: CBEventType, payload: Any = None, event_id: str = "", **_: Any) -> None:
        """Record the payload."""
        if event_type is self._kind:
            self.ends.append(payload or {})

    def start_trace(self, trace_id: str | None = None) -> None:
        """Ignore traces."""

    def end_trace(self, trace_id: str | None = None, trace_map: Any = None) -> None:
        """Ignore traces."""


class RecordingEventHandler(BaseEventHandler):
    """Records the events of a dispatcher."""

    events: list[BaseEvent] = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        """Name of the handler."""
        return "ConformanceListener"

    def handle(self, event: BaseEvent, **_: Any) -> None:
        """Record the event."""
        self.events.append(event)

    def count(self, suffix: str) -> int:
        """Count the events whose class name has this suffix, of calls that started during the recording.

        The dispatcher is global: an abandoned stream of another test sends its events when it is garbage-collected.
        """
        started = {event.span_id for event in self.events if event.class_name().endswith("StartEvent")}
        return sum(event.span_id in started and event.class_name().endswith(suffix) for event in self.events)


@contextmanager
def record_events() -> Iterator[RecordingEventHandler]:
    """Record the events of the root dispatcher."""
    handler, root = RecordingEventHandler(), get_dispatcher()
    root.event_handlers.append(handler)
    try:
        yield handler
    finally:
        root.event_handlers.remove(handler)


class CountingRateLimiter(BaseRateLimiter):
    """Counts how often it is acquired."""

    def __init__(self) -> None:
        self.count = 0

    def acquire(self, num_tokens: int = 0) -> None:
        """Count the call."""
        self.count += 1

    async def async_acquire(self, num_tokens: int = 0) -> None:
        """Count the call."""
        self.count += 1
