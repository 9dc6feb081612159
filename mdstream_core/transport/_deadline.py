"""Deadlines of operations with several reads or writes, so that a slow stream of single bytes does not extend them."""

import time
from collections.abc import Mapping
from math import inf


def compute_deadline(timeouts: Mapping[str, float | None], step: str) -> float:
    """Return the deadline of a `step` that starts now, on the clock of `time.monotonic`.

    Args:
        timeouts: Timeouts in seconds, by step: `connect`, `read`, `write`, `pool`. An additional entry `deadline`, on
            that clock, limits all steps.
        step: A key of `timeouts`.
    """
    limit, total_deadline = timeouts.get(step), timeouts.get("deadline")
    deadline = inf if limit is None else time.monotonic() + limit
    return deadline if total_deadline is None or deadline < total_deadline else total_deadline


def remaining_seconds(deadline: float, timeout_error: type[Exception]) -> float | None:
    """Return the seconds until a deadline, as a socket's timeout; raise `timeout_error` if it has passed."""
    if deadline == inf:
        return None
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise timeout_error("timed out")
    return seconds
