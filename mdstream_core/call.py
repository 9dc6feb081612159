"""One question: its attempts, and the reading of its answer. No socket, no clock, no framework.

A client asks `Call.create_attempt()` for an `Attempt`, hands the exchange what arrives (`begin`, `feed`, `end`) and,
when
something went wrong, asks `Call.handle_failure()` whether to try again. All of it inside `with call:`, so that
whoever is told
what happens is told an end too, however the client is left.
"""

from collections.abc import Callable, Mapping
from math import inf
from types import TracebackType
from typing import Any, Self

from mdstream_core import _json
from mdstream_core.attempt import Attempt
from mdstream_core.errors import (
    AuthenticationError,
    MDStreamError,
)
from mdstream_core.events import ModelResponse
from mdstream_core.hooks import (
    Abandoned,
    CallEvent,
    CallHook,
    CallInfo,
    Completed,
    Failed,
    Hook,
    RequestSent,
    RetryScheduled,
    active_hooks,
)
from mdstream_core.http import RequestHeaders, Timeout, scrub_credentials
from mdstream_core.resume import ResumePoint, is_resumable
from mdstream_core.retry import EMPTY_QUOTA, Retry, RetryQuota

#: How many times a refused question is asked in a simpler form: a server may refuse one parameter after the other.
_MAX_RELAXATIONS = 10

_RETRY = Retry()
_TIMEOUT = Timeout()


class Call:
    """One question to one model, with the right to ask more than once.

    Args:
        platform: Where to ask (a `mdstream_core.platforms` value).
        dialect: What is spoken there (a `mdstream_core.dialects` value).
        params: The question in the OpenAI JSON shape: `messages` or `prompt`, `model`, `tools`, `temperature` …
        stream: Whether the answer comes piece by piece.
        headers: Further request headers; they are not kept from going wherever the platform sends the request.
        retry: When to ask again.
        timeout: How long to wait; the platform's defaults where nothing is given.
        hooks: Told what happens; see `mdstream_core.hooks`.
        resume: How many times to go on with an answer that broke, where that can be done; see `mdstream_core.resume`.
        quota: Limits the retries of all calls that share it; `None` is no limit.
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
    ) -> None:
        self.platform = platform
        self.dialect = dialect
        self.stream = stream
        self.timeout = timeout.with_defaults(platform.default_timeout(stream=stream))
        self._headers = RequestHeaders(headers or {})
        self._retry = retry
        self._hooks = active_hooks(hooks)
        self._callbacks: tuple[Callable[[CallEvent], None], ...] = ()
        self._hooks_open = False
        self._last_attempt: Attempt | None = None
        self._params = params
        self._payload = dialect.build_payload(params, stream=stream)
        self._failures = 0
        self._attempts = 0
        self._rejected_generation: int | None = None
        #: Whether a key was fetched for this call, or could not be.
        self.has_refreshed = False
        self._quota = quota
        self._retried = False
        self._relaxations = 0
        self._resume = resume
        #: Where an answer broke that is gone on with.
        self.resume_point: ResumePoint | None = None

    def create_attempt(self) -> "Attempt":
        """Ask once more. Raises `InvalidRequest` if the service would not take the question."""
        if self._hooks and not self._attempts:
            self._start_hooks()
        body = (
            self.dialect.build_continuation(self._payload, self.resume_point.response)
            if self.resume_point
            else self._payload
        )
        if not isinstance(body, bytes):  # bytes are sent as they are
            body = _json.dumps(self.platform.wrap_payload(self.dialect.route, body)) if body else b""
        with scrub_credentials:  # of whoever puts headers together
            request = self.platform.build_request(self.dialect.route, body, stream=self.stream, headers=self._headers)
        self._attempts += 1
        attempt = Attempt(self, request)
        attempt.rejected_generation, self._rejected_generation = self._rejected_generation, None
        self._last_attempt = attempt if self._hooks_open else None
        self.notify(RequestSent(request, self._attempts))
        return attempt

    def handle_failure(
        self, attempt: "Attempt", error: MDStreamError, *, can_refresh: bool = False, remaining: float = inf
    ) -> float:
        """How many seconds to wait before the next attempt; raises the error, with its facts, when there is none.

        Args:
            attempt: The attempt that failed.
            error: What happened.
            can_refresh: Whether the signer could fetch another key.
            remaining: How many seconds the call has left.
        """
        said = attempt.response()
        whole = not self.stream and bool(attempt.request.content)
        error = attempt.enrich_error(self._retry.mark_final(error, whole=whole))
        if attempt.started or attempt.is_buffering:
            delay = self._resume_delay(said, error) if remaining > 0 else None
        else:
            delay = self._retry_delay(attempt, error, can_refresh, remaining)
            delay = None if delay is None or delay >= remaining else delay
        if delay is None:
            error = self._root_error(attempt, error)
            self.notify_end(Failed(error))
            raise error
        self.notify(RetryScheduled(error, delay))
        return delay

    def _resume_delay(self, response: ModelResponse, error: MDStreamError) -> float | None:
        """How long to wait before an answer that broke is gone on with; `None` where it is not."""
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
        """Where a second half never began, what broke the first one is what happened."""
        if self.resume_point is None or attempt.started or attempt.is_buffering or error is self.resume_point.error:
            return error
        self.resume_point.error.__cause__ = error
        return self.resume_point.error

    def notify(self, event: CallEvent) -> None:
        """Give `event` to the hooks."""
        for told in self._callbacks:
            told(event)

    def notify_end(self, event: Completed | Failed | Abandoned) -> None:
        """Give the last moment to the hooks."""
        self._hooks_open = False
        self.notify(event)

    @property
    def has_hooks(self) -> bool:
        """Whether anybody is told what happens."""
        return bool(self._callbacks)

    def _start_hooks(self) -> None:
        question = CallInfo(self.platform.name, self.dialect.name, self.stream, self._params)
        begun = [hook.start_call(question) if isinstance(hook, CallHook) else hook for hook in self._hooks]
        self._callbacks = tuple(told for told in begun if told is not None)
        self._hooks_open = bool(self._callbacks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        attempt, self._last_attempt = self._last_attempt, None
        if not self._hooks_open:
            return
        if isinstance(error, MDStreamError):  # refused before it was sent
            self.notify_end(Failed(error))
            return
        partial = attempt.response() if attempt and attempt.started else None
        self.notify_end(Abandoned(partial, error if isinstance(error, Exception) else None))

    def _retry_delay(self, attempt: "Attempt", error: MDStreamError, renewable: bool, remaining: float) -> float | None:
        if self.resume_point and error is self.resume_point.error:  # the server does not go on
            return None
        if isinstance(error, AuthenticationError) and renewable and not self.has_refreshed:
            self.has_refreshed = True
            self._rejected_generation = attempt.generation
            return 0.0
        if self._relaxations < _MAX_RELAXATIONS and (relaxed := self.dialect.relax_payload(self._payload, error)):
            self._payload = relaxed
            self._relaxations += 1
            return 0.0
        self._failures += 1
        if not self._retry.should_retry(self._failures, error):
            return None
        delay = self._retry.delay(self._failures, error)
        return delay if delay < remaining and self._can_spend(error) else None

    def _can_spend(self, error: MDStreamError) -> bool:
        """Whether the quota allows another request because of a failure; the error says so where it does not."""
        self._retried = self._quota is None or self._quota.spend()
        if not self._retried:
            error.args = (f"{error} (not retried: {EMPTY_QUOTA})",)
        return self._retried

    def record_success(self) -> None:
        """An attempt has its first event."""
        if self._quota is not None:
            self._quota.refund(retried=self._retried)
        self._retried = False
