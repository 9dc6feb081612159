"""Helpers for tests of the transport: responses, server scripts, runners for both event loops."""

import asyncio
import ssl
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import trio
from _raw_server import Peer, RawServer

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HELLO = OK + b"Content-Length: 5\r\n\r\nhello"
LATE = CHUNKED + b"5\r\nhello\r\n0\r\nStreamFailure: x\r\n\r\n"

Tls = tuple[ssl.SSLContext, ssl.SSLContext, Path]


def stalled(server: RawServer, peer: Peer) -> None:
    """Server script that starts a response without ending it, and notes whether the client closes."""
    server.requests.append(peer.request())
    peer.send(CHUNKED + b"5\r\nhello\r\n")
    server.note(peer.sees_end())


def silent(server: RawServer, peer: Peer) -> None:
    """Server script that never responds, and notes whether the client closes."""
    server.requests.append(peer.request())
    server.note(peer.sees_end())


def once(server: RawServer, peer: Peer) -> None:
    """Server script that responds to one request per connection with keep-alive, and closes the connection."""
    server.requests.append(peer.request())
    peer.send(HELLO)
    peer.sock.close()


def errors(library: str) -> type[Exception]:
    kind: type[Exception] = import_module(library).TransportError
    return kind


def run_trio(main: Callable[[], Any]) -> None:
    trio.run(main)


RUNNERS = {"asyncio": lambda main: asyncio.run(main()), "trio": run_trio}
