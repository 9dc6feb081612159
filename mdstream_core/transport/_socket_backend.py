"""Sync network backend: httpcore's own, with a faster read.

For each read httpcore sets the socket's timeout (an `ioctl`) and builds a mapping of exceptions. In a stream, where
each token is one read, that is a tenth of the time per token. Here the timeout of the socket is left as it is while it
is shorter than the one of a read or write, but not by much: one that expires is followed by another wait for the rest.
"""

import select
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Any

#: In how many waits a read or write may be split, rather than setting another timeout of the socket.
_MAX_WAITS = 8


class SocketStream:
    """Stream of httpcore, with reads directly from its socket."""

    def __init__(self, core: Any, inner: Any) -> None:
        self._core = core
        self._inner = inner
        self._sock = inner.get_extra_info("socket")
        #: The timeout of the socket, which is not set yet, and the timeout of a read or write for which it was chosen.
        self._limit: float | None = inf
        self._timeout: float | None = inf
        self.close = inner.close
        self._poll = create_poll(self._sock)
        if isinstance(inner.get_extra_info("ssl_object"), ssl.SSLObject):
            # TLS inside TLS: the socket decrypts only the outer layer
            self.read, self.write = inner.read, inner.write  # type: ignore[method-assign]

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while True:
            try:
                if timeout != self._timeout:
                    self._set_limit(timeout)
                return self._sock.recv(max_bytes)  # type: ignore[no-any-return]
            except TimeoutError as error:
                timeout = self._remaining_wait(timeout, error)
                if not timeout:
                    raise self._core.ReadTimeout("no data arrived within the timeout") from error
            except OSError as error:
                raise self._core.ReadError(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        remaining = timeout
        while buffer:
            try:
                if remaining != self._timeout:
                    self._set_limit(remaining)
                buffer = buffer[self._sock.send(buffer) :]
                remaining = timeout
            except TimeoutError as error:
                remaining = self._remaining_wait(remaining, error)
                if not remaining:
                    raise self._core.WriteTimeout("the data was not accepted within the timeout") from error
            except OSError as error:
                raise self._core.WriteError(str(error)) from error

    def _set_limit(self, timeout: float | None) -> None:
        """Set the timeout of the socket, unless the current one is suitable."""
        limit = self._limit
        if timeout is None or limit is None or not timeout / _MAX_WAITS <= limit <= timeout:
            self._sock.settimeout(timeout)
            self._limit = timeout
        self._timeout = timeout

    def _remaining_wait(self, timeout: float | None, error: TimeoutError) -> float:
        """Return how long to wait further after an error: 0 unless only the timeout of the socket has expired."""
        if timeout is None or self._limit is None or error.errno is not None:  # the system's own error, for example
            return 0.0
        return max(0.0, timeout - self._limit)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable" and self._poll is not None:
            return self._sock.fileno() < 0 or bool(self._poll(0))
        return self._inner.get_extra_info(info)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> "SocketStream":
        return SocketStream(self._core, self._inner.start_tls(ssl_context, server_hostname, timeout))


def create_poll(sock: socket.socket) -> Callable[[int], list[Any]] | None:
    """Return the function that polls a socket for data; `None` where the system has none (Windows)."""
    if not hasattr(select, "poll"):
        return None
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return poll.poll


class SocketBackend:
    """httpcore's `SyncBackend` with `SocketStream`s. `core` is the module whose exceptions are raised."""

    def __init__(self, core: Any) -> None:
        self._core = core
        self._inner = core.SyncBackend()
        self.sleep = self._inner.sleep

    def create_event(self) -> "Event":
        return Event(self._core)

    def close(self, stream: SocketStream) -> None:
        stream.close()

    def interrupt(self, stream: SocketStream) -> None:
        """Shut down the socket of a stream that another thread reads: the read ends, and that thread closes it."""
        sock = stream.get_extra_info("socket")
        with suppress(OSError):  # it is closed already
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # the method of `SSLSocket` would change its state

    def connect_tcp(self, *args: Any) -> SocketStream:
        return SocketStream(self._core, self._inner.connect_tcp(*args))

    def connect_unix_socket(self, *args: Any) -> SocketStream:
        return SocketStream(self._core, self._inner.connect_unix_socket(*args))


class Event:
    """Event for a thread that waits for a connection."""

    def __init__(self, core: Any) -> None:
        self._core = core
        self._event = threading.Event()
        self.set = self._event.set

    def wait(self, timeout: float | None) -> None:
        if not self._event.wait(timeout):
            raise self._core.PoolTimeout("no connection became free within the timeout")
