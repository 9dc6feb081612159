"""Acquire the rate limits of a call before each of its attempts."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from typing import TYPE_CHECKING

from mdstream_core.errors import MDStreamError

if TYPE_CHECKING:
    from mdstream_core.attempt import Attempt
    from mdstream_core.rate_limit._call_limits import CallLimits
    from mdstream_core.transport.timeouts import TimeoutBudget

#: Shortest wait for a rate limit in seconds that hooks receive: without one, it takes microseconds.
_MIN_REPORTED_WAIT = 0.001

#: The context of attempts without rate limits, sync and async; it has no state.
_NO_LIMITS = nullcontext()


def rate_limited(attempt: "Attempt", budget: "TimeoutBudget") -> AbstractContextManager[None]:
    """Wait for the rate limits before an attempt, and report its outcome to them. The wait is no time of the call."""
    limits = attempt.rate_limits
    return _NO_LIMITS if limits is None else _limited(attempt, budget, limits)


@contextmanager
def _limited(attempt: "Attempt", budget: "TimeoutBudget", limits: "CallLimits") -> Iterator[None]:
    with _track_wait(attempt, budget):
        limits.acquire(attempt.cancel_token)
    try:
        yield
    except MDStreamError as error:
        limits.record_failure(error)
        raise
    limits.record_usage(attempt.response().usage if limits.counts_tokens else None)


def arate_limited(attempt: "Attempt", budget: "TimeoutBudget") -> AbstractAsyncContextManager[None]:
    """Async variant of `rate_limited`."""
    limits = attempt.rate_limits
    return _NO_LIMITS if limits is None else _alimited(attempt, budget, limits)


@asynccontextmanager
async def _alimited(attempt: "Attempt", budget: "TimeoutBudget", limits: "CallLimits") -> AsyncIterator[None]:
    with _track_wait(attempt, budget):
        await limits.aacquire()
    try:
        yield
    except MDStreamError as error:
        await limits.arecord_failure(error)
        raise
    limits.record_usage(attempt.response().usage if limits.counts_tokens else None)


@contextmanager
def _track_wait(attempt: "Attempt", budget: "TimeoutBudget") -> Iterator[None]:
    """Add the time that an attempt waits to the deadline of its call."""
    started = time.monotonic()
    yield
    waited = time.monotonic() - started
    budget.extend(waited)
    if waited >= _MIN_REPORTED_WAIT:
        attempt.record_wait(waited)
