"""An answer before it is written: a head, pieces with pauses between them, trailers, and how it ends.

Services make plans, faults change them, `play` writes them. A plan is a value, so that a fault is a function from plan
to plan and the writing half knows nothing of faults.
"""

import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from http import HTTPStatus
from itertools import chain, groupby
from typing import Protocol

from mdstream_core import _json

_BATCH = 65_536  # bytes given to the socket at once: a long stream costs few system calls

Fields = tuple[tuple[str, str], ...]


class Broken(Exception):
    """The pieces that were still to come will not come."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Write nothing: for some seconds, until somebody sets the event, or (with neither) until the client goes."""

    seconds: float = 0.0
    until: threading.Event | None = None


Piece = bytes | Pause


@dataclass(frozen=True, slots=True)
class Plan:
    """One answer.

    Attributes:
        status: The HTTP status.
        headers: Without those of the framing.
        pieces: Each `bytes` becomes one HTTP chunk. An async iterator where the words come from elsewhere.
        trailers: Fields after the last chunk.
        framing: A key of `FRAMINGS`.
        end: A key of `ENDINGS`.
        before: Waited for before the head goes out.
        whole: The same answer as one JSON body, for the fault of not streaming it.
        delay: Seconds between two pieces.
        each: Hand every piece to the socket by itself, even without a delay.
        preface: Bytes before the status line.
        if_broken: The trailers where pieces that were still to come do not come; without any the body is cut.
    """

    status: int = 200
    headers: Fields = ()
    pieces: Sequence[Piece] | AsyncGenerator[bytes] = ()
    trailers: Fields = ()
    framing: str = "chunked"
    end: str = "whole"
    before: Pause | None = None
    whole: bytes = b""
    delay: float = 0.0
    each: bool = False
    preface: bytes = b""
    if_broken: Fields = ()

    @property
    def sequence(self) -> list[Piece]:
        """The pieces, where they are all known."""
        if isinstance(self.pieces, AsyncGenerator):
            raise TypeError("the pieces of this plan are still to come")
        return list(self.pieces)

    @property
    def bytes(self) -> list[bytes]:
        """The pieces without the pauses."""
        return [piece for piece in self.sequence if isinstance(piece, bytes)]

    def with_headers(self, *fields: tuple[str, str]) -> "Plan":
        """The plan with these header fields in place of those of the same names."""
        names = {name.lower() for name, _ in fields}
        return replace(self, headers=(*(f for f in self.headers if f[0].lower() not in names), *fields))


def json_plan(status: int, body: object, *headers: tuple[str, str]) -> Plan:
    """An answer of one JSON document with its length."""
    data = body if isinstance(body, bytes) else _json.dumps(body)
    return Plan(status, (("content-type", "application/json"), *headers), (data,), framing="length")


def stream_plan(pieces: Sequence[Piece] | AsyncGenerator[bytes], content_type: str, *headers: tuple[str, str]) -> Plan:
    """An answer in pieces."""
    return Plan(200, (("content-type", content_type), *headers), pieces)


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


def _plain(data: bytes) -> bytes:
    return data


def _size(plan: Plan) -> str:
    return str(sum(map(len, plan.bytes)))


# How a body is delimited: header fields for it, and what is made of one piece.
FRAMINGS: dict[str, tuple[Callable[[Plan], Fields], Callable[[bytes], bytes]]] = {
    "chunked": (lambda plan: (("transfer-encoding", "chunked"),), _chunk),
    "length": (lambda plan: (("content-length", _size(plan)),), _plain),
    # Oracle's own proxy is run with a lenient parser because the service was seen to send both.
    "both": (lambda plan: (("content-length", _size(plan)), ("transfer-encoding", "chunked")), _chunk),
    "eof": (lambda plan: (("connection", "close"),), _plain),
    "raw": (lambda plan: (), _plain),  # the pieces bring their own framing
    "bare": (lambda plan: (), _plain),  # the pieces bring even the head, or there is none
}

_LAST = b"0\r\n"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def _fields(fields: Iterable[tuple[str, str]]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in fields).encode("utf-8")


def _whole(plan: Plan) -> bytes:
    return _LAST + _fields(plan.trailers) + b"\r\n" if FRAMINGS[plan.framing][1] is _chunk else b""


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
        if between is not None:
            await link.pause(between)
        elif plan.each:
            await link.pause(Pause(seconds=1e-9))


async def _relay(link: Link, pieces: AsyncGenerator[bytes], plan: Plan) -> Plan:
    """Pass pieces on as they come; the plan as it has to end."""
    framed = FRAMINGS[plan.framing][1]
    link.write(head(plan))
    async with aclosing(pieces):
        try:
            async for piece in pieces:
                if link.gone:
                    break
                link.write(framed(piece))
                await link.drained()
        except Broken:
            return replace(plan, trailers=plan.if_broken) if plan.if_broken else replace(plan, end="cut")
    return plan


async def play(link: Link, plan: Plan) -> bool:
    """Write the plan; whether the connection may be used again."""
    if plan.before is not None:
        await link.pause(plan.before)
    if isinstance(plan.pieces, AsyncGenerator):
        plan = await _relay(link, plan.pieces, plan)
    else:
        framed = FRAMINGS[plan.framing][1]
        body = (framed(piece) if isinstance(piece, bytes) else piece for piece in plan.pieces)
        await _send(link, chain((head(plan),), body), plan)
    tail, keeps = ENDINGS[plan.end]
    link.write(tail(plan))
    await link.drained()
    if plan.end == "reset":
        link.reset()
    return keeps and plan.framing != "eof"


async def gathered(plan: Plan) -> Plan:
    """The plan with every piece at hand."""
    if not isinstance(plan.pieces, AsyncGenerator):
        return plan
    return replace(plan, pieces=[piece async for piece in plan.pieces])


def joined(plan: Plan, count: int) -> Plan:
    """The plan with `count` pieces in each chunk."""
    if count == 1 or isinstance(plan.pieces, AsyncGenerator):
        return plan
    pieces: list[Piece] = []
    for pauses, run in groupby(plan.pieces, lambda piece: isinstance(piece, Pause)):
        same = list(run)
        groups = [same[at : at + count] for at in range(0, len(same), count)]
        pieces += (
            same if pauses else [b"".join(piece for piece in group if isinstance(piece, bytes)) for group in groups]
        )
    return replace(plan, pieces=pieces)
