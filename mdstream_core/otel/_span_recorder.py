"""Recorder of one call: its span and its measurements."""

from collections.abc import Callable
from time import perf_counter, time_ns
from typing import Any

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from mdstream_core.errors import ServiceError
from mdstream_core.events import ModelResponse
from mdstream_core.hooks import (
    Abandoned,
    CallEvent,
    CallInfo,
    Completed,
    Failed,
    FirstEvent,
    RateLimitWaited,
    RequestSent,
    ResponseStarted,
    RetryScheduled,
)
from mdstream_core.otel import _attributes as attributes
from mdstream_core.otel._content import request_content, response_content
from mdstream_core.otel._metrics import Metrics


class SpanRecorder:
    """Receives the events of one call, and records a span and metrics.

    The span starts with the first request, as a child of the current span. It is never made current itself, because the
    caller may do other work between two chunks of a stream.

    Args:
        tracer: Creates the span.
        metrics: Records the measurements.
        info: Describes the call.
        content: Whether prompts and outputs are recorded.
    """

    def __init__(self, tracer: Tracer, metrics: Metrics, info: CallInfo, *, content: bool) -> None:
        self._tracer = tracer
        self._metrics = metrics
        self._info = info
        self._content = content
        self._identity = attributes.identity_attributes(info)
        self._span: Span | None = None
        self._started, self._started_ns = perf_counter(), time_ns()
        self._first: float | None = None
        self._has_output = self._is_closed = False

    def __call__(self, event: CallEvent) -> None:
        """Record an event."""
        if not self._is_closed:
            _HANDLERS[type(event)](self, event)

    def _start_span(self) -> Span:
        """Return the span; create it if there is none, with the start time of the call."""
        if self._span is None:
            model = self._identity.get("gen_ai.request.model", "")
            self._span = self._tracer.start_span(
                f"{self._identity['gen_ai.operation.name']} {model}".rstrip(),
                kind=SpanKind.CLIENT,
                attributes=self._identity,
                start_time=self._started_ns,
            )
            if self._span.is_recording():
                self._span.set_attributes(attributes.request_attributes(self._info))
                if self._content:
                    self._span.set_attributes(request_content(self._info.params))
        return self._span

    def _on_request_sent(self, call_event: RequestSent) -> None:
        self._has_output = False
        if call_event.attempt > 1:
            self._start_span().set_attribute("http.request.resend_count", call_event.attempt - 1)
            return
        self._identity |= attributes.server_attributes(call_event.request)
        self._start_span().set_attribute("url.full", attributes.url_without_secrets(call_event.request))

    def _on_rate_limit_waited(self, call_event: RateLimitWaited) -> None:
        self._start_span().add_event("mdstream.rate_limit_wait", {"mdstream.seconds": call_event.seconds})

    def _on_response_started(self, call_event: ResponseStarted) -> None:
        span = self._start_span()
        span.set_attribute("http.response.status_code", call_event.head.status)
        if call_event.request_id:
            span.set_attribute("mdstream.request_id", call_event.request_id)

    def _on_first_event(self, call_event: FirstEvent) -> None:
        self._has_output = True
        if self._first is None:
            self._first = perf_counter()

    def _on_retry_scheduled(self, call_event: RetryScheduled) -> None:
        name = "mdstream.resume" if self._has_output else "mdstream.retry"
        facts = {**attributes.error_attributes(call_event.error), "mdstream.delay": call_event.delay}
        # Only a `ServiceError` has the status of an HTTP response; errors of streams have an equivalent one.
        if isinstance(call_event.error, ServiceError) and call_event.error.status:
            facts["http.response.status_code"] = call_event.error.status
        self._start_span().add_event(name, facts)

    def _on_completed(self, call_event: Completed) -> None:
        now, response = perf_counter(), call_event.response
        self._start_span().set_attributes(attributes.response_attributes(response))
        self._close(
            now, response, is_uninterrupted=not response.resumptions
        )  # waiting for a resumption is no time of the model

    def _on_failed(self, call_event: Failed) -> None:
        now, error = perf_counter(), call_event.error
        response = error.partial if isinstance(error.partial, ModelResponse) else None
        span = self._start_span()
        span.set_attributes({**attributes.partial_attributes(response), **attributes.error_attributes(error)})
        span.set_status(Status(StatusCode.ERROR, attributes.error_description(error, content=self._content)))
        self._close(now, response, type(error).__qualname__)

    def _on_abandoned(self, call_event: Abandoned) -> None:
        now, span = perf_counter(), self._start_span()
        span.set_attributes(attributes.partial_attributes(call_event.partial))
        if call_event.error is None:
            span.set_attribute("mdstream.left", True)
            self._close(now, call_event.partial)
            return
        kind = type(call_event.error).__qualname__  # the message of a foreign error may contain anything
        span.set_attribute("error.type", kind)
        span.set_status(Status(StatusCode.ERROR, kind))
        self._close(now, call_event.partial, kind)

    def _close(
        self, now: float, response: ModelResponse | None, error: str = "", *, is_uninterrupted: bool = False
    ) -> None:
        """Record the measurements, and end the span."""
        span, self._is_closed = self._start_span(), True
        if response and self._content and span.is_recording():
            span.set_attributes(response_content(response, self._info))
        span_context = set_span_in_context(span)
        labels = dict(self._identity)
        if response and response.metadata.model:
            labels["gen_ai.response.model"] = str(response.metadata.model)
        self._metrics.duration.record(
            now - self._started, {**labels, **({"error.type": error} if error else {})}, span_context
        )
        if response and response.usage:
            self._metrics.record_tokens(response.usage, labels, span_context)
        if self._first is not None and self._info.stream:
            waited = self._first - self._started
            span.set_attribute("gen_ai.response.time_to_first_chunk", waited)
            self._metrics.first_chunk.record(waited, labels, span_context)
            if response and is_uninterrupted:
                self._metrics.record_time_per_token(now - self._first, response.usage, labels, span_context)
        span.end()


_HANDLERS: dict[type[Any], Callable[[SpanRecorder, Any], None]] = {
    RequestSent: SpanRecorder._on_request_sent,
    RateLimitWaited: SpanRecorder._on_rate_limit_waited,
    ResponseStarted: SpanRecorder._on_response_started,
    FirstEvent: SpanRecorder._on_first_event,
    RetryScheduled: SpanRecorder._on_retry_scheduled,
    Completed: SpanRecorder._on_completed,
    Failed: SpanRecorder._on_failed,
    Abandoned: SpanRecorder._on_abandoned,
}
