"""Sync network backend: httpcore's own, with a faster read.

For each read httpcore sets the socket's timeout (an `ioctl`) and builds a mapping of exceptions. In a stream, where
each token is one read, that is a tenth of the time per token.
"""

import select
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_UNKNOWN = object()


class SocketStream:
    """Stream of httpcore, with reads directly from its socket."""

    def __init__(self, core: Any, inner: Any) -> None:
        self._core = core
        self._inner = inner
        self._sock = inner.get_extra_info("socket")
        self._limit: Any = _UNKNOWN
        self.close = inner.close
        self._poll = _create_poll(self._sock)
        if isinstance(inner.get_extra_info("ssl_object"), ssl.SSLObject):
            # TLS inside TLS: the socket decrypts only the outer layer
            self.read, self.write = inner.read, inner.write  # type: ignore[method-assign]

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            if timeout != self._limit:
                self._sock.settimeout(timeout)
                self._limit = timeout
            return self._sock.recv(max_bytes)  # type: ignore[no-any-return]
        except TimeoutError as error:
            raise self._core.ReadTimeout("no data arrived within the timeout") from error
        except OSError as error:
            raise self._core.ReadError(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            while buffer:
                self._sock.settimeout(timeout)
                self._limit = timeout
                buffer = buffer[self._sock.send(buffer) :]
        except TimeoutError as error:
            raise self._core.WriteTimeout("the data was not accepted within the timeout") from error
        except OSError as error:
            raise self._core.WriteError(str(error)) from error

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable" and self._poll is not None:
            return self._sock.fileno() < 0 or bool(self._poll(0))
        return self._inner.get_extra_info(info)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> "SocketStream":
        return SocketStream(self._core, self._inner.start_tls(ssl_context, server_hostname, timeout))


def _create_poll(sock: socket.socket) -> Callable[[int], list[Any]] | None:
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
