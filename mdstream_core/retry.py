"""When to ask again, and how long to wait before. Pure policy: nothing here waits."""

import random
from dataclasses import dataclass
from typing import Any, Self

from mdstream_core import _fork
from mdstream_core.errors import MDStreamError, StreamStalled

#: How much longer than a service asks for a wait may take: this share of it, and at most so many seconds. Many clients
#: that were given the same time would otherwise come back in the same instant.
_JITTER, _MAX_JITTER = 1.0, 10.0

#: Why a failure that may pass was not followed by a retry.
EMPTY_QUOTA = (
    "the retry budget of this model object is used up, because many of its requests failed; hint: send fewer requests "
    "at once, or wait until some succeed"
)


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """The size of a retry budget, in tokens. The defaults allow 100 retries at once, and under a lasting storm of
    failures one retry for ten requests that succeed, as the "standard" retry mode of the AWS SDKs does.

    Args:
        capacity: How many tokens there are at first, and at most; a security limit.
        cost: What a retry takes; it is given back when the retry brings a response.
        refund: What a request gives back that succeeded at its first attempt.
    """

    capacity: int = 1000
    cost: int = 10
    refund: int = 1

    def __post_init__(self) -> None:
        if not (self.capacity >= self.cost >= 1 and self.refund >= 0):
            raise ValueError(f"{self!r}: capacity must be at least cost, cost at least 1, refund 0 or more")


class RetryQuota:
    """The tokens that are left of a `RetryBudget`. Shared by threads and tasks; a copy or a pickle of it begins full.

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
        """How many tokens are left."""
        return self._tokens

    def spend(self) -> bool:
        """Take the tokens of one retry; `False` when there are too few."""
        with self._lock:
            if self._tokens < self._budget.cost:
                return False
            self._tokens -= self._budget.cost
            return True

    def refund(self, *, retried: bool) -> None:
        """A request succeeded: give back what its last retry took, or a little for one that needed none."""
        back = self._budget.cost if retried else self._budget.refund
        if self._tokens < self._budget.capacity:  # nearly always full: no lock then
            with self._lock:
                self._tokens = min(self._tokens + back, self._budget.capacity)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)(self._budget)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._budget,)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._tokens} of {self._budget.capacity} tokens>"


_BUDGET = RetryBudget()


@dataclass(frozen=True, slots=True)
class Retry:
    """Ask again before the first event only; what was delivered is never said twice.

    Args:
        max_retries: How many times to ask again; 0 means one request.
        base_delay: The first wait is between half of this many seconds and all of it; each further one twice as long
        ("equal
            jitter").
        max_delay: No wait is longer than this many seconds, but for the share that is spread over a `Retry-After`. A
            service that asks for a longer one gets no second request.
        retry_read_timeouts: Whether to ask again for a whole response that did not come within `Timeout.read`. By
        default
            not: the server may still be working on the request, and bill it. A stream is asked for again.
        budget: Limits the retries of all calls of one `Service` together, so that a service in trouble does not get
            every request several times; `None` is no limit.

    Example:
        >>> Retry(3, budget=RetryBudget(capacity=200)).max_retries
        3
    """

    max_retries: int = 2
    base_delay: float = 0.5
    max_delay: float = 60.0
    retry_read_timeouts: bool = False
    budget: RetryBudget | None = _BUDGET

    def __post_init__(self) -> None:
        if self.max_retries < 0:
            raise ValueError(f"max_retries={self.max_retries!r} must be 0 or more")

    def mark_final(self, error: MDStreamError, *, whole: bool) -> MDStreamError:
        """The error; a timeout of a `whole` response is marked as final, and says why."""
        if whole and not self.retry_read_timeouts and isinstance(error, StreamStalled) and error.code != "WriteTimeout":
            error.retryable = False
            reason = "the server may still be working on it, so it is not asked again"
            hint = f"{reason}: raise that limit; chat and completions can stream"
            error.args = (f"{error} ({hint})",)
        return error

    def should_retry(self, failures: int, error: MDStreamError) -> bool:
        """Whether to ask again after this many failures."""
        patient = error.retry_after is None or error.retry_after <= self.max_delay
        return error.retryable and failures <= self.max_retries and patient

    def delay(self, failures: int, error: MDStreamError) -> float:
        """How many seconds to wait: never less than the service asked for, nor than half of a time that grows."""
        half = min(self.max_delay, self.base_delay * 2.0 ** min(failures - 1, 60)) / 2
        requested = error.retry_after or 0.0
        spread = max(half, min(requested * _JITTER, _MAX_JITTER))
        return max(half, requested) + random.uniform(0, spread)  # noqa: S311  # no secret hangs on it
