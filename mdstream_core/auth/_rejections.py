"""Rate limit for logins after the service that issues credentials has rejected one."""

import copy
import math
import time
from collections.abc import Callable

from mdstream_core.errors import MDStreamError, extend_error

#: Seconds without a login after the first rejection, and at most; each pause is twice as long as the one before.
#: The limit protects the account: IAM locks one after 5 wrong passwords within 15 minutes, and with these pauses there
#: are at most 4 logins in any 15 minutes.
MIN_PAUSE, MAX_PAUSE = 60.0, 900.0


class RejectionMemory:
    """The last definite rejection of a signer's login, and when the next login is allowed.

    Args:
        clock: Returns a time in seconds.

    Example:
        >>> from mdstream_core.errors import AuthenticationError
        >>> memory = RejectionMemory()
        >>> memory.record(AuthenticationError("401: wrong password"))
        >>> memory.check()
        Traceback (most recent call last):
        mdstream_core.errors.AuthenticationError: 401: wrong password; no new login is attempted for 60 s (hint: ...
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.clear()

    def clear(self) -> None:
        """Forget the rejection, after a login that succeeded."""
        self._error: MDStreamError | None = None
        self._source_state: object = None
        self._pause = self._end = 0.0

    def record(self, error: MDStreamError, source_state: object = None) -> None:
        """Remember a rejected login and start the next pause.

        Args:
            error: The service's error.
            source_state: The current state of the source that the credential was read from.
        """
        self._pause = min(max(MIN_PAUSE, self._pause * 2), MAX_PAUSE)
        self._end = self._clock() + self._pause
        self._error = copy.copy(error)  # without its traceback, its cause, and what a call adds to it
        self._source_state = source_state

    def check(self, source_state: Callable[[], object] = lambda: None) -> None:
        """Raise the remembered error unless the pause has ended or the state of the source has changed."""
        remaining = self._end - self._clock()
        if self._error is None or not 0 < remaining <= self._pause:  # a clock that was set back ends the pause too
            return
        if source_state() != self._source_state:
            self.clear()
            return
        error = copy.copy(self._error)
        error.retry_after = remaining
        hint = "correct the credentials; a new signer or model object logs in at once"
        fact = f"no new login is attempted for {math.ceil(remaining)} s"
        extend_error(error, fact=fact, hint=hint)
        raise error
