"""`CallLimits`: the rate limits of one call, which each of its attempts acquires."""

from collections.abc import Mapping
from typing import Any, Protocol

from mdstream_core.errors import MDStreamError, RateLimited, StreamError
from mdstream_core.events import Usage
from mdstream_core.rate_limit._limiter import Cancellation, Grant
from mdstream_core.rate_limit._rate_limit import RateLimit


class RateLimiter(Protocol):
    """Rate limiter of a framework, which waits and has no other feedback."""

    def acquire(self) -> object:
        """Wait until a request may be sent."""
        ...

    async def aacquire(self) -> object:
        """Async variant of `acquire`."""
        ...


class CallLimits:
    """The rate limits of one call.

    Args:
        rate_limit: The `RateLimit` of the model.
        rate_limiter: The rate limiter of the framework.
        acquired: Whether the framework has acquired its rate limiter for the first attempt already.
        params: Parameters of the request, to estimate its tokens.
    """

    def __init__(
        self,
        rate_limit: RateLimit | None,
        rate_limiter: RateLimiter | None,
        *,
        acquired: bool,
        params: Mapping[str, Any],
    ) -> None:
        self._rate_limit = rate_limit
        self._rate_limiter = rate_limiter
        self._acquired = acquired
        self._params = params
        self._grant: Grant | None = None

    @property
    def is_adaptive(self) -> bool:
        """Whether a rejected request slows down all others that share the limit, so that a retry may wait its turn."""
        return self._rate_limit is not None and self._rate_limit.adaptive

    def acquire(self, cancellation: Cancellation | None = None) -> None:
        """Wait until the next attempt may be sent. Raises `RateLimitTimeout`, or what the cancellation raises."""
        acquired, self._acquired = self._acquired, False
        if self._rate_limiter is not None and not acquired:
            self._rate_limiter.acquire()
        if self._rate_limit is not None:
            self._grant = self._rate_limit.acquire(self._params, cancellation=cancellation)

    async def aacquire(self) -> None:
        """Async variant of `acquire`."""
        acquired, self._acquired = self._acquired, False
        if self._rate_limiter is not None and not acquired:
            await self._rate_limiter.aacquire()
        if self._rate_limit is not None:
            self._grant = await self._rate_limit.aacquire(self._params)

    def record_failure(self, error: MDStreamError) -> None:
        """Report that the service has rejected the attempt for its rate, or requires to wait."""
        grant = self._take_grant()
        if self._rate_limit is not None and grant is not None and _is_rejection(error):
            self._rate_limit.record_rejection(grant, error.retry_after)

    async def arecord_failure(self, error: MDStreamError) -> None:
        """Async variant of `record_failure`."""
        grant = self._take_grant()
        if self._rate_limit is not None and grant is not None and _is_rejection(error):
            await self._rate_limit.arecord_rejection(grant, error.retry_after)

    @property
    def counts_tokens(self) -> bool:
        """Whether the tokens of the response are to be recorded."""
        return self._rate_limit is not None and self._rate_limit.counts_tokens

    def record_usage(self, usage: Usage | None) -> None:
        """Report the tokens that the attempt has used."""
        grant = self._take_grant()
        if self._rate_limit is not None and grant is not None and usage is not None:
            self._rate_limit.record_usage(grant, input_tokens=usage.input, output_tokens=usage.output)

    def _take_grant(self) -> Grant | None:
        grant, self._grant = self._grant, None
        return grant


def _is_rejection(error: MDStreamError) -> bool:
    is_rejected_stream = isinstance(error, StreamError) and error.status == 429
    return isinstance(error, RateLimited) or is_rejected_stream or error.retry_after is not None
