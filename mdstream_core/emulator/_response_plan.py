"""An answer before it is written: a head, pieces with pauses between them, trailers, and how it ends.

Services make plans, faults change them, `_play` writes them. A plan is a value, so that a fault is a function from plan
to plan and the writing half knows nothing of faults.
"""

import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from mdstream_core import _json

Fields = tuple[tuple[str, str], ...]


class UpstreamInterrupted(Exception):
    """The pieces that were still to come will not come."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Pause:
    """Write nothing: for some seconds, until somebody sets the event, or (with neither) until the client goes."""

    seconds: float = 0.0
    until: threading.Event | None = None


ChunkOrPause = bytes | Pause


class TruncatedPiece(bytes):
    """A piece of which only the first half goes out, envelope and framing included."""

    __slots__ = ()


def identity(data: bytes) -> bytes:
    """The bytes as they are."""
    return data


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """One answer.

    Attributes:
        status: The HTTP status.
        headers: Without those of the framing.
        chunks: Each `body_chunks` becomes one HTTP chunk. An async iterator where the words come from elsewhere.
        trailers: Fields after the last chunk.
        envelope: What the service makes of a piece before it is framed.
        framing: A key of `FRAMINGS`.
        ending: A key of `ENDINGS`.
        pause_before: Waited for before the head goes out.
        whole: The same answer as one JSON body, for the fault of not streaming it.
        delay: Seconds between two pieces.
        flush_each: Hand every piece to the socket by itself, even without a delay.
        preface: Bytes before the status line.
        trailers_if_interrupted: The trailers by reason where pieces that were still to come do not come; without it
        the body is cut.
        declared_length: The `content-length`, where it is not the true one.
    """

    status: int = 200
    headers: Fields = ()
    chunks: Sequence[ChunkOrPause] | AsyncGenerator[bytes] = ()
    trailers: Fields = ()
    envelope: Callable[[bytes], bytes] = identity
    framing: str = "chunked"
    ending: str = "whole"
    pause_before: Pause | None = None
    whole: bytes = b""
    delay: float = 0.0
    flush_each: bool = False
    preface: bytes = b""
    trailers_if_interrupted: Callable[[str], Fields] | None = None
    declared_length: int | None = None

    @property
    def all_chunks(self) -> list[ChunkOrPause]:
        """The pieces, where they are all known."""
        if isinstance(self.chunks, AsyncGenerator):
            raise TypeError("the pieces of this plan are still to come")
        return list(self.chunks)

    @property
    def wrapped_chunks(self) -> list[bytes]:
        """The pieces without the pauses, in the service's envelope."""
        return [self.envelope(piece) for piece in self.body_chunks]

    @property
    def body_chunks(self) -> list[bytes]:
        """The pieces without the pauses."""
        return [piece for piece in self.all_chunks if isinstance(piece, bytes)]

    def interrupted(self, reason: str) -> "ResponsePlan":
        """The plan as it ends where pieces that were still to come do not come."""
        if self.trailers_if_interrupted is None:
            return replace(self, ending="cut")
        return replace(self, trailers=self.trailers_if_interrupted(reason))

    def with_headers(self, *fields: tuple[str, str]) -> "ResponsePlan":
        """The plan with these header fields in place of those of the same names."""
        names = {name.lower() for name, _ in fields}
        return replace(self, headers=(*(f for f in self.headers if f[0].lower() not in names), *fields))


def json_plan(status: int, body: object, *headers: tuple[str, str]) -> ResponsePlan:
    """An answer of one JSON document with its length."""
    data = body if isinstance(body, bytes) else _json.dumps(body)
    return ResponsePlan(status, (("content-type", "application/json"), *headers), (data,), framing="length")


def stream_plan(
    pieces: Sequence[ChunkOrPause] | AsyncGenerator[bytes], content_type: str, *headers: tuple[str, str]
) -> ResponsePlan:
    """An answer in pieces."""
    return ResponsePlan(200, (("content-type", content_type), *headers), pieces)


async def collect_chunks(plan: ResponsePlan) -> ResponsePlan:
    """The plan with every piece at hand."""
    if not isinstance(plan.chunks, AsyncGenerator):
        return plan
    pieces: list[ChunkOrPause] = []
    try:
        async for piece in plan.chunks:
            pieces.append(piece)  # noqa: PERF401  (what came before it broke counts)
    except UpstreamInterrupted as broken:
        return replace(plan.interrupted(broken.reason), chunks=pieces)
    return replace(plan, chunks=pieces)


def merge_chunks(plan: ResponsePlan, count: int) -> ResponsePlan:
    """The plan with `count` pieces in each chunk; what is no plain piece stays by itself."""
    if count == 1 or isinstance(plan.chunks, AsyncGenerator):
        return plan
    pieces: list[ChunkOrPause] = []
    for special, run in groupby(plan.chunks, lambda piece: type(piece) is not bytes):
        same = list(run)
        groups = [same[at : at + count] for at in range(0, len(same), count)]
        pieces += (
            same if special else [b"".join(piece for piece in group if isinstance(piece, bytes)) for group in groups]
        )
    return replace(plan, chunks=pieces)
