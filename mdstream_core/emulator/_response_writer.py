"""Writer of response plans: head, framing, pauses, endings."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from http import HTTPStatus
from itertools import chain
from typing import Protocol

from mdstream_core.emulator._response_plan import (
    ChunkOrPause,
    Fields,
    Pause,
    ResponsePlan,
    TruncatedChunk,
    UpstreamInterrupted,
    identity,
)

_MAX_WRITE_BYTES = 65_536  # bytes in one write to the socket, so that a long stream needs few system calls


class ClientConnection(Protocol):
    """The connection that a plan is written to."""

    @property
    def is_closed(self) -> bool:
        """Whether the client disconnected."""
        ...

    def write(self, data: bytes) -> None:
        """Send bytes."""
        ...

    async def drain(self) -> None:
        """Wait until the client has read what was sent, or disconnects."""
        ...

    async def pause(self, pause: Pause) -> None:
        """Wait for the length of the pause, or until the client disconnects."""
        ...

    def reset(self) -> None:
        """Close with RST, which discards what the client has not read."""
        ...


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def _content_length(plan: ResponsePlan) -> str:
    return str(sum(map(len, plan.wrapped_chunks)) if plan.declared_length is None else plan.declared_length)


# Framing to its header fields and the function that frames one chunk.
FRAMINGS: dict[str, tuple[Callable[[ResponsePlan], Fields], Callable[[bytes], bytes]]] = {
    "chunked": (lambda plan: (("transfer-encoding", "chunked"),), _chunk),
    "length": (lambda plan: (("content-length", _content_length(plan)),), identity),
    # The service was seen to send both: Oracle's own proxy uses a lenient parser because of it.
    "both": (lambda plan: (("content-length", _content_length(plan)), ("transfer-encoding", "chunked")), _chunk),
    "eof": (lambda plan: (("connection", "close"),), identity),
    "bare": (lambda plan: (), identity),  # the chunks contain the head, or there is none
}

_LAST_CHUNK = b"0\r\n"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def _frame_chunk(plan: ResponsePlan, chunk: bytes) -> bytes:
    data = FRAMINGS[plan.framing][1](plan.envelope(chunk))
    return data[: len(data) // 2] if isinstance(chunk, TruncatedChunk) else data


def _encode_fields(fields: Iterable[tuple[str, str]]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in fields).encode("utf-8")


def _complete_body(plan: ResponsePlan) -> bytes:
    chunked = ("transfer-encoding", "chunked") in FRAMINGS[plan.framing][0](plan)
    return _LAST_CHUNK + _encode_fields(plan.trailers) + b"\r\n" if chunked else b""


def _truncated_trailer(plan: ResponsePlan) -> bytes:
    section = _LAST_CHUNK + _encode_fields(plan.trailers)
    return section[: max(len(_LAST_CHUNK), len(section) - 8)]


# Ending to the last bytes of the body, and whether the connection stays open.
ENDINGS: dict[str, tuple[Callable[[ResponsePlan], bytes], bool]] = {
    "whole": (_complete_body, True),
    "close": (_complete_body, False),
    "cut": (lambda plan: b"", False),
    "cut_trailer": (_truncated_trailer, False),
    "reset": (lambda plan: b"", False),
}


def encode_head(plan: ResponsePlan) -> bytes:
    """Encode the status line and the header fields."""
    framing = FRAMINGS[plan.framing][0](plan)
    if plan.framing == "bare":
        return b""
    line = f"HTTP/1.1 {plan.status} {_PHRASES.get(plan.status, 'Unknown')}\r\n"
    return plan.preface + line.encode() + _encode_fields((*plan.headers, *framing)) + b"\r\n"


def _join_writes(frames: Iterable[ChunkOrPause], each: bool) -> Iterator[ChunkOrPause]:
    """Join adjacent chunks up to a size; pauses stay where they are."""
    buffered: list[bytes] = []
    size = 0
    for frame in frames:
        if isinstance(frame, bytes):
            buffered.append(frame)
            size += len(frame)
        if each or size >= _MAX_WRITE_BYTES or isinstance(frame, Pause):
            yield b"".join(buffered)
            buffered, size = [], 0
        if isinstance(frame, Pause):
            yield frame
    yield b"".join(buffered)


async def _write_chunks(connection: ClientConnection, frames: Iterable[ChunkOrPause], plan: ResponsePlan) -> None:
    delay = Pause(plan.delay) if plan.delay else None
    for batch in _join_writes(frames, plan.flush_each or delay is not None):
        if connection.is_closed:
            return
        if isinstance(batch, Pause):
            await connection.pause(batch)
            continue
        connection.write(batch)
        await connection.drain()
        await asyncio.sleep(0)  # let other tasks run, however fast this client reads
        if delay is not None:
            await connection.pause(delay)
        elif plan.flush_each:
            await connection.pause(Pause(seconds=1e-9))


async def _relay_chunks(
    connection: ClientConnection, chunks: AsyncGenerator[bytes], plan: ResponsePlan
) -> ResponsePlan:
    """Write chunks as they arrive; return the plan with its final ending."""
    connection.write(encode_head(plan))
    try:
        async with aclosing(chunks):
            await _forward_chunks(connection, chunks, plan)
    except UpstreamInterrupted as interruption:
        return plan.interrupted(interruption.reason)
    return plan


async def _forward_chunks(connection: ClientConnection, chunks: AsyncGenerator[bytes], plan: ResponsePlan) -> None:
    async for chunk in chunks:
        if connection.is_closed:
            break
        connection.write(_frame_chunk(plan, chunk))
        await connection.drain()


async def write_response(connection: ClientConnection, plan: ResponsePlan) -> bool:
    """Write a plan to a connection; return whether the connection can be used again."""
    if plan.pause_before is not None:
        await connection.pause(plan.pause_before)
    if isinstance(plan.chunks, AsyncGenerator):
        plan = await _relay_chunks(connection, plan.chunks, plan)
    else:
        body = (_frame_chunk(plan, chunk) if isinstance(chunk, bytes) else chunk for chunk in plan.chunks)
        await _write_chunks(connection, chain((encode_head(plan),), body), plan)
    last_bytes, keep_alive = ENDINGS[plan.ending]
    connection.write(last_bytes(plan))
    await connection.drain()
    if plan.ending == "reset":
        connection.reset()
    return keep_alive and plan.framing != "eof"
