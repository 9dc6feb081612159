"""Reset locks and other thread-related state in forked processes.

`os.fork` copies the memory of a process, but only the thread that called it. A lock that another thread held at that
moment stays locked in the child forever, and a result that another thread was about to deliver never arrives. Each
object with such state registers itself here and is reset in the child, before other code runs there.
"""

import os
import threading
from collections.abc import Callable
from typing import Any, Protocol
from weakref import WeakSet

#: Lock types and the functions that create them.
_LOCKS = {type(make()): make for make in (threading.Lock, threading.RLock)}


class Resettable(Protocol):
    """An object with state that does not survive a fork."""

    def reset_after_fork(self) -> None:
        """Replace locks, pending results and connections. Must not wait and must not close sockets."""


_objects: "WeakSet[Resettable]" = WeakSet()
_functions: list[Callable[[], None]] = []


def register(resettable: Resettable) -> None:
    """Reset this object in each forked process. The registry holds a weak reference only."""
    _objects.add(resettable)


def register_function(reset: Callable[[], None]) -> None:
    """Call `reset` in each forked process, for the state of a module."""
    _functions.append(reset)


def is_registered(resettable: Resettable) -> bool:
    """Whether this object is reset in forked processes."""
    return resettable in _objects


class Lock:
    """A `threading.Lock` that is unlocked in a forked process.

    >>> with Lock():
    ...     pass
    """

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        register(self)

    def reset_after_fork(self) -> None:
        """Replace the lock by an unlocked one."""
        self._lock = threading.Lock()

    def acquire(self, *, blocking: bool = True, timeout: float = -1) -> bool:
        """Acquire the lock, and return whether that succeeded.

        Args:
            blocking: Whether to wait.
            timeout: Longest wait in seconds; -1 waits without a limit.
        """
        return self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        """Release the lock."""
        try:  # noqa: SIM105  (`suppress` takes as long as the rest of this method)
            self._lock.release()
        except RuntimeError:  # the process was forked while it held the lock, and the child's is a new one
            pass

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def replace_locks(*holders: Any) -> None:
    """Replace the locks in the attributes of objects, such as those of a vendor's SDK."""
    for holder in holders:
        for name, value in list(getattr(holder, "__dict__", {}).items()):
            if make := _LOCKS.get(type(value)):
                setattr(holder, name, make())


def _reset() -> None:
    for function in _functions:
        function()
    for resettable in list(_objects):
        resettable.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset)
