"""The state of the connection pool: which request gets which connection, in which order, and at what cost."""

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from typing import Any

import httpcore
import httpx
import pytest
import trio
from _raw_server import Peer, RawServer, respond_with, serving
from _transport import CHUNKED, HELLO, OK, RUNNERS

from mdstream_core.transport import async_http_client, http_client
from mdstream_core.transport._pool import PendingRequest, PooledConnection, PoolState
from mdstream_core.transport._route import direct_route

A, B = (httpcore.Origin(b"http", host, 80) for host in (b"a", b"b"))


def pool(**limits: Any) -> PoolState:
    """A pool of connections that are never opened."""

    def connect(origin: httpcore.Origin) -> PooledConnection:
        return PooledConnection(httpcore, direct_route(origin, tls=lambda: None), None)  # type: ignore[arg-type, return-value]

    given = {"max_connections": 2, "max_idle": 2, "keepalive_expiry": 60.0, **limits}
    return PoolState(connect, threading.Event, **given)


def arrive(state: PoolState, origin: httpcore.Origin = A) -> tuple[PendingRequest, list[Any]]:
    pending = PendingRequest(origin)
    return pending, state.acquire(pending)


def test_the_connection_used_last_is_used_next() -> None:
    """The others stay idle, and expire."""
    state = pool()
    (first, _), (second, _) = arrive(state), arrive(state)
    state.release(first.connection, reusable=True)
    state.release(second.connection, reusable=True)

    assert second.connection is arrive(state)[0].connection


def test_waiting_requests_are_served_in_order() -> None:
    """Also if a connection of another origin becomes free, which is closed for a new one."""
    state = pool()
    busy = [arrive(state)[0].connection for _ in range(2)]
    waiting = [arrive(state, origin)[0] for origin in (A, B, A)]

    assert [None] * 3 == [pending.connection for pending in waiting]
    assert [] == state.release(busy[0], reusable=True)
    assert [busy[1]] == state.release(busy[1], reusable=True)
    assert [waiting[1].connection] == state.release(waiting[1].connection, reusable=False)
    assert busy[0] is waiting[0].connection
    assert [(b"b", True), (b"a", True)] == [(p.connection.origin[1], p.event.is_set()) for p in waiting[1:]]


def test_a_new_request_does_not_overtake() -> None:
    """While requests wait, no connection is idle."""
    state = pool(max_connections=1)
    busy = arrive(state)[0].connection
    first, _ = arrive(state)
    state.release(busy, reusable=True)
    second, _ = arrive(state)

    assert (busy, None) == (first.connection, second.connection)


def test_the_oldest_idle_connection_is_closed_for_another_origin() -> None:
    """A pool full of idle connections does not block requests."""
    state = pool()
    idle = [arrive(state)[0].connection for _ in range(2)]
    for connection in idle:
        state.release(connection, reusable=True)
    pending, closing = arrive(state, B)

    assert ([idle[0]], b"b") == (closing, pending.connection.origin[1])
    assert "1 in use, 1 idle, 0 requests waiting" in repr(state)


def test_idle_connections_are_limited_and_expire() -> None:
    """Excess ones are closed at once, expired ones with the next request."""
    few = pool(max_connections=3, max_idle=1)
    used = [arrive(few)[0].connection for _ in range(3)]
    closed = [few.release(connection, reusable=True) for connection in used]
    assert [[], [used[0]], [used[1]]] == closed

    short = pool(keepalive_expiry=0.0)
    old = arrive(short)[0].connection
    closing = short.release(old, reusable=True)
    time.sleep(0.002)
    pending, later = arrive(short)
    assert ([old], True) == (closing + later, pending.connection is not old)


@pytest.mark.parametrize("served", [False, True], ids=["waiting", "already served"])
def test_a_withdrawn_request_frees_its_connection(served: bool) -> None:
    """Whether it waited or just got a connection."""
    state = pool(max_connections=1)
    busy = arrive(state)[0].connection
    first, second = arrive(state)[0], arrive(state)[0]
    if served:
        state.release(busy, reusable=True)
        assert [busy] == state.withdraw(first)
    else:
        assert [] == state.withdraw(first)
        state.release(busy, reusable=True)

    assert second.connection is not None
    assert "1 in use, 0 idle, 0 requests waiting" in repr(state)


@pytest.mark.parametrize("step", ["acquire", "replace", "withdraw", "close"])
@pytest.mark.parametrize("reusable", [True, False])
def test_the_garbage_collector_may_run_at_any_time(step: str, reusable: bool) -> None:
    """It closes abandoned responses in the thread that holds the pool's lock."""
    state = pool(max_connections=4)
    abandoned, given = arrive(state)[0], arrive(state)[0]
    lock = state._lock
    closing: list[Any] = []

    class Interrupted:
        acquire, release = lock.acquire, lock.release

        def __enter__(self) -> None:
            lock.acquire()
            closing.extend(state.release(abandoned.connection, reusable=reusable))

        def __exit__(self, *_: object) -> None:
            lock.release()

    state._lock = Interrupted()  # type: ignore[assignment]
    steps: dict[str, Callable[[], list[Any]]] = {
        "acquire": lambda: arrive(state)[1],
        "replace": lambda: state.replace(given),
        "withdraw": lambda: state.withdraw(given),
        "close": state.close,
    }
    caller = threading.Thread(target=lambda: closing.extend(steps[step]()), daemon=True)
    caller.start()
    caller.join(10)

    assert not caller.is_alive()
    assert (reusable and step != "close") is (abandoned.connection not in closing)
    assert not state._released


def test_abandoned_streams_are_collected_while_requests_start() -> None:
    """With a collection at every step of a request."""

    def abandon(http: httpx.Client, url: str) -> None:
        def body() -> Any:
            with http.stream("GET", url) as response:
                yield from response.iter_raw()

        cycle: list[Any] = [body()]
        next(cycle[0])
        cycle.append(cycle)

    def request_all(http: httpx.Client, url: str) -> None:
        for step in range(1, 120):
            gc.disable()
            abandon(http, url)
            gc.set_threshold(gc.get_count()[0] + step)
            gc.enable()
            http.get(url + "/whole")

    def script(server: RawServer, peer: Peer) -> None:
        while request := peer.request():
            peer.send(HELLO if b"/whole" in request else CHUNKED + b"5\r\nhello\r\n")

    before = gc.get_threshold()
    try:
        with serving(script) as server, http_client(limits=httpx.Limits()) as http:
            caller = threading.Thread(target=request_all, args=(http, server.url), daemon=True)
            caller.start()
            caller.join(60)
            assert not caller.is_alive()
    finally:
        gc.enable()
        gc.set_threshold(*before)


def test_a_closed_pool_wakes_waiting_requests() -> None:
    """They get no connection; those in use are closed when they are released."""
    state = pool(max_connections=1)
    busy = arrive(state)[0].connection
    waiting, _ = arrive(state)

    assert [busy] == state.close()
    assert (None, True) == (waiting.connection, waiting.event.is_set())
    assert [busy] == state.release(busy, reusable=True)
    assert "0 in use, 0 idle, 0 requests waiting" in repr(state)


def cost(connections: int, waiting: int) -> float:
    """CPU seconds of 2,000 requests, with other connections in use, idle ones and waiting requests."""
    state = pool(max_connections=connections, max_idle=connections)
    used = [arrive(state)[0].connection for _ in range(connections)]
    for connection in used[: connections // 2] if not waiting else ():
        state.release(connection, reusable=True)
    queue = [arrive(state)[0] for _ in range(waiting)]
    began = time.process_time()
    for _ in range(2000):
        pending, _ = arrive(state)
        if waiting:
            state.release(used.pop(), reusable=True)
            used.append(queue.pop(0).connection)
            queue.append(pending)
        else:
            state.release(pending.connection, reusable=True)
    return time.process_time() - began


@pytest.mark.parametrize("waiting", [0, 1], ids=["idle", "queue"])
def test_a_request_costs_the_same_in_a_large_pool(waiting: int) -> None:
    """Ten thousand connections cost no more than ten; httpcore's pool takes a thousand times as long."""
    small = min(cost(10, 10 * waiting) for _ in range(3))
    large = min(cost(10_000, 1_000 * waiting) for _ in range(3))

    assert large < 10 * small


def slow(server: RawServer, peer: Peer) -> None:
    """Server script that sends the body when the test allows it."""
    while request := peer.request():
        server.requests.append(request)
        peer.send(CHUNKED)
        server.noted.wait(5)
        peer.send(b"5\r\nhello\r\n0\r\n\r\n")


LIMITS = httpx.Limits(max_connections=1, max_keepalive_connections=1)


def test_the_pool_timeout_of_a_thread() -> None:
    """It is independent of the connect timeout."""
    with serving(slow) as server, http_client(limits=LIMITS, timeout=5) as client:
        with client.stream("GET", server.url) as response:
            timeout = httpx.Timeout(5, pool=0.05)
            with pytest.raises(httpx.PoolTimeout, match="no connection became free within the timeout"):
                client.get(server.url, timeout=timeout)
            server.noted.set()
            response.read()

        assert b"hello" == client.get(server.url).content
        assert 1 == server.connections


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_the_pool_timeout_of_a_task(run: Callable[..., None]) -> None:
    """The same for tasks."""

    async def main() -> None:
        async with async_http_client(limits=LIMITS, timeout=5) as client:
            async with client.stream("GET", server.url) as response:
                with pytest.raises(httpx.PoolTimeout, match="no connection became free within the timeout"):
                    await client.get(server.url, timeout=httpx.Timeout(5, pool=0.05))
                server.noted.set()
                await response.aread()
            assert b"hello" == (await client.get(server.url)).content

    with serving(slow) as server:
        run(main)
        assert 1 == server.connections


def test_closing_a_client_wakes_waiting_threads() -> None:
    """Threads that wait for a connection get an error at once."""
    messages: list[str] = []
    with serving(slow) as server, http_client(limits=LIMITS, timeout=5) as client:

        def wait() -> None:
            try:
                client.get(server.url)
            except httpx.ConnectError as error:
                messages.append(str(error))

        with client.stream("GET", server.url):
            thread = threading.Thread(target=wait)
            thread.start()
            while "1 requests waiting" not in repr(client._transport._pool._state):  # type: ignore[attr-defined]
                time.sleep(0.001)
            client.close()
            thread.join(5)

    assert ["the client was closed while the request waited for a connection"] == messages


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_a_cancelled_task_frees_its_connection(run: Callable[..., None]) -> None:
    """Whether it waited, just got a connection, or had started."""
    right: list[bytes] = []

    async def main() -> None:
        async with async_http_client(limits=LIMITS, timeout=5) as client:

            async def one() -> None:
                right.append((await client.get(server.url)).content)

            if run is RUNNERS["asyncio"]:
                for steps in range(25):
                    tasks = [asyncio.ensure_future(one()) for _ in range(3)]
                    for _ in range(steps):
                        await asyncio.sleep(0)
                    for task in tasks[::2]:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
            else:
                for steps in range(25):
                    async with trio.open_nursery() as nursery:
                        with trio.CancelScope() as scope:
                            async with trio.open_nursery() as doomed:
                                doomed.start_soon(one)
                                nursery.start_soon(one)
                                doomed.start_soon(one)
                                for _ in range(steps):
                                    await trio.lowlevel.checkpoint()
                                scope.cancel()
            assert b"hello" == (await client.get(server.url)).content

    with serving(respond_with(HELLO)) as server:
        run(main)

    assert len(right) >= 25
    assert {b"hello"} == set(right)


def test_cookies_of_a_response_are_not_kept() -> None:
    """They would be sent with the next request, which may be another user's. The user's own cookies are sent."""
    script = respond_with(OK + b"Set-Cookie: user=alice\r\nContent-Length: 2\r\n\r\nhi")

    async def main() -> None:
        async with async_http_client(cookies={"affinity": "1"}) as client:
            for _ in range(2):
                await client.get(server.url)
            assert {"affinity": "1"} == dict(client.cookies)

    with serving(script) as server:
        with http_client() as client:
            for _ in range(2):
                client.get(server.url)
            assert {} == dict(client.cookies)
        asyncio.run(main())

    assert [b"", b"", b"affinity=1", b"affinity=1"] == [
        request.lower().partition(b"cookie: ")[2].partition(b"\r")[0] for request in server.requests
    ]


def test_a_request_has_the_origin_of_its_url() -> None:
    """The origin of the last URL is known: another object has its own, also if it is equal."""
    state = pool()
    first, other = httpcore.URL("https://a.example/x"), httpcore.URL("http://b.example:81/y")
    urls = [first, first, other, httpcore.URL("https://a.example/x"), first]

    for url in urls:
        pending = state.create_request(url)
        assert (url.origin.scheme, url.origin.host, url.origin.port) == pending.key
        assert str(url.origin) == str(pending.origin)


def test_origins_without_idle_connections_are_forgotten() -> None:
    """A few are kept, because the next connection to one of them will be idle again."""
    state = pool(max_connections=None, max_idle=None)
    for number in range(1000):
        pending, _ = arrive(state, httpcore.Origin(b"https", b"host%d" % number, 443))
        state.release(pending.connection, reusable=True)
        again, _ = arrive(state, pending.origin)
        assert again.connection is pending.connection
        state.release(again.connection, reusable=False)

    assert len(state._idle_by_origin) < 100
    assert "0 in use, 0 idle" in repr(state)
