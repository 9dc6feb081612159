"""Floors without a framework: a raw socket, and httpx without a custom transport."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

from benchmarks.contenders import Contender
from benchmarks.source import Source

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
    """Blocking connections that are used again, one for each request that runs at the same time."""

    def __init__(self, source: Source) -> None:
        parts = urlsplit(source.url)
        self._address = (parts.hostname, parts.port)
        self._request = _request(parts.path)
        self._idle: list[socket.socket] = []

    def stream(self) -> Iterator[str]:
        connection = self._send()
        lines = Lines()
        while not lines.is_complete:
            yield from lines.texts(connection.recv(_SIZE))
        self._idle.append(connection)

    def complete(self) -> str:
        connection = self._send()
        data = b""
        while (text := _document(data)) is None:
            data += connection.recv(_SIZE)
        self._idle.append(connection)
        return text

    def _send(self) -> socket.socket:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = socket.create_connection(self._address)
        connection.sendall(self._request)
        return connection


class AsyncSocket:
    """Connections with asyncio's streams."""

    def __init__(self, source: Source) -> None:
        self._parts = urlsplit(source.url)
        self._request = _request(self._parts.path)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def stream(self) -> AsyncIterator[str]:
        reader, writer = await self._send()
        lines = Lines()
        while not lines.is_complete:
            for text in lines.texts(await reader.read(_SIZE)):
                yield text
        self._idle.append((reader, writer))

    async def complete(self) -> str:
        reader, writer = await self._send()
        data = b""
        while (text := _document(data)) is None:
            data += await reader.read(_SIZE)
        self._idle.append((reader, writer))
        return text

    async def _send(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._idle:
            reader, writer = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        writer.write(self._request)
        return reader, writer


def raw_socket(source: Source, pem: bytes | None) -> Contender:
    """The minimal cost and latency of a token."""
    sync, awaited = Socket(source), AsyncSocket(source)
    return Contender(sync.stream, awaited.stream, str, sync.complete, awaited.complete)


def stock_httpx(source: Source, pem: bytes | None) -> Contender:
    """`iter_lines` and `json.loads`, as most users would write."""
    import httpx  # noqa: PLC0415  (the other floors do not import it)

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
