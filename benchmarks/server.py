"""One server on loopback for all who are measured, in a process of its own so that its work is not counted.

What is wanted stands in the path: `/flood/2000/…` sends 2,000 tokens as fast as they are taken, one event per HTTP
chunk; `/paced/200/…` writes one token a millisecond (asyncio sets TCP_NODELAY, so each is a segment of its own). How
they are written `benchmarks.wires` says. `/embed/…` gives vectors (`benchmarks.vectors`). Who brings a tool's result is
answered in one token.
"""

import asyncio
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

from benchmarks import vectors
from benchmarks.wires import OPENAI, WireFormat, handshake, token, wire

ROOT = Path(__file__).parents[1]

_PACE = 0.001  # seconds between two tokens
_PIECE = 65_536  # bytes written at once in a flood
_BACKLOG = 1024  # hundreds of streams begin in the same moment; a full backlog would cost them a second each


@dataclass(frozen=True, slots=True)
class Source:
    """An answer that the server gives: so many tokens, in this way."""

    port: int
    mode: str
    count: int

    @property
    def url(self) -> str:
        """The base URL; every client appends its own path."""
        return f"http://127.0.0.1:{self.port}/{self.mode}/{self.count}"

    @property
    def texts(self) -> list[str]:
        """What the answer says, token by token."""
        return [token(i) for i in range(self.count)]


class Server:
    """The server's process, for as long as the `with` block."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.server"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def burst(self, count: int) -> Source:
        """As fast as the reader takes it."""
        return Source(self.port, "flood", count)

    def paced(self, count: int) -> Source:
        """One token a millisecond."""
        return Source(self.port, "paced", count)


@lru_cache
def _body(wire: WireFormat, count: int) -> list[bytes]:
    body = b"".join(wire.pieces(count)) + wire.last
    return [body[at : at + _PIECE] for at in range(0, len(body), _PIECE)]


async def _burst(writer: asyncio.StreamWriter, wire: WireFormat, count: int) -> None:
    for piece in _body(wire, count):
        writer.write(piece)
        await writer.drain()


_chunks = lru_cache(WireFormat.pieces)


async def _paced(writer: asyncio.StreamWriter, wire: WireFormat, count: int) -> None:
    for chunk in _chunks(wire, count):
        writer.write(chunk)
        await asyncio.sleep(_PACE)
    writer.write(wire.last)
    await writer.drain()


_MODES = {"flood": _burst, "paced": _paced}


async def _response(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All questions of one connection."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            path = head.split(" ", 2)[1]
            fields = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
            fields = {name.lower(): value for name, value in fields.items()}
            if path.startswith("/embed/"):
                body = await reader.readexactly(int(fields["content-length"]))
                await vectors.answer(writer, path, body)
                continue
            answer = wire(path)
            _, mode, count, *_ = path.split("/")
            if "sec-websocket-key" in fields:
                writer.write(handshake(fields))
                await reader.read(_PIECE)  # the question
            else:
                requested = await reader.readexactly(int(fields.get("content-length", "0")))
                answer, count = (OPENAI, "1") if b'"tool_call_id"' in requested else (answer, count)
                writer.write(answer.head)
            await _MODES[mode](writer, answer, int(count))
            if "sec-websocket-key" in fields:
                await reader.read()  # the client's farewell
                return
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the client has closed
    finally:
        writer.close()


async def _serve() -> None:
    server = await asyncio.start_server(_response, "127.0.0.1", 0, backlog=_BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    asyncio.run(_serve())
