"""The server side of ModelArts' WebSocket, with the package `websockets`, which does not share mdstream's mistakes."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from mdstream_core.emulator._recorded_request import RecordedRequest
from mdstream_core.emulator._response_plan import Pause, ResponsePlan, TruncatedChunk, collect_chunks
from mdstream_core.emulator._upgrade import UpgradePlan
from mdstream_core.emulator.faults import apply_fault

RequestHandler = Callable[[bytes], Awaitable[ResponsePlan]]

_MAX_MESSAGE = 16 * 1024 * 1024  # bytes of a request; a security limit
_MESSAGES_PER_WRITE = 200  # messages in one write to the socket, unless there are pauses
_CLOSE_TIMEOUT = 5.0  # seconds for the client's close frame
_BOM = b"\xef\xbb\xbf"


async def serve_websocket(
    connection: Any, http_request: RecordedRequest, upgrade: UpgradePlan, handle_request: RequestHandler
) -> None:
    """Handle one WebSocket: accept the handshake, receive one request, send the response, close."""
    if upgrade.pause_before is not None:
        await connection.pause(upgrade.pause_before)
    session = WebSocketSession(connection, upgrade)
    if not session.accept_handshake(http_request):
        return
    reader = asyncio.create_task(session.read_messages())
    try:
        message = await session.receive_request(connection.idle)
        if message is None:
            http_request.client_closed.set()
            return
        plan = await collect_chunks(await handle_request(message))
        for fault in upgrade.faults:
            plan = apply_fault(fault, plan)
        await session.send_response(plan)
        (http_request.client_closed if session.is_closed else http_request.response_sent).set()
        await session.close(plan, reader)
    finally:
        reader.cancel()


class WebSocketSession:
    """A WebSocket connection, from the handshake on."""

    def __init__(self, connection: Any, upgrade: UpgradePlan) -> None:
        self._connection = connection
        self._upgrade = upgrade
        self._protocol = ServerProtocol(max_size=_MAX_MESSAGE)
        self._parts: list[bytes] = []
        self.request_body: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

    def accept_handshake(self, http_request: RecordedRequest) -> bool:
        """Respond to the handshake; return whether the connection is a WebSocket now."""
        fields = "".join(f"{name}: {value}\r\n" for name, value in http_request.header_fields)
        self._protocol.receive_data(f"GET {http_request.target} HTTP/1.1\r\n{fields}\r\n".encode("latin-1"))
        (request,) = self._protocol.events_received() or (None,)
        if not isinstance(request, Request):
            self._connection.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            return False
        response = self._protocol.accept(request)
        for name, value in self._upgrade.headers:
            response.headers[name] = value
        self._protocol.send_response(response)
        self._flush()
        return self._protocol.state is State.OPEN

    @property
    def is_closed(self) -> bool:
        """Whether the client disconnected or sent a close frame."""
        return bool(self._connection.is_closed) or self._protocol.state is not State.OPEN

    async def receive_request(self, seconds: float) -> bytes | None:
        """Receive the request; `None` if the client disconnects or sends nothing for so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await asyncio.shield(self.request_body)
        return None

    async def read_messages(self) -> None:
        """Read and handle frames until the client disconnects."""
        while data := await self._connection.read():
            self._protocol.receive_data(data)
            self._flush()
            for frame in self._protocol.events_received():
                self._handle_frame(frame)
            await self._connection.drain()  # a client that sends pings has to read the pongs
            if self._protocol.close_rcvd is not None or self._protocol.parser_exc is not None:
                self._connection.transport.close()  # §7.1.1: the server closes the connection first
                break
        if not self.request_body.done():
            self.request_body.set_result(None)

    async def send_response(self, plan: ResponsePlan) -> None:
        """Send the chunks of a response as messages."""
        if plan.pause_before is not None:
            await self._connection.pause(plan.pause_before)
        delay = Pause(self._upgrade.delay) if self._upgrade.delay else None
        for number, chunk in enumerate(_split_messages(plan), 1):
            if self.is_closed:
                return
            if isinstance(chunk, bytes):
                self._queue_chunk(chunk, len(plan.body_chunks[0]) if plan.flush_each else 0)
            if isinstance(chunk, Pause) or delay is not None or number % _MESSAGES_PER_WRITE == 0:
                self._flush()
                await self._connection.drain()
                await self._connection.pause(chunk if isinstance(chunk, Pause) else delay or Pause(1e-9))
        self._flush()
        await self._connection.drain()

    async def close(self, plan: ResponsePlan, reader: "asyncio.Task[None]") -> None:
        """Close the connection as the plan describes."""
        if plan.ending == "reset":
            self._connection.reset()
        elif plan.ending in {"whole", "close"}:
            if self._protocol.state is State.OPEN:
                self._protocol.send_close(*_close_code(plan))
            self._flush()
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    await reader

    def _handle_frame(self, frame: Any) -> None:
        if frame.opcode not in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            return
        self._parts.append(bytes(frame.data))
        if frame.fin:
            if not self.request_body.done():
                self.request_body.set_result(b"".join(self._parts))
            self._parts.clear()

    def _queue_chunk(self, chunk: bytes, size: int) -> None:
        if chunk.startswith(b":"):
            self._protocol.send_ping(b"are you there?")
            return
        data = _event_data(chunk)
        if isinstance(chunk, TruncatedChunk):
            self._flush()
            frame = Frame(Opcode.TEXT, data).serialize(mask=False)
            self._connection.write(frame[: len(frame) // 2])
            return
        first, *rest = [data[start : start + size] for start in range(0, len(data), size)] if size else [data]
        self._protocol.send_text(first, fin=not rest)
        for number, part in enumerate(rest, 1):
            self._protocol.send_continuation(part, fin=number == len(rest))

    def _flush(self) -> None:
        if not self._connection.is_closed:
            self._connection.write(b"".join(self._protocol.data_to_send()))


def _split_messages(plan: ResponsePlan) -> list[Any]:
    """Split a response into messages, with the pauses between them."""
    kind = dict(plan.headers).get("content-type", "")
    if kind.startswith("application/json"):
        return [b"".join(plan.body_chunks)]
    if plan.flush_each:  # split into chunks of some bytes: messages stay whole, their fragments have that size
        return [chunk for chunk in b"".join(plan.body_chunks).split(b"\n\n") if chunk]
    return [chunk for chunk in plan.all_chunks if chunk != _BOM]


def _event_data(chunk: bytes) -> bytes:
    """Extract the data of one event; several events in one chunk stay as they are."""
    line = chunk.strip()
    return line.removeprefix(b"data:").strip() if line.count(b"\n") + line.count(b"\r") == 0 else chunk


def _close_code(plan: ResponsePlan) -> tuple[int, str]:
    for name, value in plan.trailers:
        code, _, reason = value.partition(" ")
        return (int(code), reason) if name == "close" else (1011, value[:100])
    return (1011, "the container refused") if plan.status >= 400 else (1000, "")
