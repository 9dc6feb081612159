"""Decompress response bodies in bounded pieces.

Each read of the body yields at least one piece, which may be empty.
"""

import zlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any

from mdstream_core.errors import MalformedStream
from mdstream_core.transport._fairness import acheckpoint, checkpoint

#: Maximum size of a decompressed piece in bytes. Its events are delivered before the next piece is decompressed.
PIECE_SIZE = 65_536

#: Maximum size of a decompressed body in bytes; a security limit.
MAX_DECOMPRESSED = 512 * 1024 * 1024

#: Maximum compression ratio; a security limit. In deflate a match of 258 bytes takes at least 2 bits, and 3 bits more
#: if it refers to something 17 bytes or more back: an endlessly repeated event of 17 bytes has a ratio of 413, and one
#: of a chat completion's 217 bytes a ratio of 258. Measured: texts 14 to 43, log probabilities 5 to 6, embeddings 2. A
#: compression bomb has a ratio of up to 1032.
MAX_RATIO = 450

#: Decompressed bytes from which the ratio is checked: the size of one frame. A document of zeros is shorter.
RATIO_CHECK_FROM = 16 * 1024 * 1024

#: Maximum number of content codings of one body; a security limit, the same as in curl and urllib3.
MAX_CODINGS = 5

#: How many compressed bytes are kept, to recover the data before an invalid byte.
_REPLAY_SIZE = 8192

_GZIP, _ZLIB, _RAW = 31, 15, -15  # zlib's `wbits`
_HEADER = 2  # bytes of zlib's header (RFC 1950 §2.2)
_CODINGS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}
_KNOWN = {*_CODINGS, "", "identity"}


def iter_body(response: Any) -> Iterable[bytes]:
    """Iterate over the decompressed body of an httpx response, one piece or more for each read.

    httpx itself yields only non-empty pieces, so a slow stream without data would be invisible to the timeouts. A body
    that an event hook has read, and a coding that only the user's client has requested, are left to httpx.
    """
    names = _codings(response)
    if not (names or response.is_stream_consumed):
        return response.stream  # type: ignore[no-any-return]
    if response.is_stream_consumed or not _CODINGS.keys() >= set(names):
        return _split_pieces(response.iter_bytes(), DecompressionLimits(", ".join(names)), response)
    pieces: Iterable[bytes] = response.stream
    for name in reversed(names):
        pieces = _decompress(pieces, Decompressor(name))
    return pieces


def aiter_body(response: Any) -> AsyncIterable[bytes]:
    """Async variant of `iter_body`."""
    names = _codings(response)
    if not (names or response.is_stream_consumed):
        return response.stream  # type: ignore[no-any-return]
    if response.is_stream_consumed or not _CODINGS.keys() >= set(names):
        return _asplit_pieces(response.aiter_bytes(), DecompressionLimits(", ".join(names)), response)
    pieces: AsyncIterable[bytes] = response.stream
    for name in reversed(names):
        pieces = _adecompress(pieces, Decompressor(name))
    return pieces


def _codings(response: Any) -> list[str]:
    """Return the codings of a body in the order in which they were applied (RFC 9110 §8.4)."""
    coding = response.headers.get("content-encoding")
    if coding is None:
        return []
    names = [name.strip() for name in coding.lower().split(",")]
    if unaccepted := [name for name in names if name not in _KNOWN and name not in _accepted_codings(response)]:
        raise MalformedStream(
            f"the body has the content-encoding {', '.join(unaccepted)[:100]!r}, which the request did not accept "
            "(hint: configure the proxy or gateway that compresses it to respect Accept-Encoding)",
            code="DecodingError",
        )
    names = [name for name in names if name not in {"", "identity"}]
    if len(names) > MAX_CODINGS:
        raise MalformedStream(
            f"the body has {len(names)} content-encodings, more than {MAX_CODINGS} (hint: compress it in one "
            "proxy or gateway, not in each of them)",
            code="DecodingError",
        )
    return names


def _accepted_codings(response: Any) -> str:
    """Return the codings that the request accepted."""
    accepted: str = response.request.headers.get("accept-encoding", "")
    return accepted.lower()


def _decompress(pieces: Iterable[bytes], decompressor: "Decompressor") -> Iterator[bytes]:
    for data in pieces:
        more = False
        for piece in decompressor.feed(data):
            if more:
                checkpoint()
            yield piece
            more = True


async def _adecompress(pieces: AsyncIterable[bytes], decompressor: "Decompressor") -> AsyncIterator[bytes]:
    async for data in pieces:
        more = False
        for piece in decompressor.feed(data):
            if more:
                await acheckpoint()
            yield piece
            more = True


def _split_pieces(pieces: Iterable[bytes], limits: "DecompressionLimits", response: Any) -> Iterator[bytes]:
    for data in pieces:
        limits.check(response.num_bytes_downloaded, len(data))
        yield data[:PIECE_SIZE]
        for at in range(PIECE_SIZE, len(data), PIECE_SIZE):
            checkpoint()
            yield data[at : at + PIECE_SIZE]


async def _asplit_pieces(
    pieces: AsyncIterable[bytes], limits: "DecompressionLimits", response: Any
) -> AsyncIterator[bytes]:
    async for data in pieces:
        limits.check(response.num_bytes_downloaded, len(data))
        yield data[:PIECE_SIZE]
        for at in range(PIECE_SIZE, len(data), PIECE_SIZE):
            await acheckpoint()
            yield data[at : at + PIECE_SIZE]


class DecompressionLimits:
    """Limits of the decompression of one body.

    Args:
        coding: The content coding, for error messages; if it is empty, the limits do not apply.
        max_inflated: Maximum size of the decompressed body in bytes.
        max_ratio: Maximum ratio of decompressed to compressed bytes.
        ratio_from: Decompressed bytes from which the ratio is checked.
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
        """Count the bytes of one piece.

        Args:
            compressed: Compressed bytes of the body received so far.
            inflated: Decompressed bytes of this piece.

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
            raise self._limit_error(f"{times} times its size (limit: {self._max_ratio})")

    def _limit_error(self, limit: str) -> MalformedStream:
        return MalformedStream(
            f"the body inflates to {limit} with content-encoding {self._coding!r}, which may be a compression bomb "
            "(hint: check the endpoint, or disable compression with an Accept-Encoding header)",
            code="DecodingError",
        )


class Decompressor:
    """Streaming decompressor for deflate, and for gzip with several members (RFC 1952 §2.2).

    Args:
        coding: `gzip`, `x-gzip` or `deflate`.
        limits: Limits of the decompression; by default those of this module.

    >>> list(Decompressor("deflate").feed(zlib.compress(b"hello")))
    [b'hello']
    """

    def __init__(self, coding: str, limits: DecompressionLimits | None = None) -> None:
        self._coding = coding
        self._limits = limits or DecompressionLimits(coding)
        self._prefix: bytes | None = b"" if coding == "deflate" else None
        self._compressed = 0
        self._snapshot: Any = None  # a copy of zlib's decompressor; `None` at the start of a member
        self._replay = bytearray()  # compressed bytes since the snapshot
        self._delivered = 0  # decompressed bytes since the snapshot
        self._error: MalformedStream | None = None  # raised after the piece before it
        self._begin(_CODINGS[coding])

    def feed(self, data: bytes) -> Iterable[bytes]:
        """Decompress further bytes, and yield one or more pieces of at most `PIECE_SIZE`; the first may be empty.

        Later pieces are decompressed while the result is iterated. An error is raised after the data before it.

        Raises:
            MalformedStream: The bytes are invalid, or exceed a limit.
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
        self._take_snapshot(None)

    def _next_piece(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Decompress one piece, and return it with the remaining bytes, which are `None` if there are none."""
        inflate = self._inflate
        try:
            piece = inflate.decompress(data, PIECE_SIZE)
        except zlib.error as error:
            self._error = self._unreadable_error(error)
            self._error.__cause__ = error
            return self._recover_prefix(data), None
        self._delivered += len(piece)
        if inflate.eof:
            return piece, self._next_member(inflate.unused_data) or None
        rest = inflate.unconsumed_tail
        self._replay += data[: len(data) - len(rest)] if rest else data
        if len(self._replay) > _REPLAY_SIZE or self._delivered >= PIECE_SIZE:
            self._take_snapshot(inflate.copy())
        return piece, rest if len(piece) == PIECE_SIZE else None  # b"": zlib may buffer output after a full piece

    def _take_snapshot(self, snapshot: Any) -> None:
        """Check the limits for the data since the last snapshot, and store a new one."""
        self._limits.check(self._compressed, self._delivered)
        self._snapshot = snapshot
        self._replay.clear()
        self._delivered = 0

    def _recover_prefix(self, data: bytes) -> bytes:
        """Decompress the data before an invalid byte, which zlib discards, again from the last snapshot."""
        inflate = self._snapshot or zlib.decompressobj(self._wbits)
        inflated = bytearray()
        try:
            for byte in bytes(self._replay) + data:
                piece = inflate.decompress(bytes((byte,)), 1)
                while piece:
                    inflated += piece
                    piece = inflate.decompress(inflate.unconsumed_tail, 1)
        except zlib.error:
            return bytes(inflated[self._delivered :])
        return b""  # pragma: no cover  # the same bytes raise again

    def _next_member(self, data: bytes) -> bytes:
        """Start the next member of a gzip body, if data follows the end of a member. Zeros are padding."""
        data = data.lstrip(b"\0")
        if data and _CODINGS[self._coding] != _GZIP:
            self._error = self._unreadable_error("there is data after its end")
            return b""
        if data:
            self._begin(_GZIP)
        return data

    def _choose_deflate(self, data: bytes) -> bytes:
        """Detect zlib's header from the first two bytes, and return the bytes to decompress.

        Some servers send raw deflate without this header (RFC 9110 §8.4.1.2).
        """
        if len(data) < _HEADER:
            self._prefix = data
            return b""
        self._prefix = None
        if data[0] & 0x0F != zlib.DEFLATED or int.from_bytes(data[:_HEADER], "big") % 31:
            self._begin(_RAW)
        return data

    def _unreadable_error(self, problem: object) -> MalformedStream:
        message = f"the body is not valid {self._coding!r}, its content-encoding: {problem}"
        return MalformedStream(message, code="DecodingError")
