"""Cancel requests that other threads send: their sockets are closed, and their waits end.

Tasks do not need it: an event loop cancels them.
"""

import asyncio
import threading
import time
from contextvars import ContextVar
from typing import Protocol

from mdstream_core import _fork


class RequestCancelled(BaseException):
    """A request was cancelled. No `Exception`, like the exception of a cancelled task."""


class Interruptible(Protocol):
    """A connection whose socket another thread can shut down."""

    def interrupt(self) -> None:
        """Shut down the socket, which ends a read or write in progress."""
        ...


class CancelToken:
    """Cancels requests from another thread. The requests of several threads may share one.

    It is passed to the transport as the request's extension `cancel_token`. A user's transport that does not know it
    reads the response to its end.

    >>> token = CancelToken()
    >>> token.cancel()
    >>> token.is_cancelled
    True
    """

    def __init__(self) -> None:
        self._lock = _fork.Lock()
        self.reset_after_fork()
        _fork.register(self)

    def reset_after_fork(self) -> None:
        """Forget the connections in a forked process: a shutdown would reach the parent's requests."""
        self._cancelled = threading.Event()
        self._connections: set[Interruptible] = set()

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Cancel the requests that use this token, now and later."""
        self._cancelled.set()
        with self._lock:
            for connection in self._connections:
                connection.interrupt()

    def check(self) -> None:
        """Raise `RequestCancelled` after `cancel`."""
        if self.is_cancelled:
            raise RequestCancelled

    def add(self, connection: Interruptible) -> None:
        """Add a connection that `cancel` interrupts. Raises `RequestCancelled` after `cancel`."""
        with self._lock:
            self.check()
            self._connections.add(connection)

    def remove(self, connection: Interruptible) -> None:
        """Remove a connection whose request has ended: the next one may belong to somebody else."""
        with self._lock:
            self._connections.discard(connection)

    def sleep(self, seconds: float) -> None:
        """Sleep, and raise `RequestCancelled` as soon as `cancel` is called."""
        if self._cancelled.wait(seconds):
            raise RequestCancelled


#: The token of the requests that are sent in this context. A thread has a copy of the context of the task that runs it.
inherited_token: ContextVar[CancelToken | None] = ContextVar("mdstream cancel token", default=None)


def thread_token() -> CancelToken | None:
    """Return the token that cancels requests of this thread; `None` without one, or if an event loop runs here."""
    token = inherited_token.get()
    return token if token is not None and asyncio._get_running_loop() is None else None


def sleep(seconds: float, token: CancelToken | None) -> None:
    """Sleep; if there is a token, not longer than until it cancels."""
    if token is None:
        time.sleep(seconds)
    else:
        token.sleep(seconds)
