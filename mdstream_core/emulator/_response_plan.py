"""A response before it is written: a head, body chunks with pauses between them, trailers, and how it ends.

Services build plans, faults change them, `_response_writer` writes them. A plan is a value, so a fault is a function
from plan to plan, and the writer knows nothing about faults.
"""

import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from mdstream_core import _json

Fields = tuple[tuple[str, str], ...]


class UpstreamInterrupted(Exception):
    """The upstream fails before the end of its stream; no more chunks follow."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause in the body: for some seconds, until the event is set, or (with neither) until the client disconnects."""

    seconds: float = 0.0
    until: threading.Event | None = None


ChunkOrPause = bytes | Pause


class TruncatedChunk(bytes):
    """A chunk of which only the first half is sent, envelope and framing included."""

    __slots__ = ()


def identity(data: bytes) -> bytes:
    """Return the bytes unchanged."""
    return data


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """A response that is to be written.

    Attributes:
        status: HTTP status.
        headers: Header fields without those of the framing.
        chunks: Body chunks, each of which becomes an HTTP chunk, with pauses between them; an async generator for
            chunks that are not known yet.
        trailers: Fields after the last chunk.
        envelope: Encodes a body chunk in the service's own format before it is framed.
        framing: How the body is delimited: a key of `FRAMINGS`.
        ending: How the body ends: a key of `ENDINGS`.
        pause_before: Pause before the head is sent.
        whole: The same response as one JSON body, for the fault `json_body`.
        delay: Seconds between two chunks.
        flush_each: Write each chunk to the socket by itself, even without a delay.
        preface: Bytes before the status line.
        trailers_if_interrupted: Builds the trailers from the reason if the upstream fails; without it the body is
            truncated.
        declared_length: Value of `content-length` where it is not the true length.
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
        """The chunks and pauses as a list; `TypeError` if they are not known yet."""
        if isinstance(self.chunks, AsyncGenerator):
            raise TypeError("the chunks of this plan are not known yet (hint: call collect_chunks first)")
        return list(self.chunks)

    @property
    def wrapped_chunks(self) -> list[bytes]:
        """The chunks without the pauses, in the service's envelope."""
        return [self.envelope(chunk) for chunk in self.body_chunks]

    @property
    def body_chunks(self) -> list[bytes]:
        """The chunks without the pauses."""
        return [chunk for chunk in self.all_chunks if isinstance(chunk, bytes)]

    def interrupted(self, reason: str) -> "ResponsePlan":
        """Return the plan with the ending for an upstream that failed."""
        if self.trailers_if_interrupted is None:
            return replace(self, ending="cut")
        return replace(self, trailers=self.trailers_if_interrupted(reason))

    def with_headers(self, *fields: tuple[str, str]) -> "ResponsePlan":
        """Return the plan with these header fields, which replace those of the same names."""
        names = {name.lower() for name, _ in fields}
        return replace(self, headers=(*(f for f in self.headers if f[0].lower() not in names), *fields))


def json_plan(status: int, body: object, *headers: tuple[str, str]) -> ResponsePlan:
    """Build a plan for one JSON document with its `content-length`."""
    data = body if isinstance(body, bytes) else _json.dumps(body)
    return ResponsePlan(status, (("content-type", "application/json"), *headers), (data,), framing="length")


def stream_plan(
    chunks: Sequence[ChunkOrPause] | AsyncGenerator[bytes], content_type: str, *headers: tuple[str, str]
) -> ResponsePlan:
    """Build a plan for a stream."""
    return ResponsePlan(200, (("content-type", content_type), *headers), chunks)


async def collect_chunks(plan: ResponsePlan) -> ResponsePlan:
    """Wait for the chunks of an async generator; return the plan with all of them."""
    if not isinstance(plan.chunks, AsyncGenerator):
        return plan
    chunks: list[ChunkOrPause] = []
    try:
        async for chunk in plan.chunks:
            chunks.append(chunk)  # noqa: PERF401  (those before the interruption count)
    except UpstreamInterrupted as interruption:
        return replace(plan.interrupted(interruption.reason), chunks=chunks)
    return replace(plan, chunks=chunks)


def merge_chunks(plan: ResponsePlan, count: int) -> ResponsePlan:
    """Return the plan with `count` chunks merged into each one; pauses and special chunks stay separate."""
    if count == 1 or isinstance(plan.chunks, AsyncGenerator):
        return plan
    chunks: list[ChunkOrPause] = []
    for special, run in groupby(plan.chunks, lambda chunk: type(chunk) is not bytes):
        if special:
            chunks += run
            continue
        same = [chunk for chunk in run if isinstance(chunk, bytes)]
        chunks += [b"".join(same[start : start + count]) for start in range(0, len(same), count)]
    return replace(plan, chunks=chunks)
