"""Send a short request and record its result."""

import warnings
from collections.abc import Mapping
from time import monotonic
from typing import Any

from mdstream_core.cli._target import Target, redact_errors
from mdstream_core.cli.check._finding import ProbeResult
from mdstream_core.dialects import Decoder, Dialect
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, ModelResponse, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta
from mdstream_core.hooks import CallEvent, ResponseStarted
from mdstream_core.http import Timeout

_OUTPUT_EVENTS = (TextDelta, ReasoningDelta, RefusalDelta, ToolCallDelta)

#: A short prompt and a short response, so that a check costs next to nothing.
_REQUEST: Mapping[str, Any] = {"messages": [{"role": "user", "content": "Say OK."}], "max_tokens": 64}

#: Timeouts of a probe, in seconds. They leave time for a cold start.
_TIMEOUT = Timeout(connect=10.0, read=60.0, total=90.0)

EMPTY_RESPONSE = ModelResponse()


class _RecordingDialect:
    """Wraps a dialect to find out which dialect the response has."""

    def __init__(self, inner: Dialect) -> None:
        self.name, self.route = inner.name, inner.route
        self._inner = inner
        self._last_decoder: Decoder | None = None

    @property
    def detected_dialect(self) -> str:
        """Name of the response's dialect."""
        detected = getattr(self._last_decoder, "detected_dialect", None)
        return f"{detected}, detected from the response" if detected else self.name

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        return self._inner.build_payload(params, stream=stream)

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        return self._inner.relax_payload(payload, error)

    def build_continuation(self, payload: Mapping[str, Any], partial: ModelResponse) -> dict[str, Any] | None:
        return self._inner.build_continuation(payload, partial)

    def create_decoder(self) -> Decoder:
        self._last_decoder = self._inner.create_decoder()
        return self._last_decoder


def send_probe(
    target: Target, model: str, *, stream: bool = True, dialect: Dialect | None = None, **more: Any
) -> ProbeResult:
    """Send a short request.

    Args:
        target: The endpoint.
        model: The model's name; an empty name is not sent.
        stream: Whether to request a stream.
        dialect: The dialect; by default that of chats.
        more: Additional parameters; all parameters but the model if a dialect is given.
    """
    content_types: list[str] = []

    def hook(call_event: CallEvent) -> None:
        if isinstance(call_event, ResponseStarted):
            content_types.append(call_event.head.content_type)

    recorder = _RecordingDialect(dialect or target.chat_dialect)
    params = {**({} if dialect else {**_REQUEST, **target.chat_params}), **({"model": model} if model else {}), **more}
    service = target.create_service(hooks=(hook,), retries=1, timeout=_TIMEOUT)
    events: list[tuple[float, Event]] = []
    error, started = None, monotonic()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call = service.call(recorder, params, stream=stream)
            events += ((monotonic(), event) for event in redact_errors(service.client.stream(call), target.options))
        except MDStreamError as failure:
            error = failure
        finally:
            service.close()
    output_times = [time for time, event in events if isinstance(event, _OUTPUT_EVENTS)]
    return ProbeResult(
        response=(error.partial if error else None) or ModelResponse.from_events(event for _, event in events),
        error=error,
        time_to_first_token=output_times[0] - started if output_times else None,
        seconds=monotonic() - started,
        chunk_count=len(output_times),
        dialect=recorder.detected_dialect,
        content_type=content_types[-1] if content_types else "",
        warnings=tuple(str(warning.message) for warning in caught if issubclass(warning.category, RuntimeWarning)),
    )
