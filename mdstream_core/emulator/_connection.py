"""One TCP connection: h11 parses the requests, the response writer writes the responses."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import h11

from mdstream_core.emulator._bounds import MAX_HEAD_BYTES, MAX_HEADERS
from mdstream_core.emulator._recorded_request import RecordedRequest
from mdstream_core.emulator._response_plan import Pause, ResponsePlan
from mdstream_core.emulator._response_writer import write_response
from mdstream_core.emulator._upgrade import UpgradePlan

# Above every service's limit. The rest of a longer body is read and discarded, so that the client gets the response.
MAX_RECORDED_BODY = 16 * 1024 * 1024
_MAX_BODY = 256 * 1024 * 1024  # a security limit
_MAX_UNREAD = 1024 * 1024  # bytes that are buffered before reading pauses; a security limit
_PARSE_BYTES = 65_536  # bytes that are parsed before other tasks run
_POLL_SECONDS = 0.002  # interval between two looks at an event that another thread may set

RequestHandler = Callable[[RecordedRequest], Awaitable[ResponsePlan]]


class Connection(asyncio.Protocol):
    """Serves one client until it disconnects, a plan ends the connection, or `stop` is called.

    Args:
        handle_request: Builds the plan for a request.
        on_open: Called with the connection; returns its number, 0 if there are too many.
        on_close: Called when the connection is closed.
        idle: Seconds in which a request has to be complete, counted from the end of the last one; and the longest
            time for which a client may not read its response.
    """

    def __init__(
        self,
        handle_request: RequestHandler,
        on_open: Callable[["Connection"], int],
        on_close: Callable[["Connection"], None],
        idle: float = 120.0,
    ) -> None:
        self.idle = idle
        self._handle_request = handle_request
        self._on_open = on_open
        self._on_close = on_close
        self._number = 0
        self._buffer = bytearray()
        self._data_arrived = asyncio.Event()
        self._disconnected = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self.transport: asyncio.Transport
        self.task: asyncio.Task[None] | None = None
        self._request_started = False

    # Callbacks of asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (for the type checker)
        self.transport = transport
        self._number = self._on_open(self)
        if not self._number:
            self.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            transport.close()
            return
        self.task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._data_arrived.set()
        if len(self._buffer) > _MAX_UNREAD:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Record that the client disconnected. TLS has no half-open connections, and asyncio warns about `True`."""
        self._on_client_closed()
        return not self._is_encrypted

    @property
    def _is_encrypted(self) -> bool:
        return self.transport.get_extra_info("ssl_object") is not None

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_client_closed()
        self._on_close(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _on_client_closed(self) -> None:
        self._disconnected.set()
        self._data_arrived.set()
        self._writable.set()

    # The interface for response plans: `ClientConnection`

    @property
    def is_closed(self) -> bool:
        return self._disconnected.is_set()

    def write(self, data: bytes) -> None:
        if data and not self.transport.is_closing():
            self.transport.write(data)

    async def drain(self) -> None:
        """Wait until the client has read what was sent; close the connection if it reads nothing for too long."""
        if self._writable.is_set():
            return
        try:
            async with asyncio.timeout(self.idle):
                await self._writable.wait()
        except TimeoutError:
            self.transport.abort()
            self._on_client_closed()

    async def read(self) -> bytes:
        """Read bytes after the upgrade to another protocol; `b""` when the client has disconnected."""
        while not self._buffer and not self.is_closed:
            self._data_arrived.clear()
            await self._data_arrived.wait()
        return self._take_bytes()

    def _take_bytes(self) -> bytes:
        """Take the next bytes from the buffer, at most `_PARSE_BYTES`."""
        data = bytes(self._buffer[:_PARSE_BYTES])
        del self._buffer[:_PARSE_BYTES]
        if len(self._buffer) <= _MAX_UNREAD:
            self.transport.resume_reading()
        return data

    async def pause(self, pause: Pause) -> None:
        if pause.until is not None:
            while not (pause.until.is_set() or self.is_closed):  # noqa: ASYNC110  (another thread sets it)
                await asyncio.sleep(_POLL_SECONDS)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause.seconds or None):
                await self._disconnected.wait()

    def reset(self) -> None:
        sock: socket.socket = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # the client closed first, and the socket is closed
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    # The request loop

    async def stop(self) -> None:
        """Close the connection."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        self.transport.abort()

    async def _serve(self) -> None:
        try:
            while (http_request := await self._receive_in_time()) is not None:
                plan = await self._handle_request(http_request)
                if isinstance(plan, UpgradePlan):
                    await plan.serve(self, plan)
                    break
                keep_alive = await write_response(self, plan)
                (http_request.client_closed if self.is_closed else http_request.response_sent).set()
                if not keep_alive or http_request.headers.get("connection", "").lower() == "close":
                    break
        except h11.RemoteProtocolError as error:
            self._send_error(error.error_status_hint)
        finally:
            self.transport.close()

    def _send_error(self, status: int) -> None:
        line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        self.write(line.encode())

    async def _receive_in_time(self) -> RecordedRequest | None:
        """Receive the next request; `None` if there is none in time."""
        self._request_started = False
        try:
            async with asyncio.timeout(self.idle):
                return await self._receive()
        except TimeoutError:
            if self._request_started:
                self._send_error(408)
            return None

    async def _receive(self) -> RecordedRequest | None:
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        request: h11.Request | None = None
        body = bytearray()
        size = 0
        while True:
            event = await self._next_event(parser)
            if event is None or isinstance(event, h11.ConnectionClosed):
                return None
            if isinstance(event, h11.Request):
                request = event
                if len(event.headers) > MAX_HEADERS or _head_size(event) > MAX_HEAD_BYTES:
                    self._send_error(431)
                    return None
                if parser.they_are_waiting_for_100_continue:
                    self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            elif isinstance(event, h11.Data):
                size += len(event.data)
                if size <= MAX_RECORDED_BODY:
                    body += event.data
                if size > _MAX_BODY:
                    return None
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                self._buffer[:0] = parser.trailing_data[0]  # the next request, pipelined
                return self._record(request, bytes(body) if size <= MAX_RECORDED_BODY else b"", size)

    async def _next_event(self, parser: h11.Connection) -> h11.Event | None:
        while (event := parser.next_event()) is h11.NEED_DATA:
            while not self._buffer:
                if self.is_closed:
                    return None
                self._data_arrived.clear()
                await self._data_arrived.wait()
            self._request_started = True
            parser.receive_data(self._take_bytes())
            await asyncio.sleep(0)  # let other tasks run
        return event if not isinstance(event, type) else None

    def _record(self, request: h11.Request, body: bytes, size: int) -> RecordedRequest:
        headers: dict[str, str] = {}
        for raw_name, raw_value in request.headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return RecordedRequest(
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
    """Estimate the bytes of a head; h11 limits only incomplete ones."""
    return len(request.target) + sum(len(name) + len(value) + 4 for name, value in request.headers)
