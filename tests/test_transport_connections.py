"""Connections: kept, shared, limited, timed, cancelled, closed."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from importlib import import_module
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest
import trio
from _raw_server import Peer, RawServer, answer, certificates, serving

from mdstream_core.transport import AsyncTransport, Transport, async_http_client, http_client, transports

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HELLO = OK + b"Content-Length: 5\r\n\r\nhello"
LATE = CHUNKED + b"5\r\nhello\r\n0\r\nStreamFailure: x\r\n\r\n"

Tls = tuple[ssl.SSLContext, ssl.SSLContext, Path]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["http", "https"])
def secure(request: pytest.FixtureRequest, tls: Tls) -> ssl.SSLContext | None:
    return tls[0] if request.param == "https" else None


def stalled(server: RawServer, peer: Peer) -> None:
    """Begins an answer, does not end it, and notes whether the client closes."""
    server.requests.append(peer.request())
    peer.send(CHUNKED + b"5\r\nhello\r\n")
    server.note(peer.sees_end())


def silent(server: RawServer, peer: Peer) -> None:
    """Never answers, and notes whether the client closes."""
    server.requests.append(peer.request())
    server.note(peer.sees_end())


def once(server: RawServer, peer: Peer) -> None:
    """Answers one request of each connection as if it would be kept, and closes it."""
    server.requests.append(peer.request())
    peer.send(HELLO)
    peer.sock.close()


def errors(library: str) -> type[Exception]:
    kind: type[Exception] = import_module(library).TransportError
    return kind


def run_trio(main: Callable[[], Any]) -> None:
    trio.run(main)


RUNNERS = {"asyncio": lambda main: asyncio.run(main()), "trio": run_trio}


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_two_hundred_answers_over_one_connection(library: str, secure: ssl.SSLContext | None, tls: Tls) -> None:
    """
    A whole answer, trailers included, leaves the connection ready for the next.
    """
    with (
        serving(answer(LATE), tls=secure) as server,
        http_client(verify=tls[1], library=library) as client,
    ):
        trailers = [client.get(server.url).extensions["trailers"] for _ in range(200)]

        assert ([[(b"StreamFailure", b"x")]] * 200, 1) == (trailers, server.connections)


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_two_hundred_answers_over_one_connection_async(
    library: str, run: Callable[..., None], secure: ssl.SSLContext | None, tls: Tls
) -> None:
    """
    The same for tasks.
    """

    async def main() -> None:
        async with async_http_client(verify=tls[1], library=library) as client:
            trailers = [(await client.get(server.url)).extensions["trailers"] for _ in range(200)]

            assert ([[(b"StreamFailure", b"x")]] * 200, 1) == (trailers, server.connections)

    with serving(answer(LATE), tls=secure) as server:
        run(main)


def test_an_idle_connection_that_the_server_closed(secure: ssl.SSLContext | None, tls: Tls) -> None:
    """
    The next request goes to a new connection, and nobody notices.
    """
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
    """
    The same for tasks, also when the loop had no time to notice.
    """

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
    """
    A connection that breaks after the request went out is an error: the server may have begun to think.
    """

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
    """
    Threads share a client; each gets its own answer.
    """

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
    """
    Tasks share a client and a small pool; each gets its own answer.
    """

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
    """
    Each `asyncio.run` has a client of its own; the second knows nothing of the first.
    """

    async def main() -> bytes:
        async with async_http_client(verify=tls[1]) as client:
            return (await client.get(server.url)).content

    with serving(answer(HELLO), tls=secure) as server:
        assert [b"hello", b"hello"] == [asyncio.run(main()), asyncio.run(main())]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_client_that_outlives_its_loop() -> None:
    """
    A connection of a loop that is gone is not used again.
    """
    client = async_http_client()

    async def main() -> bytes:
        return (await client.get(server.url)).content

    with serving(answer(HELLO)) as server:
        assert [b"hello", b"hello"] == [asyncio.run(main()), asyncio.run(main())]
        assert 2 == server.connections


def test_breaking_out_closes_the_socket(secure: ssl.SSLContext | None, tls: Tls) -> None:
    """
    A server need not go on for a reader who has left.
    """
    with serving(stalled, tls=secure) as server, http_client(verify=tls[1]) as client:
        with client.stream("GET", server.url) as response:
            for _ in response.iter_raw():
                break

        assert server.noted.wait(2)
        assert [True] == server.notes


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_breaking_out_closes_the_socket_async(
    run: Callable[..., None], secure: ssl.SSLContext | None, tls: Tls
) -> None:
    """
    The same for tasks, while the client lives on.
    """

    async def main() -> None:
        async with async_http_client(verify=tls[1]) as client:
            async with client.stream("GET", server.url) as response, aclosing(response.aiter_raw()) as pieces:
                async for _ in pieces:
                    break
            if run is RUNNERS["asyncio"]:
                await asyncio.to_thread(server.noted.wait, 2)
            else:
                await trio.to_thread.run_sync(server.noted.wait, 2)

    with serving(stalled, tls=secure) as server:
        run(main)

        assert [True] == server.notes


def test_read_timeout_and_what_it_leaves(secure: ssl.SSLContext | None, tls: Tls) -> None:
    """
    Silence is a ReadTimeout, the socket is closed, and the pool has its place back.
    """
    limits = httpx.Limits(max_connections=1)
    with serving(silent, tls=secure) as server, http_client(verify=tls[1], limits=limits) as client:
        for _ in range(2):
            with pytest.raises(httpx.ReadTimeout):
                client.get(server.url, timeout=httpx.Timeout(2, read=0.05))

        assert server.noted.wait(2)


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_read_timeout_and_what_it_leaves_async(
    run: Callable[..., None], secure: ssl.SSLContext | None, tls: Tls
) -> None:
    """
    The same for tasks.
    """

    async def main() -> None:
        async with async_http_client(verify=tls[1], limits=httpx.Limits(max_connections=1)) as client:
            for _ in range(2):
                with pytest.raises(httpx.ReadTimeout):
                    await client.get(server.url, timeout=httpx.Timeout(2, read=0.05))

    with serving(silent, tls=secure) as server:
        run(main)

        assert server.noted.wait(2)


def dripping(server: RawServer, peer: Peer) -> None:
    """A piece every 20 ms, for ever."""
    peer.request()
    peer.send(CHUNKED)
    while True:
        peer.send(b"1\r\nx\r\n")
        time.sleep(0.02)


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_the_read_timeout_is_looked_up_for_each_read(library: str) -> None:
    """
    Whoever gave the `timeout` dictionary may change it while the stream goes on.
    """
    timeout: dict[str, float | None] = {"connect": 2.0, "read": 2.0, "write": 2.0, "pool": 2.0}
    seen = []

    def main() -> None:
        with (
            http_client(library=library) as client,
            client.stream("GET", server.url, extensions={"timeout": timeout}) as response,
        ):
            for data in response.iter_raw():
                seen.append(data)
                if len(seen) == 3:
                    timeout["read"] = 0.001

    with serving(dripping) as server, pytest.raises(errors(library)) as caught:
        main()

    assert ("ReadTimeout", 3) == (type(caught.value).__name__, len(seen))


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_the_read_timeout_is_looked_up_for_each_read_async(library: str, run: Callable[..., None]) -> None:
    """
    The same for tasks: a shorter limit counts at once, though the timer of a longer one is running.
    """
    timeout: dict[str, float | None] = {"connect": 2.0, "read": 2.0, "write": 2.0, "pool": 2.0}
    seen = []

    async def main() -> None:
        async with (
            async_http_client(library=library) as client,
            client.stream("GET", server.url, extensions={"timeout": timeout}) as response,
        ):
            async for data in response.aiter_raw():
                seen.append(data)
                if len(seen) == 3:
                    timeout["read"] = 0.001

    with serving(dripping) as server, pytest.raises(errors(library)) as caught:
        run(main)

    assert ("ReadTimeout", 3) == (type(caught.value).__name__, len(seen))


async def test_a_longer_timeout_outlives_a_shorter_one() -> None:
    """
    A timer that was set for an earlier read does not end a later one.
    """

    def script(server: RawServer, peer: Peer) -> None:
        peer.request()
        peer.send(CHUNKED, b"1\r\na\r\n", b"1\r\nb\r\n0\r\n\r\n", pause=0.25)

    timeout: dict[str, float | None] = {"connect": 2.0, "read": 0.4, "write": 2.0, "pool": 2.0}
    with serving(script) as server:
        async with (
            async_http_client() as client,
            client.stream("GET", server.url, extensions={"timeout": timeout}) as response,
        ):
            assert b"ab" == b"".join([data async for data in response.aiter_raw()])


def test_pool_and_connect_timeouts() -> None:
    """
    A full pool and an address that does not answer have timeouts of their own.
    """
    limits = httpx.Limits(max_connections=1)
    with serving(stalled) as server, http_client(limits=limits, timeout=2) as client:
        with client.stream("GET", server.url), pytest.raises(httpx.PoolTimeout):
            client.get(server.url, timeout=httpx.Timeout(2, pool=0.05))
        with client.stream("GET", server.url) as response:
            assert 200 == response.status_code


async def test_pool_timeout_async() -> None:
    """
    The same for tasks.
    """
    with serving(stalled) as server:
        async with async_http_client(limits=httpx.Limits(max_connections=1), timeout=2) as client:
            async with client.stream("GET", server.url):
                with pytest.raises(httpx.PoolTimeout):
                    await client.get(server.url, timeout=httpx.Timeout(2, pool=0.05))
            async with client.stream("GET", server.url) as response:
                assert 200 == response.status_code


def unread(server: RawServer, peer: Peer) -> None:
    """Takes the head of a request and leaves its body in the pipe."""
    peer.head()
    time.sleep(1)


def test_write_timeout() -> None:
    """
    A server that does not read is a WriteTimeout.
    """
    timeout = httpx.Timeout(5, write=0.1)
    with serving(unread) as server, http_client(timeout=timeout) as client, pytest.raises(httpx.WriteTimeout):
        client.post(server.url, content=b"x" * 30_000_000)


async def test_write_timeout_async(secure: ssl.SSLContext | None, tls: Tls) -> None:
    """
    The same for tasks.
    """
    with serving(unread, tls=secure) as server:
        async with async_http_client(timeout=httpx.Timeout(5, write=0.1), verify=tls[1]) as client:
            with pytest.raises(httpx.WriteTimeout):
                await client.post(server.url, content=b"x" * 30_000_000)


def refusing(server: RawServer, peer: Peer) -> None:
    """Answers 413 as soon as the head is there, and reads the rest slowly."""
    peer.head()
    peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
    peer.sees_end(0.5)


@pytest.mark.parametrize("size", [10, 3_000_000])
async def test_an_early_refusal_is_heard(size: int) -> None:
    """
    What the server says is worth more than the broken pipe.
    """
    with serving(refusing) as server:
        async with async_http_client(timeout=5) as client:
            tasks = await client.post(server.url, content=b"x" * size)
        with http_client(timeout=5) as client:
            threads = client.post(server.url, content=b"x" * size)

    assert [(413, b"big")] * 2 == [(said.status_code, said.content) for said in (tasks, threads)]


@pytest.mark.parametrize("script", [silent, stalled], ids=["before the head", "in the body"])
async def test_cancelling_closes_the_connection(
    script: Callable[[RawServer, Peer], None], secure: ssl.SSLContext | None, tls: Tls
) -> None:
    """
    A cancelled request closes its socket and gives its place in the pool back.
    """
    with serving(script, tls=secure) as server:
        async with async_http_client(limits=httpx.Limits(max_connections=1), verify=tls[1], timeout=5) as client:

            async def one() -> None:
                async with client.stream("GET", server.url) as response:
                    async for _ in response.aiter_raw():
                        pass

            for count in (1, 2):  # the second needs the place of the first
                task = asyncio.create_task(one())
                while len(server.requests) < count:  # noqa: ASYNC110 (the server is a thread)
                    await asyncio.sleep(0.005)
                await asyncio.sleep(0.02)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            await asyncio.to_thread(server.noted.wait, 2)

        assert True is server.notes[0]


def test_cancelling_under_trio() -> None:
    """
    The same under trio.
    """

    async def main() -> None:
        async with async_http_client(limits=httpx.Limits(max_connections=1), timeout=5) as client:
            for _ in range(2):
                with trio.move_on_after(0.1):
                    async with client.stream("GET", server.url) as response:
                        async for _ in response.aiter_raw():
                            pass
            await trio.to_thread.run_sync(server.noted.wait, 2)

    with serving(stalled) as server:
        trio.run(main)

        assert (2, True) == (len(server.requests), server.notes[0])


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
async def test_cancelling_at_any_moment_leaks_no_place(library: str) -> None:
    """
    Whenever requests are cancelled, the pool serves those that come after.
    """
    with serving(answer(HELLO)) as server:
        limits = httpx.Limits(max_connections=2, max_keepalive_connections=2)
        async with async_http_client(limits=limits, timeout=5, library=library) as client:
            for steps in range(40):
                tasks = [asyncio.create_task(client.get(server.url)) for _ in range(6)]
                for _ in range(steps):
                    await asyncio.sleep(0)
                for task in tasks[::2]:
                    task.cancel()
                results = await asyncio.gather(*tasks, return_exceptions=True)
                whole = [isinstance(result, asyncio.CancelledError) or result.content for result in results[1::2]]
                assert [b"hello"] * 3 == whole


def test_closing_the_client_closes_idle_connections(secure: ssl.SSLContext | None, tls: Tls) -> None:
    """
    Nothing stays open behind a closed client.
    """

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
    """
    An idle connection is not kept longer than the limits say.
    """
    limits = httpx.Limits(keepalive_expiry=0.01)
    with serving(answer(HELLO)) as server, http_client(limits=limits) as client:
        client.get(server.url)
        time.sleep(0.03)
        client.get(server.url)

        assert 2 == server.connections


def test_connection_close_is_obeyed() -> None:
    """
    After `Connection: close` the next request has a connection of its own.
    """
    script = answer(OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi")
    with serving(script) as server, http_client() as client:
        client.get(server.url)
        client.get(server.url)

        assert 2 == server.connections


def test_head_leaves_the_connection_usable() -> None:
    """
    The answer to HEAD has no body, whatever length it names.
    """
    with serving(answer(OK + b"Content-Length: 5\r\n\r\n")) as server, http_client(timeout=2) as client:
        assert [b"", b""] == [client.head(server.url).content for _ in range(2)]
        assert 1 == server.connections


def test_nobody_there() -> None:
    """
    A refused connection is a ConnectError in every colour.
    """
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


def test_transports_fit_a_client_of_ones_own() -> None:
    """
    `Transport` and `AsyncTransport` are httpx transports like any other, and say what they do in `extensions`.
    """

    async def main() -> httpx.Response:
        async with httpx.AsyncClient(transport=AsyncTransport()) as client:
            return await client.get(server.url)

    with serving(answer(LATE)) as server:
        with httpx.Client(transport=Transport()) as client:
            sync = client.get(server.url)
        both = [sync, asyncio.run(main())]

    assert [("HTTP/1.1", "OK", [(b"StreamFailure", b"x")])] * 2 == [
        (said.http_version, said.reason_phrase, said.extensions["trailers"]) for said in both
    ]
    assert (True, True) == (
        issubclass(Transport, httpx.BaseTransport),
        issubclass(AsyncTransport, httpx.AsyncBaseTransport),
    )


def test_one_pair_of_classes_for_each_library() -> None:
    """
    The classes are built once.
    """
    assert transports(httpx, httpcore) is transports(httpx, httpcore)


@pytest.mark.enable_socket
def test_unix_sockets(tmp_path: Path) -> None:
    """
    A server on a Unix socket is reached as with httpx's own transport.
    """
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
async def test_upgrade_hands_the_socket_over(leading: bytes) -> None:
    """
    After a 101 the network stream speaks the new protocol, first of all what came with the head.
    """
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
            heard = b""
            while len(heard) < len(leading) + 4:
                heard += await stream.read(100, timeout=2)
            await stream.write(b"mine", timeout=2)
            await asyncio.to_thread(server.noted.wait, 2)

        assert (101, leading + b"then", [b"mine"]) == (response.status_code, heard, server.notes)
