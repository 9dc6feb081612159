"""Expired and rejected credentials, and authentication with signers and `httpx.Auth`."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio.to_thread
import httpx
import pytest
from _client_requests import CountingSigner, Send, asyn, both, call, error_response, require_second_key, sync
from _raw_server import respond_with, serving

from mdstream_core import AsyncClient, Client, Timeout
from mdstream_core.errors import (
    AuthenticationError,
    ConnectionFailed,
    StreamStalled,
)
from mdstream_core.events import ModelResponse


@both
def test_a_rejected_key_is_refreshed_once(send_request: Send) -> None:
    """The request is sent again with the new key, without a retry being allowed."""
    signer = CountingSigner()
    with serving(require_second_key) as server:
        assert "Hi" == ModelResponse.from_events(send_request(server, signer)).text
    assert (1, 2) == (signer.refreshes, len(server.requests))


@both
def test_an_expired_key_is_refreshed_before_the_request(send_request: Send) -> None:
    """It is not tried."""
    signer = CountingSigner(expired=True)
    with serving(require_second_key) as server:
        assert "Hi" == ModelResponse.from_events(send_request(server, signer)).text
    assert (1, 1) == (signer.refreshes, len(server.requests))


@both
def test_a_failed_refresh_is_an_error_of_the_call(send_request: Send) -> None:
    """Hooks receive it, and it carries the facts of the call."""

    class FailingSigner(CountingSigner):
        def fetch_credential(self) -> None:
            raise ConnectionFailed("the token service is away")

    events: list[Any] = []
    with serving(require_second_key) as server, pytest.raises(ConnectionFailed, match="token service") as caught:
        send_request(server, FailingSigner(), hooks=(events.append,))
    assert caught.value.request_id
    assert caught.value is events[-1].error


def test_fifty_tasks_share_one_refresh() -> None:
    """No task waits forever, and none refreshes twice."""
    signer = CountingSigner()

    async def main() -> list[str]:
        client = AsyncClient(signer, trust_env=False)
        replies = await asyncio.gather(*(client.complete(call(server)) for _ in range(50)))
        await client.aclose()
        return [model_response.text for model_response in replies]

    with serving(require_second_key) as server:
        assert ["Hi"] * 50 == asyncio.run(asyncio.wait_for(main(), 20))
    assert 1 == signer.refreshes


def test_fifty_threads_share_one_refresh() -> None:
    """The same for threads."""
    signer = CountingSigner()
    client = Client(signer, trust_env=False)
    with serving(require_second_key) as server, ThreadPoolExecutor(50) as threads:
        texts = list(threads.map(lambda _: client.complete(call(server)).text, range(50)))
        client.close()

    assert ["Hi"] * 50 == texts
    assert 1 == signer.refreshes


@both
def test_a_second_401_is_final(send_request: Send) -> None:
    """The new key was rejected too."""
    with (
        serving(respond_with(error_response(b"401 No", b'{"code":"NotAuthenticated","message":"no"}'))) as server,
        pytest.raises(AuthenticationError),
    ):
        send_request(server, CountingSigner())
    assert 2 == len(server.requests)


class Header(httpx.Auth):
    """A custom `httpx.Auth`."""

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        request.headers["authorization"] = "key 2"
        yield request


@both
def test_an_auth_of_httpx_is_accepted(send_request: Send) -> None:
    """It signs while the request is sent."""
    with serving(require_second_key) as server:
        assert "Hi" == ModelResponse.from_events(send_request(server, Header())).text


class SlowSigner(CountingSigner):
    """Signer whose refresh ends when the test sets `release`."""

    def __init__(self) -> None:
        super().__init__(expired=True)
        self.started, self.release = threading.Event(), threading.Event()

    def fetch_credential(self) -> None:
        self.started.set()
        assert self.release.wait(20)
        super().fetch_credential()


def test_waiting_for_a_key_blocks_no_worker_thread() -> None:
    """A hundred tasks wait for one key, and anyio's worker threads stay available."""
    signer = SlowSigner()

    async def main() -> int:
        client = AsyncClient(signer, trust_env=False)
        requesting = [asyncio.ensure_future(client.complete(call(server))) for _ in range(100)]
        await asyncio.to_thread(signer.started.wait, 10)
        await asyncio.sleep(0)
        borrowed = anyio.to_thread.current_default_thread_limiter().borrowed_tokens
        signer.release.set()
        await asyncio.gather(*requesting)
        await client.aclose()
        return int(borrowed)

    with serving(require_second_key) as server:
        assert 0 == asyncio.run(asyncio.wait_for(main(), 30))
    assert 1 == signer.refreshes


def test_the_total_timeout_includes_a_refresh() -> None:
    """A task does not wait for a key longer than that."""
    signer = SlowSigner()
    try:
        with (
            serving(require_second_key) as server,
            pytest.raises(StreamStalled, match=r"within 0.2 s \(timeout.total\)"),
        ):
            asyn(server, signer, timeout=Timeout(total=0.2))
        assert 0 == server.connections
    finally:
        signer.release.set()


def test_a_late_key_is_used_by_the_next_request() -> None:
    """A thread stops waiting at the total timeout and sends nothing; the refresh continues."""
    signer = SlowSigner()
    with serving(require_second_key) as server:
        with pytest.raises(StreamStalled, match=r"timeout.total"):
            sync(server, signer, timeout=Timeout(total=0.02))
        assert (0, 0) == (signer.refreshes, server.connections)
        signer.release.set()
        assert "Hi" == ModelResponse.from_events(sync(server, signer)).text
    assert 1 == signer.refreshes
