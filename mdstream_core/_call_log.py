"""The log of one call, as a callback for its events."""

import logging
from collections.abc import Mapping
from time import perf_counter
from typing import Any

from mdstream_core import _log
from mdstream_core.errors import MDStreamError
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
from mdstream_core.http import redact_headers, redact_url


def is_enabled() -> bool:
    """Whether calls need a `CallLog` from their start; warnings about failures do not."""
    return _log.CALLS.isEnabledFor(logging.INFO)


class CallLog:
    """Callback that logs the events of one call.

    Retries, and a failure after output, are logged at WARNING. They need none of the earlier events, so a `CallLog`
    that is created when an attempt has failed logs them as well.

    Args:
        info: Description of the call.
        attempts: Number of attempts that were made before the first event.
    """

    def __init__(self, info: CallInfo, attempts: int = 0) -> None:
        self._model = _log.to_field(info.params.get("model"))
        self._info = info
        self._name = f"{info.platform} {self._model}" if self._model else info.platform
        self._attempts = attempts
        self._started: float | None = None if attempts else perf_counter()
        self._first_output: float | None = None
        self._status: int | None = None
        self._request_id: str | None = None

    def __call__(self, event: CallEvent) -> None:
        """Log an event."""
        match event:
            case RequestSent():
                self._attempts = event.attempt
                self._status = self._request_id = None
                self._log_request(event)
            case ResponseStarted():
                self._status, self._request_id = event.head.status, _log.to_field(event.request_id)
                self._log_head(event)
                self._log_response()
            case FirstEvent():
                self._first_output = self._first_output or self._elapsed()
            case RateLimitWaited():
                self._log_wait(event)
            case RetryScheduled():
                self._log_retry(event)
            case Completed():
                self._log_end(logging.INFO, "completed", self._describe_success(event.response), event.response)
            case Failed():
                self._log_failure(event.error)
            case Abandoned():
                self._log_abandoned(event)

    def _elapsed(self) -> float | None:
        return None if self._started is None else perf_counter() - self._started

    def _fields(self) -> dict[str, Any]:
        info = self._info
        return {
            "platform": info.platform,
            "dialect": info.dialect,
            "model": self._model,
            "stream": info.stream,
            "attempts": self._attempts,
            "status": self._status,
            "request_id": self._request_id,
        }

    def _log(self, logger: logging.Logger, level: int, event: str, text: str, fields: Mapping[str, Any]) -> None:
        _log.log(logger, level, event, f"{self._name}: {text}", {**self._fields(), **fields})

    def _log_request(self, event: RequestSent) -> None:
        if not _log.CALLS.isEnabledFor(logging.DEBUG):
            return
        request = event.request
        url, size = redact_url(request.url), len(request.content)
        names = ", ".join(request.headers)  # no values: a user may hide a key in any header
        text = f"attempt {event.attempt}: {request.method} {url}, {size} bytes, headers: {names}"
        self._log(_log.CALLS, logging.DEBUG, "request", _log.to_line(text), {"url": url, "request_bytes": size})

    def _log_head(self, event: ResponseStarted) -> None:
        if not _log.CALLS.isEnabledFor(logging.DEBUG):
            return
        headers = redact_headers(event.head.headers)
        text = _log.to_line(f"attempt {self._attempts}: {event.head.status} {headers!r}")
        self._log(_log.CALLS, logging.DEBUG, "response", text, {"headers": headers})

    def _log_response(self) -> None:
        """Log that a retry has succeeded so far: its stream may take minutes until its end is logged."""
        if self._attempts > 1 and self._status == 200:
            request_id = f" (request id {self._request_id})" if self._request_id else ""
            text = f"attempt {self._attempts} has a response: {self._status}{request_id}"
            self._log(_log.RETRIES, logging.INFO, "responded", text, {})

    def _log_wait(self, event: RateLimitWaited) -> None:
        if _log.CALLS.isEnabledFor(logging.DEBUG):
            text = f"attempt {self._attempts} waited {event.seconds:.3f} s for its rate limit"
            self._log(_log.CALLS, logging.DEBUG, "rate_limit", text, {"waited": event.seconds})

    def _log_retry(self, event: RetryScheduled) -> None:
        if not _log.RETRIES.isEnabledFor(logging.WARNING):
            return
        error, is_resumed = event.error, event.error.partial is not None
        action = "the stream is resumed" if is_resumed else f"retry in {event.delay:.2f} s"
        text = f"attempt {self._attempts} failed: {_describe_failure(error)}; {action}"
        fields = {**_log.error_fields(error), "delay": event.delay}
        self._log(_log.RETRIES, logging.WARNING, "resumed" if is_resumed else "retry", text, fields)

    def _log_failure(self, error: MDStreamError) -> None:
        had_output = error.partial is not None
        level = logging.WARNING if had_output else logging.INFO
        text = f"failed{' after output' if had_output else ''}: {_describe_failure(error)}{self._describe_time()}"
        self._log_end(level, "failed", text, error.partial, _log.error_fields(error))

    def _log_abandoned(self, event: Abandoned) -> None:
        error = event.error
        text = f"ended by {type(error).__name__}" if error else "closed before its end"
        fields = {"error": type(error).__name__} if error else {}
        self._log_end(logging.INFO, "abandoned", f"{text}{self._describe_time()}", event.partial, fields)

    def _log_end(
        self, level: int, event: str, text: str, response: ModelResponse | None, fields: Mapping[str, Any] | None = None
    ) -> None:
        if not _log.CALLS.isEnabledFor(level):
            return
        usage = response.usage if response else None
        measured = {
            "input_tokens": usage.input if usage else None,
            "output_tokens": usage.output if usage else None,
            "time_to_first_token": self._first_output,
            "duration": self._elapsed(),
        }
        self._log(_log.CALLS, level, event, text, {**measured, **(fields or {})})

    def _describe_success(self, response: ModelResponse) -> str:
        facts = [f"{self._status or 'completed'}{self._describe_time()}"]
        if response.usage:
            facts.append(f"{response.usage.input} input and {response.usage.output} output tokens")
        if response.resumptions:
            facts.append(f"resumed {len(response.resumptions)}x")
        return ", ".join(facts) + (f" (request id {self._request_id})" if self._request_id else "")

    def _describe_time(self) -> str:
        elapsed = self._elapsed()
        time = "" if elapsed is None else f" in {elapsed:.2f} s"
        first = "" if self._first_output is None else f", first output after {self._first_output:.2f} s"
        count = "" if self._attempts < 2 else f", {self._attempts} attempts"
        return f"{time}{first}{count}"


def _describe_failure(error: MDStreamError) -> str:
    request_id = _log.to_field(error.request_id)
    return f"{_log.describe_error(error)}{f' (request id {request_id})' if request_id else ''}"
