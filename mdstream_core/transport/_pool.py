"""State of a connection pool: connections, idle connections and waiting requests. Nothing in this module waits.

httpcore's own pool iterates over all its connections for each request that starts or ends, which takes a minute of CPU
time for a thousand streams. Here each step takes constant time.
"""

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from mdstream_core import _fork, _log
from mdstream_core.transport._route import Route

#: Scheme, host and port of the requests that a connection can send.
Origin = tuple[bytes, bytes, int]


#: Above how many origins one without idle connections is forgotten.
_MAX_EMPTY = 64


class PooledConnection:
    """Base class of the sync and async connections, with the state that the pool uses."""

    def __init__(self, core: Any, route: Route, backend: Any) -> None:
        self._core = core
        self._route = route
        self._backend = backend
        self._stream: Any = None
        self._cancel_token: Any = None
        self.origin = to_key(route.origin)
        self._has_requests = False
        #: Time when the connection became idle, on the clock of `time.monotonic`.
        self.idle_since = inf

    def _is_closed_by_server(self) -> bool:
        """Whether the server has closed the idle connection: nothing else makes an idle connection readable."""
        return bool(self._stream.get_extra_info("is_readable"))

    def log_request(self) -> None:
        """Log that a request is sent over this connection: its first, or a later one."""
        if _log.TRANSPORT.isEnabledFor(logging.DEBUG):
            scheme, host, port = self.origin
            origin = f"{scheme.decode('ascii')}://{host.decode('ascii', 'replace')}:{port}"
            state = "reused" if self._has_requests else "opened"
            fields = {"origin": origin, "reused": self._has_requests}
            _log.log(_log.TRANSPORT, logging.DEBUG, "connection", f"connection {state}: {origin}", fields)
        self._has_requests = True

    def watch(self, extensions: Mapping[str, Any]) -> None:
        """Let the `cancel_token` of a request, if it has one, interrupt this connection until its response has ended.

        Raises `RequestCancelled` if the token has cancelled the request already.
        """
        if (token := extensions.get("cancel_token")) is not None:
            token.add(self)
            self._cancel_token = token

    def unwatch(self) -> None:
        """Undo `watch`, because the response has ended."""
        if self._cancel_token is not None:
            self._cancel_token.remove(self)
            self._cancel_token = None

    def interrupt(self) -> None:
        """Shut down the socket while another thread uses it."""
        self._backend.interrupt(self._stream)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._route.origin}>"


class PendingRequest:
    """A request, from its arrival in the pool until its response starts."""

    __slots__ = ("connection", "event", "key", "origin")

    def __init__(self, origin: Any, key: Origin | None = None) -> None:
        self.origin = origin
        self.key = key or to_key(origin)
        #: Its connection; `None` while it waits for one.
        self.connection: Any = None
        #: Event that is set when it has a connection or the pool was closed; created only if it must wait.
        self.event: Any = None


class PoolState:
    """Connections and waiting requests of one pool; threads may share it.

    A request gets the most recently used idle connection of its origin; or a new one, if the limit allows it or another
    idle connection can be closed (the one that has been idle the longest); or it waits. Waiting requests are served
    in the order of their arrival. Every method returns the connections that its caller must close.

    Args:
        connect: Creates a connection to an origin, without opening it.
        create_event: Creates the event that a request waits for.
        max_connections: Maximum number of connections; `None` is unlimited.
        max_idle: Maximum number of idle connections; `None` is unlimited.
        keepalive_expiry: Seconds after which an idle connection is closed; `None` is unlimited.
    """

    def __init__(
        self,
        connect: Callable[[Any], Any],
        create_event: Callable[[], Any],
        *,
        max_connections: int | None,
        max_idle: int | None,
        keepalive_expiry: float | None,
    ) -> None:
        self._connect = connect
        self._create_event = create_event
        self._last_origin: tuple[Any, Any, Origin | None] = None, None, None
        self._max_connections = inf if max_connections is None else max_connections
        self._max_idle = inf if max_idle is None else max_idle
        self._keepalive_expiry = inf if keepalive_expiry is None else keepalive_expiry
        _fork.register(self)
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Drop all connections: they belong to the parent process, and two readers would get each other's data."""
        self._lock = threading.Lock()  # held for microseconds, never while waiting
        self._connections: set[Any] = set()
        self._idle: OrderedDict[Any, None] = OrderedDict()  # the longest idle first
        self._idle_by_origin: dict[Origin, OrderedDict[Any, None]] = {}
        self._waiting: OrderedDict[PendingRequest, None] = OrderedDict()
        self._released: deque[tuple[Any, bool]] = deque()  # connections that are being released

    def create_request(self, url: Any) -> PendingRequest:
        """Create the request for httpcore's URL; usually that is the object of the last request."""
        last, origin, key = self._last_origin
        if last is not url:
            origin = url.origin
            self._last_origin = url, origin, to_key(origin)
            return PendingRequest(origin)
        return PendingRequest(origin, key)

    def acquire(self, pending: PendingRequest) -> list[Any]:
        """Assign a connection to a new request; if there is none, `pending.event` is created to wait for."""
        with self._lock:
            closing = self._remove_expired(time.monotonic()) if self._idle else []
            pending.connection = self._take_idle(pending.key)
            if pending.connection is not None:
                pass
            elif len(self._connections) < self._max_connections:
                self._open(pending)
            elif self._idle:
                closing.append(self._take_oldest())
                self._open(pending)
            else:
                pending.event = self._create_event()
                self._waiting[pending] = None
        return closing + self._process_released() if self._released else closing

    def replace(self, pending: PendingRequest) -> list[Any]:
        """Assign another connection to a request, because the server closed its own before anything was sent."""
        with self._lock:
            closed = pending.connection
            self._connections.discard(closed)
            pending.connection = self._take_idle(closed.origin)
            if pending.connection is None:
                self._open(pending)
        return [closed, *self._process_released()]

    def release(self, connection: Any, *, reusable: bool) -> list[Any]:
        """Release a connection whose response has ended; the request that has waited the longest may get it."""
        connection.unwatch()
        self._released.append((connection, reusable))
        return self._process_released()

    def withdraw(self, pending: PendingRequest) -> list[Any]:
        """Remove a request that failed or was cancelled before its response started."""
        with self._lock:
            if pending.connection is None:
                self._waiting.pop(pending, None)
        return (
            self._process_released() if pending.connection is None else self.release(pending.connection, reusable=False)
        )

    def close(self) -> list[Any]:
        """Remove all connections, including those in use, and wake the waiting requests."""
        with self._lock:
            closing = list(self._connections)
            for pending in self._waiting:
                pending.event.set()
            for collection in (self._connections, self._idle, self._idle_by_origin, self._waiting):
                collection.clear()
        return closing + self._process_released()

    def __repr__(self) -> str:
        used = len(self._connections) - len(self._idle)
        return f"<{type(self).__name__} {used} in use, {len(self._idle)} idle, {len(self._waiting)} requests waiting>"

    def _process_released(self) -> list[Any]:
        """Process the released connections, unless the lock is held: then the thread that holds it does so afterwards.

        A release must not wait for the lock: the garbage collector, which closes abandoned responses, may run in the
        thread that holds it.
        """
        closing: list[Any] = []
        lock = self._lock  # a forked process gets another one
        while self._released and lock.acquire(False):
            try:
                while self._released:
                    closing += self._take_back(*self._released.popleft())
            finally:
                lock.release()
        return closing

    # The following methods are called with the lock held.

    def _take_back(self, connection: Any, reusable: bool) -> list[Any]:
        if connection not in self._connections:  # the pool was closed in the meantime
            return [connection]
        if reusable and not self._waiting:
            return self._add_idle(connection)
        if reusable and next(iter(self._waiting)).key == connection.origin:
            self._assign_to_waiting(connection)
            return []
        self._connections.discard(connection)
        if self._waiting:
            self._assign_to_waiting(None)
        return [connection]

    def _open(self, pending: PendingRequest) -> None:
        pending.connection = self._connect(pending.origin)
        self._connections.add(pending.connection)

    def _assign_to_waiting(self, connection: Any) -> None:
        """Assign `connection`, or a new one, to the request that has waited the longest."""
        pending, _ = self._waiting.popitem(last=False)
        pending.connection = connection
        if connection is None:
            self._open(pending)
        pending.event.set()

    def _add_idle(self, connection: Any) -> list[Any]:
        connection.idle_since = now = time.monotonic()
        self._idle[connection] = None
        idle = self._idle_by_origin.get(connection.origin)
        if idle is None:
            idle = self._idle_by_origin[connection.origin] = OrderedDict()
        idle[connection] = None
        closing = self._remove_expired(now)
        while len(self._idle) > self._max_idle:
            closing.append(self._take_oldest())
        return closing

    def _take_idle(self, origin: Origin) -> Any:
        """Return the most recently used idle connection to `origin`; `None` if there is none."""
        idle = self._idle_by_origin.get(origin)
        return self._mark_taken(next(reversed(idle))) if idle else None

    def _take_oldest(self) -> Any:
        """Remove and return the connection that has been idle the longest."""
        oldest = self._mark_taken(next(iter(self._idle)))
        self._connections.discard(oldest)
        return oldest

    def _mark_taken(self, connection: Any) -> Any:
        del self._idle[connection]
        idle = self._idle_by_origin[connection.origin]
        del idle[connection]
        if not idle and len(self._idle_by_origin) > _MAX_EMPTY:
            del self._idle_by_origin[connection.origin]
        return connection

    def _remove_expired(self, now: float) -> list[Any]:
        limit = now - self._keepalive_expiry
        closing = []
        while self._idle and next(iter(self._idle)).idle_since < limit:
            closing.append(self._take_oldest())
        return closing


def to_key(origin: Any) -> Origin:
    """Convert httpcore's `Origin`, which is not hashable, to a dictionary key."""
    return origin.scheme, origin.host, origin.port
