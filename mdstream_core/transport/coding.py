"""The body of an answer, without its compression: for each piece that came there is one, which may be empty."""

import zlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any

from mdstream_core.errors import MalformedStream

_GZIP, _ZLIB, _RAW = 31, 15, -15  # zlib's `wbits`
_HEADER = 2  # bytes of zlib's header (RFC 1950 §2.2)
_CODINGS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}
_KNOWN = {*_CODINGS, "", "identity"}


def body(response: Any) -> Iterable[bytes]:
    """As it comes off the connection. httpx hands on only what it could unpack, and nobody would see a drip of nothing.

    A body that an event hook has read, and a coding that only the client's owner has asked for, are left to httpx.
    """
    match _coding(response):
        case None:
            return response.stream  # type: ignore[no-any-return]
        case "httpx":
            return response.iter_bytes()  # type: ignore[no-any-return]
        case coding:
            return _unpacked(response.stream, coding)


def abody(response: Any) -> AsyncIterable[bytes]:
    """The same for tasks."""
    match _coding(response):
        case None:
            return response.stream  # type: ignore[no-any-return]
        case "httpx":
            return response.aiter_bytes()  # type: ignore[no-any-return]
        case coding:
            return _aunpacked(response.stream, coding)


def _coding(response: Any) -> str | None:
    coding = response.headers.get("content-encoding")
    coding = None if coding is None else coding.strip().lower()
    names = [] if coding is None else [name.strip() for name in coding.split(",")]
    if unasked := [name for name in names if name not in _KNOWN and name not in _asked(response)]:
        raise MalformedStream(
            f"the body has the content-encoding {', '.join(unasked)[:100]!r}, which the request did not accept (hint: "
            "let the proxy or gateway that compresses it heed Accept-Encoding)",
            code="DecodingError",
        )
    if response.is_stream_consumed or not (coding is None or coding in _CODINGS):
        return "httpx"
    return coding


def _asked(response: Any) -> str:
    """The codings that the request accepted, as far as the client's owner has set them."""
    asked: str = response.request.headers.get("accept-encoding", "")
    return asked.lower()


def _unpacked(pieces: Iterable[bytes], coding: str) -> Iterator[bytes]:
    unpack = Unpack(coding)
    for data in pieces:
        for piece in unpack.feed(data):  # noqa: UP028  # as the twin must
            yield piece


async def _aunpacked(pieces: AsyncIterable[bytes], coding: str) -> AsyncIterator[bytes]:
    unpack = Unpack(coding)
    async for data in pieces:
        for piece in unpack.feed(data):
            yield piece


class Unpack:
    """Decompressor of a body that comes in pieces: deflate, and gzip with all its members (RFC 1952 §2.2).

    zlib gives all it can at once: nothing is left for an end.

    >>> list(Unpack("deflate").feed(zlib.compress(b"hello")))
    [b'hello']
    """

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._inflate = zlib.decompressobj(_CODINGS[coding])
        self._opening: bytes | None = b"" if coding == "deflate" else None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What these bytes hold, in one piece or more: what is before a member that cannot be read is handed out.

        Raises:
            MalformedStream: They cannot be read.
        """
        if self._inflate.eof:
            data = self._next_member(data)
        yield self._inflated(data)
        while self._inflate.eof and (data := self._next_member(self._inflate.unused_data)):
            yield self._inflated(data)

    def _next_member(self, data: bytes) -> bytes:
        """Get ready for what stands behind the end of a member, which in gzip is the next one. Zeros are padding."""
        data = data.lstrip(b"\0")
        if data and _CODINGS[self._coding] != _GZIP:
            raise self._unreadable("there is more behind its end")
        if data:
            self._inflate = zlib.decompressobj(_GZIP)
        return data

    def _inflated(self, data: bytes) -> bytes:
        if self._opening is not None:
            data = self._choose_deflate(self._opening + data)
        try:
            return self._inflate.decompress(data)
        except zlib.error as error:
            raise self._unreadable(error) from error

    def _choose_deflate(self, data: bytes) -> bytes:
        """The bytes that may be inflated. Two tell zlib's header; some servers send deflate without one.

        Source: RFC 9110 §8.4.1.2.
        """
        if len(data) < _HEADER:
            self._opening = data
            return b""
        self._opening = None
        if data[0] & 0x0F != zlib.DEFLATED or int.from_bytes(data[:_HEADER], "big") % 31:
            self._inflate = zlib.decompressobj(_RAW)
        return data

    def _unreadable(self, why: object) -> MalformedStream:
        sentence = f"the body is not what its content-encoding {self._coding!r} promised: {why}"
        return MalformedStream(sentence, code="DecodingError")
