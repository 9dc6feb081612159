"""The hook, and the switch that gives it to every call."""

import os
from collections.abc import Callable

from opentelemetry import context
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider, get_tracer

from mdstream_core import _fork
from mdstream_core._version import __version__
from mdstream_core.hooks import CallEvent, CallInfo, add_global_hook
from mdstream_core.otel._attributes import operation_name
from mdstream_core.otel._metrics import Metrics
from mdstream_core.otel._span_recorder import SpanRecorder

#: The conventions' switch for prompts and answers, and the values that mean spans.
_CAPTURE_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_TRUE_VALUES = frozenset({"true", "1", "span_only", "span_and_event"})

#: Set in a context whose work is not to be traced: by OpenTelemetry itself (the second for packages that know only its
#: words), and by OpenLLMetry where a span of the model call is open already.
_SUPPRESSED = (_SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation", "suppress_language_model_instrumentation")


class Telemetry:
    """A hook that makes a span of each call, and counts. Made by `create_telemetry`; shared by threads and tasks."""

    def __init__(self, tracers: TracerProvider | None, meters: MeterProvider | None, *, content: bool) -> None:
        self._tracer = get_tracer("mdstream", __version__, tracers)
        self._metrics = Metrics(meters)
        self._content = content

    def start_call(self, info: CallInfo) -> Callable[[CallEvent], None] | None:
        """What records one call; `None` for questions that are no work of a model, and where tracing is suppressed."""
        if operation_name(info) is None or any(context.get_value(key) for key in _SUPPRESSED):
            return None
        return SpanRecorder(self._tracer, self._metrics, info, content=self._content)

    def __repr__(self) -> str:
        return f"<Telemetry{' with content' if self._content else ''}>"


def create_telemetry(
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    *,
    content: bool | None = None,
) -> Telemetry:
    """A hook for `hooks=(…,)` of any model, embedding or reranker, that traces and counts by OpenTelemetry.

    Args:
        tracer_provider: Where spans go; the global one by default, also one that is set later.
        meter_provider: Where measurements go; the same.
        content: Whether spans hold prompts and answers. `None` asks the environment variable
            `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`: `true`, `SPAN_ONLY` or `SPAN_AND_EVENT`.

    Example:
        >>> create_telemetry(content=False)
        <Telemetry>
    """
    if content is None:
        content = os.environ.get(_CAPTURE_VARIABLE, "").strip().lower() in _TRUE_VALUES
    return Telemetry(tracer_provider, meter_provider, content=content)


_remove_hook: Callable[[], None] | None = None
_lock = _fork.Lock()


def instrument(
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    *,
    content: bool | None = None,
) -> None:
    """Trace every call of this process from now on, until `uninstrument()`. Arguments as for `create_telemetry`.

    Called again, it replaces what was said before. A model that has a `create_telemetry` of its own keeps to that.

    Example:
        >>> instrument()
        >>> uninstrument()
    """
    global _remove_hook  # the switch of the process
    hook = create_telemetry(tracer_provider, meter_provider, content=content)
    with _lock:
        former, _remove_hook = _remove_hook, add_global_hook(hook)
        if former:
            former()


def uninstrument() -> None:
    """Undo `instrument`. Calls that are under way are recorded to their end."""
    global _remove_hook
    with _lock:
        former, _remove_hook = _remove_hook, None
        if former:
            former()
