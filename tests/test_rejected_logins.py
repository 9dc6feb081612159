"""The costs of a refresh: one login per call at most, none after a rejection, and no wait beyond the call's timeout."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from _client_requests import Send, both, call, error_response, require_second_key
from _raw_server import Peer, RawServer, respond_with, serving

from langchain_mdstream import ChatModelArts
from llamaindex_mdstream import ModelArts
from mdstream_core import AsyncClient, Client, Retry, Timeout
from mdstream_core.auth import Signer
from mdstream_core.auth._rejections import MAX_PAUSE, MIN_PAUSE, RejectionMemory
from mdstream_core.auth.aws import AWSSigner, MissingCredentials
from mdstream_core.auth.huawei import IAMLogin, PasswordTokenSigner
from mdstream_core.auth.oci import SDKSigner, WrappedSigner
from mdstream_core.errors import (
    AuthenticationError,
    ConnectionFailed,
    InvalidRequest,
    MDStreamError,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
    StreamStalled,
    split_hint,
)
from mdstream_core.http import Request

LOGIN = IAMLogin("u", "wrong", "d", "cn-north-4")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class IAM:
    """Counts the logins, and answers each with the next status."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.logins = 0

    def __call__(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        self.logins += 1
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return status, {"x-subject-token": "t"} if status < 300 else {}, b"{}"


def failing(made: Signer, error: type[MDStreamError] = MDStreamError) -> MDStreamError:
    with pytest.raises(error) as caught:
        made.refresh(made.generation)
    return caught.value


def test_a_rejection_is_remembered_with_growing_pauses() -> None:
    """Each pause is twice as long as the one before, up to 15 minutes; meanwhile the error is raised again."""
    clock, iam = Clock(), IAM(401)
    made = PasswordTokenSigner(LOGIN, fetch=iam, clock=clock)
    for logins, pause in enumerate((60, 120, 240, 480, 900, 900), 1):
        first = failing(made, AuthenticationError)
        assert (logins, None) == (iam.logins, first.retry_after)
        clock.now += pause - 1
        again = failing(made, AuthenticationError)
        assert logins == iam.logins
        assert str(again).startswith(split_hint(str(first))[0])
        assert "no new login is attempted for 1 s" in str(again)
        assert 1 == again.retry_after
        clock.now += 1


def test_fewer_than_five_logins_in_fifteen_minutes() -> None:
    """IAM locks an account after five wrong passwords within fifteen minutes."""
    clock, iam = Clock(), IAM(401)
    made = PasswordTokenSigner(LOGIN, fetch=iam, clock=clock)
    times: list[float] = []
    for _ in range(3 * 3600):
        before = iam.logins
        failing(made)
        times += [clock.now] * (iam.logins - before)
        clock.now += 1

    assert len(times) > 10
    assert all(sum(start <= each < start + 15 * 60 for each in times) < 5 for start in times)


@pytest.mark.parametrize(
    ("status", "kind", "remembered"),
    [
        (400, InvalidRequest, True),
        (401, AuthenticationError, True),
        (403, PermissionDenied, True),
        (404, NotFound, True),
        (429, RateLimited, False),
        (500, ServerError, False),
        (503, ServerError, False),
    ],
)
def test_temporary_errors_are_not_remembered(status: int, kind: type[MDStreamError], remembered: bool) -> None:
    """Only definite rejections are."""
    iam = IAM(status)
    made = PasswordTokenSigner(LOGIN, fetch=iam)
    for _ in range(3):
        failing(made, kind)

    assert (1 if remembered else 3) == iam.logins


def test_a_connection_failure_is_not_remembered() -> None:
    """It is no statement about the credential."""
    logins = []

    def fetch(request: Request) -> tuple[int, dict[str, str], bytes]:
        logins.append(request)
        raise ConnectionFailed("IAM was not reached")

    made = PasswordTokenSigner(LOGIN, fetch=fetch)
    for _ in range(3):
        failing(made, ConnectionFailed)

    assert 3 == len(logins)


def test_a_success_resets_the_pause() -> None:
    """The next rejection starts with the first pause."""
    clock, iam = Clock(), IAM(401, 401, 201, 401)
    made = PasswordTokenSigner(LOGIN, fetch=iam, clock=clock)
    failing(made)
    clock.now += MIN_PAUSE
    failing(made)
    clock.now += MIN_PAUSE * 2
    made.refresh(made.generation)
    failing(made)
    clock.now += MIN_PAUSE
    failing(made)

    assert 5 == iam.logins


def test_a_clock_that_is_set_back_does_not_lengthen_the_pause() -> None:
    """It ends the pause."""
    clock = Clock()
    memory = RejectionMemory(clock)
    memory.record(AuthenticationError("no"))
    clock.now -= 10 * MAX_PAUSE

    memory.check()


def test_a_repeated_error_has_no_details_of_the_first_call() -> None:
    """Neither its traceback nor its details; each caller receives a copy."""
    made = PasswordTokenSigner(LOGIN, fetch=IAM(401))
    first = failing(made)
    first.partial, first.request_id = "of the first call", "r1"
    second, third = failing(made), failing(made)

    assert (None, None) == (second.partial, second.request_id)
    assert second is not third
    assert str(second) == str(third)


def oci_service_error() -> Exception:
    exceptions = pytest.importorskip("oci.exceptions", reason="mdstream-llm[oci] is not installed")
    return exceptions.ServiceError(401, "NotAuthenticated", {}, "no")  # type: ignore[no-any-return]


def sts_error() -> Exception:
    exceptions = pytest.importorskip("botocore.exceptions", reason="mdstream-llm[aws] is not installed")
    facts = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    return exceptions.ClientError(facts, "AssumeRole")  # type: ignore[no-any-return]


class Raises:
    """Counts, and raises."""

    def __init__(self, error: Exception) -> None:
        self.error, self.logins = error, 0

    def __call__(self, *_: Any) -> Any:
        self.logins += 1
        raise self.error


class Inner:
    """Somebody's own signer, whose token cannot be renewed."""

    def __init__(self, renew: Callable[[], Any]) -> None:
        self.refresh_security_token = renew

    def __call__(self, request: Any) -> None: ...


class Own(Signer):
    """A signer that is written as the documentation says."""

    def __init__(self, renew: Callable[[], Any]) -> None:
        super().__init__()
        self.fetch_credential = renew  # type: ignore[method-assign]


KINDS: dict[str, tuple[Callable[[Any], Signer], Callable[[], Exception]]] = {
    "a principal of the SDK": (lambda raises: SDKSigner("x", raises), oci_service_error),
    "somebody's oci signer": (lambda raises: WrappedSigner(Inner(raises)), oci_service_error),
    "an AWS role": (lambda raises: AWSSigner("us-east-1", raises), sts_error),
    "a signer of one's own": (Own, lambda: AuthenticationError("no")),
    "another error of it": (Own, lambda: PermissionDenied("no")),
}


@pytest.mark.parametrize(("build", "error"), KINDS.values(), ids=KINDS)
def test_every_signer_remembers_rejections(build: Callable[[Any], Signer], error: Callable[[], Exception]) -> None:
    """Whichever service issues the credential."""
    raises = Raises(error())
    made = build(raises)
    for _ in range(3):
        failing(made)

    assert 1 == raises.logins


def test_missing_aws_credentials_are_searched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search needs no login; a rejection is forgotten when a file changes."""
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    found: list[None] = []
    made = AWSSigner("us-east-1", lambda: found.append(None))
    failing(made, MissingCredentials)
    failing(made, MissingCredentials)
    assert 2 == len(found)

    raises = Raises(sts_error())
    made = AWSSigner("us-east-1", raises)
    failing(made)
    failing(made)
    assert 1 == raises.logins
    file.write_text("[default]\n")
    failing(made)
    assert 2 == raises.logins
    monkeypatch.setenv("AWS_PROFILE", "other")
    failing(made)
    assert 3 == raises.logins


class Counting(Signer):
    """A key that is stale until it was fetched once; the service refuses each key."""

    def __init__(self) -> None:
        super().__init__()
        self.logins = 0

    def sign(self, request: Request) -> Request:
        return request

    def needs_refresh(self) -> bool:
        return self.logins == 0

    def can_refresh(self) -> bool:
        return True

    def fetch_credential(self) -> None:
        time.sleep(0.01)
        self.logins += 1


@both
def test_a_call_logs_in_once_even_if_the_service_rejects_the_token(send_request: Send) -> None:
    """Another login would return the same."""
    made = Counting()
    with serving(respond_with(error_response(b"401 No"))) as server, pytest.raises(AuthenticationError):
        send_request(server, made, retry=Retry(3, base_delay=0.01))
    assert (1, 1) == (made.logins, len(server.requests))


@both
def test_a_short_lived_token_is_fetched_once_per_call(send_request: Send) -> None:
    """A token whose lifetime is below the margin does not cause a login for each retry."""

    class Short(Counting):
        def stale(self) -> bool:
            return True

    made = Short()
    with serving(respond_with(error_response(b"503 Busy"))) as server, pytest.raises(ServerError):
        send_request(server, made, retry=Retry(2, base_delay=0.01))
    assert (1, 3) == (made.logins, len(server.requests))


@both
def test_a_rejected_login_is_not_repeated_in_the_same_call(send_request: Send) -> None:
    """The first error is raised unchanged."""
    made = Own(raises := Raises(AuthenticationError("wrong password")))  # type: ignore[arg-type]
    made.needs_refresh = made.can_refresh = lambda: True  # type: ignore[method-assign]
    with serving(require_second_key) as server, pytest.raises(AuthenticationError, match=r"^wrong password$"):
        send_request(server, made, retry=Retry(3, base_delay=0.01))
    assert (1, 0) == (raises.logins, server.connections)


@both
def test_a_login_without_a_connection_is_retried(send_request: Send) -> None:
    """With the retry policy of the call."""
    made = Own(raises := Raises(ConnectionFailed("IAM was not reached")))  # type: ignore[arg-type]
    made.needs_refresh = made.can_refresh = lambda: True  # type: ignore[method-assign]
    with serving(require_second_key) as server, pytest.raises(ConnectionFailed, match="not reached"):
        send_request(server, made, retry=Retry(2, base_delay=0.01))
    assert 3 == raises.logins


def test_concurrent_calls_with_a_wrong_password_log_in_once() -> None:
    """Thirty threads and thirty tasks share the login; later calls raise its error."""
    iam = IAM(401)

    def fetch(request: Request) -> Any:
        time.sleep(0.05)
        return iam(request)

    made = PasswordTokenSigner(LOGIN, fetch=fetch)
    plain, tasks = Client(made, trust_env=False), AsyncClient(made, trust_env=False)

    async def crowd(server: RawServer) -> list[Any]:
        requested = [tasks.complete(call(server)) for _ in range(30)]
        return await asyncio.gather(*requested, return_exceptions=True)

    with serving(require_second_key) as server, ThreadPoolExecutor(31) as threads:
        others = threads.submit(asyncio.run, crowd(server))
        requested = [threads.submit(plain.complete, call(server)) for _ in range(30)]
        errors = [each.exception(20) for each in requested] + others.result(20)

    assert {AuthenticationError} == {type(error) for error in errors}
    assert 60 == len({id(error) for error in errors})
    assert 1 == iam.logins


@both
def test_the_cause_of_a_failed_refresh_is_kept(send_request: Send) -> None:
    """Also if the refresh ran in another thread."""
    cause = OSError("no route")

    def renew() -> None:
        raise ConnectionFailed("IAM was not reached") from cause

    made = Own(renew)
    made.needs_refresh = lambda: True  # type: ignore[method-assign]
    with serving(require_second_key) as server, pytest.raises(ConnectionFailed) as caught:
        send_request(server, made)
    assert cause is caught.value.__cause__


def rejecting(server: RawServer, peer: Peer) -> None:
    while request := peer.request():
        server.requests.append(request)
        peer.send(b"HTTP/1.1 401 No\r\ncontent-length: 2\r\n\r\nno")


@pytest.mark.parametrize("kind", [ChatModelArts, ModelArts])
def test_models_of_both_frameworks_log_in_once(kind: Any) -> None:
    """Four calls with a wrong password; a new model object logs in again."""
    with serving(rejecting) as server:
        platform_case = {"endpoint": "http://127.0.0.1:9/v1/infers/x", "model": "m", "iam_endpoint": server.url}
        login = {"user": "u", "password": "wrong", "domain": "d", "project": "cn-north-4"}

        def model() -> Any:
            return kind(**platform_case, **login, trust_env=False)

        def requested(made: Any) -> str:
            with pytest.raises(MDStreamError) as caught:
                made.invoke("x") if kind is ChatModelArts else made.complete("x")
            return str(caught.value)

        made = model()
        texts = [requested(made) for _ in range(3)]
        with pytest.raises(MDStreamError, match="no new login is attempted"):
            asyncio.run(made.ainvoke("x") if kind is ChatModelArts else made.acomplete("x"))
        assert 1 == len(server.requests)
        assert ["no new login" in text for text in texts] == [False, True, True]
        requested(model())
        assert 2 == len(server.requests)


class Hanging(Counting):
    """A service that gives the key only when the test is over."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.open = threading.Event(), threading.Event()
        self.entries = 0

    def fetch_credential(self) -> None:
        self.entries += 1
        self.entered.set()
        assert self.open.wait(60)
        self.logins += 1


@both
def test_the_total_timeout_limits_a_refresh(send_request: Send) -> None:
    """In threads and tasks; the refresh continues for later calls and is shared."""
    made, before = Hanging(), set(threading.enumerate())
    try:
        with serving(require_second_key) as server:
            for _ in range(3):
                begun = time.monotonic()
                with pytest.raises(StreamStalled, match=r"within 0.2 s \(timeout.total\)"):
                    send_request(server, made, timeout=Timeout(total=0.2))
                assert time.monotonic() - begun < 10
            assert (1, 0) == (made.entries, server.connections)
            threads = [one for one in threading.enumerate() if one.name == "mdstream refresh" and one not in before]
            assert 1 == len(threads)
    finally:
        made.open.set()
    threads[0].join(10)
    assert (1, 1, False) == (made.generation, made.logins, made.needs_refresh())


@both
def test_the_refresh_timeout_limits_a_refresh_without_total(send_request: Send) -> None:
    """A hanging SDK does not block a call for ever."""
    made = Hanging()
    made.refresh_timeout = 0.1
    try:
        with (
            serving(require_second_key) as server,
            pytest.raises(ConnectionFailed, match=r"no new credential within 0.1 s"),
        ):
            send_request(server, made, timeout=Timeout(total=None))
    finally:
        made.open.set()


def test_a_slow_iam_is_limited_too() -> None:
    """A real socket that accepts, and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        model = ChatModelArts(
            endpoint="http://127.0.0.1:9/v1/infers/x",
            model="m",
            user="u",
            password="p",
            domain="d",
            project="cn-north-4",
            iam_endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}",
            timeout=Timeout(total=0.3),
            trust_env=False,
        )
        begun = time.monotonic()
        with pytest.raises(StreamStalled):
            model.invoke("x")
        assert time.monotonic() - begun < 10
