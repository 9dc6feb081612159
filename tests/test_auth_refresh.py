"""Refreshes are single-flight: concurrent callers share one, and all of them receive its outcome."""

import asyncio
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from traceback import walk_tb

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from mdstream_core.auth import BearerSigner, Signer, UnsignedSigner
from mdstream_core.auth._oci_keys import Credential, rsa_sha256
from mdstream_core.auth.oci import SourceSigner
from mdstream_core.errors import AuthenticationError, ConnectionFailed
from mdstream_core.http import Request

CROWD = 50


class Slow(Signer):
    """Its key takes as long as the test wants."""

    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__(clock=lambda: self.now)
        self.now = 0.0
        self.error = error
        self.renewals = 0
        self.started, self.gate = threading.Event(), threading.Event()

    def fetch_credential(self) -> None:
        self.renewals += 1
        self.started.set()
        assert self.gate.wait(10)
        if self.error is not None:
            raise self.error


def crowd(signer: Slow) -> list[BaseException | None]:
    """All ask for the same generation; the gate opens when the leader is inside and the others wait or come late."""
    with ThreadPoolExecutor(CROWD) as pool:
        requested = [pool.submit(signer.refresh, 0) for _ in range(CROWD)]
        assert signer.started.wait(10)
        signer.gate.set()
        return [each.exception(10) for each in requested]


def test_threads_share_a_refresh() -> None:
    """One fetches the credential; the others wait for it, or find it refreshed."""
    signer = Slow()

    assert [None] * CROWD == crowd(signer)
    assert (1, 1) == (signer.renewals, signer.generation)


def test_the_traceback_of_a_shared_error_does_not_grow() -> None:
    """Each caller raises it with the traceback of the refresh only."""
    signer = Slow(OSError("no disk"))
    (error, *others) = crowd(signer)

    assert {error} == set(others)
    assert sum(1 for _ in walk_tb(error.__traceback__)) < 30  # type: ignore[union-attr]


async def test_tasks_share_a_refresh() -> None:
    """The async client runs the refresh in a thread."""
    signer = Slow()
    threading.Timer(0.05, signer.gate.set).start()

    async with asyncio.timeout(10):
        await asyncio.gather(*(asyncio.to_thread(signer.refresh, 0) for _ in range(CROWD)))

    assert (1, 1) == (signer.renewals, signer.generation)


def _followers(signer: Slow, count: int = 3) -> list[BaseException]:
    """One leads, and `count` follow: the gate opens a while after they set out."""
    with ThreadPoolExecutor(count + 1) as pool:
        leader = pool.submit(signer.refresh, 0)
        assert signer.started.wait(10)
        following = [pool.submit(signer.refresh, 0) for _ in range(count)]
        threading.Timer(0.1, signer.gate.set).start()
        errors = [each.exception(10) for each in (leader, *following)]
    return [error for error in errors if error is not None]


def test_waiting_callers_receive_the_error_of_the_refresh() -> None:
    """Each receives its own copy, because a client adds details of the call; a refresh after the pause starts again."""
    signer = Slow(AuthenticationError("the session is over", code="NotAuthenticated"))

    errors = _followers(signer)
    signer.error = None
    signer.now += 61
    signer.refresh(0)

    assert [("the session is over", "NotAuthenticated")] * 4 == [(str(e), getattr(e, "code", "")) for e in errors]
    assert 4 == len({id(error) for error in errors})
    assert (2, 1) == (signer.renewals, signer.generation)


def test_waiting_callers_receive_foreign_errors_too() -> None:
    """A TimeoutError of the service is not taken for the caller's own timeout."""
    errors = _followers(Slow(TimeoutError("the service did not answer")))

    assert [(TimeoutError, "the service did not answer")] * 4 == [(type(e), str(e)) for e in errors]


def test_an_interrupt_does_not_reach_waiting_callers() -> None:
    """Ctrl-C interrupts one caller; the others receive an error that can be retried."""
    first, *others = _followers(Slow(KeyboardInterrupt()))

    assert KeyboardInterrupt is type(first)
    assert [(ConnectionFailed, True)] * 3 == [(type(e), getattr(e, "retryable", None)) for e in others]


@pytest.mark.parametrize("runs", [False, True])
@pytest.mark.parametrize("begin", [lambda s: s.refresh(0, 5.0), lambda s: s.start_refresh(0)], ids=["sync", "async"])
def test_an_interrupted_start_leaves_no_pending_refresh(
    begin: Callable[[Signer], object], runs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the thread has started or not, no caller waits for a refresh that never ends."""

    class Quick(Signer):
        timeout_budget = 5.0

        def renew(self) -> None: ...

    started: list[threading.Thread] = []

    def interrupted(thread: threading.Thread) -> None:
        if runs:
            original(thread)
            started.append(thread)
        raise KeyboardInterrupt

    signer, original = Quick(), threading.Thread.start
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(threading.Thread, "start", interrupted)
        begin(signer)
    for thread in started:
        thread.join(10)
    signer.refresh(signer.generation, 5.0)

    assert 1 + runs == signer.generation


def test_waiting_for_a_refresh_has_a_timeout() -> None:
    """The callers stop waiting when the refresh hangs."""
    signer = Slow()
    signer.refresh_timeout = 0.01
    with ThreadPoolExecutor(1) as pool:
        pool.submit(signer.refresh, 0)
        assert signer.started.wait(10)

        with pytest.raises(ConnectionFailed, match=r"0\.01 s"):
            signer.refresh(0)
        signer.gate.set()


def test_a_later_caller_uses_the_refreshed_credential() -> None:
    """A caller whose older credential was rejected does not fetch another one."""
    signer = Slow()
    signer.gate.set()

    signer.refresh(0)
    signer.refresh(0)
    signer.refresh(1)

    assert (2, 2) == (signer.renewals, signer.generation)


def test_threads_sign_while_the_key_is_replaced() -> None:
    """Key id and key are replaced together: no signature mixes them."""
    keys = [rsa.generate_private_key(65537, 2048) for _ in range(2)]

    class Source:
        hint = ""
        at = 0

        def load(self) -> Credential:
            self.at = 1 - self.at
            return Credential(f"key-{self.at}", rsa_sha256(keys[self.at]))

    request = Request("GET", "https://host.example/", {"date": "Mon, 21 Sep 2026 14:13:20 GMT"})
    signer = SourceSigner(Source())
    expected = {signer.sign(request).headers["authorization"]}
    signer.refresh(signer.generation)
    expected.add(signer.sign(request).headers["authorization"])
    over = threading.Event()

    def sign() -> set[str]:
        return {signer.sign(request).headers["authorization"] for _ in range(20)}

    def swap() -> None:
        while not over.is_set():
            signer.refresh(signer.generation)

    with ThreadPoolExecutor(CROWD + 1) as pool:
        swapping = pool.submit(swap)
        signed = [pool.submit(sign) for _ in range(CROWD)]
        found = set().union(*(each.result(60) for each in signed))
        over.set()
        swapping.result(10)

    assert expected == found


def test_signers_without_refresh() -> None:
    """A bearer token and no signature never expire; only the latter can be pickled."""
    signers = [BearerSigner("sk-1"), UnsignedSigner()]

    assert [(False, False)] * 2 == [(each.needs_refresh(), each.can_refresh()) for each in signers]
    assert isinstance(pickle.loads(pickle.dumps(UnsignedSigner())), UnsignedSigner)
    assert "<BearerSigner>" == repr(signers[0])
