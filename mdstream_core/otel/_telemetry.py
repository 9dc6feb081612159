"""The telemetry hook, and functions that enable it for all calls of the process."""

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

#: Environment variable of the conventions for recording prompts and outputs, and the values that enable it for spans.
_CAPTURE_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_TRUE_VALUES = frozenset({"true", "1", "span_only", "span_and_event"})

#: Context keys that suppress tracing: two of OpenTelemetry (the second for packages that know only the string), and one
#: of OpenLLMetry, set where a span of the model call already exists.
_SUPPRESSION_KEYS = (
    _SUPPRESS_INSTRUMENTATION_KEY,
    "suppress_instrumentation",
    "suppress_language_model_instrumentation",
)


class Telemetry:
    """Hook that records a span and metrics of each call. Created by `create_telemetry`; safe for threads and tasks."""

    def __init__(self, tracers: TracerProvider | None, meters: MeterProvider | None, *, content: bool) -> None:
        self._tracer = get_tracer("mdstream", __version__, tracers)
        self._metrics = Metrics(meters)
        self._content = content

    def start_call(self, info: CallInfo) -> Callable[[CallEvent], None] | None:
        """Create the recorder of one call; `None` for requests without a model call, and if tracing is suppressed."""
        if operation_name(info) is None or any(context.get_value(key) for key in _SUPPRESSION_KEYS):
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
    """Create a hook that records OpenTelemetry spans and metrics, for `hooks=(…,)` of any model.

    Args:
        tracer_provider: Provider of the tracer. Default: the global provider, also if it is set later.
        meter_provider: Provider of the meter. Default: the global provider, also if it is set later.
        content: Whether spans include prompts and outputs. Default: whether the environment variable
            `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` is `true`, `SPAN_ONLY` or `SPAN_AND_EVENT`.

    Returns:
        A hook that may be shared by models, threads and tasks.

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
    """Record all calls of this process until `uninstrument()` is called.

    A further call replaces the configuration. Models with a hook of `create_telemetry()` use their own.

    Args:
        tracer_provider: As for `create_telemetry`.
        meter_provider: As for `create_telemetry`.
        content: As for `create_telemetry`.

    Example:
        >>> instrument()
        >>> uninstrument()
    """
    global _remove_hook  # one per process
    hook = create_telemetry(tracer_provider, meter_provider, content=content)
    with _lock:
        previous, _remove_hook = _remove_hook, add_global_hook(hook)
        if previous:
            previous()


def uninstrument() -> None:
    """Undo `instrument`. Calls in progress are recorded to their end."""
    global _remove_hook
    with _lock:
        previous, _remove_hook = _remove_hook, None
        if previous:
            previous()
