"""The hook, and the switch that gives it to every call."""

import os
from collections.abc import Callable

from opentelemetry import context
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider, get_tracer

from mdstream_core import _fork
from mdstream_core._version import __version__
from mdstream_core.otel._attributes import operation
from mdstream_core.otel._metrics import Metrics
from mdstream_core.otel._recording import Recording
from mdstream_core.tracing import Moment, Question, everywhere

#: The conventions' switch for prompts and answers, and the values that mean spans.
_CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_ON = frozenset({"true", "1", "span_only", "span_and_event"})

#: Set in a context whose work is not to be traced: by OpenTelemetry itself (the second for packages that know only its
#: words), and by OpenLLMetry where a span of the model call is open already.
_SUPPRESSED = (_SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation", "suppress_language_model_instrumentation")


class Telemetry:
    """A hook that makes a span of each call, and counts. Made by `telemetry`; shared by threads and tasks."""

    def __init__(self, tracers: TracerProvider | None, meters: MeterProvider | None, *, content: bool) -> None:
        self._tracer = get_tracer("mdstream", __version__, tracers)
        self._metrics = Metrics(meters)
        self._content = content

    def begin(self, question: Question) -> Callable[[Moment], None] | None:
        """What records one call; `None` for questions that are no work of a model, and where tracing is suppressed."""
        if operation(question) is None or any(context.get_value(key) for key in _SUPPRESSED):
            return None
        return Recording(self._tracer, self._metrics, question, content=self._content)

    def __repr__(self) -> str:
        return f"<Telemetry{' with content' if self._content else ''}>"


def telemetry(
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
        >>> telemetry(content=False)
        <Telemetry>
    """
    if content is None:
        content = os.environ.get(_CAPTURE, "").strip().lower() in _ON
    return Telemetry(tracer_provider, meter_provider, content=content)


_off: Callable[[], None] | None = None
_switching = _fork.Lock()


def instrument(
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    *,
    content: bool | None = None,
) -> None:
    """Trace every call of this process from now on, until `uninstrument()`. Arguments as for `telemetry`.

    Called again, it replaces what was said before. A model that has a `telemetry` of its own keeps to that.

    Example:
        >>> instrument()
        >>> uninstrument()
    """
    global _off  # the switch of the process
    hook = telemetry(tracer_provider, meter_provider, content=content)
    with _switching:
        former, _off = _off, everywhere(hook)
        if former:
            former()


def uninstrument() -> None:
    """Undo `instrument`. Calls that are under way are recorded to their end."""
    global _off
    with _switching:
        former, _off = _off, None
        if former:
            former()
