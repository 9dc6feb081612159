"""Decompression of response bodies in bounded pieces.

Each read of the body gives at least one piece, which may be empty.
"""

import zlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any

from mdstream_core.errors import MalformedStream
from mdstream_core.transport._fairness import acheckpoint, checkpoint

#: The most bytes that are inflated at once. The events of one piece are handed out before the next is inflated.
PIECE_SIZE = 65_536

#: The most bytes that one body may inflate to; a security limit.
MAX_DECOMPRESSED = 512 * 1024 * 1024

#: The most inflated bytes for each compressed byte; a security limit. In deflate a match of 258 bytes takes at least
#: 2 bits, and 3 bits more where it refers to something 17 bytes or more back: an event of 17 bytes that is repeated for
#: ever inflates 413 times, and one of a chat completion's 217 bytes 258 times. Measured: texts 14 to 43 times, log
#: probabilities 5 to 6 times, embeddings twice. A bomb inflates up to 1032 times.
MAX_RATIO = 450

#: How many bytes may be inflated before the ratio counts: what one frame may have. A document of zeros is shorter.
RATIO_CHECK_FROM = 16 * 1024 * 1024

#: The most codings that one body may have on top of each other; a security limit, as curl and urllib3 have it.
MAX_CODINGS = 5

#: How many compressed bytes are kept for the case that one of the next cannot be read.
_REPLAY_SIZE = 8192

_GZIP, _ZLIB, _RAW = 31, 15, -15  # zlib's `wbits`
_HEADER = 2  # bytes of zlib's header (RFC 1950 §2.2)
_CODINGS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}
_KNOWN = {*_CODINGS, "", "identity"}


def iter_body(response: Any) -> Iterable[bytes]:
    """As it comes off the connection. httpx hands on only what it could unpack, and nobody would see a drip of nothing.

    A body that an event hook has read, and a coding that only the client's owner has asked for, are left to httpx.
    """
    names = _codings(response)
    if response.is_stream_consumed or not _CODINGS.keys() >= set(names):
        return _split_pieces(response.iter_bytes(), DecompressionLimits(", ".join(names)), response)
    pieces: Iterable[bytes] = response.stream
    for name in reversed(names):
        pieces = _decompress(pieces, Decompressor(name))
    return pieces


def aiter_body(response: Any) -> AsyncIterable[bytes]:
    """The same for tasks."""
    names = _codings(response)
    if response.is_stream_consumed or not _CODINGS.keys() >= set(names):
        return _asplit_pieces(response.aiter_bytes(), DecompressionLimits(", ".join(names)), response)
    pieces: AsyncIterable[bytes] = response.stream
    for name in reversed(names):
        pieces = _adecompress(pieces, Decompressor(name))
    return pieces


def _codings(response: Any) -> list[str]:
    """The codings of a body in the order in which they were applied (RFC 9110 §8.4)."""
    coding = response.headers.get("content-encoding")
    if coding is None:
        return []
    names = [name.strip() for name in coding.lower().split(",")]
    if unasked := [name for name in names if name not in _KNOWN and name not in _accepted_codings(response)]:
        raise MalformedStream(
            f"the body has the content-encoding {', '.join(unasked)[:100]!r}, which the request did not accept (hint: "
            "let the proxy or gateway that compresses it heed Accept-Encoding)",
            code="DecodingError",
        )
    names = [name for name in names if name not in {"", "identity"}]
    if len(names) > MAX_CODINGS:
        raise MalformedStream(
            f"the body has {len(names)} content-encodings, where {MAX_CODINGS} are the most (hint: let one proxy or "
            "gateway compress it, not each of them)",
            code="DecodingError",
        )
    return names


def _accepted_codings(response: Any) -> str:
    """The codings that the request accepted, as far as the client's owner has set them."""
    asked: str = response.request.headers.get("accept-encoding", "")
    return asked.lower()


def _decompress(pieces: Iterable[bytes], unpack: "Decompressor") -> Iterator[bytes]:
    for data in pieces:
        more = False
        for piece in unpack.feed(data):
            if more:
                checkpoint()
            yield piece
            more = True


async def _adecompress(pieces: AsyncIterable[bytes], unpack: "Decompressor") -> AsyncIterator[bytes]:
    async for data in pieces:
        more = False
        for piece in unpack.feed(data):
            if more:
                await acheckpoint()
            yield piece
            more = True


def _split_pieces(pieces: Iterable[bytes], bounds: "DecompressionLimits", response: Any) -> Iterator[bytes]:
    for data in pieces:
        bounds.check(response.num_bytes_downloaded, len(data))
        yield data[:PIECE_SIZE]
        for at in range(PIECE_SIZE, len(data), PIECE_SIZE):
            checkpoint()
            yield data[at : at + PIECE_SIZE]


async def _asplit_pieces(
    pieces: AsyncIterable[bytes], bounds: "DecompressionLimits", response: Any
) -> AsyncIterator[bytes]:
    async for data in pieces:
        bounds.check(response.num_bytes_downloaded, len(data))
        yield data[:PIECE_SIZE]
        for at in range(PIECE_SIZE, len(data), PIECE_SIZE):
            await acheckpoint()
            yield data[at : at + PIECE_SIZE]


class DecompressionLimits:
    """Limits of one body that is inflated.

    Args:
        coding: The content coding that errors name; a body that has none has no limits here.
        max_inflated: The most bytes that the body may inflate to.
        max_ratio: The most inflated bytes for each compressed byte.
        ratio_from: How many bytes may be inflated before the ratio counts.
    """

    def __init__(
        self,
        coding: str,
        max_inflated: int = MAX_DECOMPRESSED,
        max_ratio: int = MAX_RATIO,
        ratio_from: int = RATIO_CHECK_FROM,
    ) -> None:
        self._coding = coding
        self._max_inflated = max_inflated
        self._max_ratio = max_ratio
        self._ratio_from = ratio_from
        self._unchecked = min(ratio_from, max_inflated)
        self._inflated = 0

    def check(self, compressed: int, inflated: int) -> None:
        """Count the `inflated` bytes of one piece, when so many `compressed` bytes have come in all.

        Raises:
            MalformedStream: A limit is exceeded.
        """
        self._inflated += inflated
        if self._inflated > self._unchecked and self._coding:
            self._check_limits(compressed)

    def _check_limits(self, compressed: int) -> None:
        if self._inflated > self._max_inflated:
            raise self._limit_error(f"more than {self._max_inflated} bytes")
        if self._inflated > self._ratio_from and self._inflated > compressed * self._max_ratio:
            times = self._inflated // max(compressed, 1)
            raise self._limit_error(f"{times} times its size, a ratio that no stream has (limit: {self._max_ratio})")

    def _limit_error(self, limit: str) -> MalformedStream:
        return MalformedStream(
            f"the body inflates to {limit} with content-encoding {self._coding!r}: this may be a compression bomb "
            "(hint: check who answers at this endpoint, or let the request not accept compression)",
            code="DecodingError",
        )


class Decompressor:
    """Decompressor of a body that comes in pieces: deflate, and gzip with all its members (RFC 1952 §2.2).

    Args:
        coding: `gzip`, `x-gzip` or `deflate`.
        bounds: Its limits; those of this module by default.

    >>> list(Decompressor("deflate").feed(zlib.compress(b"hello")))
    [b'hello']
    """

    def __init__(self, coding: str, bounds: DecompressionLimits | None = None) -> None:
        self._coding = coding
        self._bounds = bounds or DecompressionLimits(coding)
        self._prefix: bytes | None = b"" if coding == "deflate" else None
        self._compressed = 0
        self._checkpoint: Any = None  # a copy of the decompressor; none is needed at its beginning
        self._replay = bytearray()  # what it was fed since
        self._handed_out = 0  # … and how many bytes it has inflated
        self._error: MalformedStream | None = None  # raised behind the piece that came before it
        self._begin(_CODINGS[coding])

    def feed(self, data: bytes) -> Iterable[bytes]:
        """Inflate these bytes, in one piece or more of `PIECE_SIZE` at most; the first may be empty.

        Later pieces are inflated while they are iterated. What was inflated before a byte that cannot be read is handed
        out, and then the error is raised.

        Raises:
            MalformedStream: The bytes cannot be read, or inflate to more than `bounds` allow.
        """
        self._compressed += len(data)
        if self._inflate.eof:
            data = self._next_member(data)
        elif self._prefix is not None:
            data = self._choose_deflate(self._prefix + data)
        piece, more = self._next_piece(data)
        return (piece,) if more is None and self._error is None else self._pieces(piece, more)

    def _pieces(self, piece: bytes, more: bytes | None) -> Iterator[bytes]:
        yield piece
        while more is not None:
            piece, more = self._next_piece(more)
            if piece:
                yield piece
        if self._error is not None:
            raise self._error

    def _begin(self, wbits: int) -> None:
        self._wbits = wbits
        self._inflate = zlib.decompressobj(wbits)
        self._set_checkpoint(None)

    def _next_piece(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Inflate one piece; and the bytes that are still to be inflated, `None` when all were."""
        inflate = self._inflate
        try:
            piece = inflate.decompress(data, PIECE_SIZE)
        except zlib.error as error:
            self._error = self._unreadable_error(error)
            self._error.__cause__ = error
            return self._recover_prefix(data), None
        self._handed_out += len(piece)
        if inflate.eof:
            return piece, self._next_member(inflate.unused_data) or None
        rest = inflate.unconsumed_tail
        self._replay += data[: len(data) - len(rest)] if rest else data
        if len(self._replay) > _REPLAY_SIZE or self._handed_out >= PIECE_SIZE:
            self._set_checkpoint(inflate.copy())
        return piece, rest if len(piece) == PIECE_SIZE else None  # b"": a full piece may have left something behind

    def _set_checkpoint(self, checkpoint: Any) -> None:
        """Count what was inflated since the last one, and begin anew."""
        self._bounds.check(self._compressed, self._handed_out)
        self._checkpoint = checkpoint
        self._replay.clear()
        self._handed_out = 0

    def _recover_prefix(self, data: bytes) -> bytes:
        """What these bytes inflate to before the one that cannot be read; zlib drops it. Bounded by the checkpoints."""
        inflate = self._checkpoint or zlib.decompressobj(self._wbits)
        inflated = bytearray()
        try:
            for byte in bytes(self._replay) + data:
                piece = inflate.decompress(bytes((byte,)), 1)
                while piece:
                    inflated += piece
                    piece = inflate.decompress(inflate.unconsumed_tail, 1)
        except zlib.error:
            return bytes(inflated[self._handed_out :])
        return b""  # pragma: no cover  # the same bytes cannot be read again

    def _next_member(self, data: bytes) -> bytes:
        """Get ready for what stands behind the end of a member, which in gzip is the next one. Zeros are padding."""
        data = data.lstrip(b"\0")
        if data and _CODINGS[self._coding] != _GZIP:
            self._error = self._unreadable_error("there is more behind its end")
            return b""
        if data:
            self._begin(_GZIP)
        return data

    def _choose_deflate(self, data: bytes) -> bytes:
        """The bytes that may be inflated. Two tell zlib's header; some servers send deflate without one.

        Source: RFC 9110 §8.4.1.2.
        """
        if len(data) < _HEADER:
            self._prefix = data
            return b""
        self._prefix = None
        if data[0] & 0x0F != zlib.DEFLATED or int.from_bytes(data[:_HEADER], "big") % 31:
            self._begin(_RAW)
        return data

    def _unreadable_error(self, why: object) -> MalformedStream:
        sentence = f"the body is not what its content-encoding {self._coding!r} promised: {why}"
        return MalformedStream(sentence, code="DecodingError")
