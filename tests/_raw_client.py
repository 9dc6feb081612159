"""A minimal HTTP client for tests of the emulator, independent of mdstream: it would hide mdstream's own mistakes."""

import json
import socket
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

STREAM = "/predictWithResponseStream"
HELLO = {"model": "odsc-llm", "messages": [{"role": "user", "content": "Hello"}], "stream": True}


@dataclass(frozen=True)
class RawResponse:
    """Everything received until the server closed or reset the connection, or the read timed out (`ended`)."""

    data: bytes
    ended: str

    @property
    def status(self) -> int:
        return int(self.data.split(b" ", 2)[1])

    @property
    def head(self) -> str:
        return self.data.partition(b"\r\n\r\n")[0].decode()

    @property
    def headers(self) -> dict[str, str]:
        fields = (line.partition(":") for line in self.head.split("\r\n")[1:])
        return {name.lower(): value.strip() for name, _, value in fields}

    @property
    def rest(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def chunks(self) -> list[bytes]:
        return self._unchunked()[0]

    @property
    def trailers(self) -> dict[str, str]:
        fields = (line.partition(":") for line in self._unchunked()[1].decode().split("\r\n") if line)
        return {name: value.strip() for name, _, value in fields}

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks) if "transfer-encoding" in self.headers else self.rest

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        lines = (line for line in self.body.split(b"\n") if line.startswith(b"data: ") and line != b"data: [DONE]")
        return [json.loads(line[6:]) for line in lines]

    @property
    def text(self) -> str:
        deltas = (choice["delta"] for event in self.events for choice in event.get("choices", ()))
        return "".join(delta.get("content") or "" for delta in deltas)

    @property
    def whole(self) -> bool:
        return self._unchunked()[2]

    def _unchunked(self) -> tuple[list[bytes], bytes, bool]:
        chunks, rest = [], self.rest
        while True:
            line, found, rest = rest.partition(b"\r\n")
            size = int(line, 16) if found else -1
            if size == 0 or len(rest) < size + 2 or not found:
                return chunks, rest, size == 0 and rest.endswith(b"\r\n")
            chunks.append(rest[:size])
            rest = rest[size + 2 :]


def connect(url: str, ca_file: str | None = None) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname
    sock = socket.create_connection((parts.hostname, parts.port or 80), timeout=10)
    if ca_file is not None:
        sock = ssl.create_default_context(cafile=ca_file).wrap_socket(sock, server_hostname=parts.hostname)
    return sock


def request(url: str, body: Any = None, method: str = "POST", **headers: str) -> bytes:
    """The bytes of a request."""
    parts = urlsplit(url)
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    fields = {"host": parts.netloc, "content-length": str(len(content)), "connection": "close"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"{method} {parts.path} HTTP/1.1\r\n{lines}\r\n".encode() + content


def read_response(sock: socket.socket, timeout: float = 5.0, events: int | None = None) -> RawResponse:
    """Read to the end of the connection, or until `events` events were received."""
    data, ended = b"", "closed"
    sock.settimeout(timeout)
    try:
        while (events is None or data.count(b"data: ") < events) and (piece := sock.recv(65_536)):
            data += piece
    except TimeoutError:
        ended = "silent"
    except ConnectionResetError:
        ended = "reset"
    return RawResponse(data, ended)


def send_request(
    url: str, body: Any = None, method: str = "POST", silence: float = 5.0, ca_file: str | None = None, **headers: str
) -> RawResponse:
    """Send one request over a new connection."""
    with connect(url, ca_file) as sock:
        sock.sendall(request(url, body, method, **headers))
        return read_response(sock, silence)
