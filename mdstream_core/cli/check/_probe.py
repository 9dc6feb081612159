"""A short question, and how it goes."""

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

#: The question, and how long its answer may be, so that it costs next to nothing.
_REQUEST: Mapping[str, Any] = {"messages": [{"role": "user", "content": "Say OK."}], "max_tokens": 64}

#: How long an answer may take. A cold start takes its time.
_TIMEOUT = Timeout(connect=10.0, read=60.0, total=90.0)

EMPTY_RESPONSE = ModelResponse()


class _RecordingDialect:
    """A dialect that remembers which decoder read the answer."""

    def __init__(self, inner: Dialect) -> None:
        self.name, self.route = inner.name, inner.route
        self._inner = inner
        self._last_decoder: Decoder | None = None

    @property
    def detected_dialect(self) -> str:
        """What the answer was written in."""
        found = getattr(self._last_decoder, "detected_dialect", None)
        return f"{found}, found out from its first words" if found else self.name

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
    """Ask, and note how it went.

    Args:
        target: Whom.
        model: The model's name; empty is not sent.
        stream: Whether the answer is to come piece by piece.
        dialect: In what; by default as chats are asked there.
        more: Further fields of the question, or all of it where a dialect is given.
    """
    heads: list[str] = []

    def hook(call_event: CallEvent) -> None:
        if isinstance(call_event, ResponseStarted):
            heads.append(call_event.head.content_type)

    heard = _RecordingDialect(dialect or target.chat_dialect)
    named = {"model": model} if model else {}
    service = target.create_service(hooks=(hook,), retries=1, timeout=_TIMEOUT)
    events: list[tuple[float, Event]] = []
    error, begun = None, monotonic()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            probe = {**named, **more} if dialect else {**_REQUEST, **named, **more}
            call = service.call(heard, probe, stream=stream)
            events += ((monotonic(), event) for event in redact_errors(service.client.stream(call), target.options))
        except MDStreamError as failure:
            error = failure
        finally:
            service.close()
    said = [at for at, event in events if isinstance(event, _OUTPUT_EVENTS)]
    return ProbeResult(
        response=(error.partial if error else None) or ModelResponse.from_events(event for _, event in events),
        error=error,
        time_to_first_token=said[0] - begun if said else None,
        seconds=monotonic() - begun,
        chunk_count=len(said),
        dialect=heard.detected_dialect,
        content_type=heads[-1] if heads else "",
        warnings=tuple(str(one.message) for one in caught if issubclass(one.category, RuntimeWarning)),
    )
