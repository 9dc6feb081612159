"""The algorithm of rate limits, on a clock of its own; and the same in Redis."""

from collections.abc import Iterator
from math import inf

import pytest
from _redis import needs_redis, redis_server
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdstream_core.rate_limit._algorithm import (
    DECREASE,
    MAX_PAUSE,
    Limits,
    State,
    current_rate,
    reserve,
    slow_down,
)
from mdstream_core.rate_limit._redis_store import RedisStore

LIMITS = Limits(rate=10.0, burst=4, token_rate=inf, adaptive=True)


def drain(state: State, limits: Limits, now: float, count: int, **options: float) -> list[float]:
    """Times of the next requests, of which each is reserved when the one before is due."""
    times = []
    for _ in range(count):
        now = reserve(state, limits, now, **options).at
        times.append(now)
    return times


def test_a_burst_and_then_the_rate() -> None:
    """From idle, the burst passes at once; each further request one interval later."""
    times = drain(State(), LIMITS, 100.0, 8)

    assert [100.0] * 4 == times[:4]
    assert [100.1, 100.2, 100.3, 100.4] == pytest.approx(times[4:])


def test_idle_time_refills_the_burst() -> None:
    """And no more than it."""
    state = State()
    drain(state, LIMITS, 100.0, 20)

    assert [500.0, 500.0, 500.0, 500.0, 500.1, 500.2] == pytest.approx(drain(state, LIMITS, 500.0, 6))


@given(
    st.lists(st.floats(0, 3), min_size=1, max_size=60),
    st.floats(0.5, 300),
    st.integers(1, 20),
)
def test_no_second_has_more_than_rate_and_burst(gaps: list[float], rate: float, burst: int) -> None:
    """Whenever requests arrive."""
    state, limits = State(), Limits(rate, burst, inf, adaptive=False)
    now, times = 1000.0, []
    for gap in gaps:
        now += gap
        times.append(reserve(state, limits, now).at)

    for first, start in enumerate(times):
        assert sum(start <= time < start + 1 for time in times[first:]) <= rate + burst + 1e-6


def test_reservations_in_advance_are_spaced() -> None:
    """Callers that reserve at the same moment get times one interval apart."""
    state = State()
    waits = [reserve(state, Limits(10, 1, inf, adaptive=False), 5.0).wait for _ in range(4)]

    assert [0.0, 0.1, 0.2, 0.3] == pytest.approx(waits)


def test_a_wait_that_is_too_long_reserves_nothing() -> None:
    """The next caller is not delayed by it."""
    state = State()
    drain(state, LIMITS, 100.0, 4)
    refused = reserve(state, LIMITS, 100.0, max_wait=0.05)

    assert (False, pytest.approx(0.1)) == (refused.granted, refused.wait)
    assert 100.1 == pytest.approx(reserve(state, LIMITS, 100.0).at)


def test_tokens_are_a_second_dimension() -> None:
    """Ten seconds of tokens may be used at once; then the token rate applies."""
    limits, state = Limits(inf, 8, 100.0, adaptive=False), State()  # 6,000 tokens a minute

    assert [0.0, 0.0, 5.0] == [reserve(state, limits, 50.0, tokens=500).wait for _ in range(3)]


def test_a_request_larger_than_the_burst_of_tokens_is_sent() -> None:
    """At once if the limit is idle; those after it wait for all of its tokens."""
    limits, state = Limits(inf, 8, 100.0, adaptive=False), State()

    assert 0.0 == reserve(state, limits, 50.0, tokens=5_000).wait
    assert 41.0 == pytest.approx(reserve(state, limits, 50.0, tokens=100).wait)


@pytest.mark.parametrize(("correction", "expected"), [(0, 5.0), (-500, 0.0), (300, 8.0)])
def test_estimated_tokens_are_corrected(correction: int, expected: float) -> None:
    """By what the requests before have really used."""
    limits, state = Limits(inf, 8, 100.0, adaptive=False), State()
    for _ in range(2):
        reserve(state, limits, 50.0, tokens=500)

    assert expected == pytest.approx(reserve(state, limits, 50.0, tokens=500, correction=correction).wait)


def test_a_rejected_request_lowers_the_rate_once_for_all_sent_at_it() -> None:
    """Those sent before the decrease say nothing about the lower rate."""
    state = State()
    grants = [reserve(state, LIMITS, 100.0) for _ in range(4)]
    for grant in grants:
        slow_down(state, LIMITS, 100.5, granted_at=grant.at)

    assert 10 * DECREASE == pytest.approx(current_rate(state, LIMITS, 100.5))
    slow_down(state, LIMITS, 101.0, granted_at=100.6)
    assert 10 * DECREASE**2 == pytest.approx(current_rate(state, LIMITS, 101.0), rel=0.02)


def test_the_rate_grows_back_to_the_configured_one() -> None:
    """And not beyond it."""
    state = State()
    slow_down(state, LIMITS, 100.0, granted_at=100.0)
    rates = [current_rate(state, LIMITS, 100.0 + seconds) for seconds in (0, 5, 9, 11, 1000)]

    assert [8.0, 9.0, 9.8, 10.0, 10.0] == pytest.approx(rates)


def test_without_a_configured_rate_the_measured_one_is_lowered() -> None:
    """Here 50 requests in the second before the first rejection."""
    limits, state = Limits(inf, 8, inf, adaptive=True), State()
    for request in range(100):
        reserve(state, limits, 10 + request / 50)
    slow_down(state, limits, 12.0, granted_at=11.9)

    assert 50 * DECREASE == pytest.approx(current_rate(state, limits, 12.0), rel=0.1)


def test_retry_after_pauses_everybody() -> None:
    """Until then, but no longer than a minute; then the rate continues, without a burst."""
    state = State()
    grant = reserve(state, LIMITS, 100.0)
    slow_down(state, LIMITS, 100.1, granted_at=grant.at, retry_after=5.0)
    times = drain(state, LIMITS, 100.2, 3)

    assert [105.1, 105.1 + 1 / 8.1, 105.1 + 2 / 8.1] == pytest.approx(times, abs=0.05)
    slow_down(state, LIMITS, 110.0, granted_at=109.0, retry_after=1e9)
    assert 110.0 + MAX_PAUSE == pytest.approx(reserve(state, LIMITS, 110.0).at)


def test_a_clock_that_starts_anew_resets_the_state() -> None:
    """As after a restart of the system: otherwise all would wait for days."""
    state = State()
    drain(state, LIMITS, 1e6, 50)

    assert 0.0 == reserve(state, LIMITS, 12.0).wait


def test_garbage_in_a_store_is_a_new_state() -> None:
    """A file may hold anything."""
    assert State() == State.unpack(b"\xff" * len(State().pack()))


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.floats(0, 2), st.integers(0, 3000), st.integers(-500, 500), st.sampled_from([inf, 1.0])),
        st.tuples(st.just("slow_down"), st.floats(0, 2), st.floats(0, 5), st.sampled_from([0.0, 0.5, 90.0])),
        st.tuples(st.just("restart"), st.floats(0, 2)),
    ),
    min_size=1,
    max_size=25,
)  # fmt: skip

ANY_LIMITS = st.builds(
    Limits, st.sampled_from([0.5, 10.0, 150.0, inf]), st.integers(1, 9), st.sampled_from([100.0, inf]), st.booleans()
)


@needs_redis
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(STEPS, ANY_LIMITS)
def test_redis_computes_the_same(redis_url: str, steps: list[tuple[object, ...]], limits: Limits) -> None:
    """The Lua script gives what the Python function gives, on the same times."""
    store, state, now = RedisStore(redis_url, "same"), State(), 1000.0
    store._get_script()
    store._client.flushdb()
    for name, gap, *values in steps:
        now += float(gap)  # type: ignore[arg-type]
        if name == "restart":
            now -= 500
        elif name == "reserve":
            tokens, correction, max_wait = (float(value) for value in values)  # type: ignore[arg-type]
            options = {"tokens": tokens, "correction": correction, "max_wait": max_wait}
            expected = reserve(state, limits, now, **options)
            actual = store.reserve(limits, **options, now=now)
            for field in ("wait", "at", "rate", "granted"):
                assert getattr(expected, field) == pytest.approx(getattr(actual, field), rel=1e-12), field
        else:
            age, retry_after = (float(value) for value in values)  # type: ignore[arg-type]
            slow_down(state, limits, now, granted_at=now - age, retry_after=retry_after)
            store.slow_down(limits, granted_at=now - age, retry_after=retry_after, now=now)
    store.close()
