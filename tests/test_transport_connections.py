"""Connections: reuse, sharing, limits, closing."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpcore
import httpx
import pytest
import trio
from _raw_server import Peer, RawServer, certificates, respond_with, serving
from _transport import CHUNKED, HELLO, LATE, OK, RUNNERS, Tls, once, silent

from mdstream_core.transport import AsyncTransport, Transport, async_http_client, build_transport_classes, http_client


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["http", "https"])
def secure(request: pytest.FixtureRequest, tls: Tls) -> ssl.SSLContext | None:
    return tls[0] if request.param == "https" else None


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_two_hundred_responses_over_one_connection(library: str, secure: ssl.SSLContext | None, tls: Tls) -> None:
    """A complete response, trailers included, leaves the connection reusable."""
    with (
        serving(respond_with(LATE), tls=secure) as server,
        http_client(verify=tls[1], library=library) as client,
    ):
        trailers = [client.get(server.url).extensions["trailers"] for _ in range(200)]

        assert ([[(b"StreamFailure", b"x")]] * 200, 1) == (trailers, server.connections)


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_two_hundred_responses_over_one_connection_async(
    library: str, run: Callable[..., None], secure: ssl.SSLContext | None, tls: Tls
) -> None:
    """Async variant."""

    async def main() -> None:
        async with async_http_client(verify=tls[1], library=library) as client:
            trailers = [(await client.get(server.url)).extensions["trailers"] for _ in range(200)]

            assert ([[(b"StreamFailure", b"x")]] * 200, 1) == (trailers, server.connections)

    with serving(respond_with(LATE), tls=secure) as server:
        run(main)


def test_an_idle_connection_that_the_server_closed(secure: ssl.SSLContext | None, tls: Tls) -> None:
    """The next request uses a new connection, without an error."""
    with serving(once, tls=secure) as server, http_client(verify=tls[1], timeout=5) as client:
        for _ in range(5):
            assert b"hello" == client.post(server.url, content=b"?").content
            time.sleep(0.02)

        assert (5, 5) == (server.connections, len(server.requests))


@pytest.mark.parametrize("wait", ["awake", "blocked"])
@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_an_idle_connection_that_the_server_closed_async(
    run: Callable[..., None], wait: str, secure: ssl.SSLContext | None, tls: Tls
) -> None:
    """Async variant, also if the loop had no time to notice."""

    async def main() -> None:
        async with async_http_client(verify=tls[1], timeout=5) as client:
            for _ in range(5):
                assert b"hello" == (await client.post(server.url, content=b"?")).content
                if wait == "awake" and run is RUNNERS["asyncio"]:
                    await asyncio.sleep(0.02)
                else:
                    time.sleep(0.02)  # noqa: ASYNC251 (that is the point)

    with serving(once, tls=secure) as server:
        run(main)

        assert (5, 5) == (server.connections, len(server.requests))


def test_a_request_is_never_sent_twice() -> None:
    """A connection that fails after the request was sent is an error: the server may have started to work on it."""

    def script(server: RawServer, peer: Peer) -> None:
        server.requests.append(peer.request())
        if len(server.requests) == 1:
            peer.send(HELLO)
            server.requests.append(peer.request())

    with serving(script) as server, http_client(timeout=5) as client:
        client.post(server.url, content=b"?")
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(server.url, content=b"?")

        assert (1, 2) == (server.connections, len(server.requests))


def test_many_threads() -> None:
    """Threads share a client; each gets its own response."""

    def script(server: RawServer, peer: Peer) -> None:
        while request := peer.request():
            body = request.partition(b"\r\n\r\n")[2]
            peer.send(CHUNKED + b"%x\r\n%b\r\n0\r\nEcho: %b\r\n\r\n" % (len(body), body, body))

    with serving(script) as server, http_client(timeout=10) as client, ThreadPoolExecutor(32) as threads:

        def one(number: int) -> bool:
            response = client.post(server.url, content=b"%d" % number)
            return response.content == b"%d" % number == response.extensions["trailers"][0][1]

        assert all(threads.map(one, range(500)))
        assert server.connections <= 32


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_many_tasks(library: str, run: Callable[..., None]) -> None:
    """Tasks share a client and a small pool; each gets its own response."""

    def script(server: RawServer, peer: Peer) -> None:
        while request := peer.request():
            body = request.partition(b"\r\n\r\n")[2]
            peer.send(CHUNKED + b"%x\r\n%b\r\n0\r\nEcho: %b\r\n\r\n" % (len(body), body, body))

    right = []

    async def main() -> None:
        limits = httpx.Limits(max_connections=20, max_keepalive_connections=20)
        async with async_http_client(timeout=10, limits=limits, library=library) as client:

            async def one(number: int) -> None:
                response = await client.post(server.url, content=b"%d" % number)
                right.append(response.content == b"%d" % number == response.extensions["trailers"][0][1])

            if run is RUNNERS["asyncio"]:
                await asyncio.gather(*map(one, range(100)))
            else:
                async with trio.open_nursery() as nursery:
                    for number in range(100):
                        nursery.start_soon(one, number)

    with serving(script) as server:
        run(main)

        assert [True] * 100 == right
        assert server.connections <= 20


def test_two_event_loops_in_a_row(secure: ssl.SSLContext | None, tls: Tls) -> None:
    """Each `asyncio.run` has its own client."""

    async def main() -> bytes:
        async with async_http_client(verify=tls[1]) as client:
            return (await client.get(server.url)).content

    with serving(respond_with(HELLO), tls=secure) as server:
        assert [b"hello", b"hello"] == [asyncio.run(main()), asyncio.run(main())]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_client_that_outlives_its_loop() -> None:
    """A connection of a closed loop is not used again."""
    client = async_http_client()

    async def main() -> bytes:
        return (await client.get(server.url)).content

    with serving(respond_with(HELLO)) as server:
        assert [b"hello", b"hello"] == [asyncio.run(main()), asyncio.run(main())]
        assert 2 == server.connections


def test_closing_the_client_closes_idle_connections(secure: ssl.SSLContext | None, tls: Tls) -> None:
    """No socket stays open."""

    def script(server: RawServer, peer: Peer) -> None:
        peer.request()
        peer.send(HELLO)
        server.note(peer.sees_end())

    async def main() -> None:
        async with async_http_client(verify=tls[1]) as client:
            await client.get(server.url)

    with serving(script, tls=secure) as server:
        with http_client(verify=tls[1]) as client:
            client.get(server.url)
        asyncio.run(main())
        deadline = time.monotonic() + 3
        while len(server.notes) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)

        assert [True, True] == server.notes


def test_keep_alive_expires() -> None:
    """An idle connection is closed after the limit."""
    limits = httpx.Limits(keepalive_expiry=0.01)
    with serving(respond_with(HELLO)) as server, http_client(limits=limits) as client:
        client.get(server.url)
        time.sleep(0.03)
        client.get(server.url)

        assert 2 == server.connections


def test_connection_close_is_obeyed() -> None:
    """After `Connection: close` the next request uses a new connection."""
    script = respond_with(OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi")
    with serving(script) as server, http_client() as client:
        client.get(server.url)
        client.get(server.url)

        assert 2 == server.connections


def test_head_leaves_the_connection_usable() -> None:
    """The response to HEAD has no body, whatever its Content-Length."""
    with serving(respond_with(OK + b"Content-Length: 5\r\n\r\n")) as server, http_client(timeout=2) as client:
        assert [b"", b""] == [client.head(server.url).content for _ in range(2)]
        assert 1 == server.connections


def test_a_refused_connection() -> None:
    """It is a ConnectError, sync and async."""
    with serving(silent) as server:
        url = server.url

    async def main() -> None:
        async with async_http_client() as client:
            await client.get(url)

    with http_client() as client, pytest.raises(httpx.ConnectError):
        client.get(url)
    for run in RUNNERS.values():
        with pytest.raises(httpx.ConnectError):
            run(main)


def test_transports_in_a_custom_client() -> None:
    """They are httpx transports like any other, and set `extensions`."""

    async def main() -> httpx.Response:
        async with httpx.AsyncClient(transport=AsyncTransport()) as client:
            return await client.get(server.url)

    with serving(respond_with(LATE)) as server:
        with httpx.Client(transport=Transport()) as client:
            sync = client.get(server.url)
        both = [sync, asyncio.run(main())]

    assert [("HTTP/1.1", "OK", [(b"StreamFailure", b"x")])] * 2 == [
        (output.http_version, output.reason_phrase, output.extensions["trailers"]) for output in both
    ]
    assert (True, True) == (
        issubclass(Transport, httpx.BaseTransport),
        issubclass(AsyncTransport, httpx.AsyncBaseTransport),
    )


def test_one_pair_of_classes_for_each_library() -> None:
    """The classes are created once."""
    assert build_transport_classes(httpx, httpcore) is build_transport_classes(httpx, httpcore)


@pytest.mark.enable_socket
def test_unix_sockets(tmp_path: Path) -> None:
    """As with httpx's own transport."""
    path = str(tmp_path / "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def serve() -> None:
        for _ in range(2):
            sock, _ = listener.accept()
            with sock:
                Peer(sock).request()
                sock.sendall(HELLO)

    async def main() -> bytes:
        async with httpx.AsyncClient(transport=AsyncTransport(uds=path)) as client:
            return (await client.get("http://anywhere/")).content

    threading.Thread(target=serve, daemon=True).start()
    with httpx.Client(transport=Transport(uds=path)) as client:
        assert [b"hello", b"hello"] == [client.get("http://anywhere/").content, asyncio.run(main())]
    listener.close()


@pytest.mark.parametrize("leading", [b"", b"\x81\x01x"])
async def test_an_upgrade_returns_the_socket(leading: bytes) -> None:
    """After a 101, the network stream starts with the bytes that arrived with the head."""
    head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

    def script(server: RawServer, peer: Peer) -> None:
        peer.head()
        peer.send(head + leading)
        peer.send(b"then")
        server.note(peer.sock.recv(100))

    headers = {"Connection": "Upgrade", "Upgrade": "websocket"}
    with serving(script) as server:
        async with (
            async_http_client(timeout=2) as client,
            client.stream("GET", server.url, headers=headers) as response,
        ):
            stream = response.extensions["network_stream"]
            results = b""
            while len(results) < len(leading) + 4:
                results += await stream.read(100, timeout=2)
            await stream.write(b"mine", timeout=2)
            await asyncio.to_thread(server.noted.wait, 2)

        assert (101, leading + b"then", [b"mine"]) == (response.status_code, results, server.notes)


def test_custom_headers_are_merged() -> None:
    """By default a client accepts the codings that can be decoded in a stream."""
    with http_client(headers={"X": "y"}) as ours, http_client(headers={"Accept-Encoding": "identity"}) as custom:
        assert ("gzip, deflate", "y", "identity") == (
            ours.headers["accept-encoding"],
            ours.headers["x"],
            custom.headers["accept-encoding"],
        )
