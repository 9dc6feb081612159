"""`Call`: one request to a model with its retries and resumptions. No sockets, no clock, no framework.

A client creates an `Attempt` with `Call.create_attempt()`, passes the response to it (`start`, `feed`, `flush`,
`finish`), and calls `Call.handle_failure()` after an error, which returns the delay of the next attempt or raises. All
of it happens inside `with call:`, so that hooks receive a final event however the call ends.
"""

from collections.abc import Callable, Mapping
from math import inf
from types import TracebackType
from typing import Any, Self

from mdstream_core import _call_log, _json
from mdstream_core.attempt import Attempt
from mdstream_core.errors import AuthenticationError, MDStreamError, RateLimited, extend_error
from mdstream_core.events import ModelResponse
from mdstream_core.hooks import (
    Abandoned,
    CallEvent,
    CallInfo,
    Completed,
    Failed,
    Hook,
    RequestSent,
    RetryScheduled,
    active_hooks,
)
from mdstream_core.http import RequestHeaders, Timeout, scrub_error
from mdstream_core.rate_limit import CallLimits
from mdstream_core.resume import ResumePoint, is_resumable
from mdstream_core.retry import EMPTY_QUOTA, EMPTY_QUOTA_HINT, Retry, RetryQuota

#: How many times a rejected request is sent again with a changed payload: a server may reject several parameters, one
#: per response.
_MAX_RELAXATIONS = 10

#: How many times a request that was rejected for its rate is sent again, if it has a rate limit that adapts.
_MAX_REJECTIONS = 10

#: After how many of them the delay grows no further: the limit itself slows all requests down.
_MAX_REJECTION_DOUBLINGS = 4

_RETRY = Retry()
_TIMEOUT = Timeout()


class Call:
    """One request to one model, with its retries. Use each call once.

    Args:
        platform: The service's platform (a `mdstream_core.platforms` value).
        dialect: The API format of the endpoint (a `mdstream_core.dialects` value).
        params: Parameters in the OpenAI JSON shape: `messages` or `prompt`, `model`, `tools`, `temperature` …
        stream: Whether the response is streamed.
        headers: Additional request headers, sent to whatever endpoint the platform uses.
        retry: Retry policy.
        timeout: Timeouts; each "default" is replaced by the platform's.
        hooks: Hooks that receive the events of this call; see `mdstream_core.hooks`.
        resume: How many times an interrupted stream is resumed, if that is possible; see `mdstream_core.resume`.
        quota: Retry budget shared with other calls; `None` is unlimited.
        rate_limits: Rate limits that each attempt acquires before it is signed; `None` if there are none.
    """

    def __init__(
        self,
        platform: Any,
        dialect: Any,
        params: Mapping[str, Any],
        *,
        stream: bool = True,
        headers: Mapping[str, str] | None = None,
        retry: Retry = _RETRY,
        timeout: Timeout = _TIMEOUT,
        hooks: tuple[Hook, ...] = (),
        resume: int = 0,
        quota: RetryQuota | None = None,
        rate_limits: CallLimits | None = None,
    ) -> None:
        self.platform = platform
        self.dialect = dialect
        self.stream = stream
        self.timeout = timeout.with_defaults(platform.default_timeout(stream=stream))
        # What a service passes is not changed anymore; a user's mapping may be.
        self._headers = headers if type(headers) is RequestHeaders else RequestHeaders(headers or {})
        self._retry = retry
        self._hooks = active_hooks(hooks)
        self._callbacks: tuple[Callable[[CallEvent], None], ...] = ()
        self._log: _call_log.CallLog | None = None
        self._hooks_open = False
        #: Functions of callbacks (`observe_body`) that wrap the body of each response, to record it.
        self.body_observers: tuple[Callable[[Any, Any], Any], ...] = ()
        self._last_attempt: Attempt | None = None
        self._params = params
        self._payload = dialect.build_payload(params, stream=stream)
        self._failures = 0
        self._attempts = 0
        self._rejected_generation: int | None = None
        #: Whether this call has refreshed the credentials, or tried to.
        self.has_refreshed = False
        self._quota = quota
        self.rate_limits = rate_limits
        self._rejections = 0
        self._retried = False
        self._relaxations = 0
        self._resume = resume
        #: Where the stream was interrupted, if the next attempt resumes it.
        self.resume_point: ResumePoint | None = None
        #: Cancels the call if it runs in a thread: a `CancelToken` of `mdstream_core.transport`.
        self.cancel_token: Any = None

    def create_attempt(self) -> "Attempt":
        """Build the request of the next attempt. Raises `InvalidRequest` if the service would reject it."""
        if self.cancel_token is not None:
            self.cancel_token.check()
        if not self._attempts and (self._hooks or _call_log.is_enabled()):
            self._start_hooks()
        body = (
            self.dialect.build_continuation(self._payload, self.resume_point.response)
            if self.resume_point
            else self._payload
        )
        if not isinstance(body, bytes):  # bytes are sent as they are
            body = _json.dumps(self.platform.wrap_payload(self.dialect.route, body)) if body else b""
        try:
            request = self.platform.build_request(self.dialect.route, body, stream=self.stream, headers=self._headers)
        except BaseException as error:  # a platform may raise while it has headers in its locals
            scrub_error(error)
            raise
        self._attempts += 1
        attempt = Attempt(self, request)
        attempt.rejected_generation, self._rejected_generation = self._rejected_generation, None
        self._last_attempt = attempt if self._hooks_open else None
        if self._callbacks:
            self.notify(RequestSent(request, self._attempts))
        return attempt

    @property
    def params(self) -> Mapping[str, Any]:
        """Parameters of the request in the OpenAI JSON shape."""
        return self._params

    def replace_params(self, params: Mapping[str, Any]) -> None:
        """Replace the parameters before the first attempt: with texts that guardrails redacted."""
        if params != self._params:
            self._params = params
            self._payload = self.dialect.build_payload(params, stream=self.stream)

    def handle_failure(
        self, attempt: "Attempt", error: MDStreamError, *, can_refresh: bool = False, remaining: float = inf
    ) -> float:
        """Schedule the next attempt after a failed one: refresh the credential, change the payload, retry or resume.

        Args:
            attempt: The attempt that failed.
            error: Its error.
            can_refresh: Whether the signer can refresh its credentials.
            remaining: Seconds that remain of the call's total timeout.

        Returns:
            Seconds to wait before the next attempt.

        Raises:
            MDStreamError: There is no next attempt; the error has the details of the failed one.
        """
        if self.cancel_token is not None:  # then the cancellation is what failed
            self.cancel_token.check()
        partial = attempt.response()
        if not self.stream and attempt.request.content:
            error = self._retry.disable_timeout_retry(error)
        error = attempt.enrich_error(error)
        if attempt.started or attempt.is_buffering:
            delay = self._resume_delay(partial, error) if remaining > 0 else None
        else:
            delay = self._retry_delay(attempt, error, can_refresh, remaining)
            delay = None if delay is None or delay >= remaining else delay
        if delay is None:
            error = self._root_error(attempt, error)
            self._log_failure(failed := Failed(error))
            self.notify_end(failed)
            raise error
        self._log_failure(retry := RetryScheduled(error, delay))
        self.notify(retry)
        return delay

    def _resume_delay(self, response: ModelResponse, error: MDStreamError) -> float | None:
        """Return the delay before the interrupted stream is resumed; `None` if it is not."""
        if (
            self._resume < 1
            or not is_resumable(error, response)
            or self.dialect.build_continuation(self._payload, response) is None
        ):
            return None
        if not self._can_spend(error):
            return None
        self._resume -= 1
        self._failures = 0
        self.resume_point = ResumePoint(error, response)
        return 0.0

    def _root_error(self, attempt: "Attempt", error: MDStreamError) -> MDStreamError:
        """Return the error to raise: that of the interrupted stream, if its continuation failed before any output."""
        if self.resume_point is None or attempt.started or attempt.is_buffering or error is self.resume_point.error:
            return error
        self.resume_point.error.__cause__ = error
        return self.resume_point.error

    def notify(self, event: CallEvent) -> None:
        """Pass an event to the hooks."""
        for callback in self._callbacks:
            callback(event)

    def notify_end(self, event: Completed | Failed | Abandoned) -> None:
        """Pass the final event to the hooks."""
        self._hooks_open = False
        self.notify(event)

    @property
    def has_hooks(self) -> bool:
        """Whether a hook receives the events of this call."""
        return bool(self._callbacks)

    def _start_hooks(self) -> None:
        info = self._info()
        # `isinstance` with a protocol takes longer than all other steps of a call with one hook.
        callbacks = [hook.start_call(info) if hasattr(hook, "start_call") else hook for hook in self._hooks]
        if _call_log.is_enabled():
            self._log = _call_log.CallLog(info)
            callbacks.insert(0, self._log)  # before hooks, which may raise
        self._callbacks = tuple(callback for callback in callbacks if callback is not None)
        self._hooks_open = bool(self._callbacks)
        self.body_observers = tuple(cb.observe_body for cb in self._callbacks if hasattr(cb, "observe_body"))

    def _info(self) -> CallInfo:
        return CallInfo(self.platform.name, self.dialect.name, self.stream, self._params)

    def _log_failure(self, event: RetryScheduled | Failed) -> None:
        """Log a failure of a call that is not logged from its start, because only warnings are."""
        if self._log is None:
            _call_log.CallLog(self._info(), self._attempts)(event)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        attempt, self._last_attempt = self._last_attempt, None
        if not self._hooks_open:
            return
        if isinstance(error, MDStreamError):  # raised before a request was sent
            self.notify_end(Failed(error))
            return
        partial = attempt.response() if attempt and attempt.started else None
        self.notify_end(Abandoned(partial, error if isinstance(error, Exception) else None))

    def _retry_delay(
        self, attempt: "Attempt", error: MDStreamError, can_refresh: bool, remaining: float
    ) -> float | None:
        if (
            self.resume_point and error is self.resume_point.error
        ):  # the server repeated the text instead of continuing it
            return None
        # A queued job would run twice; its client has refreshed the credentials already.
        is_queued = error.inference_job is not None
        if isinstance(error, AuthenticationError) and can_refresh and not (self.has_refreshed or is_queued):
            self.has_refreshed = True
            self._rejected_generation = attempt.generation
            return 0.0
        if self._relaxations < _MAX_RELAXATIONS and (relaxed := self.dialect.relax_payload(self._payload, error)):
            self._payload = relaxed
            self._relaxations += 1
            return 0.0
        if self._waits_its_turn(error):
            self._rejections += 1
            delay = self._retry.delay(min(self._rejections, _MAX_REJECTION_DOUBLINGS), error)
        else:
            self._failures += 1
            if not self._retry.should_retry(self._failures, error):
                return None
            delay = self._retry.delay(self._failures, error)
        return delay if delay < remaining and self._can_spend(error) else None

    def _waits_its_turn(self, error: MDStreamError) -> bool:
        """Whether a request that was rejected for its rate is sent again, and not counted as a retry.

        All that share its rate limit have slowed down, so that it succeeds soon.
        """
        return (
            isinstance(error, RateLimited)
            and self.rate_limits is not None
            and self.rate_limits.is_adaptive
            and self._rejections < _MAX_REJECTIONS
            and self._retry.should_retry(1, error)
        )

    def _can_spend(self, error: MDStreamError) -> bool:
        """Take a retry from the quota. If it is used up, return `False` and add that to the error's message."""
        self._retried = self._quota is None or self._quota.spend()
        if not self._retried:
            extend_error(error, fact=f"not retried: {EMPTY_QUOTA}", hint=EMPTY_QUOTA_HINT)
        return self._retried

    def record_success(self) -> None:
        """Refund the quota: an attempt has delivered its first event."""
        if self._quota is not None:
            self._quota.refund(retried=self._retried)
        self._retried = False
