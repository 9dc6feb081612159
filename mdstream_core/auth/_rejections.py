"""How long no new login is tried after the service that issues credentials has rejected one."""

import copy
import math
import time
from collections.abc import Callable

from mdstream_core.errors import MDStreamError

#: Seconds without a login after the first rejection, and after many; each pause is twice as long as the one before.
#: A limit that keeps accounts usable: IAM locks one after 5 wrong passwords within 15 minutes, and with these pauses no
#: 15 minutes see more than 4 logins.
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 900.0


class RejectionMemory:
    """The last definite rejection of a signer's login, and when the next login may be tried.

    Args:
        clock: Seconds that pass.

    Example:
        >>> from mdstream_core.errors import AuthenticationError
        >>> memory = RejectionMemory()
        >>> memory.record(AuthenticationError("401: wrong password"))
        >>> memory.check()
        Traceback (most recent call last):
        mdstream_core.errors.AuthenticationError: 401: wrong password (no login is tried for 60 s after a rejected ...
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.clear()

    def clear(self) -> None:
        """A login succeeded."""
        self._error: MDStreamError | None = None
        self._source: object = None
        self._pause = self._until = 0.0

    def record(self, error: MDStreamError, source: object = None) -> None:
        """A login was rejected.

        Args:
            error: What the service said.
            source: What the credential was read from, as it is now.
        """
        self._pause = min(max(FIRST_PAUSE, self._pause * 2), LONGEST_PAUSE)
        self._until = self._clock() + self._pause
        self._error = copy.copy(error)  # without its traceback, its cause, and what a call adds to it
        self._source = source

    def check(self, source: Callable[[], object] = lambda: None) -> None:
        """Raise the remembered error, unless its pause is over or `source` gives another value than before."""
        left = self._until - self._clock()
        if self._error is None or not 0 < left <= self._pause:  # a clock that was set back ends the pause too
            return
        if source() != self._source:
            self.clear()
            return
        error = copy.copy(self._error)
        error.retry_after = left
        hint = "hint: correct the credentials; a new signer or model object tries at once"
        error.args = (f"{error} (no login is tried for {math.ceil(left)} s after a rejected one; {hint})",)
        raise error
