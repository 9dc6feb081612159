"""Retry policy: whether to retry, and after which delay."""

import pytest

from mdstream_core import Retry
from mdstream_core.errors import InvalidRequest, MDStreamError, RateLimited, ServerError


def test_only_retryable_errors_are_retried() -> None:
    """Not errors that would recur, not more often than allowed, and not if `Retry-After` is too long."""
    retry = Retry(2, max_delay=60)

    assert [True, True, False] == [retry.should_retry(failures, ServerError("x")) for failures in (1, 2, 3)]
    assert not retry.should_retry(1, InvalidRequest("x"))
    assert not Retry(0).should_retry(1, ServerError("x"))
    assert retry.should_retry(1, RateLimited("x", retry_after=60))
    assert not retry.should_retry(1, RateLimited("x", retry_after=61))


@pytest.mark.parametrize("error", [ServerError("x"), RateLimited("x"), RateLimited("x", retry_after=0.0)], ids=str)
def test_delays_are_random_and_bounded(error: MDStreamError) -> None:
    """Equal jitter: between half of a doubling bound and all of it. `Retry-After: 0` is not followed literally."""
    retry = Retry(50, base_delay=0.5, max_delay=4)

    for failures, bound in ((1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (9, 4.0), (5000, 4.0)):
        waits = [retry.delay(failures, error) for _ in range(200)]
        assert bound / 2 <= min(waits) < bound * 0.65
        assert bound * 0.85 < max(waits) <= bound


@pytest.mark.parametrize(
    ("retry_after", "latest"), [(0.1, 0.5), (1.0, 2.0), (3.5, 7.0), (20.0, 30.0), (40.0, 50.0), (60.0, 70.0)]
)
def test_retry_after_has_jitter(retry_after: float, latest: float) -> None:
    """Never earlier than the service requested, and spread over the same time again, at most 10 s."""
    waits = [Retry().delay(1, RateLimited("x", retry_after=retry_after)) for _ in range(500)]
    spread = latest - max(retry_after, 0.25)

    assert max(retry_after, 0.25) <= min(waits)
    assert max(waits) <= latest
    assert max(waits) - min(waits) > spread * 0.9
    tenths = [sum(int((wait - min(waits)) / spread * 10) == tenth for wait in waits) for tenth in range(9)]
    assert max(tenths) < 100


def test_a_negative_number_of_retries_is_rejected() -> None:
    """The message names the field."""
    with pytest.raises(ValueError, match="max_retries=-1"):
        Retry(-1)
