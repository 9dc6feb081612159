"""The server of the benchmark on loopback, in its own process, so that its CPU time is not counted.

The path selects the response: `/burst/2000/…` sends 2,000 tokens as fast as they are read, one event per HTTP chunk;
`/paced/200/…` sends one token a millisecond (asyncio sets TCP_NODELAY, so each is its own segment), `/paced-100/20/…`
one every 100 ms; their format is in `benchmarks.wire_formats`. `/whole/20/…` sends the same text without streaming.
`/embed/…` returns vectors (`benchmarks.vectors`). A request with a tool's result receives one token.
"""

import asyncio
import os
import resource
import subprocess
import sys
import threading
from functools import lru_cache
from typing import Self

from benchmarks import vectors
from benchmarks.source import ROOT, Source
from benchmarks.wire_formats import OPENAI, WireFormat, choose_wire_format, handshake

_PACE = 1  # milliseconds between two tokens
_PIECE = 65_536  # bytes written at once in a burst
_BACKLOG = 4096  # thousands of streams start at the same time; a full backlog would cost each a second


class Server:
    """Context manager that runs the server in its own process."""

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
        """A response as fast as it is read."""
        return Source(self.port, "burst", count)

    def paced(self, count: int) -> Source:
        """A response of one token a millisecond."""
        return Source(self.port, "paced", count)


def raise_file_limit() -> None:
    """Allow as many open files as the system permits: thousands of streams are as many sockets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@lru_cache
def _body(wire: WireFormat, count: int) -> list[bytes]:
    body = b"".join(wire.pieces(count)) + wire.last
    return [body[offset : offset + _PIECE] for offset in range(0, len(body), _PIECE)]


async def _burst(writer: asyncio.StreamWriter, wire: WireFormat, count: int, pace: int) -> None:
    for piece in _body(wire, count):
        writer.write(piece)
        await writer.drain()


_chunks = lru_cache(WireFormat.pieces)


async def _paced(writer: asyncio.StreamWriter, wire: WireFormat, count: int, pace: int) -> None:
    for chunk in _chunks(wire, count):
        writer.write(chunk)
        await asyncio.sleep(pace / 1000)
    writer.write(wire.last)
    await writer.drain()


_MODES = {"burst": _burst, "paced": _paced}


async def _serve_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve all requests of one connection."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            path = head.split(" ", 2)[1]
            fields = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
            fields = {name.lower(): value for name, value in fields.items()}
            if path.startswith("/embed/"):
                body = await reader.readexactly(int(fields["content-length"]))
                await vectors.respond(writer, path, body)
                continue
            response = choose_wire_format(path)
            _, mode, count, *_ = path.split("/")
            mode, _, pace = mode.partition("-")
            if mode == "whole":
                await reader.readexactly(int(fields.get("content-length", "0")))
                writer.write(response.document(int(count)))
                continue
            if "sec-websocket-key" in fields:
                writer.write(handshake(fields))
                await reader.read(_PIECE)  # the request
            else:
                body = await reader.readexactly(int(fields.get("content-length", "0")))
                response, count = (OPENAI, "1") if b'"tool_call_id"' in body else (response, count)
                writer.write(response.head)
            await _MODES[mode](writer, response, int(count), int(pace or _PACE))
            if "sec-websocket-key" in fields:
                await reader.read()  # the client's close frame
                return
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the client has closed
    finally:
        writer.close()


async def _serve() -> None:
    server = await asyncio.start_server(_serve_connection, "127.0.0.1", 0, backlog=_BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    raise_file_limit()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    asyncio.run(_serve())
