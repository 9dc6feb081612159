"""Where the state of a rate limit is stored: the interface of the stores, and the one for a single process."""

import time
from math import inf
from typing import Protocol

from mdstream_core import _fork
from mdstream_core.rate_limit._algorithm import Limits, Reservation, State, reserve, slow_down

#: Longest time in seconds that an operation of a store may take.
STORE_TIMEOUT = 1.0


class StoreError(Exception):
    """A store cannot be reached, or does not respond in time."""


class StoreBusy(Exception):  # not an error: the operation is repeated in a thread
    """Another process holds the store's lock at the moment."""


class Store(Protocol):
    """The state of one limit, and the operations on it. Threads may share it."""

    is_remote: bool
    """Whether an operation waits for a network."""

    def reserve(
        self, limits: Limits, *, tokens: float, correction: float, max_wait: float, blocking: bool = True
    ) -> Reservation:
        """Reserve one request.

        Args:
            limits: What is allowed.
            tokens: Tokens that the request is expected to use.
            correction: Tokens that earlier requests have used beyond what was expected.
            max_wait: Longest acceptable wait in seconds.
            blocking: Whether to wait for other processes that are using the store.

        Raises:
            StoreError: The store cannot be used.
            StoreBusy: Without `blocking`: the operation would have to wait.
        """
        ...

    def slow_down(self, limits: Limits, *, granted_at: float, retry_after: float, blocking: bool = True) -> None:
        """Lower the rate, as the service has rejected a request. Raises as `reserve` does."""
        ...

    def close(self) -> None:
        """Close files and connections. They are opened again when needed."""
        ...


class MemoryStore:
    """The state in the memory of this process, on the clock of `time.monotonic`."""

    is_remote = False

    def __init__(self) -> None:
        self._state = State()
        self._lock = _fork.Lock()

    def reserve(
        self,
        limits: Limits,
        *,
        tokens: float = 0.0,
        correction: float = 0.0,
        max_wait: float = inf,
        blocking: bool = True,
    ) -> Reservation:
        """Reserve one request. Never waits."""
        with self._lock:
            return reserve(
                self._state, limits, time.monotonic(), tokens=tokens, correction=correction, max_wait=max_wait
            )

    def slow_down(self, limits: Limits, *, granted_at: float, retry_after: float, blocking: bool = True) -> None:
        """Lower the rate. Never waits."""
        with self._lock:
            slow_down(self._state, limits, time.monotonic(), granted_at=granted_at, retry_after=retry_after)

    def close(self) -> None:
        """Do nothing: the state stays."""
