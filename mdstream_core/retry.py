"""Retry policy: whether to retry, and after which delay. Nothing in this module waits."""

import random
from dataclasses import dataclass
from typing import Any, Self

from mdstream_core import _fork
from mdstream_core.errors import MDStreamError, StreamStalled, extend_error

#: Jitter on top of `Retry-After`: this fraction of it, and at most this many seconds. Without jitter, all clients that
#: received the same `Retry-After` would retry at the same instant.
_JITTER, _MAX_JITTER = 1.0, 10.0

#: Why a retryable failure was not retried, for the error message.
EMPTY_QUOTA = "the retry budget of this model object is used up, because many of its requests failed"

#: What to do about it.
EMPTY_QUOTA_HINT = "send fewer requests at once, or wait until some succeed"


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """Size of a retry budget, in tokens of a token bucket (not tokens of a model).

    The defaults allow 100 retries in a burst, and one retry per ten successful requests under lasting failures, as in
    the "standard" retry mode of the AWS SDKs.
    """

    capacity: int = 1000
    """Initial and maximum number of tokens."""
    cost: int = 10
    """Tokens that a retry takes; they are refunded if the retry succeeds."""
    refund: int = 1
    """Tokens that a request refunds if its first attempt succeeds."""

    def __post_init__(self) -> None:
        if not (self.capacity >= self.cost >= 1 and self.refund >= 0):
            raise ValueError(f"{self!r}: capacity must be at least cost, cost at least 1, refund 0 or more")


class RetryQuota:
    """Remaining tokens of a `RetryBudget`, shared by threads and tasks. Copies and pickles start with a full budget.

    Example:
        >>> budget = RetryQuota(RetryBudget(capacity=10))
        >>> budget.spend(), budget.spend()
        (True, False)
    """

    def __init__(self, budget: RetryBudget) -> None:
        self._budget = budget
        self._tokens = budget.capacity
        self._lock = _fork.Lock()

    @property
    def tokens(self) -> int:
        """Number of remaining tokens."""
        return self._tokens

    def spend(self) -> bool:
        """Take the tokens of one retry; return `False` if there are too few."""
        with self._lock:
            if self._tokens < self._budget.cost:
                return False
            self._tokens -= self._budget.cost
            return True

    def refund(self, *, retried: bool) -> None:
        """Refund tokens after a request succeeded: the cost of its last retry, or `refund` if it needed no retry."""
        tokens = self._budget.cost if retried else self._budget.refund
        if self._tokens < self._budget.capacity:  # usually full: then no lock is needed
            with self._lock:
                self._tokens = min(self._tokens + tokens, self._budget.capacity)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)(self._budget)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._budget,)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._tokens} of {self._budget.capacity} tokens>"


_BUDGET = RetryBudget()


@dataclass(frozen=True, slots=True)
class Retry:
    """Retry policy. Retries happen only before the first event, so that no output is delivered twice.

    Example:
        >>> Retry(3, budget=RetryBudget(capacity=200)).max_retries
        3
    """

    max_retries: int = 2
    """Maximum number of retries; 0 sends one request."""
    base_delay: float = 0.5
    """Longest delay before the first retry, in seconds. Each further delay is twice as long. The actual delay is random
    between half of it and all of it ("equal jitter")."""
    max_delay: float = 60.0
    """Longest delay in seconds, jitter on top of `Retry-After` excluded. A longer `Retry-After` ends the retries."""
    retry_read_timeouts: bool = False
    """Whether to retry a request without streaming after `Timeout.read`. The default is `False`, because the server may
    still be working on the first request, and bill it. Streams are retried."""
    budget: RetryBudget | None = _BUDGET
    """Budget for the retries of all calls of one `Service`, so that a failing service does not receive each request
    several times; `None` disables the limit."""

    def __post_init__(self) -> None:
        if self.max_retries < 0:
            raise ValueError(f"max_retries={self.max_retries!r} must be 0 or more")

    def disable_timeout_retry(self, error: MDStreamError) -> MDStreamError:
        """Mark a read timeout of a request without streaming as not retryable, and add the reason to its message."""
        if not self.retry_read_timeouts and isinstance(error, StreamStalled) and error.code != "WriteTimeout":
            error.retryable = False
            reason = "not retried, because the server may still be working on the request"
            extend_error(error, fact=reason, hint="raise this timeout, or stream chat and completions")
        return error

    def should_retry(self, failures: int, error: MDStreamError) -> bool:
        """Whether to retry after this many failures."""
        is_short_enough = error.retry_after is None or error.retry_after <= self.max_delay
        return error.retryable and failures <= self.max_retries and is_short_enough

    def delay(self, failures: int, error: MDStreamError) -> float:
        """Return the delay in seconds: at least `Retry-After`, and at least half of the exponential backoff."""
        half = min(self.max_delay, self.base_delay * 2.0 ** min(failures - 1, 60)) / 2
        requested = error.retry_after or 0.0
        spread = max(half, min(requested * _JITTER, _MAX_JITTER))
        return max(half, requested) + random.uniform(0, spread)  # noqa: S311  # not for security
