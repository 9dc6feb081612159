"""`TimeoutBudget`: the deadlines of one call, and the error messages for those that expire."""

import time
from dataclasses import dataclass
from math import inf

from mdstream_core.errors import StreamStalled
from mdstream_core.http import DEFAULT_TIMEOUT, Timeout, TimeoutValue

#: Shortest timeout of a read in seconds, also after a deadline: data that has already arrived is read.
_MIN_TIMEOUT = 0.001

#: Maximum number of reads after a deadline. With 64 KB each, they empty the receive buffer of a socket.
_MAX_OVERTIME_READS = 100


@dataclass(frozen=True, slots=True)
class _Seconds:
    """The timeouts of a call in seconds, with infinity for none, and what follows from them."""

    timeout: Timeout
    read: float
    first_token: float
    total: float
    steps: dict[str, float]
    longest_step: float
    step_limits: dict[str, float | None]
    limits: dict[str, float | None]


def _to_all_seconds(timeout: Timeout) -> _Seconds:
    timeout = timeout.with_defaults(DEFAULT_TIMEOUT)
    steps = {name: _to_seconds(getattr(timeout, name)) for name in ("connect", "write", "pool")}
    read, first_token, total = map(_to_seconds, (timeout.read, timeout.first_token, timeout.total))
    step_limits = {name: _to_limit(seconds) for name, seconds in steps.items()}
    limits = {**step_limits, "read": _to_limit(read), "deadline": None}
    return _Seconds(timeout, read, first_token, total, steps, max(steps.values()), step_limits, limits)


#: Results of `_to_all_seconds` by the identity of the timeout, which all calls of a service share. The timeout is
#: stored too, so that its id is not reused.
_known: dict[int, tuple[Timeout, _Seconds]] = {}

_MAX_KNOWN = 256


def _find_seconds(timeout: Timeout) -> _Seconds:
    known = _known.get(id(timeout))
    if known is None:
        if len(_known) >= _MAX_KNOWN:
            _known.clear()
        known = _known[id(timeout)] = timeout, _to_all_seconds(timeout)
    return known[1]


class TimeoutBudget:
    """The `read`, `first_token` and `total` timeouts of one call, as deadlines.

    `limits` is the dictionary that is passed to the transport as the request's `timeout`. mdstream's transports look up
    its `read` entry before each read, so a change between two reads applies to the next. Its `deadline`, on the clock
    of `time.monotonic`, limits reads that only the transport sees: those that return no piece of the body.
    """

    def __init__(self, timeout: Timeout) -> None:
        self._seconds = seconds = _find_seconds(timeout)
        self._timeout = seconds.timeout
        self._read = seconds.read
        self._deadline = time.monotonic() + seconds.total
        self._first_token_deadline = self._idle_deadline = self._read_deadline = inf
        self._drain: float | None = None
        self._overtime = 0
        #: Whether the head of the response was received.
        self.has_head = False
        self.limits: dict[str, float | None] = seconds.limits.copy()

    def extend(self, seconds: float) -> None:
        """Move the total deadline: this time is not part of the call."""
        self._deadline += seconds

    def start(self) -> None:
        """Start the deadlines of an attempt."""
        now = time.monotonic()
        self.has_head = False
        self._drain = None
        self._idle_deadline = now + self._read
        self._first_token_deadline = now + self._seconds.first_token
        self._set_limit(now)
        remaining = self._deadline - now
        if self._seconds.longest_step <= remaining:
            self.limits.update(self._seconds.step_limits)
        else:
            for step, seconds in self._seconds.steps.items():
                self.limits[step] = self._seconds.limits[step] if seconds <= remaining else _to_limit(remaining)
        # The read timeout of the head starts after the request was sent, so the transport applies it.
        self.limits["deadline"] = None if self._deadline == inf else self._deadline

    def record_read(self, *, progress: bool, drain_timeout: float | None) -> None:
        """Record a read whose data was processed, and set the timeout of the next one.

        Args:
            progress: Whether the data contained an event; comments and pings do not count.
            drain_timeout: Seconds to wait for the end of the body, if the output is complete.

        Raises:
            StreamStalled: A deadline has passed.
        """
        now = time.monotonic()
        if progress:
            self._first_token_deadline = inf
            self._idle_deadline = now + self._read
        if drain_timeout is not self._drain or (progress and drain_timeout is not None):
            self._drain = drain_timeout
            self._idle_deadline = min(self._idle_deadline, now + _to_seconds(drain_timeout))
        if self._set_limit(now):
            return
        self._overtime += 1
        if not progress or self._overtime > _MAX_OVERTIME_READS:
            raise StreamStalled(self.read_message, code="ReadTimeout")

    @property
    def remaining(self) -> float:
        """Seconds that remain of the total timeout."""
        return self._deadline - time.monotonic()

    @property
    def is_exhausted(self) -> bool:
        """Whether the total timeout has expired, within the precision of sockets and timers."""
        return self.remaining < _MIN_TIMEOUT

    def check(self, *, expired: bool = False) -> None:
        """Raise `StreamStalled` if the total timeout has expired, or if the caller's own timer has (`expired`)."""
        if expired or self.is_exhausted:
            raise StreamStalled(self.total_message, code="Timeout")

    @property
    def total_message(self) -> str:
        """Error message for the total timeout."""
        return f"the response was not complete within {self._timeout.total} s (timeout.total)"

    @property
    def read_message(self) -> str:
        """Error message for the deadline that limits the current read."""
        timeout = self._timeout
        if self._read_deadline == self._deadline or self.is_exhausted:
            return self.total_message
        if self._read_deadline == self._first_token_deadline:
            return f"no first token within {timeout.first_token} s (timeout.first_token)"
        if self._drain is not None and self._drain < self._read:
            return f"the output was complete, but the response did not end within {self._drain} s to report its outcome"
        return f"no data arrived for {timeout.read} s (timeout.read); comments and pings do not count"

    def _set_limit(self, now: float) -> bool:
        """Set the timeout of the next read, and return whether any time remains for it."""
        end = self._idle_deadline
        if self._first_token_deadline < end:  # noqa: PLR1730  # a call of `min` takes longer
            end = self._first_token_deadline
        if self._deadline < end:  # noqa: PLR1730
            end = self._deadline
        self._read_deadline = end
        limits = self.limits
        if end == inf:
            limits["read"] = limits["deadline"] = None
            return True
        # Usually the deadline is that of a read timeout that starts now.
        limits["read"] = self._seconds.limits["read"] if end == now + self._read else _to_limit(end - now)
        limits["deadline"] = end
        return end > now


def _to_limit(seconds: float) -> float | None:
    """Round to milliseconds, so that equal timeouts are not set on the socket again."""
    if seconds == inf:
        return None
    return int(seconds * 1000 + 0.5) / 1000 if seconds > _MIN_TIMEOUT else _MIN_TIMEOUT  # faster than `round`


def _to_seconds(limit: TimeoutValue) -> float:
    return inf if limit is None or isinstance(limit, str) else limit
