"""A task that is cancelled at any point leaves no socket open, without the garbage collector."""

import asyncio
import gc
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from _raw_server import RawServer, certificates, proxying, respond_with, serving
from _transport import CHUNKED

from mdstream_core.transport import AsyncTransport, async_http_client
from mdstream_core.transport._asyncio_connect import Address, _connect_first, open_socket, resolve

#: The server closes too: an idle connection would count as an open one.
BYE = respond_with(
    CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), b"5\r\nhello\r\n", b"0\r\n\r\n", close=True
)

Tls = tuple[ssl.SSLContext, ssl.SSLContext, Path]

pytestmark = pytest.mark.skipif(not Path("/dev/fd").exists(), reason="open files cannot be counted on this system")


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return certificates(tmp_path_factory.mktemp("tls"))


def count() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


@contextmanager
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def settled(before: int) -> int:
    """Return how many more files are open than before, once the servers have noticed.

    It returns the number that ended the wait: a server may still accept a connection that its client has closed long ago,
    and a second count would see that as an open file.
    """
    deadline = time.monotonic() + 5
    while (opened := count() - before) > 0 and time.monotonic() < deadline:  # noqa: ASYNC110 (no event tells of a closed file)
        await asyncio.sleep(0.005)
    return opened


ROUTES = {
    "plain": (False, None),
    "TLS": (True, None),
    "plain proxy": (False, False),
    "tunnel": (True, False),
    "tunnel over TLS": (True, True),
}


@pytest.mark.parametrize(("secure", "proxied"), ROUTES.values(), ids=ROUTES)
async def test_cancelling_at_every_step_of_a_request(secure: bool, proxied: bool | None, tls: Tls) -> None:
    """Connecting, handshakes, tunnel, sending and reading."""
    ends: set[str] = set()

    async def one(client: Any, url: str) -> None:
        response = await client.post(url, content=b"x" * 1000)
        ends.add(response.text)

    with (
        serving(BYE, tls=tls[0] if secure else None) as server,
        serving(proxying, tls=tls[0] if proxied else None) as proxy,
    ):
        through = None if proxied is None else proxy.url
        async with async_http_client(verify=tls[1], proxy=through, timeout=5, trust_env=False) as client:
            await one(client, server.url)
            with no_collector():
                before = count()
                for step in range(60):
                    task = asyncio.ensure_future(one(client, server.url))
                    for _ in range(step):
                        await asyncio.sleep(0 if step < 30 else 0.0004)
                        if task.done():
                            break
                    task.cancel()
                    ends.add(type((await asyncio.gather(task, return_exceptions=True))[0]).__name__)

                assert await settled(before) <= 0

    assert {"hello", "CancelledError", "NoneType"} == ends


async def test_cancelling_at_every_step_of_a_stream(tls: Tls) -> None:
    """Between pieces of the body, or after `break`."""
    with serving(BYE) as server:
        async with async_http_client(timeout=5) as client:

            async def leave() -> None:
                async with client.stream("GET", server.url) as response:
                    async for _ in response.aiter_raw():
                        break

            await leave()
            with no_collector():
                before = count()
                for step in range(25):
                    task = asyncio.ensure_future(leave())
                    for _ in range(step):
                        await asyncio.sleep(0)
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)

                assert await settled(before) <= 0


@contextmanager
def hanging() -> Iterator[Address]:
    """An address that neither accepts nor rejects connections: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        time.sleep(0.05)
        yield socket.AF_INET, listener.getsockname()
        for filler in fillers:
            filler.close()


def unreachable_address() -> Address:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return socket.AF_INET, listener.getsockname()


@pytest.fixture
def server() -> Iterator[RawServer]:
    with serving(BYE) as running:
        yield running


async def test_an_address_that_hangs_does_not_block_the_next(server: RawServer) -> None:
    """The next one is tried concurrently, and the socket of the first is closed."""
    loop = asyncio.get_running_loop()
    with no_collector(), hanging() as slow:
        before = count()
        addresses = [slow, unreachable_address(), (socket.AF_INET, ("127.0.0.1", server.port))]
        sock = await _connect_first(loop, addresses, None)
        assert server.port == sock.getpeername()[1]
        sock.close()

        assert await settled(before) <= 0


@pytest.mark.parametrize("steps", range(8))
async def test_cancelling_with_several_addresses(server: RawServer, steps: int) -> None:
    """Also if two of them connect at the same moment."""
    loop = asyncio.get_running_loop()
    with no_collector():
        before = count()
        task = loop.create_task(_connect_first(loop, [(socket.AF_INET, ("127.0.0.1", server.port))] * 2, None))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(result, socket.socket):
            result.close()

        assert await settled(before) <= 0


async def test_no_address_is_reachable() -> None:
    """The reason is reported once."""
    loop = asyncio.get_running_loop()
    with pytest.raises(ConnectionRefusedError):
        await _connect_first(loop, [unreachable_address()] * 2, None)
    with pytest.raises(OSError, match=r"Connect call failed .*; .*Connect call failed"):
        await _connect_first(loop, [unreachable_address(), unreachable_address()], None)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", [(socket.AF_INET, ("127.0.0.1", 80))]),
        ("::1", [(socket.AF_INET6, ("::1", 80, 0, 0))]),
    ],
)
async def test_ip_addresses_are_not_looked_up(host: str, expected: list[Address]) -> None:
    """They need no thread."""
    assert expected == await resolve(asyncio.get_running_loop(), host, 80)


@pytest.mark.parametrize("local", [None, "127.0.0.1"])
async def test_a_name_is_looked_up(server: RawServer, local: str | None) -> None:
    """
    `localhost` may have an IPv6 address without a listener.
    """
    with no_collector():
        before = count()
        sock = await open_socket(asyncio.get_running_loop(), "localhost", server.port, local)
        sock.close()

        assert await settled(before) <= 0


async def test_an_invalid_socket_option(server: RawServer) -> None:
    """The connection is closed, and the error is the library's."""
    with no_collector():
        before = count()
        options = [(socket.SOL_SOCKET, 99_999, 1)]
        async with httpx.AsyncClient(transport=AsyncTransport(socket_options=options)) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(server.url)

        assert await settled(before) <= 0


class Slow:
    """An event loop whose lookups return several addresses."""

    def __init__(self, found: list[tuple[int, Any]]) -> None:
        self._found = found

    async def getaddrinfo(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        return [(family, 0, 0, "", address) for family, address in self._found]


async def test_address_families_alternate() -> None:
    """RFC 8305 section 4: without duplicates."""
    six, four = [(socket.AF_INET6, (f"::{n}", 80, 0, 0)) for n in "123"], [(socket.AF_INET, ("127.0.0.1", 80))]
    loop: Any = Slow([*six, *four, *six])

    assert [six[0], four[0], six[1], six[2]] == await resolve(loop, "name", 80)
