"""`Limiter`: the queues of the requests that wait for a rate limit in one process.

All `RateLimit`s of a process with the same store and key share one. Threads wait in one queue, and so do the tasks of
each event loop. Only the first in a queue uses the store, shortly before it may send: a changed rate applies to all
requests that still wait, one that is cancelled wastes nothing, and each process gets the same share of the limit,
however many of its requests wait.
"""

import threading
import time
from itertools import count
from typing import NamedTuple, Protocol

import anyio
from anyio.lowlevel import RunVar

from mdstream_core import _fork
from mdstream_core.errors import RateLimitTimeout
from mdstream_core.rate_limit._algorithm import Limits, Reservation
from mdstream_core.rate_limit._fallback import FallbackStore, Operation
from mdstream_core.rate_limit._store import Store

#: Seconds before its time at which a request lets the next one in its queue use the store. So a request that waits for
#: less sleeps once, and no wake-up of a thread delays the next one; but it does not notice that the rate was lowered.
_LOOKAHEAD = 0.15

#: Seconds between two checks whether a request was cancelled that waits in the queue.
_CANCELLATION_INTERVAL = 0.1

#: Numbers for the names of `RunVar`s: older releases of anyio identify these by name.
_QUEUE_NUMBERS = count()


class Cancellation(Protocol):
    """Cancels the wait of a thread from another one; see `mdstream_core.transport._cancellation.CancelToken`."""

    def check(self) -> None:
        """Raise an exception if the request was cancelled."""
        ...

    def sleep(self, seconds: float) -> None:
        """Sleep, and raise an exception as soon as the request is cancelled."""
        ...


class Grant(NamedTuple):
    """Permission to send one request."""

    at: float
    """Time of the grant, on the store's clock."""
    waited: float
    """Seconds that the request has waited."""
    tokens: float = 0.0
    """Tokens that the request is expected to use."""


class Limiter:
    """Queues of one process for one limit.

    Args:
        store: The store of the limit's state.
        name: Name of the limit, for messages.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._name = name
        self._store = FallbackStore(store, name)
        self._lock = _fork.Lock()
        self._correction = 0.0
        self.reset_after_fork()
        _fork.register(self)

    def reset_after_fork(self) -> None:
        """Empty the queues in a forked process: those that wait are requests of the parent."""
        self._queue = _fork.Lock()
        self._task_queue: RunVar[anyio.Lock] = RunVar(f"mdstream rate limit {next(_QUEUE_NUMBERS)}")

    def acquire(
        self,
        limits: Limits,
        *,
        tokens: float,
        max_wait: float,
        processes: int | None,
        cancellation: Cancellation | None = None,
    ) -> Grant:
        """Wait until a request may be sent.

        Args:
            limits: What is allowed.
            tokens: Tokens that the request is expected to use.
            max_wait: Longest acceptable wait in seconds.
            processes: Number of processes that share the limit, if it is known.
            cancellation: How another thread ends the wait.

        Raises:
            RateLimitTimeout: The wait would be longer than `max_wait`.
        """
        started = time.monotonic()
        if not _wait_for(self._queue, max_wait, cancellation):
            raise self._timeout(max_wait)
        try:
            if cancellation is not None:
                cancellation.check()
            reserve = self._reserving(tokens, _remaining(max_wait, started))
            reservation = self._check(self._store.use(limits, processes, reserve), max_wait)
            if reservation.wait > _LOOKAHEAD:
                _sleep(reservation.wait - _LOOKAHEAD, cancellation)
        finally:
            self._queue.release()
        if reservation.wait > 0:
            _sleep(min(reservation.wait, _LOOKAHEAD), cancellation)
        return Grant(reservation.at, time.monotonic() - started, tokens)

    async def aacquire(self, limits: Limits, *, tokens: float, max_wait: float, processes: int | None) -> Grant:
        """Async variant of `acquire`. A task that is cancelled leaves the queue."""
        started = time.monotonic()
        queue = self._get_task_queue()
        if not await _acquire_within(queue, max_wait):
            raise self._timeout(max_wait)
        try:
            reserve = self._reserving(tokens, _remaining(max_wait, started))
            reservation = self._check(await self._store.ause(limits, processes, reserve), max_wait)
            if reservation.wait > _LOOKAHEAD:
                await anyio.sleep(reservation.wait - _LOOKAHEAD)
        finally:
            queue.release()
        if reservation.wait > 0:
            await anyio.sleep(min(reservation.wait, _LOOKAHEAD))
        return Grant(reservation.at, time.monotonic() - started, tokens)

    def slow_down(self, limits: Limits, grant: Grant, retry_after: float, processes: int | None) -> None:
        """Lower the rate of all that share the limit, after the service has rejected a request.

        Args:
            limits: What is allowed.
            grant: The grant of the rejected request.
            retry_after: Seconds that the service requires to wait; 0 if it does not.
            processes: Number of processes that share the limit, if it is known.
        """
        self._store.use(limits, processes, _slowing_down(grant, retry_after))

    async def aslow_down(self, limits: Limits, grant: Grant, retry_after: float, processes: int | None) -> None:
        """Async variant of `slow_down`."""
        await self._store.ause(limits, processes, _slowing_down(grant, retry_after))

    def correct_tokens(self, difference: float) -> None:
        """Record that a request has used more tokens than expected, or fewer (negative); the next one passes it on."""
        with self._lock:
            self._correction += difference

    def close(self) -> None:
        """Close the files and connections of the store. They are opened again when needed."""
        self._store.close()

    def _reserving(self, tokens: float, max_wait: float) -> Operation[Reservation]:
        """Return the operation that reserves a request."""
        correction = 0.0
        if self._correction:
            with self._lock:
                correction, self._correction = self._correction, 0.0

        def reserve(store: Store, limits: Limits, *, blocking: bool = True) -> Reservation:
            return store.reserve(limits, tokens=tokens, correction=correction, max_wait=max_wait, blocking=blocking)

        return reserve

    def _check(self, reservation: Reservation, max_wait: float) -> Reservation:
        """Return the reservation. Raises `RateLimitTimeout` if its wait is too long."""
        if not reservation.granted:
            raise self._timeout(max_wait, reservation.wait)
        return reservation

    def _timeout(self, max_wait: float, wait: float | None = None) -> RateLimitTimeout:
        when = "" if wait is None else f"; the next request may be sent in {wait:.1f} s"
        return RateLimitTimeout(
            f"the rate limit {self._name!r} allowed no request within {max_wait:g} s (max_wait){when} (hint: send "
            "fewer requests at once, or raise max_wait or the rate)"
        )

    def _get_task_queue(self) -> anyio.Lock:
        """Return the queue of the running event loop."""
        try:
            return self._task_queue.get()
        except LookupError:
            queue = anyio.Lock(fast_acquire=True)
            self._task_queue.set(queue)
            return queue


def _remaining(max_wait: float, started: float) -> float:
    """Return the seconds that are left. A request that may be sent at once is granted, however slow the process is."""
    return max(0.0, max_wait - (time.monotonic() - started))


def _slowing_down(grant: Grant, retry_after: float) -> Operation[None]:
    """Return the operation that lowers the rate."""

    def slow_down(store: Store, limits: Limits, *, blocking: bool = True) -> None:
        store.slow_down(limits, granted_at=grant.at, retry_after=retry_after, blocking=blocking)

    return slow_down


def _wait_for(queue: _fork.Lock, timeout: float, cancellation: Cancellation | None) -> bool:
    """Wait until this request is the first in its queue, and return whether that happened in time."""
    deadline = time.monotonic() + timeout
    while cancellation is not None:
        cancellation.check()
        if queue.acquire(timeout=max(0.0, min(_CANCELLATION_INTERVAL, deadline - time.monotonic()))):
            return True
        if time.monotonic() >= deadline:
            return False
    return queue.acquire(timeout=min(timeout, threading.TIMEOUT_MAX))


def _sleep(seconds: float, cancellation: Cancellation | None) -> None:
    if cancellation is None:
        time.sleep(seconds)
    else:
        cancellation.sleep(seconds)


async def _acquire_within(lock: anyio.Lock, timeout: float) -> bool:  # noqa: ASYNC109  # a timeout is no cancellation
    """Acquire a lock, and return whether that succeeded in time. A free lock is always in time."""
    try:
        lock.acquire_nowait()
    except anyio.WouldBlock:
        pass
    else:
        return True
    with anyio.move_on_after(timeout):
        await lock.acquire()
        return True
    return False
