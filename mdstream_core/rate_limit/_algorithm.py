"""The rate limit's algorithm: GCRA with reservations, and a rate that adapts to rejected requests. No clock, no I/O.

GCRA ("generic cell rate algorithm", ITU-T I.371) stores one time instead of a bucket: the *theoretical arrival time*
of the next request if all of them came exactly at the rate. A request is due when that time, less the tolerance for
bursts, has come. So one operation both reserves a request and returns how long to wait for it.

`_redis_script.py` has the same algorithm in Lua; a test compares the two.
"""

from dataclasses import dataclass, fields
from math import inf, isfinite
from operator import attrgetter
from struct import Struct
from typing import NamedTuple, Self

#: After a rejected request, the rate is this fraction of the rate before.
DECREASE = 0.85

#: Shortest time in seconds between two decreases. Services count in windows and buckets: those that are exhausted
#: reject what follows as well, at any rate. In simulations of both, with a rate twice too high, the callers got 9 to
#: 78 % of what the service allows without such a time, and 95 to 100 % with it; 14 % of 1,000 requests were rejected.
DECREASE_INTERVAL = 0.5

#: By which fraction of the rate before the decrease the rate grows in a second.
GROWTH = 0.04

#: Least growth in requests per second, for each second, where no rate is configured.
MIN_GROWTH = 0.1

#: Lowest adapted rate in requests per second, so that a service that rejects everything is still tried.
MIN_RATE = 0.05

#: Longest pause in seconds that a `Retry-After` imposes on everybody who shares the limit.
MAX_PAUSE = 60.0

#: Tokens that may be used at once, in seconds of the token rate.
TOKEN_BURST_SECONDS = 10.0

#: Difference in seconds from which a state of the future is one of an earlier start of the system.
MAX_CLOCK_STEP = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a `RateLimit` allows."""

    rate: float
    """Requests per second; infinite if only the service's own limit applies."""
    burst: int
    """Requests that may be sent at once."""
    token_rate: float
    """Tokens per second; infinite if tokens are not limited."""
    adaptive: bool
    """Whether rejected requests lower the rate."""

    def scale(self, share: float, default_rate: float) -> "Limits":
        """Return the limits of one process of several.

        Args:
            share: The fraction of the limits.
            default_rate: Requests per second to divide if no rate is configured.
        """
        rate = (self.rate if isfinite(self.rate) else default_rate) * share
        return Limits(rate, max(1, int(self.burst * share)), self.token_rate * share, self.adaptive)


class Reservation(NamedTuple):
    """When a request may be sent."""

    wait: float
    """Seconds until then."""
    at: float
    """The same as a time of the store's clock."""
    rate: float
    """The current rate in requests per second; infinite if there is none."""
    granted: bool = True
    """Whether the request was reserved; `False` if the wait is longer than the caller's maximum."""


@dataclass(slots=True)
class State:
    """State of a limit. All times are seconds of the store's clock; 0 is a time before everything."""

    updated: float = 0.0
    """Time of the last operation."""
    request_time: float = 0.0
    """Theoretical arrival time of the next request."""
    token_time: float = 0.0
    """Theoretical arrival time of the next token."""
    paused_until: float = 0.0
    """End of a pause that the service has required."""
    rate: float = 0.0
    """The adapted rate after the last decrease; 0 if there was none."""
    rate_time: float = 0.0
    """Time of the last decrease."""
    peak: float = 0.0
    """The rate before the last decrease."""
    window: float = 0.0
    """Start of the current second, in which requests are counted."""
    count: float = 0.0
    """Requests in the current second."""
    previous: float = 0.0
    """Requests in the second before."""

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read a packed state. Anything else than numbers gives a new state."""
        values = _FORMAT.unpack(data)
        return cls(*values) if all(map(isfinite, values)) else cls()

    def pack(self) -> bytes:
        """Return the state as bytes of constant size."""
        return _FORMAT.pack(*_get_values(self))


_NAMES = tuple(field.name for field in fields(State))
_FORMAT = Struct(f"<{len(_NAMES)}d")
_get_values = attrgetter(*_NAMES)

#: Size of a packed state in bytes.
STATE_SIZE = _FORMAT.size


def reserve(
    state: State, limits: Limits, now: float, *, tokens: float = 0.0, correction: float = 0.0, max_wait: float = inf
) -> Reservation:
    """Reserve one request, and change the state accordingly.

    Args:
        state: State of the limit.
        limits: What is allowed.
        now: Current time.
        tokens: Tokens that the request is expected to use.
        correction: Tokens by which earlier requests have exceeded what they were expected to use; may be negative.
        max_wait: Longest acceptable wait in seconds. The request is not reserved if it would be longer.

    >>> state, limits = State(), Limits(rate=10, burst=1, token_rate=inf, adaptive=False)
    >>> [round(reserve(state, limits, 100.0).wait, 1) for _ in range(3)]
    [0.0, 0.1, 0.2]
    """
    _update_time(state, now)
    rate = current_rate(state, limits, now)
    interval = 1 / rate
    earliest = max(now, state.request_time)
    token_interval = 1 / limits.token_rate
    state.token_time += correction * token_interval
    first_token = max(now, state.token_time)
    tolerance = max(TOKEN_BURST_SECONDS - tokens * token_interval, 0.0)
    at = max(now, earliest - (limits.burst - 1) * interval, first_token - tolerance, state.paused_until)
    if at - now > max_wait:
        return Reservation(at - now, at, rate, granted=False)
    # After a pause the requests continue at the rate, and do not all come at once.
    state.request_time = earliest + interval if at <= earliest else at + limits.burst * interval
    state.token_time = first_token + tokens * token_interval
    if limits.adaptive:
        _count(state, at)
    return Reservation(at - now, at, rate)


def slow_down(state: State, limits: Limits, now: float, *, granted_at: float, retry_after: float = 0.0) -> None:
    """Lower the rate after the service has rejected a request, and pause if it returned `Retry-After`.

    The rate is lowered once for all requests that were granted before, as they say nothing about the lower rate, and
    not more often than every `DECREASE_INTERVAL`.

    Args:
        state: State of the limit.
        limits: What is allowed.
        now: Current time.
        granted_at: `Reservation.at` of the rejected request.
        retry_after: Seconds that the service requires to wait; 0 if it does not.
    """
    _update_time(state, now)
    state.paused_until = max(state.paused_until, now + min(retry_after, MAX_PAUSE))
    if granted_at <= state.rate_time or now < state.rate_time + DECREASE_INTERVAL:
        return
    rate = current_rate(state, limits, now)
    state.peak = rate if isfinite(rate) else max(_measured_rate(state, now), 1.0)
    state.rate = max(state.peak * DECREASE, MIN_RATE)
    state.rate_time = now


def current_rate(state: State, limits: Limits, now: float) -> float:
    """Return the rate in requests per second: the configured one, or less after a rejected request."""
    if not (limits.adaptive and state.rate):
        return limits.rate
    growth = state.peak * GROWTH if isfinite(limits.rate) else max(state.peak * GROWTH, MIN_GROWTH)
    return min(limits.rate, state.rate + growth * max(now - state.rate_time, 0.0))


def _count(state: State, at: float) -> None:
    """Count a request in its second."""
    elapsed = at - state.window
    if elapsed >= 1.0:
        state.previous = state.count if elapsed < 2.0 else 0.0
        state.count = 0.0
        state.window = at - elapsed % 1.0 if elapsed < 2.0 else at
    state.count += 1.0


def _measured_rate(state: State, now: float) -> float:
    """Return the requests of the last second: those of the current one, and a part of the one before."""
    elapsed = now - state.window
    return state.count + state.previous * max(1.0 - elapsed, 0.0) if elapsed < 2.0 else 0.0


def _update_time(state: State, now: float) -> None:
    """Record the time of an operation. Start anew if the clock has: the system was restarted."""
    if state.updated > now + MAX_CLOCK_STEP:
        for name in _NAMES:
            setattr(state, name, 0.0)
    state.updated = now
