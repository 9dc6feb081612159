"""One TCP connection: requests are parsed by h11, answers are written as their plan says."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable

import h11

from mdstream_core.emulator._plan import Pause, Plan
from mdstream_core.emulator._play import play
from mdstream_core.emulator._received import Received
from mdstream_core.emulator._switch import Switch

BODY_KEPT = 16 * 1024 * 1024  # above every service's limit; more is read and thrown away: the client hears why
_BODY_READ = 256 * 1024 * 1024  # a security limit
_POLL = 0.002  # how often an event that another thread may set is looked at

Answer = Callable[[Received], Awaitable[Plan]]


class Connection(asyncio.Protocol):
    """Serve one client until it goes, the plan says so, or `stop` is called."""

    def __init__(self, answer: Answer, opened: Callable[["Connection"], int], left: Callable[["Connection"], None]):
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

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (a statement for the type checker)
        self.transport = transport
        self._number = self._opened(self)
        self.task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        self._inbox += data
        self._arrived.set()

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
        await self._writable.wait()

    async def read(self) -> bytes:
        """What comes when HTTP is left behind; `b""` once the client is gone."""
        while not self._inbox and not self.gone:
            self._arrived.clear()
            await self._arrived.wait()
        data = bytes(self._inbox)
        self._inbox.clear()
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
            while (received := await self._receive()) is not None:
                plan = await self._answer(received)
                if isinstance(plan, Switch):
                    await plan.talk(self, plan)
                    break
                keep = await play(self, plan)
                (received.closed if self.gone else received.answered).set()
                if not keep or received.headers.get("connection", "").lower() == "close":
                    break
        except h11.RemoteProtocolError:
            self.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        finally:
            self.transport.close()

    async def _receive(self) -> Received | None:
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=65_536)
        request: h11.Request | None = None
        body: list[bytes] = []
        size = 0
        while True:
            event = await self._next(parser)
            if event is None or isinstance(event, h11.ConnectionClosed):
                return None
            if isinstance(event, h11.Request):
                request = event
                if parser.they_are_waiting_for_100_continue:
                    self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            elif isinstance(event, h11.Data):
                size += len(event.data)
                body.append(bytes(event.data) if size <= BODY_KEPT else b"")
                if size > _BODY_READ:
                    return None
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                self._inbox[:0] = parser.trailing_data[0]  # the next request, sent ahead
                return self._record(request, b"".join(body) if size <= BODY_KEPT else b"", size)

    async def _next(self, parser: h11.Connection) -> h11.Event | None:
        while (event := parser.next_event()) is h11.NEED_DATA:
            while not self._inbox:
                if self.gone:
                    return None
                self._arrived.clear()
                await self._arrived.wait()
            parser.receive_data(bytes(self._inbox))
            self._inbox.clear()
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
