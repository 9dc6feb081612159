"""How long the next read may take, and in which words its end is told."""

import time
from math import inf

from mdstream_core.errors import StreamStalled
from mdstream_core.http import COMMON, Limit, Timeout

#: What has arrived already is read even when the time is over: it was received.
_AT_ONCE = 0.001

#: … in so many reads, of 64 KB each, which is about what the buffers of a socket hold.
_OVERTIME = 100


class Patience:
    """The clock of one call: its longest silence, its first token, its whole time.

    `limits` is the dictionary that goes to the transport as the request's `timeout`; our transports look the read
    limit up before each read, so that what is written here between two reads holds for the next. Its `deadline`, on
    the clock of `time.monotonic`, is for what only they see: reads that bring no piece of a body.
    """

    def __init__(self, timeout: Timeout) -> None:
        self._timeout = timeout = timeout.with_defaults(COMMON)
        self._read = _number(timeout.read)
        self._total = time.monotonic() + _number(timeout.total)
        self._first = self._silence = self._end = inf
        self._drain: float | None = None
        self._overtime = 0
        #: Whether the status line has come.
        self.begun = False
        self._steps = {name: _number(getattr(timeout, name)) for name in ("connect", "write", "pool")}
        steps = {**self._steps, "read": self._read}
        self.limits: dict[str, float | None] = {name: _limited(seconds) for name, seconds in steps.items()}
        self.limits["deadline"] = None

    def start(self) -> None:
        """An attempt begins."""
        now = time.monotonic()
        self.begun = False
        self._drain = None
        self._silence = now + self._read
        self._first = now + _number(self._timeout.first_token)
        self._limit(now)
        for step, seconds in self._steps.items():
            self.limits[step] = _limited(min(seconds, self._total - now))
        # The silence begins when the question was sent, which may take its time: the transport counts it.
        self.limits["deadline"] = None if self._total == inf else self._total

    def heard(self, *, progress: bool, drain: float | None) -> None:
        """A read has ended, and what it brought was dealt with. Raises `StreamStalled` when it took too long.

        Args:
            progress: Whether an event was in it; comments and pings are none.
            drain: When the answer is over and only its end is awaited: how many seconds that may take.
        """
        now = time.monotonic()
        if progress:
            self._first = inf
            self._silence = now + self._read
        if drain is not self._drain or (progress and drain is not None):
            self._drain = drain
            self._silence = min(self._silence, now + _number(drain))
        if self._limit(now):
            return
        self._overtime += 1
        if not progress or self._overtime > _OVERTIME:
            raise StreamStalled(self.waited, code="ReadTimeout")

    @property
    def left(self) -> float:
        """How many seconds of the call's time are left."""
        return self._total - time.monotonic()

    @property
    def over(self) -> bool:
        """Whether the call's time is over, as exactly as sockets and timers are."""
        return self.left < _AT_ONCE

    def check(self, *, late: bool = False) -> None:
        """Raise `StreamStalled` when the call's time is over, or when a timer of its own has said so (`late`)."""
        if late or self.over:
            raise StreamStalled(self.unfinished, code="Timeout")

    @property
    def unfinished(self) -> str:
        """That the call's time is over, in words."""
        return f"the answer was not finished within {self._timeout.total} s (timeout.total)"

    @property
    def waited(self) -> str:
        """What has ended when a read takes too long, in words."""
        timeout = self._timeout
        if self._end == self._total or self.over:
            return self.unfinished
        if self._end == self._first:
            return f"no first token within {timeout.first_token} s (timeout.first_token)"
        if self._drain is not None and self._drain < self._read:
            return f"the answer was over, but the service did not end it within {self._drain} s to say how it went"
        return f"nothing came for {timeout.read} s (timeout.read); comments and pings do not count"

    def _limit(self, now: float) -> bool:
        """Set the limit of the next read; whether there is any time for it."""
        self._end = end = min(self._silence, self._first, self._total)
        self.limits["read"] = _limited(end - now)
        self.limits["deadline"] = None if end == inf else end
        return end > now


def _limited(seconds: float) -> float | None:
    """In whole milliseconds: the same limit as before need not be told to the socket again."""
    return None if seconds == inf else max(round(seconds, 3), _AT_ONCE)


def _number(limit: Limit) -> float:
    return inf if limit is None or isinstance(limit, str) else limit
