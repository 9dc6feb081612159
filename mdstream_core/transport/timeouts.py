"""How long the next read may take, and in which words its end is told."""

import time
from math import inf

from mdstream_core.errors import StreamStalled
from mdstream_core.http import DEFAULT_TIMEOUT, Timeout, TimeoutValue

#: What has arrived already is read even when the time is over: it was received.
_MIN_TIMEOUT = 0.001

#: … in so many reads, of 64 KB each, which is about what the buffers of a socket hold.
_MAX_OVERTIME_READS = 100


class TimeoutBudget:
    """The clock of one call: its longest silence, its first token, its whole time.

    `limits` is the dictionary that goes to the transport as the request's `timeout`; our transports look the read
    limit up before each read, so that what is written here between two reads holds for the next. Its `deadline`, on
    the clock of `time.monotonic`, is for what only they see: reads that bring no piece of a body.
    """

    def __init__(self, timeout: Timeout) -> None:
        self._timeout = timeout = timeout.with_defaults(DEFAULT_TIMEOUT)
        self._read = _to_seconds(timeout.read)
        self._deadline = time.monotonic() + _to_seconds(timeout.total)
        self._first_token_deadline = self._silence_deadline = self._read_deadline = inf
        self._drain: float | None = None
        self._overtime = 0
        #: Whether the status line has come.
        self.has_head = False
        self._steps = {name: _to_seconds(getattr(timeout, name)) for name in ("connect", "write", "pool")}
        steps = {**self._steps, "read": self._read}
        self.limits: dict[str, float | None] = {name: _to_limit(seconds) for name, seconds in steps.items()}
        self.limits["deadline"] = None

    def start(self) -> None:
        """An attempt begins."""
        now = time.monotonic()
        self.has_head = False
        self._drain = None
        self._silence_deadline = now + self._read
        self._first_token_deadline = now + _to_seconds(self._timeout.first_token)
        self._set_limit(now)
        for step, seconds in self._steps.items():
            self.limits[step] = _to_limit(min(seconds, self._deadline - now))
        # The silence begins when the question was sent, which may take its time: the transport counts it.
        self.limits["deadline"] = None if self._deadline == inf else self._deadline

    def record_read(self, *, progress: bool, drain_timeout: float | None) -> None:
        """A read has ended, and what it brought was dealt with. Raises `StreamStalled` when it took too long.

        Args:
            progress: Whether an event was in it; comments and pings are none.
            drain_timeout: When the answer is over and only its end is awaited: how many seconds that may take.
        """
        now = time.monotonic()
        if progress:
            self._first_token_deadline = inf
            self._silence_deadline = now + self._read
        if drain_timeout is not self._drain or (progress and drain_timeout is not None):
            self._drain = drain_timeout
            self._silence_deadline = min(self._silence_deadline, now + _to_seconds(drain_timeout))
        if self._set_limit(now):
            return
        self._overtime += 1
        if not progress or self._overtime > _MAX_OVERTIME_READS:
            raise StreamStalled(self.read_message, code="ReadTimeout")

    @property
    def remaining(self) -> float:
        """How many seconds of the call's time are left."""
        return self._deadline - time.monotonic()

    @property
    def is_exhausted(self) -> bool:
        """Whether the call's time is over, as exactly as sockets and timers are."""
        return self.remaining < _MIN_TIMEOUT

    def check(self, *, expired: bool = False) -> None:
        """Raise `StreamStalled` when the call's time is over, or when a timer of its own has said so (`expired`)."""
        if expired or self.is_exhausted:
            raise StreamStalled(self.total_message, code="Timeout")

    @property
    def total_message(self) -> str:
        """That the call's time is over, in words."""
        return f"the answer was not finished within {self._timeout.total} s (timeout.total)"

    @property
    def read_message(self) -> str:
        """What has ended when a read takes too long, in words."""
        timeout = self._timeout
        if self._read_deadline == self._deadline or self.is_exhausted:
            return self.total_message
        if self._read_deadline == self._first_token_deadline:
            return f"no first token within {timeout.first_token} s (timeout.first_token)"
        if self._drain is not None and self._drain < self._read:
            return f"the answer was over, but the service did not end it within {self._drain} s to say how it went"
        return f"nothing came for {timeout.read} s (timeout.read); comments and pings do not count"

    def _set_limit(self, now: float) -> bool:
        """Set the limit of the next read; whether there is any time for it."""
        self._read_deadline = end = min(self._silence_deadline, self._first_token_deadline, self._deadline)
        self.limits["read"] = _to_limit(end - now)
        self.limits["deadline"] = None if end == inf else end
        return end > now


def _to_limit(seconds: float) -> float | None:
    """In whole milliseconds: the same limit as before need not be told to the socket again."""
    return None if seconds == inf else max(round(seconds, 3), _MIN_TIMEOUT)


def _to_seconds(limit: TimeoutValue) -> float:
    return inf if limit is None or isinstance(limit, str) else limit
