"""One call while it is recorded: its span, its times."""

from collections.abc import Callable
from time import perf_counter, time_ns
from typing import Any

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from mdstream_core.errors import ServiceError
from mdstream_core.events import Reply
from mdstream_core.otel import _attributes as attributes
from mdstream_core.otel._content import asked_content, said_content
from mdstream_core.otel._metrics import Metrics
from mdstream_core.tracing import Answered, Asked, AskedAgain, Ended, Failed, Left, Moment, Question, Started


class Recording:
    """Told of one call, it writes one span and measures.

    The span begins with the first request and is the child of the span that is current there. It is never made current
    itself: the call may be read in pieces, between which the reader does other work.

    Args:
        tracer: Makes the span.
        metrics: Takes the measurements.
        question: What is asked.
        content: Whether prompts and answers are recorded.
    """

    def __init__(self, tracer: Tracer, metrics: Metrics, question: Question, *, content: bool) -> None:
        self._tracer = tracer
        self._metrics = metrics
        self._question = question
        self._content = content
        self._identity = attributes.identity(question)
        self._span: Span | None = None
        self._began, self._began_ns = perf_counter(), time_ns()
        self._first: float | None = None
        self._answering = self._over = False

    def __call__(self, moment: Moment) -> None:
        """Record what happens."""
        if not self._over:
            _TOLD[type(moment)](self, moment)

    def _opened(self) -> Span:
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
                self._span.set_attributes(attributes.parameters(self._question))
                if self._content:
                    self._span.set_attributes(asked_content(self._question.asked))
        return self._span

    def _asked(self, moment: Asked) -> None:
        self._answering = False
        if moment.attempt > 1:
            self._opened().set_attribute("http.request.resend_count", moment.attempt - 1)
            return
        self._identity |= attributes.place(moment.request)
        self._opened().set_attribute("url.full", attributes.address(moment.request))

    def _answered(self, moment: Answered) -> None:
        span = self._opened()
        span.set_attribute("http.response.status_code", moment.head.status)
        if moment.request_id:
            span.set_attribute("mdstream.request_id", moment.request_id)

    def _started(self, moment: Started) -> None:
        self._answering = True
        if self._first is None:
            self._first = perf_counter()

    def _asked_again(self, moment: AskedAgain) -> None:
        name = "mdstream.resume" if self._answering else "mdstream.retry"
        facts = {**attributes.failure(moment.error), "mdstream.delay": moment.delay}
        if isinstance(moment.error, ServiceError) and moment.error.status:  # a stream's failure names one that fits
            facts["http.response.status_code"] = moment.error.status
        self._opened().add_event(name, facts)

    def _ended(self, moment: Ended) -> None:
        now, reply = perf_counter(), moment.reply
        self._opened().set_attributes(attributes.answer(reply))
        self._close(now, reply, whole=not reply.resumed)  # a joint is no time of the model's

    def _failed(self, moment: Failed) -> None:
        now, error = perf_counter(), moment.error
        reply = error.partial if isinstance(error.partial, Reply) else None
        span = self._opened()
        span.set_attributes({**attributes.partial(reply), **attributes.failure(error)})
        span.set_status(Status(StatusCode.ERROR, attributes.words(error, content=self._content)))
        self._close(now, reply, type(error).__qualname__)

    def _left(self, moment: Left) -> None:
        now, span = perf_counter(), self._opened()
        span.set_attributes(attributes.partial(moment.partial))
        if moment.error is None:
            span.set_attribute("mdstream.left", True)
            self._close(now, moment.partial)
            return
        kind = type(moment.error).__qualname__  # its words are not ours, and may hold anything
        span.set_attribute("error.type", kind)
        span.set_status(Status(StatusCode.ERROR, kind))
        self._close(now, moment.partial, kind)

    def _close(self, now: float, reply: Reply | None, error: str = "", *, whole: bool = False) -> None:
        """Measure, and end the span."""
        span, self._over = self._opened(), True
        if reply and self._content and span.is_recording():
            span.set_attributes(said_content(reply, self._question))
        at = set_span_in_context(span)
        who = dict(self._identity)
        if reply and reply.served.model:
            who["gen_ai.response.model"] = str(reply.served.model)
        self._metrics.duration.record(now - self._began, {**who, **({"error.type": error} if error else {})}, at)
        if reply and reply.usage:
            self._metrics.count(reply.usage, who, at)
        if self._first is not None and self._question.stream:
            waited = self._first - self._began
            span.set_attribute("gen_ai.response.time_to_first_chunk", waited)
            self._metrics.first_chunk.record(waited, who, at)
            if reply and whole:
                self._metrics.pace(now - self._first, reply.usage, who, at)
        span.end()


_TOLD: dict[type[Any], Callable[[Recording, Any], None]] = {
    Asked: Recording._asked,
    Answered: Recording._answered,
    Started: Recording._started,
    AskedAgain: Recording._asked_again,
    Ended: Recording._ended,
    Failed: Recording._failed,
    Left: Recording._left,
}
