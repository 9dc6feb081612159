"""Timeouts, cancellation and early closing of the transport."""

import asyncio
import ssl
import time
from collections.abc import Callable
from contextlib import aclosing

import httpx
import pytest
import trio
from _raw_server import Peer, RawServer, certificates, respond_with, serving
from _transport import CHUNKED, HELLO, OK, RUNNERS, Tls, errors, silent, stalled

from mdstream_core.transport import async_http_client, http_client


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["http", "https"])
def secure(request: pytest.FixtureRequest, tls: Tls) -> ssl.SSLContext | None:
    return tls[0] if request.param == "https" else None


def test_breaking_out_closes_the_socket(secure: ssl.SSLContext | None, tls: Tls) -> None:
    """A server need not continue for a reader that has left."""
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
    """Async variant, while the client is still open."""

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


def test_read_timeout(secure: ssl.SSLContext | None, tls: Tls) -> None:
    """The socket is closed, and the pool has a free connection again."""
    limits = httpx.Limits(max_connections=1)
    with serving(silent, tls=secure) as server, http_client(verify=tls[1], limits=limits) as client:
        for _ in range(2):
            with pytest.raises(httpx.ReadTimeout):
                client.get(server.url, timeout=httpx.Timeout(2, read=0.05))

        assert server.noted.wait(2)


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_read_timeout_async(run: Callable[..., None], secure: ssl.SSLContext | None, tls: Tls) -> None:
    """Async variant."""

    async def main() -> None:
        async with async_http_client(verify=tls[1], limits=httpx.Limits(max_connections=1)) as client:
            for _ in range(2):
                with pytest.raises(httpx.ReadTimeout):
                    await client.get(server.url, timeout=httpx.Timeout(2, read=0.05))

    with serving(silent, tls=secure) as server:
        run(main)

        assert server.noted.wait(2)


def send_slowly(server: RawServer, peer: Peer) -> None:
    """Server script that sends a piece every 20 ms without end."""
    peer.request()
    peer.send(CHUNKED)
    while True:
        peer.send(b"1\r\nx\r\n")
        time.sleep(0.02)


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_the_read_timeout_is_looked_up_for_each_read(library: str) -> None:
    """The owner of the `timeout` dictionary may change it during the stream."""
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

    with serving(send_slowly) as server, pytest.raises(errors(library)) as caught:
        main()

    assert ("ReadTimeout", 3) == (type(caught.value).__name__, len(seen))


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_the_read_timeout_is_looked_up_for_each_read_async(library: str, run: Callable[..., None]) -> None:
    """Async variant: a shorter timeout applies at once, although the timer of a longer one is running."""
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

    with serving(send_slowly) as server, pytest.raises(errors(library)) as caught:
        run(main)

    assert ("ReadTimeout", 3) == (type(caught.value).__name__, len(seen))


async def test_a_longer_timeout_outlives_a_shorter_one() -> None:
    """The timer of an earlier read does not end a later one."""

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


def test_pool_timeout() -> None:
    """A full pool is a PoolTimeout, and has a free connection again after the stream."""
    limits = httpx.Limits(max_connections=1)
    with serving(stalled) as server, http_client(limits=limits, timeout=2) as client:
        with client.stream("GET", server.url), pytest.raises(httpx.PoolTimeout):
            client.get(server.url, timeout=httpx.Timeout(2, pool=0.05))
        with client.stream("GET", server.url) as response:
            assert 200 == response.status_code


async def test_pool_timeout_async() -> None:
    """Async variant."""
    with serving(stalled) as server:
        async with async_http_client(limits=httpx.Limits(max_connections=1), timeout=2) as client:
            async with client.stream("GET", server.url):
                with pytest.raises(httpx.PoolTimeout):
                    await client.get(server.url, timeout=httpx.Timeout(2, pool=0.05))
            async with client.stream("GET", server.url) as response:
                assert 200 == response.status_code


def read_head_only(server: RawServer, peer: Peer) -> None:
    """Server script that reads the head of a request and not its body."""
    peer.head()
    time.sleep(1)


def test_write_timeout() -> None:
    """A server that does not read is a WriteTimeout."""
    timeout = httpx.Timeout(5, write=0.1)
    with serving(read_head_only) as server, http_client(timeout=timeout) as client, pytest.raises(httpx.WriteTimeout):
        client.post(server.url, content=b"x" * 30_000_000)


async def test_write_timeout_async(secure: ssl.SSLContext | None, tls: Tls) -> None:
    """Async variant."""
    with serving(read_head_only, tls=secure) as server:
        async with async_http_client(timeout=httpx.Timeout(5, write=0.1), verify=tls[1]) as client:
            with pytest.raises(httpx.WriteTimeout):
                await client.post(server.url, content=b"x" * 30_000_000)


def reject_early(server: RawServer, peer: Peer) -> None:
    """Server script that responds with 413 after the head, and reads the body slowly."""
    peer.head()
    peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
    peer.sees_end(0.5)


@pytest.mark.parametrize("size", [10, 3_000_000])
async def test_an_early_error_response_is_received(size: int) -> None:
    """It is returned instead of a write error."""
    with serving(reject_early) as server:
        async with async_http_client(timeout=5) as client:
            tasks = await client.post(server.url, content=b"x" * size)
        with http_client(timeout=5) as client:
            threads = client.post(server.url, content=b"x" * size)

    assert [(413, b"big")] * 2 == [(output.status_code, output.content) for output in (tasks, threads)]


@pytest.mark.parametrize("script", [silent, stalled], ids=["before the head", "in the body"])
async def test_cancelling_closes_the_connection(
    script: Callable[[RawServer, Peer], None], secure: ssl.SSLContext | None, tls: Tls
) -> None:
    """The socket is closed, and the pool has a free connection again."""
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
    """The same under trio."""

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
async def test_cancelling_at_any_time_leaks_no_connection(library: str) -> None:
    """The pool serves later requests."""
    with serving(respond_with(HELLO)) as server:
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


async def test_closing_on_our_side_is_not_the_end_of_a_body() -> None:
    """A body that ends with the connection is incomplete if the client closes it."""

    def script(server: RawServer, peer: Peer) -> None:
        peer.request()
        peer.send(OK + b"\r\nhello")
        peer.sees_end()

    with serving(script) as server:
        async with async_http_client() as client:
            response = await client.send(client.build_request("GET", server.url), stream=True)
            reading = asyncio.create_task(response.aread())
            await asyncio.sleep(0.05)
            await client.aclose()
            with pytest.raises(httpx.ReadError):
                await reading


def slow_stream(first: bytes, drop: bytes) -> Callable[[RawServer, Peer], None]:
    """Create a server script: the first part once, then the other without end."""

    def script(server: RawServer, peer: Peer) -> None:
        peer.request()
        peer.send(first)
        while True:
            peer.send(drop)
            time.sleep(0.02)

    return script


#: Endless data without a piece of a body.
DRIPS = {
    "a head": slow_stream(OK, b"X: y\r\n"),
    "interim answers": slow_stream(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    "a chunk extension": slow_stream(CHUNKED + b"5\r\nhello\r\n5;", b"x"),
    "trailers": slow_stream(CHUNKED + b"5\r\nhello\r\n0\r\n", b"X: y\r\n"),
}
drips = pytest.mark.parametrize("script", DRIPS.values(), ids=DRIPS)
#: Each read alone is far below its timeout; together they are not.
LIMITS = {"connect": 5.0, "write": 5.0, "pool": 5.0, "read": 0.3}


@drips
def test_a_slow_stream_does_not_extend_the_read_timeout(script: Callable[[RawServer, Peer], None]) -> None:
    """Reads that return only framing share one timeout; without that none of these streams would end."""
    with serving(script) as server, http_client() as client, pytest.raises(httpx.ReadTimeout):
        client.post(server.url, extensions={"timeout": LIMITS})


@drips
@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_a_slow_stream_does_not_extend_the_read_timeout_async(
    run: Callable[..., None], script: Callable[[RawServer, Peer], None]
) -> None:
    """Async variant."""

    async def main() -> None:
        async with async_http_client() as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.post(server.url, extensions={"timeout": LIMITS})

    with serving(script) as server:
        run(main)


def test_a_slow_proxy_does_not_extend_the_connect_timeout() -> None:
    """It covers the response to CONNECT."""
    with (
        serving(slow_stream(OK, b"X: y\r\n")) as server,
        http_client(proxy=server.url) as client,
        pytest.raises(httpx.TimeoutException),
    ):
        client.get("https://service.invalid", extensions={"timeout": {**LIMITS, "connect": 0.3}})


def test_a_deadline_limits_each_step() -> None:
    """After it nothing starts, whatever the timeouts of the steps."""
    with serving(silent) as server, http_client() as client, pytest.raises(httpx.ConnectTimeout):
        client.get(server.url, extensions={"timeout": {**LIMITS, "deadline": time.monotonic() - 1}})
