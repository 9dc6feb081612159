"""Rate limits of the services: what they count, three algorithms that count it, and the ledger of what they counted."""

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, get_args

from mdstream_core.emulator._ledger import (
    MAX_CLIENT_CHARACTERS,
    MAX_ENDPOINT_CHARACTERS,
    LedgerEntry,
    RequestLedger,
)
from mdstream_core.emulator._recorded_request import RecordedRequest
from mdstream_core.emulator._request_target import RateLimitScope, RequestTarget, ServiceName

_MIN_RATE, _MAX_RATE = 1e-9, 100_000  # requests per second
_MAX_BURST = 100_000  # requests; the times of as many are stored
_MAX_COUNTED_ENDPOINTS = 10_000  # whose requests are counted at the same time; a security limit
_TOLERANCE = 1e-9  # of a request or of a second, for rounding errors of floats

RateLimitAlgorithm = Literal["token_bucket", "fixed_window", "sliding_window"]


@dataclass(frozen=True, slots=True)
class RequestRateLimit:
    """A rate that a service enforces; what exceeds it gets the service's own throttling error, and no generation.

    `RequestRateLimit(150)`, `RequestRateLimit(5, burst=10, scope="endpoint", service="sagemaker", retry_after=2)`

    Attributes:
        requests_per_second: Accepted requests per second, on average; fractions are allowed, up to 100,000.
        burst: Requests that are accepted at once, 1 to 100,000. Default: the requests of one second, rounded up. The
            windows of `fixed_window` and `sliding_window` accept `burst` requests in `burst / requests_per_second`
            seconds, so that the default is a window of one second.
        scope: What is counted together: all requests to one service (`tenancy`), or those to each endpoint, deployment
            or model of it (`endpoint`).
        algorithm: `token_bucket` (refilled continuously), `fixed_window` (counts start again at the end of each window;
            the first one starts with the first request) or `sliding_window` (no more than `burst` in any window,
            wherever it starts). Rejected requests are not counted.
        retry_after: Seconds in the `Retry-After` header of a rejection; `exact` for those until a request would be
            accepted, rounded up to whole seconds. Default: no header, as with the real services.
        service: The only service that has the limit: `oci-model-deployment`, `oci-genai`, `sagemaker`, `modelarts`,
            `maas` or `openai-compatible`. Default: each service has it, and they are counted separately.

    Raises:
        TypeError: A value has the wrong type; the message begins with its name.
        ValueError: A value is out of range or unknown; the message begins with its name.
    """

    requests_per_second: float
    burst: int | None = None
    scope: RateLimitScope = "tenancy"
    algorithm: RateLimitAlgorithm = "token_bucket"
    retry_after: float | Literal["exact"] | None = None
    service: ServiceName | None = None

    def __post_init__(self) -> None:
        _check_number("requests_per_second", self.requests_per_second)
        if not _MIN_RATE <= self.requests_per_second <= _MAX_RATE:
            raise ValueError(
                f"requests_per_second={self.requests_per_second!r} is out of range (hint: pass more than 0, at most "
                f"{_MAX_RATE:,}; a fraction, such as 1 / 60, is less than one request per second)"
            )
        if self.burst is not None:
            _check_burst(self.burst)
        _check_choice("scope", self.scope, get_args(RateLimitScope))
        _check_choice("algorithm", self.algorithm, get_args(RateLimitAlgorithm))
        if self.service is not None:
            _check_choice("service", self.service, get_args(ServiceName))
        if self.retry_after is not None and self.retry_after != "exact":
            _check_number("retry_after", self.retry_after, ', a float or "exact"')
            if not 0 <= self.retry_after < math.inf:
                raise ValueError(f"retry_after={self.retry_after!r} is out of range (hint: pass 0 seconds or more)")

    @property
    def capacity(self) -> int:
        """Requests that are accepted at once: `burst` or its default."""
        return math.ceil(self.requests_per_second) if self.burst is None else self.burst

    @property
    def window(self) -> float:
        """Seconds in which `capacity` requests are accepted."""
        return self.capacity / self.requests_per_second

    def format_retry_after(self, wait: float) -> str | None:
        """Format the value of `Retry-After` for a request that would be accepted in `wait` seconds."""
        if self.retry_after == "exact":
            return str(math.ceil(wait))
        return None if self.retry_after is None else f"{self.retry_after:.3f}".rstrip("0").rstrip(".")


def _check_number(name: str, value: object, choices: str = " or a float") -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}={value!r} is not a number (hint: pass an int{choices})")


def _check_burst(burst: object) -> None:
    hint = f"(hint: pass how many requests are accepted at once, 1 to {_MAX_BURST:,})"
    if isinstance(burst, bool) or not isinstance(burst, int):
        raise TypeError(f"burst={burst!r} is not a whole number {hint}")
    if not 1 <= burst <= _MAX_BURST:
        raise ValueError(f"burst={burst!r} is out of range {hint}")


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r} is unknown (hint: use one of {', '.join(choices)})")


class RateCounter(Protocol):
    """Counts the accepted requests of one limit and one target."""

    def seconds_until_accepted(self, now: float) -> float:
        """Return after how many seconds a request would be accepted; 0 if it is at once."""
        ...

    def add_request(self, now: float) -> None:
        """Count a request, which is accepted."""
        ...


class TokenBucket:
    """Tokens that are refilled continuously; each request takes one."""

    def __init__(self, limit: RequestRateLimit) -> None:
        self._rate, self._capacity = limit.requests_per_second, limit.capacity
        self._tokens = float(limit.capacity)
        self._updated: float | None = None

    def seconds_until_accepted(self, now: float) -> float:
        """Return after how many seconds there is a token."""
        if self._updated is not None:
            self._tokens = min(self._capacity, self._tokens + (now - self._updated) * self._rate)
        self._updated = now
        return max(0.0, (1 - _TOLERANCE - self._tokens) / self._rate)

    def add_request(self, now: float) -> None:
        """Take a token."""
        self._tokens -= 1


class FixedWindow:
    """A count that starts again with each window."""

    def __init__(self, limit: RequestRateLimit) -> None:
        self._capacity, self._window = limit.capacity, limit.window
        self._start: float | None = None
        self._count = 0

    def seconds_until_accepted(self, now: float) -> float:
        """Return the seconds until the next window if this one is full."""
        if self._start is None:
            self._start = now
        elif now - self._start >= self._window:
            self._start = now - math.fmod(now - self._start, self._window)
            self._count = 0
        return 0.0 if self._count < self._capacity else max(self._start + self._window - now, _TOLERANCE)

    def add_request(self, now: float) -> None:
        """Count a request in the current window."""
        self._count += 1


class SlidingWindow:
    """The times of the newest accepted requests."""

    def __init__(self, limit: RequestRateLimit) -> None:
        self._times: deque[float] = deque(maxlen=limit.capacity)
        self._window = limit.window

    def seconds_until_accepted(self, now: float) -> float:
        """Return the seconds until the oldest request is outside of the window."""
        is_full = len(self._times) == self._times.maxlen
        return max(0.0, self._window - (now - self._times[0])) if is_full else 0.0

    def add_request(self, now: float) -> None:
        """Add a request to the window; the oldest one leaves it."""
        self._times.append(now)


_COUNTERS: dict[RateLimitAlgorithm, Callable[[RequestRateLimit], RateCounter]] = {
    "token_bucket": TokenBucket,
    "fixed_window": FixedWindow,
    "sliding_window": SlidingWindow,
}


class RateRejection(NamedTuple):
    """A request that exceeds a limit: the scope of the limit, and the value of `Retry-After`."""

    scope: RateLimitScope
    retry_after: str | None


class RateEnforcer:
    """Accepts or rejects each request by all limits, and writes the ledger; thread-safe.

    Args:
        limits: The limits; a request that exceeds one of them counts towards none.
        clock: A monotonic clock, in seconds.

    Raises:
        TypeError: A limit is no `RequestRateLimit`.
    """

    def __init__(self, limits: Iterable[RequestRateLimit], clock: Callable[[], float]) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._initial_limits = self._limits = _check_limits(limits)
        self._counters: dict[tuple[int, RequestTarget], RateCounter] = {}
        self.ledger = RequestLedger()

    @property
    def limits(self) -> tuple[RequestRateLimit, ...]:
        """The limits; assignment replaces them, and forgets what was counted towards the old ones."""
        return self._limits

    @limits.setter
    def limits(self, limits: Iterable[RequestRateLimit]) -> None:
        checked = _check_limits(limits)
        with self._lock:
            self._limits = checked
            self._counters.clear()

    def reset(self) -> None:
        """Restore the first limits, forget what was counted, clear the ledger."""
        self.limits = self._initial_limits
        self.ledger.clear()

    def admit(self, target: RequestTarget, http_request: RecordedRequest) -> RateRejection | None:
        """Count a request that just arrived; return a rejection if it exceeds a limit."""
        client = http_request.headers.get("user-agent", "")
        target = RequestTarget(target.service, target.endpoint[:MAX_ENDPOINT_CHARACTERS])
        with self._lock:
            now = self._clock()
            rejection = self._apply_limits(target, now)
            self.ledger.add(LedgerEntry(now, *target, client[:MAX_CLIENT_CHARACTERS], rejection is None))
        return rejection

    def _apply_limits(self, target: RequestTarget, now: float) -> RateRejection | None:
        wait, exceeded = 0.0, None
        counters = []
        for index, limit in enumerate(self._limits):
            if limit.service not in {None, target.service}:
                continue
            counter = self._counter(index, limit, target)
            counters.append(counter)
            if (seconds := counter.seconds_until_accepted(now)) > wait:
                wait, exceeded = seconds, limit
        if exceeded is not None:
            return RateRejection(exceeded.scope, exceeded.format_retry_after(wait))
        for counter in counters:
            counter.add_request(now)
        return None

    def _counter(self, index: int, limit: RequestRateLimit, target: RequestTarget) -> RateCounter:
        """Return the counter of a limit for a target; the oldest one is dropped if there are too many."""
        key = (index, target if limit.scope == "endpoint" else RequestTarget(target.service, ""))
        counter = self._counters.get(key)
        if counter is None:
            if len(self._counters) >= _MAX_COUNTED_ENDPOINTS:
                del self._counters[next(iter(self._counters))]
            counter = self._counters[key] = _COUNTERS[limit.algorithm](limit)
        return counter


def _check_limits(limits: object) -> tuple[RequestRateLimit, ...]:
    if not isinstance(limits, Iterable) or isinstance(limits, (str, bytes)):
        raise TypeError(
            f"rate_limits is a {type(limits).__name__}, no list (hint: pass a list, such as [RequestRateLimit(150)])"
        )
    checked = tuple(limits)
    for index, limit in enumerate(checked):
        if not isinstance(limit, RequestRateLimit):
            raise TypeError(
                f"rate_limits[{index}] is a {type(limit).__name__}, no RequestRateLimit "
                "(hint: pass a list, such as [RequestRateLimit(150)])"
            )
    return checked
