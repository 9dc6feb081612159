"""Decompression in bounded pieces: every split, every corrupt byte, every limit. No sockets."""

import gzip
import json
import random
import tracemalloc
import zlib
from collections.abc import Iterable

import pytest

from mdstream_core.errors import MalformedStream
from mdstream_core.transport.decompression import (
    MAX_RATIO,
    PIECE_SIZE,
    RATIO_CHECK_FROM,
    DecompressionLimits,
    Decompressor,
)

TEXT = b"".join(b'data: {"choices":[{"delta":{"content":" word%d"}}]}\n\n' % (number * 7919) for number in range(40))

#: The coding that the header names, and zlib's `wbits` to write it.
WRITTEN = {"gzip": ("gzip", 31), "x-gzip": ("x-gzip", 31), "deflate": ("deflate", 15), "raw deflate": ("deflate", -15)}
every_coding = pytest.mark.parametrize(("coding", "wbits"), WRITTEN.values(), ids=WRITTEN)


def deflated(data: bytes, wbits: int = 31, level: int = 6, flush_after: int = 0) -> bytes:
    """Compress data, with a flush after each `flush_after` bytes, as streaming servers do."""
    squeeze = zlib.compressobj(level, zlib.DEFLATED, wbits)
    step = flush_after or len(data) or 1
    parts = [
        squeeze.compress(data[at : at + step]) + (squeeze.flush(zlib.Z_SYNC_FLUSH) if flush_after else b"")
        for at in range(0, len(data), step)
    ]
    return b"".join(parts) + squeeze.flush()


def inflated(unpack: Decompressor, reads: Iterable[bytes]) -> tuple[bytes, MalformedStream | None]:
    """Decompress pieces, and return the data and the error."""
    pieces: list[bytes] = []
    try:
        for data in reads:
            for piece in unpack.feed(data):
                assert len(piece) <= PIECE_SIZE
                pieces.append(piece)
    except MalformedStream as error:
        return b"".join(pieces), error
    return b"".join(pieces), None


def truncated(data: bytes, step: int) -> list[bytes]:
    return [data[at : at + step] for at in range(0, len(data), step)]


@every_coding
def test_a_body_is_the_same_in_every_split(coding: str, wbits: int) -> None:
    """In two reads split at every byte, and in reads of 1, 2, 3 … bytes."""
    body = deflated(TEXT, wbits)
    for at in range(len(body) + 1):
        assert (TEXT, None) == inflated(Decompressor(coding), [body[:at], body[at:]])
    for step in (1, 2, 3, 7, 64):
        assert (TEXT, None) == inflated(Decompressor(coding), truncated(body, step))


@every_coding
@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("flush_after", [0, 60])
def test_all_levels_and_flushes(coding: str, wbits: int, level: int, flush_after: int) -> None:
    """Stored blocks, fixed and dynamic codes, with and without flushes, in reads of one byte and in one."""
    body = deflated(TEXT, wbits, level, flush_after)
    for step in (1, len(body)):
        assert (TEXT, None) == inflated(Decompressor(coding), truncated(body, step))


@every_coding
def test_one_read_that_inflates_to_many_bytes(coding: str, wbits: int) -> None:
    """Nothing is lost between two pieces, and the memory is that of a few pieces."""
    data = random.Random(1).randbytes(3000) * 1000
    body = deflated(data, wbits, 9)
    assert (data, None) == inflated(Decompressor(coding), [body])

    zeros = deflated(bytes(8 * 1024 * 1024), wbits, 9)
    tracemalloc.start()
    try:
        assert 8 * 1024 * 1024 == sum(map(len, Decompressor(coding).feed(zeros)))
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("coding", ["gzip", "x-gzip"])
def test_several_members(coding: str) -> None:
    """Large, small and empty ones, with padding between them, in reads of every kind."""
    parts = [bytes(200_000), b"", TEXT, b"", b"x", TEXT * 20]
    body = b"\0\0".join(gzip.compress(part, mtime=0) for part in parts) + bytes(5)
    for step in (1, 13, len(body)):
        assert (b"".join(parts), None) == inflated(Decompressor(coding), truncated(body, step))
    empty = gzip.compress(b"", mtime=0) * 3000
    assert [b""] == list(Decompressor(coding).feed(empty))  # a read returns at least one piece, and few empty ones


@every_coding
@pytest.mark.parametrize("flush_after", [0, 60], ids=["whole", "flushed"])
def test_data_before_a_corrupt_byte_is_delivered(coding: str, wbits: int, flush_after: int) -> None:
    """At every position and in every split: the same data that zlib decompresses byte by byte, then the error."""
    body = deflated(TEXT, wbits, flush_after=flush_after)
    for at in range(2 if coding == "deflate" else 10, len(body), 11):
        corrupt = body[:at] + bytes([body[at] ^ 0xFF]) + body[at + 1 :]
        expected, failed = bytewise(corrupt, wbits)
        for step in (len(body), 50):
            found, error = inflated(Decompressor(coding), truncated(corrupt, step))
            assert found.startswith(expected)
            assert failed is (error is not None)
            assert error is None or (error.code == "DecodingError" and repr(coding) in str(error))


def bytewise(body: bytes, wbits: int) -> tuple[bytes, bool]:
    """Decompress byte by byte with zlib; return the data and whether it failed."""
    inflate, out = zlib.decompressobj(wbits), b""
    try:
        for at in range(len(body)):
            out += inflate.decompress(body[at : at + 1])
    except zlib.error:
        return out, True
    return out, bool(inflate.unused_data.lstrip(b"\0"))


@pytest.mark.parametrize("size", [100, 60_000, 70_000, 1_000_000], ids="{} bytes".format)
@pytest.mark.parametrize("level", [0, 6], ids="level {}".format)
def test_all_text_before_a_wrong_checksum(size: int, level: int) -> None:
    """A gzip trailer with a wrong CRC or length: all data is delivered."""
    data = random.Random(2).randbytes(size // 2) + bytes(size // 2)
    body = deflated(data, level=level)
    for at in (-8, -1):
        corrupt = bytearray(body)
        corrupt[at] ^= 1
        for step in (1000, 65_536, len(body)):
            found, error = inflated(Decompressor("gzip"), truncated(bytes(corrupt), step))
            assert data == found
            assert error is not None
            assert "incorrect" in str(error)


@pytest.mark.parametrize("wbits", [15, -15])
@pytest.mark.parametrize("split", [0, 1], ids=["in one read", "in the next read"])
def test_data_after_the_end(wbits: int, split: int) -> None:
    """Deflate has no second member: the data comes first, and then the error."""
    body = deflated(TEXT, wbits)
    reads = [body, b"more"] if split else [body + b"more"]
    found, error = inflated(Decompressor("deflate"), reads)
    assert TEXT == found
    assert "data after its end" in str(error)


def chunk(text: str, **fields: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None, **fields}
    facts = {"id": "chatcmpl-0123456789", "object": "chat.completion.chunk", "created": 1_730_000_000, "model": "m"}
    return b"data: " + json.dumps({**facts, "choices": [choice]}).encode() + b"\n\n"


LOGPROBS = {"content": [{"token": " the", "logprob": -0.25, "bytes": [32, 116, 104, 101], "top_logprobs": []}]}

#: One event of a stream that repeats itself for ever, which no stream does; compressed as well as deflate can.
REPEATED = {
    "chat": chunk(" the"),
    "logprobs": chunk(" the", logprobs=LOGPROBS),
    "spaces": chunk(" "),
    "tool call": chunk("", delta={"tool_calls": [{"index": 0, "function": {"arguments": " "}}]}),
    "short chat": b'data:{"choices":[{"delta":{"content":"a"}}]}\n\n',
    "tgi": b'data:{"token":{"text":"a"}}\n\n',
    "cohere": b'data: {"text":"a"}\n\n',
    "json lines": b'{"token":{"text":"a"}}\n',
}


@pytest.mark.parametrize("event", REPEATED.values(), ids=REPEATED)
def test_no_stream_of_events_exceeds_the_ratio(event: bytes) -> None:
    """Not even endless repetition at the highest level, far beyond the first 16 MiB."""
    body, unpack = deflated(event * (RATIO_CHECK_FROM * 5 // 4 // len(event)), level=9), Decompressor("gzip")
    assert sum(len(piece) for data in truncated(body, 65_536) for piece in unpack.feed(data)) > RATIO_CHECK_FROM


BOMBS = [(b"\0", "gzip", 31), (b"data:x\n\n", "gzip", 31), (b": \n\n", "deflate", 15), (b"0.0,", "deflate", -15)]


@pytest.mark.parametrize(("unit", "coding", "wbits"), BOMBS, ids=[repr(unit) for unit, _, _ in BOMBS])
def test_a_bomb_exceeds_the_ratio(unit: bytes, coding: str, wbits: int) -> None:
    """After the size of one frame, not before: a document of zeros is not a bomb."""
    body = deflated(unit * (RATIO_CHECK_FROM * 5 // 4 // len(unit)), wbits, 9)
    found, error = inflated(Decompressor(coding), truncated(body, 65_536))

    assert RATIO_CHECK_FROM - PIECE_SIZE <= len(found) <= RATIO_CHECK_FROM + 2 * PIECE_SIZE
    assert error is not None
    assert "DecodingError" == error.code
    assert f"limit: {MAX_RATIO}" in str(error)
    assert "hint: " in str(error)


@pytest.mark.parametrize("members", [1, 50])
@pytest.mark.parametrize("step", [100, 65_536])
def test_the_limit_of_the_whole_body(members: int, step: int) -> None:
    """In one member or many; the error names the limit in bytes."""
    data = random.Random(3).randbytes(400_000)
    body = b"".join(gzip.compress(part, mtime=0) for part in truncated(data, len(data) // members))
    found, error = inflated(
        Decompressor("gzip", DecompressionLimits("gzip", max_inflated=300_000)), truncated(body, step)
    )

    assert abs(len(found) - 300_000) <= PIECE_SIZE
    assert data.startswith(found)
    assert "more than 300000 bytes" in str(error)
    assert (data, None) == inflated(
        Decompressor("gzip", DecompressionLimits("gzip", max_inflated=400_000)), truncated(body, step)
    )
