"""Play a recording back: each request gets the next recorded exchange of its path, from the head to the ending."""

import asyncio
import re
import zlib
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from mdstream_core.emulator._recorded_request import RecordedRequest
from mdstream_core.emulator._response_plan import ChunkOrPause, Fields, Pause, ResponsePlan, json_plan
from mdstream_core.emulator._response_writer import FRAMINGS
from mdstream_core.emulator._upgrade import UpgradePlan
from mdstream_core.recording import Exchange, Recording, read_recording
from mdstream_core.wire.websocket import accept_key

#: Seconds that a response hangs at most, where the recorded one ended with a timeout or the client closed it.
MAX_HANG = 600.0

#: Seconds before a reset, so that the client has read what was sent before: a reset discards what it has not read.
_BEFORE_RESET = 0.05

_NEXT = Pause(seconds=1e-9)  # so that each recorded read is a write of its own

#: Parts of a path that identify a resource: a recording of a real one is played back at the emulated one.
_RESOURCES = (
    (re.compile(r"^/ocid1\.[^/]+"), ""),
    (re.compile(r"^/endpoints/[^/]+"), "/endpoints"),
    (re.compile(r"^/v1/infers/[^/]+"), "/infers"),
    (re.compile(r"^/maas(?=/)"), ""),
)

#: How a recorded response ended, to the plan's ending and whether it hangs before.
_ENDINGS: dict[str, tuple[str, bool]] = {
    "complete": ("whole", False),
    "undecodable": ("whole", False),
    "closed": ("cut", False),
    "truncated": ("cut", False),
    "reset": ("reset", False),
    "timeout": ("cut", True),
    "client_closed": ("cut", True),
}

#: Whether there are a `content-length` and a chunked encoding, to the framing.
_FRAMINGS = {(True, True): "both", (True, False): "length", (False, True): "chunked"}

_FRAMING_HEADERS = frozenset({"content-length", "transfer-encoding"})
_INVALID_DEFLATE = b"\xff" * 8  # a block of a type that does not exist
_INVALID_FRAME = b"\xff\x00"  # reserved bits and an unknown opcode


class ReplayService:
    """Answers requests from a recording.

    Args:
        recording: The recording.
        timing: Whether the recorded pauses are repeated.
    """

    def __init__(self, recording: Recording, *, timing: bool = False) -> None:
        self._recording = recording
        self.timing = timing
        self._remaining: list[Exchange] = []
        self.reset()

    def reset(self) -> None:
        """Start from the first exchange again."""
        self._remaining = list(self._recording.exchanges)

    def respond(self, http_request: RecordedRequest) -> ResponsePlan:
        """Build the plan of the next exchange for a request, or an error response if there is none."""
        key = _operation(http_request.method, http_request.path)
        for exchange in self._remaining:
            if _operation(exchange.method, exchange.path) == key:
                self._remaining.remove(exchange)
                return build_plan(exchange, http_request, timing=self.timing)
        recorded = sorted({f"{exchange.method} {exchange.path}" for exchange in self._recording.exchanges})
        if any(_operation(exchange.method, exchange.path) == key for exchange in self._recording.exchanges):
            return _error_plan(410, "ReplayExhausted", "all recorded exchanges of this path were played back")
        message = f"the recording has no {http_request.method} {http_request.path}; it has {', '.join(recorded)[:500]}"
        return _error_plan(404, "ReplayMismatch", message)


def create_replay(replay: str | Path | Recording | None, *, timing: bool) -> ReplayService | None:
    """Create the service that plays back a recording, or the recording in a file; `None` if there is none."""
    if replay is None:
        return None
    recording = replay if isinstance(replay, Recording) else read_recording(replay)
    return ReplayService(recording, timing=timing)


def _operation(method: str, path: str) -> tuple[str, str]:
    for pattern, replacement in _RESOURCES:
        path = pattern.sub(replacement, path)
    return method, path


def _error_plan(status: int, code: str, message: str) -> ResponsePlan:
    return json_plan(status, {"code": code, "message": message, "error": {"code": code, "message": message}})


def build_plan(exchange: Exchange, http_request: RecordedRequest, *, timing: bool) -> ResponsePlan:
    """Build the plan that repeats a recorded exchange."""
    ending, hangs = _ENDINGS[exchange.end]
    before = [exchange.seconds_to_head or 0.0, *(seconds for seconds, _ in exchange.body)]
    pauses = [_pause(end - start) if timing else _NEXT for start, end in pairwise(before)]
    pieces = [data for _, data in exchange.body]
    is_websocket = exchange.is_websocket and exchange.has_messages
    if exchange.end == "undecodable":
        pieces = [*pieces, _INVALID_FRAME] if is_websocket else _compress(pieces)
        pauses = [*pauses, _NEXT]
    chunks = [part for pause, data in zip(pauses, pieces, strict=True) for part in (pause, data)]
    if ending == "reset":
        chunks.append(Pause(_BEFORE_RESET))
    if hangs:
        chunks.append(Pause(MAX_HANG))
    plan = ResponsePlan(
        exchange.status or 0,
        chunks=chunks,
        trailers=exchange.trailers,
        framing="bare",
        ending=ending,
        pause_before=_pause(exchange.seconds_to_head or 0.0) if timing else None,
    )
    if exchange.status is None:
        return replace(plan, ending="cut" if ending == "whole" else ending)
    if is_websocket:
        return _upgrade(exchange.headers, plan, http_request)
    return _with_framing(exchange, plan)


def _pause(seconds: float) -> Pause:
    return Pause(min(max(seconds, _NEXT.seconds), MAX_HANG))


def _with_framing(exchange: Exchange, plan: ResponsePlan) -> ResponsePlan:
    """Add the head, and delimit the body as the recorded response did."""
    values = {name.lower(): value for name, value in exchange.headers}
    lengths = values.get("content-length", "")
    is_chunked = "chunked" in values.get("transfer-encoding", "").lower()
    framing = _FRAMINGS.get((lengths.isdigit(), is_chunked), "eof" if exchange.end == "complete" else "chunked")
    dropped = _FRAMING_HEADERS | ({"connection"} if framing == "eof" else set())
    headers = tuple((name, value) for name, value in exchange.headers if name.lower() not in dropped)
    if exchange.end == "undecodable":
        framing, headers = "chunked", (*headers, ("content-encoding", "gzip"))
    length = int(lengths) if "content-length" in dict(FRAMINGS[framing][0](replace(plan, declared_length=0))) else None
    return replace(plan, headers=headers, framing=framing, declared_length=length)


def _compress(pieces: Iterable[bytes]) -> list[bytes]:
    """Compress the pieces, followed by invalid data: the recorded body could not be decompressed to its end."""
    compressor = zlib.compressobj(wbits=31)
    flushed = [compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH) for data in pieces]
    return [*flushed, compressor.flush(zlib.Z_SYNC_FLUSH) + _INVALID_DEFLATE]


def _upgrade(headers: Fields, plan: ResponsePlan, http_request: RecordedRequest) -> UpgradePlan:
    """Switch to a WebSocket, and send the recorded frames after the client's request."""
    key = http_request.headers.get("sec-websocket-key", "")
    fields = [(name, value) for name, value in headers if name.lower() not in {"content-type", "connection"}]
    fields += [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept_key(key))]
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)

    async def serve(connection: Any, _: UpgradePlan) -> None:
        if plan.pause_before is not None:
            await connection.pause(plan.pause_before)
        connection.write(f"HTTP/1.1 101 Switching Protocols\r\n{head}\r\n".encode())
        try:
            async with asyncio.timeout(connection.idle):
                await connection.read()
        except TimeoutError:
            return
        for chunk in plan.all_chunks:
            await _send(connection, chunk)
        if plan.ending == "reset":
            connection.reset()
            return
        if plan.ending == "whole":  # the client closes the socket after the closing handshake
            await connection.pause(Pause(_BEFORE_RESET))

    return UpgradePlan(status=101, serve=serve)


async def _send(connection: Any, chunk: ChunkOrPause) -> None:
    if isinstance(chunk, Pause):
        await connection.pause(chunk)
        return
    connection.write(chunk)
    await connection.drain()
