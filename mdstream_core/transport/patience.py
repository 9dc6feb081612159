"""How long the next read may take, and in which words its end is told."""

import time

from mdstream_core.errors import MDStreamError, StreamStalled
from mdstream_core.http import Timeout


class Patience:
    """The clock of one call: its longest silence, its first token, its whole time.

    `limits` is the dictionary that goes to the transport as the request's `timeout`; our transports look the read
    limit up before each read, so that what is written here between two reads holds for the next.
    """

    def __init__(self, timeout: Timeout) -> None:
        self._timeout = timeout
        self._end = _after(timeout.total)
        self._silence: float | None = None
        self._first: float | None = None
        self._reason = ""
        #: Whether the status line has come.
        self.begun = False
        self.limits = {"connect": timeout.connect, "write": timeout.write, "pool": timeout.pool, "read": timeout.read}

    def start(self) -> None:
        """An attempt begins."""
        self.begun = False
        self._silence = _after(self._timeout.read)
        self._first = _after(self._timeout.first_token)
        self._limit()

    def heard(self, *, progress: bool, drain: float | None) -> None:
        """A read has ended, and what it brought was dealt with.

        Args:
            progress: Whether an event was in it; comments and pings are none.
            drain: When the answer is over and only its end is awaited: how many seconds that may take.
        """
        if progress:
            self._first = None
        if drain is not None:
            self._silence = min(filter(None, (self._silence, _after(drain)))) if not progress else _after(drain)
        elif progress:
            self._silence = _after(self._timeout.read)
        self._limit()
        if not progress and self.limits["read"] == _AT_ONCE:
            raise StreamStalled(self.waited, code="ReadTimeout")

    def allows(self, delay: float, error: MDStreamError) -> float:
        """`delay`, if the call's time has room for it; raises `error` otherwise."""
        if self._end is not None and time.monotonic() + delay >= self._end:
            raise error
        return delay

    @property
    def waited(self) -> str:
        """What has ended when a read takes too long, in words."""
        return self._reason

    def _limit(self) -> None:
        ends = [
            (self._silence, f"nothing came for {self._timeout.read} s (timeout.read); comments and pings do not count"),
            (self._first, f"no first token within {self._timeout.first_token} s (timeout.first_token)"),
            (self._end, f"the answer was not finished within {self._timeout.total} s (timeout.total)"),
        ]
        known = [(end, reason) for end, reason in ends if end is not None]
        if not known:
            return
        end, self._reason = min(known)
        # What has arrived already is read even when the time is over: it was received.
        self.limits["read"] = max(end - time.monotonic(), _AT_ONCE)


_AT_ONCE = 0.001


def _after(seconds: float | None) -> float | None:
    return None if seconds is None else time.monotonic() + seconds
