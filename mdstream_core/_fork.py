"""Objects that hold locks, and how they start afresh in a forked process.

`os.fork` copies the memory of a process, but only the thread that called it. A lock that another thread held at that
moment stays locked in the child for ever, and a result that another thread was about to deliver never comes. Each
object with such state registers itself here and is reset in the child, before any other code runs there.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol
from weakref import WeakSet

#: How a new lock of the same kind is made.
_LOCKS = {type(make()): make for make in (threading.Lock, threading.RLock)}


class Resettable(Protocol):
    """An object with state that does not survive a fork."""

    def reset_after_fork(self) -> None:
        """Replace locks, pending results and connections with fresh ones. Must not wait and must not close sockets."""


_objects: "WeakSet[Resettable]" = WeakSet()
_functions: list[Callable[[], None]] = []


def register(resettable: Resettable) -> None:
    """Reset this object in each child process from now on. The registry does not keep it alive."""
    _objects.add(resettable)


def register_function(reset: Callable[[], None]) -> None:
    """Call `reset` in each child process from now on, for the state of a module."""
    _functions.append(reset)


def is_registered(resettable: Resettable) -> bool:
    """Whether this object is reset in a child process."""
    return resettable in _objects


class Lock:
    """A `threading.Lock` that is free in a forked process, whoever held it in the parent.

    >>> with Lock():
    ...     pass
    """

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        register(self)

    def reset_after_fork(self) -> None:
        """Be free."""
        self._lock = threading.Lock()

    def acquire(self, *, blocking: bool = True) -> bool:
        """Whether the lock was taken; without `blocking` it is not waited for."""
        return self._lock.acquire(blocking)

    def release(self) -> None:
        """Free the lock."""
        with suppress(RuntimeError):  # the process was forked inside of the block: the child's lock is another one
            self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def replace_locks(*holders: Any) -> None:
    """Give objects of a vendor's SDK new locks, where they hold plain ones in their attributes."""
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
