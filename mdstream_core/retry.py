"""When to ask again, and how long to wait before. Pure policy: nothing here waits."""

import random
from dataclasses import dataclass

from mdstream_core.errors import MDStreamError


@dataclass(frozen=True, slots=True)
class Retry:
    """Ask again before the first event only; what was delivered is never said twice.

    Args:
        most: How many times to ask again; 0 means one request.
        base: The first wait is a random part of this many seconds; each further one of twice as many ("full jitter").
        longest: No wait is longer than this many seconds. A service that asks for a longer one gets no second request.
    """

    most: int = 2
    base: float = 0.5
    longest: float = 60.0

    def __post_init__(self) -> None:
        if self.most < 0:
            raise ValueError(f"max_retries={self.most!r} must be 0 or more")

    def again(self, failures: int, error: MDStreamError) -> bool:
        """Whether to ask again after this many failures."""
        patient = error.retry_after is None or error.retry_after <= self.longest
        return error.retryable and failures <= self.most and patient

    def delay(self, failures: int, error: MDStreamError) -> float:
        """How many seconds to wait: what the service asked for, or a random time that grows."""
        if error.retry_after is not None:
            return error.retry_after
        return random.uniform(0, min(self.longest, self.base * 2 ** (failures - 1)))  # noqa: S311  # no secret hangs on it
