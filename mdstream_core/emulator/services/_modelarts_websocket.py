"""The server's half of a WebSocket, by the package `websockets`: our own half must not agree with its own mistakes."""

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

_MAX_MESSAGE = 16 * 1024 * 1024  # bytes of a question; a security limit
_BATCH = 200  # messages given to the socket at once, where nothing asks for a pause
_CLOSE_TIMEOUT = 5.0  # seconds for the client's close frame
_BOM = b"\xef\xbb\xbf"


async def serve_websocket(
    connection: Any, http_request: RecordedRequest, upgrade: UpgradePlan, handle_request: RequestHandler
) -> None:
    """Shake hands, take one question, say the answer, close."""
    if upgrade.pause_before is not None:
        await connection.pause(upgrade.pause_before)
    session = WebSocketSession(connection, upgrade)
    if not session.accept_handshake(http_request):
        return
    listening = asyncio.create_task(session.read_messages())
    try:
        question = await session.first_question(connection.idle)
        if question is None:
            http_request.client_closed.set()
            return
        plan = await collect_chunks(await handle_request(question))
        for fault in upgrade.faults:
            plan = apply_fault(fault, plan)
        await session.send_response(plan)
        (http_request.client_closed if session.is_closed else http_request.response_sent).set()
        await session.close(plan, listening)
    finally:
        listening.cancel()


class WebSocketSession:
    """One connection after its handshake."""

    def __init__(self, connection: Any, switch: UpgradePlan) -> None:
        self._connection = connection
        self._switch = switch
        self._protocol = ServerProtocol(max_size=_MAX_MESSAGE)
        self._parts: list[bytes] = []
        self.request_body: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

    def accept_handshake(self, http_request: RecordedRequest) -> bool:
        """Answer the handshake; whether there is a WebSocket now."""
        fields = "".join(f"{name}: {value}\r\n" for name, value in http_request.header_fields)
        self._protocol.receive_data(f"GET {http_request.target} HTTP/1.1\r\n{fields}\r\n".encode("latin-1"))
        (request,) = self._protocol.events_received() or (None,)
        if not isinstance(request, Request):
            self._connection.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            return False
        response = self._protocol.accept(request)
        for name, value in self._switch.headers:
            response.headers[name] = value
        self._protocol.send_response(response)
        self._flush()
        return self._protocol.state is State.OPEN

    @property
    def is_closed(self) -> bool:
        """Whether the client left, or said goodbye."""
        return bool(self._connection.is_closed) or self._protocol.state is not State.OPEN

    async def first_question(self, seconds: float) -> bytes | None:
        """What the client asks; `None` where it goes, or says nothing for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await asyncio.shield(self.request_body)
        return None

    async def read_messages(self) -> None:
        """Read what the client says, until it goes."""
        while data := await self._connection.read():
            self._protocol.receive_data(data)
            self._flush()
            for frame in self._protocol.events_received():
                self._take(frame)
            await self._connection.drain()  # who asks for pongs has to read them
            if self._protocol.close_rcvd is not None or self._protocol.parser_exc is not None:
                self._connection.transport.close()  # §7.1.1: the server closes the connection first
                break
        if not self.request_body.done():
            self.request_body.set_result(None)

    async def send_response(self, plan: ResponsePlan) -> None:
        """The chunks of an answer as messages."""
        if plan.pause_before is not None:
            await self._connection.pause(plan.pause_before)
        between = Pause(self._switch.delay) if self._switch.delay else None
        for number, chunk in enumerate(_split_messages(plan), 1):
            if self.is_closed:
                return
            if isinstance(chunk, bytes):
                self._queue_chunk(chunk, len(plan.body_chunks[0]) if plan.flush_each else 0)
            if isinstance(chunk, Pause) or between is not None or number % _BATCH == 0:
                self._flush()
                await self._connection.drain()
                await self._connection.pause(chunk if isinstance(chunk, Pause) else between or Pause(1e-9))
        self._flush()
        await self._connection.drain()

    async def close(self, plan: ResponsePlan, listening: "asyncio.Task[None]") -> None:
        """End as the plan says."""
        if plan.ending == "reset":
            self._connection.reset()
        elif plan.ending in {"whole", "close"}:
            if self._protocol.state is State.OPEN:
                self._protocol.send_close(*_code(plan))
            self._flush()
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    await listening

    def _take(self, frame: Any) -> None:
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
        first, *rest = [data[at : at + size] for at in range(0, len(data), size)] if size else [data]
        self._protocol.send_text(first, fin=not rest)
        for number, part in enumerate(rest, 1):
            self._protocol.send_continuation(part, fin=number == len(rest))

    def _flush(self) -> None:
        if not self._connection.is_closed:
            self._connection.write(b"".join(self._protocol.data_to_send()))


def _split_messages(plan: ResponsePlan) -> list[Any]:
    """What becomes a message each."""
    kind = dict(plan.headers).get("content-type", "")
    if kind.startswith("application/json"):
        return [b"".join(plan.body_chunks)]
    if plan.flush_each:  # cut into chunks of some bytes: the messages are whole, their fragments are of that size
        return [chunk for chunk in b"".join(plan.body_chunks).split(b"\n\n") if chunk]
    return [chunk for chunk in plan.all_chunks if chunk != _BOM]


def _event_data(chunk: bytes) -> bytes:
    """The data of one event; several events stay as they are."""
    line = chunk.strip()
    return line.removeprefix(b"data:").strip() if line.count(b"\n") + line.count(b"\r") == 0 else chunk


def _code(plan: ResponsePlan) -> tuple[int, str]:
    for name, value in plan.trailers:
        code, _, reason = value.partition(" ")
        return (int(code), reason) if name == "close" else (1011, value[:100])
    return (1011, "the container refused") if plan.status >= 400 else (1000, "")
