"""How long the next read may take."""

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


def test_without_limits_there_are_none() -> None:
    """
    None waits without end, also after an event and while the end is awaited.
    """
    timeout_budget = started(connect=None, write=None, pool=None)
    timeout_budget.record_read(progress=True, drain_timeout=None)

    assert {None} == set(timeout_budget.limits.values())


def test_only_events_extend_the_silence() -> None:
    """
    A ping does not move the end of the wait, an event does.
    """
    timeout_budget = started(read=0.05)
    time.sleep(0.02)
    timeout_budget.record_read(progress=False, drain_timeout=None)
    assert timeout_budget.limits["read"] < 0.035
    timeout_budget.record_read(progress=True, drain_timeout=None)
    assert timeout_budget.limits["read"] > 0.045
    time.sleep(0.06)
    with pytest.raises(StreamStalled, match=r"no data arrived for 0.05 s \(timeout.read\)"):
        timeout_budget.record_read(progress=False, drain_timeout=None)


def test_the_first_token_has_a_limit_of_its_own() -> None:
    """
    It falls away with the first event.
    """
    timeout_budget = started(read=60, first_token=0.02)
    assert timeout_budget.limits["read"] <= 0.02 + ROUNDING
    time.sleep(0.03)
    with pytest.raises(StreamStalled, match=r"timeout.first_token"):
        timeout_budget.record_read(progress=False, drain_timeout=None)
    timeout_budget = started(read=60, first_token=0.02)
    timeout_budget.record_read(progress=True, drain_timeout=None)
    assert timeout_budget.limits["read"] > 59


def test_the_end_of_a_response_has_a_limit_of_its_own() -> None:
    """
    Once the answer is over its end may take `drain`, and never more than a silence may.
    """
    timeout_budget = started(read=60)
    timeout_budget.record_read(progress=True, drain_timeout=0.02)
    assert timeout_budget.limits["read"] <= 0.02 + ROUNDING
    time.sleep(0.01)
    timeout_budget.record_read(progress=False, drain_timeout=0.02)
    assert timeout_budget.limits["read"] <= 0.011 + ROUNDING
    time.sleep(0.02)
    with pytest.raises(StreamStalled, match=r"did not end it within 0.02 s"):
        timeout_budget.record_read(progress=False, drain_timeout=0.02)
    timeout_budget = started(read=0.5)
    timeout_budget.record_read(progress=True, drain_timeout=10.0)
    assert timeout_budget.limits["read"] <= 0.5


def test_another_choice_after_the_end_of_the_first_has_its_time() -> None:
    """
    Where an answer goes on after it seemed over, the silence may be as long as before.
    """
    timeout_budget = started(read=60)
    timeout_budget.record_read(progress=True, drain_timeout=0.02)
    timeout_budget.record_read(progress=True, drain_timeout=None)

    assert timeout_budget.limits["read"] > 59


def test_what_has_arrived_is_read_when_the_time_is_over_and_no_more() -> None:
    """
    After the total time a read may still bring what is in the buffers, but a flood does not go on for ever.
    """
    timeout_budget = started(total=0.01)
    time.sleep(0.02)
    for _ in range(100):
        timeout_budget.record_read(progress=True, drain_timeout=None)
        assert 0.001 == timeout_budget.limits["read"]
    with pytest.raises(StreamStalled, match=r"not finished within 0.01 s \(timeout.total\)"):
        timeout_budget.record_read(progress=True, drain_timeout=None)
    assert timeout_budget.remaining < 0


def test_a_new_attempt_begins_anew_within_the_same_total() -> None:
    """
    Retries do not lengthen the call.
    """
    timeout_budget = started(read=60, total=0.5)
    timeout_budget.has_head = True
    timeout_budget.start()

    assert timeout_budget.has_head is False
    assert timeout_budget.limits["read"] <= 0.5
    assert 0.4 < timeout_budget.remaining <= 0.5


def test_a_timeout_is_a_positive_number() -> None:
    """
    Zero and less are refused by the field's name; a number is the longest silence.
    """
    for name in ("connect", "read", "write", "pool", "first_token", "total"):
        with pytest.raises(ValueError, match=f"timeout {name}="):
            Timeout(**{name: 0})
    assert 7.0 == Timeout.from_value(7).read
    assert Timeout() == Timeout.from_value(None)
    assert Timeout.from_value(Timeout(read=3)) == Timeout(read=3)


def test_no_step_may_take_longer_than_the_whole() -> None:
    """
    Connecting, sending and waiting for a connection are within the total time too.
    """
    limits = started(connect=60, write=None, pool=0.01, read=60, total=0.5).limits

    assert 0.01 == limits["pool"]
    assert {True} == {0 < limits[step] <= 0.5 for step in ("connect", "write", "read")}
    assert 0 < limits["deadline"] - time.monotonic() <= 0.5


def test_the_deadline_is_the_total_until_something_came() -> None:
    """
    The silence is counted from when the question was sent, which only the transport knows; then from the last event.
    """
    timeout_budget = started(read=5, total=60)
    assert timeout_budget.limits["deadline"] - time.monotonic() > 50
    timeout_budget.record_read(progress=True, drain_timeout=None)
    assert timeout_budget.limits["deadline"] - time.monotonic() <= 5


def test_a_call_whose_time_is_over_states_so() -> None:
    """
    By its own clock, or by a timer that rang a moment early.
    """
    timeout_budget = started(total=60)
    timeout_budget.check()
    with pytest.raises(StreamStalled, match=r"within 60 s \(timeout.total\)"):
        timeout_budget.check(expired=True)
    timeout_budget = started(total=0.001)
    time.sleep(0.002)
    with pytest.raises(StreamStalled, match=r"timeout.total"):
        timeout_budget.check()
