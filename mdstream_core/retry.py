"""When to ask again, and how long to wait before. Pure policy: nothing here waits."""

import random
from dataclasses import dataclass

from mdstream_core.errors import MDStreamError, StreamStalled

#: How much longer than a service asks for a wait may take: this share of it, and at most so many seconds. Many clients
#: that were given the same time would otherwise come back in the same instant.
_SPREAD, _MAX_SPREAD = 0.25, 10.0


@dataclass(frozen=True, slots=True)
class Retry:
    """Ask again before the first event only; what was delivered is never said twice.

    Args:
        most: How many times to ask again; 0 means one request.
        base: The first wait is between half of this many seconds and all of it; each further one twice as long ("equal
            jitter").
        longest: No wait is longer than this many seconds, but for the share that is spread over a `Retry-After`. A
            service that asks for a longer one gets no second request.
        read_timeouts: Whether to ask again for a whole response that did not come within `Timeout.read`. By default
            not: the server may still be working on the request, and bill it. A stream is asked for again.
    """

    most: int = 2
    base: float = 0.5
    longest: float = 60.0
    read_timeouts: bool = False

    def __post_init__(self) -> None:
        if self.most < 0:
            raise ValueError(f"max_retries={self.most!r} must be 0 or more")

    def judged(self, error: MDStreamError, *, whole: bool) -> MDStreamError:
        """The error; a timeout of a `whole` response is marked as final, and says why."""
        if whole and not self.read_timeouts and isinstance(error, StreamStalled) and error.code != "WriteTimeout":
            error.retryable = False
            reason = "the server may still be working on it, so it is not asked again"
            hint = f"{reason}: raise that limit; chat and completions can stream"
            error.args = (f"{error} ({hint})",)
        return error

    def again(self, failures: int, error: MDStreamError) -> bool:
        """Whether to ask again after this many failures."""
        patient = error.retry_after is None or error.retry_after <= self.longest
        return error.retryable and failures <= self.most and patient

    def delay(self, failures: int, error: MDStreamError) -> float:
        """How many seconds to wait: never less than the service asked for, nor than half of a time that grows."""
        half = min(self.longest, self.base * 2.0 ** min(failures - 1, 60)) / 2
        requested = error.retry_after or 0.0
        spread = max(half, min(requested * _SPREAD, _MAX_SPREAD))
        return max(half, requested) + random.uniform(0, spread)  # noqa: S311  # no secret hangs on it
