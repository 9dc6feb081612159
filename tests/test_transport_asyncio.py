"""The asyncio network backend: bounded buffers, fair scheduling, few timers."""

import asyncio
import gc
import socket
import time

import httpcore
import pytest
from _raw_server import Peer, RawServer, serving

from mdstream_core.transport import _fairness, async_http_client
from mdstream_core.transport._asyncio_backend import AsyncioBackend
from mdstream_core.transport._fairness import FairScheduler, get_scheduler
from mdstream_core.transport._waiter import Waiter

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def flooding(size: int) -> "object":
    def script(server: RawServer, peer: Peer) -> None:
        peer.request()
        peer.send(CHUNKED, pause=0)
        piece = b"c8\r\n" + b"x" * 200 + b"\r\n"
        for _ in range(size // (200 * 100)):
            peer.send(piece * 100, pause=0)
            server.note(None)
        peer.send(b"0\r\nDone: yes\r\n\r\n")

    return script


async def test_a_slow_reader_slows_the_server() -> None:
    """Data that is not read stays with the server, not in memory."""
    with serving(flooding(60_000_000)) as server:  # type: ignore[arg-type]
        async with async_http_client() as client, client.stream("GET", server.url) as response:
            await asyncio.sleep(0.5)
            sent = len(server.notes) * 20_800
            rest = sum([len(data) async for data in response.aiter_raw()])

    assert (60_000_000, True) == (rest, sent < 30_000_000)


async def test_a_burst_on_many_streams_does_not_block_the_loop() -> None:
    """64 streams with a burst, and each read takes time to process."""
    worst = 0.0

    async def watch() -> None:
        nonlocal worst
        while True:
            then = time.perf_counter()
            await asyncio.sleep(0.001)
            worst = max(worst, time.perf_counter() - then)

    async def one() -> int:
        size = 0
        async with client.stream("GET", server.url) as response:
            async for data in response.aiter_raw():
                size += len(data)
                busy = time.perf_counter() + 0.002
                while time.perf_counter() < busy:
                    pass
        return size

    with serving(flooding(300_000)) as server:  # type: ignore[arg-type]
        async with async_http_client() as client:
            watcher = asyncio.create_task(watch())
            sizes = await asyncio.gather(*[one() for _ in range(64)])
            watcher.cancel()

    assert ([300_000] * 64, True) == (sizes, worst < 0.2), worst


async def test_readers_run_in_order() -> None:
    """In a busy loop, readers continue in the order of their requests."""
    loop, mine, order = asyncio.get_running_loop(), FairScheduler(), []

    async def reader(name: int) -> None:
        for _ in range(3):
            await mine.wait_turn(loop)
            order.append(name)
            time.sleep(0.006)  # noqa: ASYNC251 (it keeps the loop)

    await asyncio.gather(*map(reader, range(6)))

    assert [0, *range(6), *range(6), *range(1, 6)] == order


async def test_a_cancelled_reader_does_not_block_others() -> None:
    """It is cancelled while it waits for its turn."""
    loop, mine = asyncio.get_running_loop(), FairScheduler()
    await mine.wait_turn(loop)
    time.sleep(0.006)  # noqa: ASYNC251 (it keeps the loop)
    tasks = [asyncio.create_task(mine.wait_turn(loop)) for _ in range(10)]
    await asyncio.sleep(0)
    for task in tasks[:9]:
        task.cancel()

    await asyncio.wait_for(tasks[9], 1)


def test_schedulers_do_not_keep_their_loop() -> None:
    """The scheduler of a loop is deleted with it."""

    async def main() -> FairScheduler:
        return get_scheduler(asyncio.get_running_loop())

    before = {id(loop) for loop in _fairness._SCHEDULERS}
    gc.freeze()  # what other tests have left is not searched
    try:
        asyncio.run(main())
        end = time.monotonic() + 5
        while (left := [loop for loop in _fairness._SCHEDULERS if id(loop) not in before]) and time.monotonic() < end:
            del left
            gc.collect()  # does nothing while a thread that another test has left runs a collection
            time.sleep(0.01)
    finally:
        gc.unfreeze()
    assert [] == left


async def test_a_waiter_sets_few_timers() -> None:
    """A thousand successful waits share one timer."""
    loop = asyncio.get_running_loop()
    waiter, before = Waiter(loop), len(loop._scheduled)  # type: ignore[attr-defined]
    for _ in range(1000):
        loop.call_soon(waiter.wake)
        await waiter.wait(10)

    assert 1 == len(loop._scheduled) - before  # type: ignore[attr-defined]
    waiter.close()


@pytest.mark.parametrize("timeouts", [[0.05], [10, 0.05], [0.03, 0.05]])
async def test_a_waiter_keeps_its_last_deadline(timeouts: list[float]) -> None:
    """Neither a longer nor a shorter earlier wait changes it."""
    loop = asyncio.get_running_loop()
    waiter = Waiter(loop)
    for timeout in timeouts[:-1]:
        loop.call_soon(waiter.wake)
        await waiter.wait(timeout)
    then = loop.time()
    with pytest.raises(TimeoutError):
        await waiter.wait(timeouts[-1])

    assert 0.049 <= loop.time() - then < 1
    waiter.close()


async def test_extra_info_of_the_stream() -> None:
    """
    `get_extra_info` returns the same as httpcore's own streams.
    """

    def script(server: RawServer, peer: Peer) -> None:
        peer.sock.recv(1)
        peer.sock.sendall(b"hello")
        peer.sock.recv(1)

    with serving(script) as server:
        stream = await AsyncioBackend(httpcore).connect_tcp("127.0.0.1", server.port, timeout=2)
        assert (("127.0.0.1", server.port), None, False) == (
            stream.get_extra_info("server_addr"),
            stream.get_extra_info("ssl_object"),
            stream.get_extra_info("is_readable"),
        )
        with pytest.raises(httpcore.ReadTimeout):
            await stream.read(10, timeout=0.01)
        await stream.write(b"?")
        assert [b"he", b"llo"] == [await stream.read(2, timeout=2), await stream.read(10, timeout=2)]
        await stream.write(b"!")
        assert b"" == await stream.read(10, timeout=2)
        assert True is stream.get_extra_info("is_readable")
        await stream.aclose()


async def test_connect_timeout() -> None:
    """An address that does not answer the TCP handshake is a ConnectTimeout."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        crowd = [socket.socket() for _ in range(4)]
        for sock in crowd:
            sock.setblocking(False)
            sock.connect_ex(address)
        with pytest.raises(httpcore.ConnectTimeout):
            await AsyncioBackend(httpcore).connect_tcp(*address, timeout=0.1)
        for sock in crowd:
            sock.close()
