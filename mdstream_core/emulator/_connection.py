"""One TCP connection: requests are parsed by h11, answers are written as their plan says."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import h11

from mdstream_core.emulator._bounds import MAX_HEAD_BYTES, MAX_HEADERS
from mdstream_core.emulator._plan import Pause, Plan
from mdstream_core.emulator._play import play
from mdstream_core.emulator._received import Received
from mdstream_core.emulator._switch import Switch

BODY_KEPT = 16 * 1024 * 1024  # above every service's limit; more is read and thrown away: the client hears why
_BODY_READ = 256 * 1024 * 1024  # a security limit
_MAX_UNREAD = 1024 * 1024  # bytes that wait to be looked at before reading stops; a security limit
_SLICE = 65_536  # bytes that are parsed before others have their turn
_POLL = 0.002  # how often an event that another thread may set is looked at

Answer = Callable[[Received], Awaitable[Plan]]


class Connection(asyncio.Protocol):
    """Serve one client until it goes, the plan says so, or `stop` is called.

    Args:
        answer: What makes the plan for a request.
        opened: Counts the connection; 0 where there are too many.
        left: Called once it is closed.
        idle: Seconds in which a request has to be complete, counted from the end of the last one; and the longest
            silence of a client that does not read its answer.
    """

    def __init__(
        self,
        answer: Answer,
        opened: Callable[["Connection"], int],
        left: Callable[["Connection"], None],
        idle: float = 120.0,
    ) -> None:
        self.idle = idle
        self._answer = answer
        self._opened = opened
        self._left = left
        self._number = 0
        self._inbox = bytearray()
        self._arrived = asyncio.Event()
        self._gone = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self.transport: asyncio.Transport
        self.task: asyncio.Task[None] | None = None
        self._begun = False

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (a statement for the type checker)
        self.transport = transport
        self._number = self._opened(self)
        if not self._number:
            self.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            transport.close()
            return
        self.task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        self._inbox += data
        self._arrived.set()
        if len(self._inbox) > _MAX_UNREAD:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Note that the client left. Under TLS there is no half-open connection, and asyncio warns of `True`."""
        self._leave()
        return not self._is_encrypted

    @property
    def _is_encrypted(self) -> bool:
        return self.transport.get_extra_info("ssl_object") is not None

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._left(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _leave(self) -> None:
        self._gone.set()
        self._arrived.set()
        self._writable.set()

    # a plan calls these

    @property
    def gone(self) -> bool:
        return self._gone.is_set()

    def write(self, data: bytes) -> None:
        if data and not self.transport.is_closing():
            self.transport.write(data)

    async def drained(self) -> None:
        """Wait until the client takes what was sent. One that takes nothing for too long is dropped."""
        if self._writable.is_set():
            return
        try:
            async with asyncio.timeout(self.idle):
                await self._writable.wait()
        except TimeoutError:
            self.transport.abort()
            self._leave()

    async def read(self) -> bytes:
        """What comes when HTTP is left behind; `b""` once the client is gone."""
        while not self._inbox and not self.gone:
            self._arrived.clear()
            await self._arrived.wait()
        return self._taken()

    def _taken(self) -> bytes:
        """The next slice of what arrived."""
        data = bytes(self._inbox[:_SLICE])
        del self._inbox[:_SLICE]
        if len(self._inbox) <= _MAX_UNREAD:
            self.transport.resume_reading()
        return data

    async def pause(self, pause: Pause) -> None:
        if pause.until is not None:
            while not (pause.until.is_set() or self.gone):  # noqa: ASYNC110  (another thread sets it)
                await asyncio.sleep(_POLL)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause.seconds or None):
                await self._gone.wait()

    def reset(self) -> None:
        sock: socket.socket = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # the client was faster, and the socket is closed
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    # the conversation

    async def stop(self) -> None:
        """Drop the client."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        self.transport.abort()

    async def _serve(self) -> None:
        try:
            while (received := await self._receive_in_time()) is not None:
                plan = await self._answer(received)
                if isinstance(plan, Switch):
                    await plan.talk(self, plan)
                    break
                keep = await play(self, plan)
                (received.closed if self.gone else received.answered).set()
                if not keep or received.headers.get("connection", "").lower() == "close":
                    break
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint)
        finally:
            self.transport.close()

    def _refuse(self, status: int) -> None:
        line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        self.write(line.encode())

    async def _receive_in_time(self) -> Received | None:
        """The next request; `None` where there is none in time."""
        self._begun = False
        try:
            async with asyncio.timeout(self.idle):
                return await self._receive()
        except TimeoutError:
            if self._begun:
                self._refuse(408)
            return None

    async def _receive(self) -> Received | None:
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        request: h11.Request | None = None
        body = bytearray()
        size = 0
        while True:
            event = await self._next(parser)
            if event is None or isinstance(event, h11.ConnectionClosed):
                return None
            if isinstance(event, h11.Request):
                request = event
                if len(event.headers) > MAX_HEADERS or _head_size(event) > MAX_HEAD_BYTES:
                    self._refuse(431)
                    return None
                if parser.they_are_waiting_for_100_continue:
                    self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            elif isinstance(event, h11.Data):
                size += len(event.data)
                if size <= BODY_KEPT:
                    body += event.data
                if size > _BODY_READ:
                    return None
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                self._inbox[:0] = parser.trailing_data[0]  # the next request, sent ahead
                return self._record(request, bytes(body) if size <= BODY_KEPT else b"", size)

    async def _next(self, parser: h11.Connection) -> h11.Event | None:
        while (event := parser.next_event()) is h11.NEED_DATA:
            while not self._inbox:
                if self.gone:
                    return None
                self._arrived.clear()
                await self._arrived.wait()
            self._begun = True
            parser.receive_data(self._taken())
            await asyncio.sleep(0)  # others have their turn
        return event if not isinstance(event, type) else None

    def _record(self, request: h11.Request, body: bytes, size: int) -> Received:
        headers: dict[str, str] = {}
        for raw_name, raw_value in request.headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return Received(
            method=request.method.decode(),
            target=request.target.decode("latin-1"),
            headers=headers,
            body=body,
            length=size if "content-length" in headers else None,
            connection=self._number,
            scheme="https" if self._is_encrypted else "http",
            http_version=request.http_version.decode(),
            header_fields=tuple((n.decode("latin-1"), v.decode("latin-1")) for n, v in request.headers.raw_items()),
        )


def _head_size(request: h11.Request) -> int:
    """About how many bytes a head has: h11 bounds only what is still incomplete."""
    return len(request.target) + sum(len(name) + len(value) + 4 for name, value in request.headers)
