"""OpenTelemetry's own SDK, in memory: what a backend would be sent."""

from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

from mdstream_core.otel import Telemetry, create_telemetry


class Backend:
    """Spans and measurements of one test, and the hook that makes them."""

    def __init__(self, *, content: bool | None = None, sampler: Sampler | None = None) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider(sampler=sampler)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader])
        self.hook: Telemetry = create_telemetry(self.tracers, self.meters, content=content)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """All spans that have ended."""
        return self._exporter.get_finished_spans()

    @property
    def ours(self) -> list[ReadableSpan]:
        """Those of our calls."""
        return [
            span for span in self.spans if span.instrumentation_scope and span.instrumentation_scope.name == "mdstream"
        ]

    @property
    def only(self) -> ReadableSpan:
        """The one span."""
        (span,) = self.ours
        return span

    @property
    def seen(self) -> dict[str, Any]:
        """The one span's attributes."""
        return dict(self.only.attributes or {})

    def points(self, name: str) -> list[Any]:
        """What was measured under a name."""
        data = self._reader.get_metrics_data()
        scopes = [scope for resource in (data.resource_metrics if data else ()) for scope in resource.scope_metrics]
        return [
            point
            for scope in scopes
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def everything(self) -> str:
        """All that would be sent, as text."""
        data = self._reader.get_metrics_data()
        return "".join(str(span.to_json()) for span in self.spans) + (data.to_json() if data else "")
