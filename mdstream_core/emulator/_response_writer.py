"""How a plan is written to a connection: framing, endings, batches."""

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
    TruncatedPiece,
    UpstreamInterrupted,
    identity,
)

_BATCH = 65_536  # bytes given to the socket at once: a long stream costs few system calls


class ClientConnection(Protocol):
    """What a plan is written to."""

    @property
    def is_closed(self) -> bool:
        """Whether the client closed."""
        ...

    def write(self, data: bytes) -> None:
        """Send."""
        ...

    async def drain(self) -> None:
        """Wait until the client takes what was sent, or goes."""
        ...

    async def pause(self, pause: Pause) -> None:
        """Wait as long as the pause says, but no longer than the client."""
        ...

    def reset(self) -> None:
        """Close with RST, so that the client loses what it had not read."""
        ...


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def _size(plan: ResponsePlan) -> str:
    return str(sum(map(len, plan.wrapped_chunks)) if plan.declared_length is None else plan.declared_length)


# How a body is delimited: header fields for it, and what is made of one piece.
FRAMINGS: dict[str, tuple[Callable[[ResponsePlan], Fields], Callable[[bytes], bytes]]] = {
    "chunked": (lambda plan: (("transfer-encoding", "chunked"),), _chunk),
    "length": (lambda plan: (("content-length", _size(plan)),), identity),
    # Oracle's own proxy is run with a lenient parser because the service was seen to send both.
    "both": (lambda plan: (("content-length", _size(plan)), ("transfer-encoding", "chunked")), _chunk),
    "eof": (lambda plan: (("connection", "close"),), identity),
    "bare": (lambda plan: (), identity),  # the pieces bring even the head, or there is none
}

_LAST_CHUNK = b"0\r\n"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def _frame_chunk(plan: ResponsePlan, piece: bytes) -> bytes:
    data = FRAMINGS[plan.framing][1](plan.envelope(piece))
    return data[: len(data) // 2] if isinstance(piece, TruncatedPiece) else data


def _encode_fields(fields: Iterable[tuple[str, str]]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in fields).encode("utf-8")


def _complete_body(plan: ResponsePlan) -> bytes:
    chunked = ("transfer-encoding", "chunked") in FRAMINGS[plan.framing][0](plan)
    return _LAST_CHUNK + _encode_fields(plan.trailers) + b"\r\n" if chunked else b""


def _cut_trailer(plan: ResponsePlan) -> bytes:
    section = _LAST_CHUNK + _encode_fields(plan.trailers)
    return section[: max(len(_LAST_CHUNK), len(section) - 8)]


# How a body ends: the last bytes, and whether the connection lives on.
ENDINGS: dict[str, tuple[Callable[[ResponsePlan], bytes], bool]] = {
    "whole": (_complete_body, True),
    "close": (_complete_body, False),
    "cut": (lambda plan: b"", False),
    "cut_trailer": (_cut_trailer, False),
    "reset": (lambda plan: b"", False),
}


def head(plan: ResponsePlan) -> bytes:
    """Status line and header fields."""
    framing = FRAMINGS[plan.framing][0](plan)
    if plan.framing == "bare":
        return b""
    line = f"HTTP/1.1 {plan.status} {_PHRASES.get(plan.status, 'Unknown')}\r\n"
    return plan.preface + line.encode() + _encode_fields((*plan.headers, *framing)) + b"\r\n"


def _batches(frames: Iterable[ChunkOrPause], each: bool) -> Iterator[ChunkOrPause]:
    """Join neighbours up to a size; pauses stay where they are."""
    held: list[bytes] = []
    size = 0
    for frame in frames:
        if isinstance(frame, bytes):
            held.append(frame)
            size += len(frame)
        if each or size >= _BATCH or isinstance(frame, Pause):
            yield b"".join(held)
            held, size = [], 0
        if isinstance(frame, Pause):
            yield frame
    yield b"".join(held)


async def _send(link: ClientConnection, frames: Iterable[ChunkOrPause], plan: ResponsePlan) -> None:
    between = Pause(plan.delay) if plan.delay else None
    for batch in _batches(frames, plan.flush_each or between is not None):
        if link.is_closed:
            return
        if isinstance(batch, Pause):
            await link.pause(batch)
            continue
        link.write(batch)
        await link.drain()
        await asyncio.sleep(0)  # others have their turn, however fast this client reads
        if between is not None:
            await link.pause(between)
        elif plan.flush_each:
            await link.pause(Pause(seconds=1e-9))


async def _relay_chunks(link: ClientConnection, pieces: AsyncGenerator[bytes], plan: ResponsePlan) -> ResponsePlan:
    """Pass pieces on as they come; the plan as it has to end."""
    link.write(head(plan))
    try:
        async with aclosing(pieces):
            await _forward_chunks(link, pieces, plan)
    except UpstreamInterrupted as broken:
        return plan.interrupted(broken.reason)
    return plan


async def _forward_chunks(link: ClientConnection, pieces: AsyncGenerator[bytes], plan: ResponsePlan) -> None:
    async for piece in pieces:
        if link.is_closed:
            break
        link.write(_frame_chunk(plan, piece))
        await link.drain()


async def write_response(link: ClientConnection, plan: ResponsePlan) -> bool:
    """Write the plan; whether the connection may be used again."""
    if plan.pause_before is not None:
        await link.pause(plan.pause_before)
    if isinstance(plan.chunks, AsyncGenerator):
        plan = await _relay_chunks(link, plan.chunks, plan)
    else:
        body = (_frame_chunk(plan, piece) if isinstance(piece, bytes) else piece for piece in plan.chunks)
        await _send(link, chain((head(plan),), body), plan)
    tail, keeps = ENDINGS[plan.ending]
    link.write(tail(plan))
    await link.drain()
    if plan.ending == "reset":
        link.reset()
    return keeps and plan.framing != "eof"
