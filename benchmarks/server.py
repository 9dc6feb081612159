"""One server on loopback for all who are measured, in a process of its own so that its work is not counted.

What is wanted stands in the path: `/flood/2000/…` sends 2,000 tokens as fast as they are taken, one event per HTTP
chunk; `/paced/200/…` writes one token a millisecond (asyncio sets TCP_NODELAY, so each is a segment of its own). A path
that ends in `/actions/chat` is answered as OCI Generative AI would, every other as an OpenAI-compatible server.
"""

import asyncio
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[1]

_PACE = 0.001  # seconds between two tokens
_PIECE = 65_536  # bytes written at once in a flood
_BACKLOG = 1024  # hundreds of streams begin in the same moment; a full backlog would cost them a second each
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nopc-request-id: b\r\n\r\n"
_END = b"0\r\n\r\n"


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
        return [_token(i) for i in range(self.count)]


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

    def flood(self, count: int) -> Source:
        """As fast as the reader takes it."""
        return Source(self.port, "flood", count)

    def paced(self, count: int) -> Source:
        """One token a millisecond."""
        return Source(self.port, "paced", count)


def _token(i: int) -> str:
    return f"tok{i} "


def _openai(i: int) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": _token(i)}, "logprobs": None, "finish_reason": None, "token_ids": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "odsc-llm",
        "choices": [choice],
    }


def _genai(i: int) -> dict[str, Any]:
    content = [{"type": "TEXT", "text": _token(i)}]
    return {"index": 0, "message": {"role": "ASSISTANT", "content": content}, "pad": "aaaaaaaaaaaaaaaa"}


def _json(wire: dict[str, Any]) -> bytes:
    return json.dumps(wire).encode()


_FINISH = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
_USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
_OPENAI_END = (
    _json(_openai(0) | {"choices": _FINISH}),
    _json(_openai(0) | {"choices": [], "usage": _USAGE}),
    b"[DONE]",
)
_GENAI_END = (_json({"finishReason": "stop"}),)


@lru_cache
def _chunks(path_end: str, count: int) -> list[bytes]:
    """The HTTP chunks of an answer, one event in each."""
    wire, end = (_genai, _GENAI_END) if path_end == "/actions/chat" else (_openai, _OPENAI_END)
    payloads = [*(_json(wire(i)) for i in range(count)), *end]
    events = [b"data: %b\n\n" % payload for payload in payloads]
    return [b"%x\r\n%b\r\n" % (len(event), event) for event in events]


@lru_cache
def _body(path_end: str, count: int) -> list[bytes]:
    body = b"".join(_chunks(path_end, count)) + _END
    return [body[at : at + _PIECE] for at in range(0, len(body), _PIECE)]


async def _flood(writer: asyncio.StreamWriter, path_end: str, count: int) -> None:
    for piece in _body(path_end, count):
        writer.write(piece)
        await writer.drain()


async def _paced(writer: asyncio.StreamWriter, path_end: str, count: int) -> None:
    for chunk in _chunks(path_end, count):
        writer.write(chunk)
        await asyncio.sleep(_PACE)
    writer.write(_END)
    await writer.drain()


_MODES = {"flood": _flood, "paced": _paced}


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All questions of one connection."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            fields = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:] if line)
            await reader.readexactly(int(fields.get("content-length", "0")))
            path = head.split(" ", 2)[1]
            _, mode, count, *_ = path.split("/")
            writer.write(_HEAD)
            await _MODES[mode](writer, path[-13:], int(count))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the client has closed
    finally:
        writer.close()


async def _serve() -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, backlog=_BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    asyncio.run(_serve())
