"""The state of a rate limit in a memory-mapped file, for the processes of one host."""

import errno
import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mdstream_core import _fork
from mdstream_core.rate_limit._algorithm import STATE_SIZE, Limits, Reservation, State, reserve, slow_down
from mdstream_core.rate_limit._store import STORE_TIMEOUT, StoreBusy, StoreError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: Whether this system has the file locks that the store needs.
IS_SUPPORTED = fcntl is not None

T = TypeVar("T")

#: Seconds between two checks whether the file still exists.
_CHECK_INTERVAL = 1.0

#: First and longest time in seconds between two attempts to get the lock, which others hold for microseconds.
_FIRST_PAUSE, _MAX_PAUSE = 0.0002, 0.01


class FileStore:
    """The state in a file that all processes of a host map into their memory, on the clock of `time.monotonic`.

    That clock is common to all processes of a system, and starts anew with it, which the algorithm notices. The lock is
    `flock`, which the system releases when a process ends, however it ends.

    Args:
        directory: The directory of the file; it is created if it is missing, for its owner only.
        key: The name of the limit, and of its file.
    """

    is_remote = False

    def __init__(self, directory: Path, key: str) -> None:
        self._path = directory / f"{key}.limit"
        self._map: mmap.mmap | None = None
        self._file = -1
        self._next_check = 0.0
        self._lock = _fork.Lock()
        _fork.register(self)

    def reset_after_fork(self) -> None:
        """Open the file again in a forked process: `flock` does not separate processes that share an open file."""
        self._close()

    def reserve(
        self, limits: Limits, *, tokens: float, correction: float, max_wait: float, blocking: bool = True
    ) -> Reservation:
        """Reserve one request; see `Store`."""
        return self._update(
            lambda state, now: reserve(state, limits, now, tokens=tokens, correction=correction, max_wait=max_wait),
            blocking,
        )

    def slow_down(self, limits: Limits, *, granted_at: float, retry_after: float, blocking: bool = True) -> None:
        """Lower the rate; see `Store`."""
        self._update(
            lambda state, now: slow_down(state, limits, now, granted_at=granted_at, retry_after=retry_after), blocking
        )

    def open(self) -> None:
        """Open the file. Raises `StoreError`."""
        with self._lock:
            self._open()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._close()

    def _update(self, change: Callable[[State, float], T], blocking: bool) -> T:
        if not self._lock.acquire(blocking=blocking):
            raise StoreBusy
        try:
            memory = self._open()
            self._acquire(blocking)
            try:
                state = State.unpack(memory[:STATE_SIZE])
                result = change(state, time.monotonic())
                memory[:STATE_SIZE] = state.pack()
                return result
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)
        finally:
            self._lock.release()

    def _acquire(self, blocking: bool) -> None:
        """Get the lock of the file, within the timeout: a stopped process may hold it."""
        pause, deadline = _FIRST_PAUSE, 0.0
        while True:
            try:
                return fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not blocking:
                    raise StoreBusy from None
                deadline = deadline or time.monotonic() + STORE_TIMEOUT
                if time.monotonic() > deadline:
                    raise StoreError(f"{self._path}: locked by another process for {STORE_TIMEOUT:g} s") from None
            except OSError as error:  # a file system without locks
                raise StoreError(f"{self._path}: {error.strerror}") from error
            time.sleep(pause)
            pause = min(pause * 2, _MAX_PAUSE)

    def _open(self) -> mmap.mmap:
        """Return the mapped file; map it if that is not done, or if the file was deleted."""
        if self._map is not None:
            now = time.monotonic()
            if now < self._next_check:
                return self._map
            self._next_check = now + _CHECK_INTERVAL
            if os.fstat(self._file).st_nlink:
                return self._map
        self._close()
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            if os.fstat(self._file).st_size < STATE_SIZE:
                os.ftruncate(self._file, STATE_SIZE)
            self._map = mmap.mmap(self._file, STATE_SIZE)
        except OSError as error:
            self._close()
            reason = "is a symbolic link" if error.errno == errno.ELOOP else error.strerror
            raise StoreError(f"{self._path}: {reason}") from error
        return self._map

    def _close(self) -> None:
        if self._map is not None:
            self._map.close()
            self._map = None
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __del__(self) -> None:
        self._close()
