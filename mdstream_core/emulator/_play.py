"""How a plan is written to a connection: framing, endings, batches."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from http import HTTPStatus
from itertools import chain
from typing import Protocol

from mdstream_core.emulator._plan import Broken, Fields, Half, Pause, Piece, Plan, plain

_BATCH = 65_536  # bytes given to the socket at once: a long stream costs few system calls


class Link(Protocol):
    """What a plan is written to."""

    @property
    def gone(self) -> bool:
        """Whether the client closed."""
        ...

    def write(self, data: bytes) -> None:
        """Send."""
        ...

    async def drained(self) -> None:
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


def _size(plan: Plan) -> str:
    return str(sum(map(len, plan.wrapped)) if plan.declared is None else plan.declared)


# How a body is delimited: header fields for it, and what is made of one piece.
FRAMINGS: dict[str, tuple[Callable[[Plan], Fields], Callable[[bytes], bytes]]] = {
    "chunked": (lambda plan: (("transfer-encoding", "chunked"),), _chunk),
    "length": (lambda plan: (("content-length", _size(plan)),), plain),
    # Oracle's own proxy is run with a lenient parser because the service was seen to send both.
    "both": (lambda plan: (("content-length", _size(plan)), ("transfer-encoding", "chunked")), _chunk),
    "eof": (lambda plan: (("connection", "close"),), plain),
    "bare": (lambda plan: (), plain),  # the pieces bring even the head, or there is none
}

_LAST = b"0\r\n"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def _framed(plan: Plan, piece: bytes) -> bytes:
    data = FRAMINGS[plan.framing][1](plan.envelope(piece))
    return data[: len(data) // 2] if isinstance(piece, Half) else data


def _fields(fields: Iterable[tuple[str, str]]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in fields).encode("utf-8")


def _whole(plan: Plan) -> bytes:
    chunked = ("transfer-encoding", "chunked") in FRAMINGS[plan.framing][0](plan)
    return _LAST + _fields(plan.trailers) + b"\r\n" if chunked else b""


def _cut_trailer(plan: Plan) -> bytes:
    section = _LAST + _fields(plan.trailers)
    return section[: max(len(_LAST), len(section) - 8)]


# How a body ends: the last bytes, and whether the connection lives on.
ENDINGS: dict[str, tuple[Callable[[Plan], bytes], bool]] = {
    "whole": (_whole, True),
    "close": (_whole, False),
    "cut": (lambda plan: b"", False),
    "cut_trailer": (_cut_trailer, False),
    "reset": (lambda plan: b"", False),
}


def head(plan: Plan) -> bytes:
    """Status line and header fields."""
    framing = FRAMINGS[plan.framing][0](plan)
    if plan.framing == "bare":
        return b""
    line = f"HTTP/1.1 {plan.status} {_PHRASES.get(plan.status, 'Unknown')}\r\n"
    return plan.preface + line.encode() + _fields((*plan.headers, *framing)) + b"\r\n"


def _batches(frames: Iterable[Piece], each: bool) -> Iterator[Piece]:
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


async def _send(link: Link, frames: Iterable[Piece], plan: Plan) -> None:
    between = Pause(plan.delay) if plan.delay else None
    for batch in _batches(frames, plan.each or between is not None):
        if link.gone:
            return
        if isinstance(batch, Pause):
            await link.pause(batch)
            continue
        link.write(batch)
        await link.drained()
        await asyncio.sleep(0)  # others have their turn, however fast this client reads
        if between is not None:
            await link.pause(between)
        elif plan.each:
            await link.pause(Pause(seconds=1e-9))


async def _relay(link: Link, pieces: AsyncGenerator[bytes], plan: Plan) -> Plan:
    """Pass pieces on as they come; the plan as it has to end."""
    link.write(head(plan))
    try:
        async with aclosing(pieces):
            await _pass_on(link, pieces, plan)
    except Broken as broken:
        return plan.broken(broken.reason)
    return plan


async def _pass_on(link: Link, pieces: AsyncGenerator[bytes], plan: Plan) -> None:
    async for piece in pieces:
        if link.gone:
            break
        link.write(_framed(plan, piece))
        await link.drained()


async def play(link: Link, plan: Plan) -> bool:
    """Write the plan; whether the connection may be used again."""
    if plan.before is not None:
        await link.pause(plan.before)
    if isinstance(plan.pieces, AsyncGenerator):
        plan = await _relay(link, plan.pieces, plan)
    else:
        body = (_framed(plan, piece) if isinstance(piece, bytes) else piece for piece in plan.pieces)
        await _send(link, chain((head(plan),), body), plan)
    tail, keeps = ENDINGS[plan.end]
    link.write(tail(plan))
    await link.drained()
    if plan.end == "reset":
        link.reset()
    return keeps and plan.framing != "eof"
