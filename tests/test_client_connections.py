"""Connections of the clients: reuse, limits and closing, with threads, tasks and event loops."""

import asyncio
import gc
import threading
import warnings
import weakref
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing
from typing import Any

import pytest
import trio
from _client_requests import DONE, END, HEAD, HI, STOP, WHOLE, Send, both, call, sync
from _raw_server import Peer, RawServer, respond_with, serving

from mdstream_core import AsyncClient, Client
from mdstream_core.events import Event, Finish, TextDelta


def test_a_break_closes_the_socket_at_once() -> None:
    """Leaving the loop and closing the generator closes the connection."""

    def script(server: RawServer, peer: Peer) -> None:
        peer.request()
        peer.send(HEAD, HI)
        server.note(peer.sees_end(2))

    async def main() -> None:
        async with aclosing(AsyncClient(trust_env=False).stream(call(server))) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
        assert await asyncio.to_thread(server.noted.wait, 2)

    with serving(script) as server:
        with closing(Client(trust_env=False).stream(call(server))) as events:
            next(events)
        assert server.noted.wait(2)
    assert [True] == server.notes
    with serving(script) as server:
        asyncio.run(main())
    assert [True] == server.notes


def test_a_cancelled_task_closes_the_socket_at_once() -> None:
    """The cancellation is not swallowed."""

    def script(server: RawServer, peer: Peer) -> None:
        peer.request()
        peer.send(HEAD, HI)
        server.note(peer.sees_end(2))

    async def main() -> None:
        client = AsyncClient(trust_env=False)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                async for _ in client.stream(call(server)):
                    pass
        assert await asyncio.to_thread(server.noted.wait, 2)

    with serving(script) as server:
        asyncio.run(main())
    assert [True] == server.notes


@both
def test_many_responses_use_one_connection(send_request: Send) -> None:
    """
    200 streams, one after another, and trailers do not spoil the connection.
    """

    def many() -> None:
        client = Client(trust_env=False)
        for _ in range(200):
            assert "Hi" == client.complete(call(server)).text
        client.close()

    async def amany() -> None:
        client = AsyncClient(trust_env=False)
        for _ in range(200):
            assert "Hi" == (await client.complete(call(server))).text
        await client.aclose()

    with serving(respond_with(WHOLE.removesuffix(END) + b"0\r\nx-note: 1\r\n\r\n")) as server:
        many() if send_request is sync else asyncio.run(amany())
    assert 1 == server.connections


def test_a_client_outlives_its_event_loops() -> None:
    """One client in several `asyncio.run`: each loop has a pool, which is discarded with it."""
    client = AsyncClient(trust_env=False)

    async def main() -> str:
        return (await client.complete(call(server))).text

    with serving(respond_with(WHOLE)) as server:
        assert ["Hi"] * 3 == [asyncio.run(main()) for _ in range(3)]
    assert len(client._owned) <= 1
    assert 3 == server.connections


def test_a_loop_that_ends_closes_its_connections() -> None:
    """After `asyncio.run` no connection is open, although the client was not closed, and the loop is garbage."""

    def script(server: RawServer, peer: Peer) -> None:
        peer.request()
        peer.send(WHOLE)
        server.note(peer.sees_end(2))

    client = AsyncClient(trust_env=False)

    async def main() -> weakref.ref[Any]:
        await client.complete(call(server))
        return weakref.ref(asyncio.get_running_loop())

    with serving(script) as server, warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        loop = asyncio.run(main())
        assert server.noted.wait(2)
        gc.collect()

    assert [True] == server.notes
    assert loop() is None
    assert [] == list(client._owned)


def test_threads_share_a_client() -> None:
    """Many threads share one client and one pool."""
    client = Client(trust_env=False)
    with serving(respond_with(WHOLE)) as server, ThreadPoolExecutor(16) as threads:
        texts = list(threads.map(lambda _: client.complete(call(server)).text, range(64)))
        client.close()

    assert ["Hi"] * 64 == texts


@pytest.mark.parametrize("close", [True, False])
def test_the_async_client_runs_under_trio(close: bool) -> None:
    """Whether it is closed or not."""
    client = AsyncClient(trust_env=False)

    async def main() -> str:
        text = (await client.complete(call(server))).text
        if close:
            await client.aclose()
        return text

    with serving(respond_with(WHOLE)) as server:
        assert ["Hi", "Hi"] == [trio.run(main), trio.run(main)]


def test_a_waiting_stream_does_not_block_others() -> None:
    """It yields to the event loop."""
    gate = threading.Event()

    def script(server: RawServer, peer: Peer) -> None:
        first = server.connections == 1
        peer.request()
        peer.send(HEAD, HI)
        if first:
            gate.wait(5)
        peer.send(STOP + DONE + END)

    async def main() -> None:
        client = AsyncClient(trust_env=False)
        stream: AsyncIterator[Event] = client.stream(call(server))
        await anext(stream)
        assert "Hi" == (await client.complete(call(server))).text
        gate.set()
        assert Finish("stop") in [event async for event in stream]
        await client.aclose()

    with serving(script) as server:
        asyncio.run(main())
