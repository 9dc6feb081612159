"""Whether a connection may serve a request, as httpcore's pool asks it."""

import time
from enum import Enum
from typing import Any

from mdstream_core import _fork
from mdstream_core.transport._route import Route

_ORPHANED = 1.0  # seconds


class _State(Enum):
    NEW = "new"
    ACTIVE = "active"
    IDLE = "idle"
    CLOSED = "closed"


class Standing:
    """The half of httpcore's `ConnectionInterface` that does not wait; the same for both colours."""

    def __init__(self, core: Any, route: Route, backend: Any, *, keepalive_expiry: float | None) -> None:
        self._core = core
        self._route = route
        self._backend = backend
        self._keepalive_expiry = keepalive_expiry
        self._state = _State.NEW
        self._requests = 0
        self._expires = time.monotonic() + _ORPHANED
        self._lock = _fork.Lock()  # threads share a pool; never held while waiting
        self._stream: Any = None

    def _claim(self) -> None:
        """Take the connection for one request, or send the pool to find another."""
        with self._lock:
            if self._state not in {_State.NEW, _State.IDLE}:
                raise self._core.ConnectionNotAvailable
            self._state = _State.ACTIVE
            self._requests += 1

    def _rest(self) -> None:
        """Give the connection back to the pool."""
        with self._lock:
            if self._state is _State.ACTIVE:
                self._state = _State.IDLE
                self._expires = float("inf")
                if self._keepalive_expiry is not None:
                    self._expires = time.monotonic() + self._keepalive_expiry

    def _retire(self) -> None:
        with self._lock:
            self._state = _State.CLOSED

    def _gone(self) -> bool:
        """The server has ended the connection while it was idle: an idle one has nothing else to say."""
        return self._stream is not None and bool(self._stream.get_extra_info("is_readable"))

    def can_handle_request(self, origin: Any) -> bool:
        return bool(origin == self._route.origin)

    def is_available(self) -> bool:
        return self._state is _State.IDLE

    def is_idle(self) -> bool:
        return self._state is _State.IDLE

    def is_closed(self) -> bool:
        return self._state is _State.CLOSED

    def is_connected(self) -> bool:
        return self._stream is not None and self._state is not _State.CLOSED

    def can_multiplex(self) -> bool:
        return False

    def has_expired(self) -> bool:
        """Too long idle, or closed by the server. Retires it on the spot: another thread may be about to claim it."""
        with self._lock:
            if self._state is _State.ACTIVE or self._state is _State.CLOSED:
                return False
            # A new connection whose request was cancelled before it began would hold its place in the pool for ever.
            if not (self._gone() or time.monotonic() > self._expires):
                return False
            self._state = _State.CLOSED
            return True

    def info(self) -> str:
        return f"{str(self._route.origin)!r}, HTTP/1.1, {self._state.name}, Request Count: {self._requests}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [{self.info()}]>"
