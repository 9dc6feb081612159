"""One call while it is recorded: its span, its times."""

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
    RequestSent,
    ResponseStarted,
    RetryScheduled,
)
from mdstream_core.otel import _attributes as attributes
from mdstream_core.otel._content import request_content, response_content
from mdstream_core.otel._metrics import Metrics


class SpanRecorder:
    """Told of one call, it writes one span and measures.

    The span begins with the first request and is the child of the span that is current there. It is never made current
    itself: the call may be read in pieces, between which the reader does other work.

    Args:
        tracer: Makes the span.
        metrics: Takes the measurements.
        question: What is asked.
        content: Whether prompts and answers are recorded.
    """

    def __init__(self, tracer: Tracer, metrics: Metrics, question: CallInfo, *, content: bool) -> None:
        self._tracer = tracer
        self._metrics = metrics
        self._question = question
        self._content = content
        self._identity = attributes.identity_attributes(question)
        self._span: Span | None = None
        self._began, self._began_ns = perf_counter(), time_ns()
        self._first: float | None = None
        self._answering = self._over = False

    def __call__(self, event: CallEvent) -> None:
        """Record what happens."""
        if not self._over:
            _HANDLERS[type(event)](self, event)

    def _start_span(self) -> Span:
        """The span, begun when the call was."""
        if self._span is None:
            model = self._identity.get("gen_ai.request.model", "")
            self._span = self._tracer.start_span(
                f"{self._identity['gen_ai.operation.name']} {model}".rstrip(),
                kind=SpanKind.CLIENT,
                attributes=self._identity,
                start_time=self._began_ns,
            )
            if self._span.is_recording():
                self._span.set_attributes(attributes.request_attributes(self._question))
                if self._content:
                    self._span.set_attributes(request_content(self._question.params))
        return self._span

    def _on_request_sent(self, call_event: RequestSent) -> None:
        self._answering = False
        if call_event.attempt > 1:
            self._start_span().set_attribute("http.request.resend_count", call_event.attempt - 1)
            return
        self._identity |= attributes.server_attributes(call_event.request)
        self._start_span().set_attribute("url.full", attributes.url_without_secrets(call_event.request))

    def _on_response_started(self, call_event: ResponseStarted) -> None:
        span = self._start_span()
        span.set_attribute("http.response.status_code", call_event.head.status)
        if call_event.request_id:
            span.set_attribute("mdstream.request_id", call_event.request_id)

    def _on_first_event(self, call_event: FirstEvent) -> None:
        self._answering = True
        if self._first is None:
            self._first = perf_counter()

    def _on_retry_scheduled(self, call_event: RetryScheduled) -> None:
        name = "mdstream.resume" if self._answering else "mdstream.retry"
        facts = {**attributes.error_attributes(call_event.error), "mdstream.delay": call_event.delay}
        if (
            isinstance(call_event.error, ServiceError) and call_event.error.status
        ):  # a stream's failure names one that fits
            facts["http.response.status_code"] = call_event.error.status
        self._start_span().add_event(name, facts)

    def _on_completed(self, call_event: Completed) -> None:
        now, response = perf_counter(), call_event.response
        self._start_span().set_attributes(attributes.response_attributes(response))
        self._close(now, response, whole=not response.resumptions)  # a joint is no time of the model's

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
        kind = type(call_event.error).__qualname__  # its words are not ours, and may hold anything
        span.set_attribute("error.type", kind)
        span.set_status(Status(StatusCode.ERROR, kind))
        self._close(now, call_event.partial, kind)

    def _close(self, now: float, response: ModelResponse | None, error: str = "", *, whole: bool = False) -> None:
        """Measure, and end the span."""
        span, self._over = self._start_span(), True
        if response and self._content and span.is_recording():
            span.set_attributes(response_content(response, self._question))
        at = set_span_in_context(span)
        who = dict(self._identity)
        if response and response.metadata.model:
            who["gen_ai.response.model"] = str(response.metadata.model)
        self._metrics.duration.record(now - self._began, {**who, **({"error.type": error} if error else {})}, at)
        if response and response.usage:
            self._metrics.record_tokens(response.usage, who, at)
        if self._first is not None and self._question.stream:
            waited = self._first - self._began
            span.set_attribute("gen_ai.response.time_to_first_chunk", waited)
            self._metrics.first_chunk.record(waited, who, at)
            if response and whole:
                self._metrics.record_pace(now - self._first, response.usage, who, at)
        span.end()


_HANDLERS: dict[type[Any], Callable[[SpanRecorder, Any], None]] = {
    RequestSent: SpanRecorder._on_request_sent,
    ResponseStarted: SpanRecorder._on_response_started,
    FirstEvent: SpanRecorder._on_first_event,
    RetryScheduled: SpanRecorder._on_retry_scheduled,
    Completed: SpanRecorder._on_completed,
    Failed: SpanRecorder._on_failed,
    Abandoned: SpanRecorder._on_abandoned,
}
