"""Async network backend: on `asyncio.Protocol` for asyncio, and httpcore's own for trio.

httpcore's backend for asyncio uses anyio, whose cancel scopes and checkpoints cost about 100 µs per read. Here the
event loop pushes data into a bounded buffer, and a read of buffered data does not wait at all.
"""

import asyncio
import select
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio

from mdstream_core.transport._asyncio_connect import open_socket
from mdstream_core.transport._fairness import FairScheduler, get_scheduler, runs_on_trio
from mdstream_core.transport._socket_backend import create_poll
from mdstream_core.transport._waiter import Waiter

_MAX_BUFFERED = 262_144  # bytes; reading pauses when the peer has sent more than this
_WRITE_SIZE = 262_144  # bytes passed to the event loop at once

# httpcore's interface has timeouts as arguments.
# ruff: noqa: ASYNC109


class ReceiveBuffer(asyncio.Protocol):
    """Data that the event loop has received and that was not read yet."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.scheduler: FairScheduler = get_scheduler(loop)
        self.transport: asyncio.Transport | None = None
        self.pieces: list[bytes] = []
        self.size = 0
        self.is_eof = self.is_closed = self.is_full = False
        self.error: Exception | None = None
        self.readable, self.writable = Waiter(loop), Waiter(loop)
        self._paused = False

    def take(self, max_bytes: int) -> bytes:
        """Remove and return up to `max_bytes` bytes."""
        pieces = self.pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        if len(data) > max_bytes:
            pieces.append(data[max_bytes:])
            data = data[:max_bytes]
        self.size -= len(data)
        if self._paused and self.transport is not None and self.size <= _MAX_BUFFERED // 2:
            self._paused = False
            self.transport.resume_reading()
        return data

    def close(self) -> None:
        """Raise an error in waiting readers: they must not mistake our closing for the end of the peer's data."""
        if not self.is_eof:
            self.connection_lost(ConnectionAbortedError("the connection was closed while it was read"))
        self.readable.close()
        self.writable.close()

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.scheduler.on_poll()
        self.pieces.append(data)
        self.size += len(data)
        self.readable.wake()
        if self.size > _MAX_BUFFERED and not self._paused and self.transport is not None:
            self._paused = True
            self.transport.pause_reading()

    def eof_received(self) -> None:
        self.is_eof = True
        self.readable.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_eof = self.is_closed = True
        self.error = self.error or exc
        self.readable.wake()
        self.writable.wake()

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False
        self.writable.wake()


class AsyncioStream:
    """httpcore's `AsyncNetworkStream` over an asyncio transport."""

    def __init__(self, core: Any, transport: asyncio.Transport, buffer: ReceiveBuffer) -> None:
        self._core = core
        self._transport = transport
        self._buffer = buffer
        self._poll: Callable[[int], list[Any]] | None = None  # created for the second request of a connection

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        received = self._buffer
        if not received.pieces and not received.is_eof:
            try:
                await received.readable.wait(timeout)
            except TimeoutError as error:
                raise self._core.ReadTimeout("no data arrived within the timeout") from error
        if received.pieces:
            await received.scheduler.wait_turn(received.loop)
            return received.take(max_bytes)
        if received.error is not None:
            raise self._core.ReadError(str(received.error)) from received.error
        return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        received, view = self._buffer, memoryview(buffer)
        # In pieces, because asyncio's TLS buffers a write of any size, and applies backpressure only to the next one.
        for at in range(0, len(view), _WRITE_SIZE):
            if received.is_closed:
                raise self._core.WriteError(str(received.error or "the connection is closed")) from received.error
            self._transport.write(view[at : at + _WRITE_SIZE])
            if received.is_full:
                await self._drain(timeout)

    async def _drain(self, timeout: float | None) -> None:
        received = self._buffer
        try:
            while received.is_full and not received.is_closed:
                await received.writable.wait(timeout)
        except TimeoutError as error:
            raise self._core.WriteTimeout("the peer did not read within the timeout") from error

    async def aclose(self) -> None:
        """Close without waiting, because a cancelled task may call this: `close` waits for the peer's TLS shutdown."""
        self._buffer.close()
        if not self._buffer.loop.is_closed():
            self._transport.abort()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> "AsyncioStream":
        loop = self._buffer.loop
        secure = ReceiveBuffer(loop)
        try:
            with _map_connect_errors(self._core):
                if self._buffer.is_closed:
                    raise ConnectionResetError("the connection was closed before TLS")  # noqa: TRY301 (asyncio would wait)
                async with asyncio.timeout(timeout):
                    transport = await loop.start_tls(
                        self._transport, secure, ssl_context, server_hostname=server_hostname
                    )
        except BaseException:
            await self.aclose()
            raise
        if transport is None:
            raise self._core.ConnectError("the connection was closed during TLS")
        secure.connection_made(transport)
        return AsyncioStream(self._core, transport, secure)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return self._is_readable()
        name = {"client_addr": "sockname", "server_addr": "peername"}.get(info, info)
        return self._transport.get_extra_info(name)

    def _is_readable(self) -> bool:
        received = self._buffer
        if received.pieces or received.is_eof or received.loop.is_closed():
            return True
        sock = self._transport.get_extra_info("socket")
        if sock is None or sock.fileno() < 0:
            return True
        if self._poll is None and (poll := create_poll(sock)) is not None:
            self._poll = poll
        if self._poll is None:
            return bool(select.select([sock.fileno()], [], [], 0)[0])
        return bool(self._poll(0))  # the loop may not have polled it recently


class AsyncioBackend:
    """httpcore's `AsyncNetworkBackend` on the running asyncio loop. `core` is the module of its exceptions."""

    def __init__(self, core: Any) -> None:
        self._core = core

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> AsyncioStream:
        loop = asyncio.get_running_loop()
        with _map_connect_errors(self._core):
            async with asyncio.timeout(timeout):
                sock = await open_socket(loop, host, port, local_address)
                transport, buffer = await loop.create_connection(_buffer_factory(loop), sock=sock)
            return self._stream(transport, buffer, socket_options)

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> AsyncioStream:
        loop = asyncio.get_running_loop()
        with _map_connect_errors(self._core):
            async with asyncio.timeout(timeout):
                transport, buffer = await loop.create_unix_connection(_buffer_factory(loop), path)
            return self._stream(transport, buffer, socket_options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def _stream(
        self, transport: asyncio.Transport, buffer: ReceiveBuffer, options: Iterable[Any] | None
    ) -> AsyncioStream:
        try:
            for option in options or ():
                transport.get_extra_info("socket").setsockopt(*option)
        except BaseException:
            transport.abort()
            raise
        return AsyncioStream(self._core, transport, buffer)


class AutoBackend:
    """Network backend that uses `AsyncioBackend` under asyncio and httpcore's backend under trio."""

    def __init__(self, core: Any) -> None:
        self._asyncio = AsyncioBackend(core)
        self._core = core

    async def connect_tcp(self, *args: Any) -> Any:
        return await self._backend().connect_tcp(*args)

    async def connect_unix_socket(self, *args: Any) -> Any:
        return await self._backend().connect_unix_socket(*args)

    async def sleep(self, seconds: float) -> None:
        await self._backend().sleep(seconds)

    def create_event(self) -> "Event":
        return Event(self._core)

    async def close(self, stream: Any) -> None:
        """Close a stream at once, even in a cancelled task."""
        if isinstance(stream, AsyncioStream):
            await stream.aclose()
            return
        with anyio.CancelScope(shield=True):
            await stream.aclose()

    def _backend(self) -> Any:
        return self._core.TrioBackend() if runs_on_trio() else self._asyncio


class Event:
    """Event for a task that waits for a connection."""

    def __init__(self, core: Any) -> None:
        self._core = core
        self._event = anyio.Event()
        self.set = self._event.set

    async def wait(self, timeout: float | None) -> None:
        try:
            with anyio.fail_after(timeout):
                await self._event.wait()
        except TimeoutError:
            raise self._core.PoolTimeout("no connection became free within the timeout") from None


def _buffer_factory(loop: asyncio.AbstractEventLoop) -> Callable[[], ReceiveBuffer]:
    return lambda: ReceiveBuffer(loop)


@contextmanager
def _map_connect_errors(core: Any) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise core.ConnectTimeout(str(error) or "no connection within the timeout") from error
    except OSError as error:
        raise core.ConnectError(str(error)) from error
    except TypeError as error:  # raised by `loop.start_tls` for a transport that it does not support
        raise core.ConnectError(f"this event loop does not support TLS inside TLS: {error}") from error
