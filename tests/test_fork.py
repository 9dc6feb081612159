"""Forks while a refresh is in progress or a lock is held: the child works, and the parent continues."""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from _client_requests import END, HEAD, HI, STOP, call
from _raw_server import RawServer, respond_with, serving
from cryptography.hazmat.primitives.asymmetric import rsa

from langchain_mdstream import ChatModelArts, ModelArtsEmbeddings
from llamaindex_mdstream import ModelArts, ModelArtsEmbedding
from mdstream_core import AsyncClient, Client, _fork
from mdstream_core.auth import Signer
from mdstream_core.auth._oci_keys import Credential, rsa_sha256
from mdstream_core.auth.aws import AWSSigner
from mdstream_core.auth.huawei import IAMLogin, PasswordTokenSigner
from mdstream_core.auth.oci import SDKSigner, SourceSigner, WrappedSigner
from mdstream_core.batching.execute import ConcurrencyLimiter
from mdstream_core.http import Request
from mdstream_core.retry import RetryBudget, RetryQuota
from mdstream_core.transport import http_client

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # a fork beside threads is what is tried
]

#: Seconds after which a child that hangs is killed.
LIMIT = 30

PROMPT = Request("POST", "https://h.example/x", {"date": "Mon, 21 Sep 2026 14:13:20 GMT"}, b"{}")
KEY = rsa.generate_private_key(65537, 2048)


def fork(work: Callable[[], object]) -> int:
    """Run `work` in a forked process, and return its exit code: 0 if it succeeds."""
    child = os.fork()
    if child == 0:  # nothing of pytest's may run here
        status = 1
        try:
            signal.alarm(LIMIT)
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def fork_by_multiprocessing(work: Callable[[], object]) -> int:
    """Run `work` with `multiprocessing`."""

    def limited() -> None:
        signal.alarm(LIMIT)
        work()

    child = multiprocessing.get_context("fork").Process(target=limited)
    child.start()
    child.join(LIMIT + 5)
    return child.exitcode if child.exitcode is not None else -1


methods = pytest.mark.parametrize("forked", [fork, fork_by_multiprocessing])


class Slow:
    """Block in this process until it is released, and never in a forked one."""

    def __init__(self) -> None:
        self.parent = os.getpid()
        self.entered, self.open = threading.Event(), threading.Event()

    def __call__(self) -> None:
        if os.getpid() == self.parent:
            self.entered.set()
            assert self.open.wait(LIMIT)


def password(slow: Slow) -> Signer:
    def fetch(request: Request) -> tuple[int, dict[str, str], bytes]:
        slow()
        return 201, {"x-subject-token": "t"}, b"{}"

    return PasswordTokenSigner(IAMLogin("u", "p", "d", "cn-north-4"), fetch=fetch)


def source(slow: Slow) -> Signer:
    class Source:
        hint = ""
        loads = 0

        def load(self) -> Credential:
            self.loads += 1
            if self.loads > 1:
                slow()
            return Credential("ST$token", rsa_sha256(KEY))

    return SourceSigner(Source())


def built(slow: Slow) -> Signer:
    def build() -> Callable[[Any], Any]:
        slow()
        return lambda request: request

    return SDKSigner("instance principal", build)


def wrapped(slow: Slow) -> Signer:
    """A custom signer that holds a lock while it refreshes its token."""

    class Inner:
        def __init__(self) -> None:
            self._reset_signers_lock = threading.Lock()
            self.federation_client = SimpleNamespace(_refresh_lock=threading.RLock())

        def refresh_security_token(self) -> None:
            with self._reset_signers_lock, self.federation_client._refresh_lock:
                slow()

        def __call__(self, request: Any) -> Any:
            with self._reset_signers_lock, self.federation_client._refresh_lock:
                return request

    return WrappedSigner(Inner())


def role(slow: Slow) -> Signer:
    """Credentials of botocore, which holds its lock while it fetches the keys of a role."""
    credentials = pytest.importorskip("botocore.credentials", reason="mdstream-llm[aws] is not installed")

    def fetch() -> dict[str, str]:
        slow()
        return {"access_key": "A", "secret_key": "S", "token": "T", "expiry_time": "2099-01-01T00:00:00Z"}

    return AWSSigner(
        "us-east-1", lambda: None, credentials=credentials.DeferredRefreshableCredentials(fetch, "assume-role")
    )


SIGNERS = [password, source, built, wrapped, role]


@contextmanager
def refreshing(made: Signer, slow: Slow) -> Iterator[threading.Thread]:
    """Run a refresh in another thread."""
    thread = threading.Thread(target=made.refresh, args=(made.generation,))
    thread.start()
    assert slow.entered.wait(LIMIT)
    try:
        yield thread
    finally:
        slow.open.set()
        thread.join(LIMIT)


@methods
@pytest.mark.parametrize("kind", SIGNERS)
def test_a_child_signs_during_its_parents_refresh(
    kind: Callable[[Slow], Signer], forked: Callable[[Callable[[], object]], int]
) -> None:
    """It refreshes the credentials itself, and the parent's refresh completes there."""
    slow = Slow()
    made = kind(slow)

    def work() -> None:
        made.refresh(made.generation, LIMIT / 2)
        assert made.sign(PROMPT).headers

    with refreshing(made, slow):
        assert 0 == forked(work)
    assert 1 == made.generation
    assert made.sign(PROMPT).headers


def test_a_principal_of_the_sdk_is_created_again_in_the_child() -> None:
    """The parent's has a connection to the token service, which two processes must not share."""
    made = built(Slow())
    made._build = lambda: lambda request: request  # type: ignore[attr-defined]
    made.refresh(made.generation)

    def work() -> None:
        assert made.needs_refresh()
        made.refresh(made.generation)
        assert not made.needs_refresh()

    assert not made.needs_refresh()
    assert 0 == fork(work)
    assert not made.needs_refresh()


WHOLE = HEAD + HI + STOP + END


@pytest.mark.parametrize("waits", ["thread", "task"])
def test_a_child_sends_requests_during_its_parents_refresh(waits: str) -> None:
    """With both clients, whose request waited for the key when the process was forked."""
    slow = Slow()
    made = password(slow)
    plain, tasks = Client(made, trust_env=False), AsyncClient(made, trust_env=False)

    async def complete(server: RawServer) -> str:
        model_response = await tasks.complete(call(server))
        await tasks.aclose()
        return model_response.text

    def work() -> None:
        assert "Hi" == plain.complete(call(server)).text
        assert "Hi" == asyncio.run(complete(server))

    with serving(respond_with(WHOLE)) as server:
        targets = {"thread": lambda: plain.complete(call(server)), "task": lambda: asyncio.run(complete(server))}
        waiting = threading.Thread(target=targets[waits])
        waiting.start()
        assert slow.entered.wait(LIMIT)
        assert 0 == fork(work)
        slow.open.set()
        waiting.join(LIMIT)
        assert "Hi" == plain.complete(call(server)).text
        plain.close()


def held_locks() -> list[_fork.Lock]:
    """Acquire every lock of mdstream in this process, as another thread would."""
    locks = [one for one in list(_fork._objects) if isinstance(one, _fork.Lock)]
    thread = threading.Thread(target=lambda: [lock._lock.acquire(timeout=5) for lock in locks])
    thread.start()
    thread.join()
    return locks


def vectors(server: Any, peer: Any) -> None:
    """Server script for chats and embeddings."""
    body = b'{"data":[{"index":0,"embedding":[1.0,2.0]}],"usage":{"prompt_tokens":1,"total_tokens":1}}'
    whole = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    chat = b'{"choices":[{"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}'
    output = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(chat), chat)
    while request := peer.request():
        peer.send(whole if b"/embeddings" in request else output)


def test_every_lock_is_free_in_the_child() -> None:
    """All are held when the process forks, also those of modules; models of both frameworks work in the child."""
    with serving(vectors) as server:
        options: dict[str, Any] = {
            "endpoint": f"{server.url}/v1",
            "model": "m",
            "api_key": "k",
            "trust_env": False,
        }
        chat, llm = ChatModelArts(**options), ModelArts(**options)
        embeddings, embedding = ModelArtsEmbeddings(**options), ModelArtsEmbedding(**options)

        def work() -> None:
            assert "Hi" == chat.invoke("x").text
            assert "Hi" == asyncio.run(chat.ainvoke("x")).text
            assert "Hi" == llm.complete("x").text
            assert "Hi" == asyncio.run(llm.acomplete("x")).text
            assert [1.0, 2.0] == embeddings.embed_query("x")
            assert [1.0, 2.0] == embedding.get_text_embedding("x")
            assert "Hi" == ChatModelArts(**options).invoke("x").text

        work()
        locks = held_locks()
        try:
            assert 0 == fork(work)
        finally:
            for lock in locks:
                lock._lock.release()
        work()
        for model in (chat, llm, embeddings, embedding):
            model.close()


def test_a_concurrency_limiter_is_reset_in_the_child() -> None:
    """The parent's requests in progress do not count."""
    gate = ConcurrencyLimiter(2)
    for _ in range(2):
        gate.threads.acquire()

    def work() -> None:
        assert gate.threads.acquire(timeout=1)
        assert gate.threads.acquire(timeout=1)

    assert 0 == fork(work)
    assert not gate.threads.acquire(blocking=False)


def test_a_fork_while_holding_a_lock() -> None:
    """The child's lock is a new one, so leaving the block must not raise."""
    quota = RetryQuota(RetryBudget(capacity=10))
    lock = _fork.Lock()
    left: list[int] = []
    with lock:
        child = os.fork()
        if child == 0:
            signal.alarm(LIMIT)
    if child == 0:
        with lock:
            os._exit(0 if quota.spend() else 1)
    left.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    assert [0] == left
    assert 10 == quota.tokens


@methods
def test_a_custom_client_connects_in_the_child(forked: Callable[[Callable[[], object]], int]) -> None:
    """Also if all connections of its pool are in use in the parent, which continues to use them."""
    body = b"hello"
    script = respond_with(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + body)
    limits = httpx.Limits(max_connections=1)
    with serving(script) as server, http_client(limits=limits, timeout=5) as client:

        def send_request() -> None:
            assert body == client.get(server.url).content

        send_request()
        assert 0 == forked(send_request)
        with client.stream("GET", server.url) as response:
            assert 0 == forked(send_request)
            assert body == response.read()
        send_request()

        assert 3 == server.connections


def test_the_registry_has_weak_references() -> None:
    """An object that was deleted in the parent is not reset in the child."""
    lock = _fork.Lock()
    assert _fork.is_registered(lock)
    before = len(_fork._objects)
    del lock

    assert before - 1 == len(_fork._objects)
