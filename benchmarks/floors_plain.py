"""Floors without a framework: a raw socket, and httpx without a custom transport."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import httpx

from benchmarks.contenders import Contender
from benchmarks.server import Source

_END = b"0\r\n\r\n"
_SIZE = 65_536


class Lines:
    """Parser for the texts in the bytes of a socket. The chunk framing is between the lines, and ignored."""

    def __init__(self) -> None:
        self._buffer = b""
        self.is_complete = False

    def texts(self, data: bytes) -> list[str]:
        self.is_complete = data.endswith(_END)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [text for line in lines if line.startswith(b"data: {") if (text := _text(json.loads(line[6:])))]


class Socket:
    """A blocking connection that is used for all requests."""

    def __init__(self, source: Source) -> None:
        parts = urlsplit(source.url)
        self._request = _request(parts.path)
        self._socket = socket.create_connection((parts.hostname, parts.port))

    def stream(self) -> Iterator[str]:
        self._socket.sendall(self._request)
        lines = Lines()
        while not lines.is_complete:
            yield from lines.texts(self._socket.recv(_SIZE))

    def complete(self) -> str:
        self._socket.sendall(self._request)
        data = b""
        while (text := _document(data)) is None:
            data += self._socket.recv(_SIZE)
        return text


class AsyncSocket:
    """A connection with asyncio's streams."""

    def __init__(self, source: Source) -> None:
        self._parts = urlsplit(source.url)
        self._request = _request(self._parts.path)
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def stream(self) -> AsyncIterator[str]:
        reader = await self._send()
        lines = Lines()
        while not lines.is_complete:
            for text in lines.texts(await reader.read(_SIZE)):
                yield text

    async def complete(self) -> str:
        reader = await self._send()
        data = b""
        while (text := _document(data)) is None:
            data += await reader.read(_SIZE)
        return text

    async def _send(self) -> asyncio.StreamReader:
        if self._open is None:
            self._open = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        reader, writer = self._open
        writer.write(self._request)
        return reader


def raw_socket(source: Source, pem: bytes | None) -> Contender:
    """The minimal cost and latency of a token."""
    sync, awaited = Socket(source), AsyncSocket(source)
    return Contender(sync.stream, awaited.stream, str, sync.complete, awaited.complete)


def stock_httpx(source: Source, pem: bytes | None) -> Contender:
    """`iter_lines` and `json.loads`, as most users would write."""
    client, async_client = httpx.Client(timeout=300), httpx.AsyncClient(timeout=300)

    def stream() -> Iterator[str]:
        with client.stream("POST", source.url, json={}) as response:
            for line in response.iter_lines():
                if line.startswith("data: {") and (text := _text(json.loads(line[6:]))):
                    yield text

    async def astream() -> AsyncIterator[str]:
        async with async_client.stream("POST", source.url, json={}) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: {") and (text := _text(json.loads(line[6:]))):
                    yield text

    def complete() -> str:
        return client.post(source.url, json={}).json()["choices"][0]["message"]["content"]  # type: ignore[no-any-return]

    async def acomplete() -> str:
        response = await async_client.post(source.url, json={})
        return response.json()["choices"][0]["message"]["content"]  # type: ignore[no-any-return]

    return Contender(stream, astream, str, complete, acomplete)


def _request(path: str) -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 2\r\n\r\n{{}}".encode()


def _document(data: bytes) -> str | None:
    """Return the text of a response that is not streamed; `None` while it is incomplete."""
    head, _, body = data.partition(b"\r\n\r\n")
    if not body or len(body) < int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]):
        return None
    return json.loads(body)["choices"][0]["message"]["content"]  # type: ignore[no-any-return]


def _text(payload: dict) -> str:
    choices = payload["choices"]
    return choices[0]["delta"].get("content", "") if choices else ""
