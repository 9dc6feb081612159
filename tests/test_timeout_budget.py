"""The deadlines of a call."""

import time

import pytest

from mdstream_core.errors import StreamStalled
from mdstream_core.http import Timeout
from mdstream_core.transport.timeouts import TimeoutBudget

#: A deadline less the time of day is a difference of large numbers.
ROUNDING = 1e-6


def started(**limits: float | None) -> TimeoutBudget:
    timeout_budget = TimeoutBudget(Timeout(**{"read": None, "total": None, **limits}))
    timeout_budget.start()
    return timeout_budget


def test_none_disables_the_timeouts() -> None:
    """Also after an event, and while the end of the body is awaited."""
    timeout_budget = started(connect=None, write=None, pool=None)
    timeout_budget.record_read(progress=True, drain_timeout=None)

    assert {None} == set(timeout_budget.limits.values())


def test_only_events_extend_the_read_timeout() -> None:
    """A ping does not move the deadline, an event does."""
    timeout_budget = started(read=0.05)
    time.sleep(0.02)
    timeout_budget.record_read(progress=False, drain_timeout=None)
    assert timeout_budget.limits["read"] < 0.035
    timeout_budget.record_read(progress=True, drain_timeout=None)
    assert timeout_budget.limits["read"] > 0.045
    time.sleep(0.06)
    with pytest.raises(StreamStalled, match=r"no data arrived for 0.05 s \(timeout.read\)"):
        timeout_budget.record_read(progress=False, drain_timeout=None)


def test_the_first_token_timeout() -> None:
    """It is disabled by the first event."""
    timeout_budget = started(read=60, first_token=0.02)
    assert timeout_budget.limits["read"] <= 0.02 + ROUNDING
    time.sleep(0.03)
    with pytest.raises(StreamStalled, match=r"timeout.first_token"):
        timeout_budget.record_read(progress=False, drain_timeout=None)
    timeout_budget = started(read=60, first_token=0.02)
    timeout_budget.record_read(progress=True, drain_timeout=None)
    assert timeout_budget.limits["read"] > 59


def test_the_drain_timeout() -> None:
    """After complete output it limits the end of the body, and never exceeds the read timeout."""
    timeout_budget = started(read=60)
    timeout_budget.record_read(progress=True, drain_timeout=0.02)
    assert timeout_budget.limits["read"] <= 0.02 + ROUNDING
    time.sleep(0.01)
    timeout_budget.record_read(progress=False, drain_timeout=0.02)
    assert timeout_budget.limits["read"] <= 0.011 + ROUNDING
    time.sleep(0.02)
    with pytest.raises(StreamStalled, match=r"did not end within 0.02 s"):
        timeout_budget.record_read(progress=False, drain_timeout=0.02)
    timeout_budget = started(read=0.5)
    timeout_budget.record_read(progress=True, drain_timeout=10.0)
    assert timeout_budget.limits["read"] <= 0.5


def test_another_choice_after_complete_output() -> None:
    """If output continues, the read timeout applies again."""
    timeout_budget = started(read=60)
    timeout_budget.record_read(progress=True, drain_timeout=0.02)
    timeout_budget.record_read(progress=True, drain_timeout=None)

    assert timeout_budget.limits["read"] > 59


def test_buffered_data_is_read_after_the_deadline() -> None:
    """A read may still return what is in the buffers, but a burst does not continue forever."""
    timeout_budget = started(total=0.01)
    time.sleep(0.02)
    for _ in range(100):
        timeout_budget.record_read(progress=True, drain_timeout=None)
        assert 0.001 == timeout_budget.limits["read"]
    with pytest.raises(StreamStalled, match=r"not complete within 0.01 s \(timeout.total\)"):
        timeout_budget.record_read(progress=True, drain_timeout=None)
    assert timeout_budget.remaining < 0


def test_retries_share_the_total_timeout() -> None:
    """The other deadlines start anew."""
    timeout_budget = started(read=60, total=0.5)
    timeout_budget.has_head = True
    timeout_budget.start()

    assert timeout_budget.has_head is False
    assert timeout_budget.limits["read"] <= 0.5
    assert 0.4 < timeout_budget.remaining <= 0.5


def test_a_timeout_is_a_positive_number() -> None:
    """Other values are rejected with the field's name; a number is the read timeout."""
    for name in ("connect", "read", "write", "pool", "first_token", "total"):
        with pytest.raises(ValueError, match=rf"timeout\.{name}="):
            Timeout(**{name: 0})
    assert 7.0 == Timeout.from_value(7).read
    assert Timeout() == Timeout.from_value(None)
    assert Timeout.from_value(Timeout(read=3)) == Timeout(read=3)


def test_the_total_timeout_limits_each_step() -> None:
    """Also connecting, sending and waiting for a connection."""
    limits = started(connect=60, write=None, pool=0.01, read=60, total=0.5).limits

    assert 0.01 == limits["pool"]
    assert {True} == {0 < limits[step] <= 0.5 for step in ("connect", "write", "read")}
    assert 0 < limits["deadline"] - time.monotonic() <= 0.5


def test_an_extended_deadline_restores_the_limits_of_steps() -> None:
    """A wait for a rate limit is no part of the call: the next attempt has its whole timeouts again."""
    timeout_budget = started(connect=10, total=2)
    assert timeout_budget.limits["connect"] <= 2
    timeout_budget.extend(60)
    timeout_budget.start()

    assert 10 == timeout_budget.limits["connect"]


def test_the_deadline_is_the_total_before_the_first_event() -> None:
    """The transport measures the read timeout from the end of sending; later it starts with each event."""
    timeout_budget = started(read=5, total=60)
    assert timeout_budget.limits["deadline"] - time.monotonic() > 50
    timeout_budget.record_read(progress=True, drain_timeout=None)
    assert timeout_budget.limits["deadline"] - time.monotonic() <= 5


def test_an_expired_call_raises() -> None:
    """By its own clock, or by a timer that fired slightly early."""
    timeout_budget = started(total=60)
    timeout_budget.check()
    with pytest.raises(StreamStalled, match=r"within 60 s \(timeout.total\)"):
        timeout_budget.check(expired=True)
    timeout_budget = started(total=0.001)
    time.sleep(0.002)
    with pytest.raises(StreamStalled, match=r"timeout.total"):
        timeout_budget.check()
