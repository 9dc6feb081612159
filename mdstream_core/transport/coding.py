"""The body of an answer, without its compression: for each piece that came there is one, which may be empty."""

import zlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any

from mdstream_core.errors import MalformedStream

_GZIP, _ZLIB, _RAW = 31, 15, -15  # zlib's `wbits`
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
        yield unpack.feed(data)


async def _aunpacked(pieces: AsyncIterable[bytes], coding: str) -> AsyncIterator[bytes]:
    unpack = Unpack(coding)
    async for data in pieces:
        yield unpack.feed(data)


class Unpack:
    """zlib gives all it can at once: nothing is left for an end.

    >>> Unpack("deflate").feed(zlib.compress(b"hello"))
    b'hello'
    """

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._inflate = zlib.decompressobj(_CODINGS[coding])
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        """What these bytes hold. Raises `MalformedStream` when they cannot be read."""
        begun, self._begun = self._begun, self._begun or bool(data)
        try:
            return self._inflate.decompress(data)
        except zlib.error as error:
            if begun or self._coding != "deflate":
                said = f"the body is not what its content-encoding {self._coding!r} promised: {error}"
                raise MalformedStream(said, code="DecodingError") from error
        self._inflate = zlib.decompressobj(_RAW)  # some servers take "deflate" by its word (RFC 9110 section 8.4.1.2)
        return self.feed(data)
