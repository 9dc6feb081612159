"""`FallbackStore`: what a process does while the store of a rate limit cannot be used."""

import logging
import time
import warnings
from collections.abc import Callable
from math import inf
from typing import Protocol, TypeVar

import anyio.to_thread

from mdstream_core import _fork, _log
from mdstream_core.rate_limit._algorithm import Limits
from mdstream_core.rate_limit._store import MemoryStore, Store, StoreBusy, StoreError

T_co = TypeVar("T_co", covariant=True)

#: First and longest time in seconds between two attempts to use a store that has failed.
_FIRST_RETRY, _MAX_RETRY = 1.0, 30.0

#: The share of each process while the store has failed, if the number of processes is not known.
_DEFAULT_SHARE = 0.1

#: Requests per second of all processes together while the store has failed, if no rate is configured.
_UNKNOWN_RATE = 10.0


class Operation(Protocol[T_co]):
    """An operation of a store."""

    def __call__(self, store: Store, limits: Limits, *, blocking: bool = True) -> T_co:
        """Run the operation; see `Store`."""
        ...


class FallbackStore:
    """A store that is replaced by the memory of this process while it fails, with a share of the limits.

    The first failure is a `RuntimeWarning`. The store is tried again after a second, and then at growing intervals.

    Args:
        store: The store.
        name: Name of the limit, for the warning.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self._fallback = MemoryStore()
        self._lock = _fork.Lock()
        self._retry_at = -inf
        self._retry_delay = 0.0

    def use(self, limits: Limits, processes: int | None, operation: Operation[T_co], *, blocking: bool = True) -> T_co:
        """Run an operation on the store, or on the memory of this process if the store fails.

        Args:
            limits: What is allowed.
            processes: Number of processes that share the limit, if it is known.
            operation: The operation.
            blocking: Whether to wait for other processes.

        Raises:
            StoreBusy: Without `blocking`: the operation would have to wait.
        """
        if time.monotonic() >= self._retry_at:
            try:
                result = operation(self._store, limits, blocking=blocking)
            except StoreError as error:
                self._record_failure(error)
            else:
                self._retry_delay = 0.0
                return result
        share = 1 / processes if processes else _DEFAULT_SHARE
        return operation(self._fallback, limits.scale(share, _UNKNOWN_RATE))

    async def ause(self, limits: Limits, processes: int | None, operation: Operation[T_co]) -> T_co:
        """Async variant of `use`. A thread runs what would block the event loop."""
        if not self._store.is_remote or time.monotonic() < self._retry_at:
            try:
                return self.use(limits, processes, operation, blocking=False)
            except StoreBusy:
                pass
        call: Callable[[], T_co] = lambda: self.use(limits, processes, operation)  # noqa: E731  # for its type
        return await anyio.to_thread.run_sync(call, abandon_on_cancel=True)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _record_failure(self, error: StoreError) -> None:
        with self._lock:
            is_first = not self._retry_delay
            self._retry_delay = min(self._retry_delay * 2, _MAX_RETRY) or _FIRST_RETRY
            self._retry_at = time.monotonic() + self._retry_delay
        if is_first:
            kind = type(error.__cause__ or error).__name__
            text = f"the store of a rate limit cannot be used ({kind}): each process limits itself to its share"
            _log.log(_log.CALLS, logging.WARNING, "rate_limit_store", text, {"error": kind})
            warnings.warn(
                f"the store of the rate limit {self._name!r} cannot be used: {error}. Each process limits itself "
                "to its share until the store is back (hint: check store=, and set processes= to the number of "
                "processes; the default share is a tenth)",
                RuntimeWarning,
                stacklevel=2,
            )
