"""When to ask again, and how long to wait before."""

import pytest

from mdstream_core import Retry
from mdstream_core.errors import InvalidRequest, RateLimited, ServerError


def test_only_what_may_help_is_done_again() -> None:
    """
    Not after a refusal that would be the same, not more often than allowed, not if the service asks for too long a wait.
    """
    retry = Retry(2, longest=60)

    assert [True, True, False] == [retry.again(failures, ServerError("x")) for failures in (1, 2, 3)]
    assert not retry.again(1, InvalidRequest("x"))
    assert not Retry(0).again(1, ServerError("x"))
    assert retry.again(1, RateLimited("x", retry_after=60))
    assert not retry.again(1, RateLimited("x", retry_after=61))


def test_waits_grow_at_random_and_have_an_end() -> None:
    """
    Full jitter: anything between nothing and a bound that doubles; what the service asked for is taken as it is.
    """
    retry = Retry(50, base=0.5, longest=4)

    for failures, bound in ((1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (9, 4.0), (50, 4.0)):
        waits = [retry.delay(failures, ServerError("x")) for _ in range(200)]
        assert 0 <= min(waits) < bound / 4
        assert bound / 2 < max(waits) <= bound
    assert 3.5 == retry.delay(1, RateLimited("x", retry_after=3.5))


def test_a_negative_number_of_retries_is_refused() -> None:
    """
    The message names the field that users know.
    """
    with pytest.raises(ValueError, match="max_retries=-1"):
        Retry(-1)
