"""When a wait is over that may take several steps: a drip of single bytes does not make it longer."""

import time
from collections.abc import Mapping
from math import inf


def compute_deadline(timeouts: Mapping[str, float | None], step: str) -> float:
    """When a `step` that begins now must be over, on the clock of `time.monotonic`.

    Beside the seconds for each step `timeouts` may name a `deadline` on that clock, the end of all of them.
    """
    limit, deadline = timeouts.get(step), timeouts.get("deadline")
    until = inf if limit is None else time.monotonic() + limit
    return until if deadline is None else min(until, deadline)


def remaining_seconds(deadline: float, timeout_error: type[Exception]) -> float | None:
    """How many seconds there are until then, as a socket is told; raises `timeout_error` when there are none."""
    if deadline == inf:
        return None
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise timeout_error("timed out")
    return seconds
