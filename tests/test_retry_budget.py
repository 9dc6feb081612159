"""Lasting failures: how retries of many clients are spread, and how many retries follow how many successes."""

import asyncio
import copy
import pickle
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from _client_requests import WHOLE, error_response
from _raw_server import Peer, RawServer, serving
from _samples import REQUEST

from langchain_mdstream import ChatModelArts
from llamaindex_mdstream import ModelArts
from mdstream_core import OCIModelDeployment, OpenAIChat, Retry, RetryBudget, Service
from mdstream_core.errors import MDStreamError, RateLimited, ServerError
from mdstream_core.http import ResponseHead
from mdstream_core.platforms._platform import parse_retry_after
from mdstream_core.retry import RetryQuota


@pytest.mark.parametrize(
    ("header", "floor", "spread"),
    [
        ({}, 0.25, 0.2),
        ({"retry-after": "0"}, 0.25, 0.2),
        ({"retry-after": "-5"}, 0.25, 0.2),
        ({"retry-after": "soon"}, 0.25, 0.2),
        ({"retry-after-ms": "0"}, 0.25, 0.2),
        ({"retry-after": "Mon, 21 Sep 2026 14:13:20 GMT", "date": "Mon, 21 Sep 2026 15:00:00 GMT"}, 0.25, 0.2),
        ({"retry-after": "Mon, 21 Sep 2026 15:00:02 GMT", "date": "Mon, 21 Sep 2026 15:00:00 GMT"}, 2.0, 1.8),
        ({"retry-after": "Monday, 21-Sep-26 15:00:02 GMT", "date": "Mon, 21 Sep 2026 15:00:00 GMT"}, 2.0, 1.8),
        ({"retry-after": "1"}, 1.0, 0.9),
        ({"retry-after-ms": "1500"}, 1.5, 1.3),
        ({"retry-after": "30"}, 30.0, 9.0),
    ],
    ids=str,
)
def test_a_hundred_clients_do_not_retry_together(
    header: dict[str, str], floor: float, spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None earlier than requested, none at once, and at most a quarter in each tenth of the time."""
    monkeypatch.setattr("mdstream_core.retry.random", random.Random(11))
    error = RateLimited("x", retry_after=parse_retry_after(ResponseHead(429, header)))
    waits = sorted(Retry().delay(1, error) for _ in range(100))

    assert floor <= waits[0]
    assert spread <= waits[-1] - waits[0]
    tenths = Counter(int((wait - waits[0]) / (waits[-1] - waits[0]) * 9.999) for wait in waits)
    assert max(tenths.values()) <= 25


def test_the_default_budget() -> None:
    """100 retries in a burst, then one per ten successes; a successful retry is refunded."""
    quota = RetryQuota(RetryBudget())
    spent = sum(quota.spend() for _ in range(500))
    assert (100, 0) == (spent, quota.tokens)
    for _ in range(9):
        quota.refund(retried=False)
    assert not quota.spend()
    quota.refund(retried=False)
    assert quota.spend()
    assert not quota.spend()
    quota.refund(retried=True)
    assert quota.spend()
    for _ in range(5000):
        quota.refund(retried=False)
    assert 1000 == quota.tokens


@pytest.mark.parametrize("wrong", [{"capacity": 5}, {"cost": 0}, {"refund": -1}, {"capacity": 0, "cost": 0}], ids=str)
def test_an_invalid_budget_is_rejected(wrong: dict[str, int]) -> None:
    """The error shows the numbers."""
    with pytest.raises(ValueError, match=r"RetryBudget\(capacity=.*must be at least cost"):
        RetryBudget(**wrong)


def test_a_thousand_threads_share_the_budget() -> None:
    """No token is lost or counted twice."""
    quota = RetryQuota(RetryBudget(capacity=500, cost=1))
    with ThreadPoolExecutor(50) as threads:
        spent = sum(threads.map(lambda _: quota.spend(), range(1000)))
        assert (500, 0) == (spent, quota.tokens)
        list(threads.map(lambda _: quota.refund(retried=False), range(300)))
    assert 300 == quota.tokens


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_start_with_a_full_budget(duplicate: Callable[[Any], Any]) -> None:
    """Another process or model has another budget, and a policy can be pickled."""
    quota = RetryQuota(RetryBudget(capacity=10))
    assert quota.spend()
    retry = Retry(1, budget=RetryBudget(capacity=20))

    assert (10, 0) == (duplicate(quota).tokens, quota.tokens)
    assert retry == duplicate(retry)


class Storm:
    """Server that rejects the configured requests, and counts them."""

    def __init__(self, *failures: bytes) -> None:
        self.failures = failures
        self.calm = False
        self.lock = threading.Lock()
        self.count = 0

    def __call__(self, server: RawServer, peer: Peer) -> None:
        while peer.request():
            with self.lock:
                self.count += 1
                failure = self.failures[self.count % len(self.failures)]
            peer.send(WHOLE if self.calm else failure)


BUSY = error_response(b"429 Busy", b'{"code":"TooManyRequests","message":"busy"}', b"retry-after: 0\r\n")
AWAY = error_response(b"503 Away", b"{}")


def create_service(server: RawServer, budget: RetryBudget | None, most: int = 5) -> Service:
    return Service(
        OCIModelDeployment(f"{server.url}/ocid1.x"), retry=Retry(most, base_delay=0.001, budget=budget), trust_env=False
    )


def send_calls(service: Service, count: int) -> list[str]:
    """Make `count` calls, in threads and in tasks, and return their error messages; empty for success."""

    def complete(_: int) -> str:
        try:
            service.client.complete(service.call(OpenAIChat(), REQUEST))
        except MDStreamError as error:
            return str(error)
        return ""

    async def many() -> list[str]:
        found: list[str] = []

        async def one() -> None:
            try:
                await service.async_client.complete(service.call(OpenAIChat(), REQUEST))
            except MDStreamError as error:
                found.append(str(error))
            else:
                found.append("")

        await asyncio.gather(*(one() for _ in range(count // 2)))
        await service.aclose()
        return found

    with ThreadPoolExecutor(8) as threads:
        plain = list(threads.map(complete, range(count - count // 2)))
    return plain + asyncio.run(many())


@pytest.mark.parametrize("failures", [(BUSY,), (AWAY,), (BUSY, AWAY)], ids=["429", "503", "both"])
def test_lasting_failures_end_the_retries_of_threads_and_tasks(failures: tuple[bytes, ...]) -> None:
    """
    40 calls with 5 retries each would be 240 requests; the budget allows 10 retries, and then the error names it.
    """
    storm = Storm(*failures)
    with serving(storm) as server:
        service = create_service(server, RetryBudget(capacity=100))
        messages = send_calls(service, 40)
        service.close()

    assert 50 == storm.count
    assert all(messages)
    assert sum("the retry budget of this model object is used up" in text for text in messages) >= 38
    assert all("hint: " in text for text in messages if "budget" in text)


def test_without_a_budget_every_request_is_retried() -> None:
    """
    `Retry(budget=None)`.
    """
    storm = Storm(AWAY)
    with serving(storm) as server:
        service = create_service(server, None, most=2)
        messages = send_calls(service, 10)
        service.close()

    assert (30, None) == (storm.count, service.retry_quota)
    assert not any("budget" in text for text in messages)


def test_ten_successes_pay_for_one_retry() -> None:
    """After the failures the budget refills slowly; a successful retry costs nothing."""
    storm = Storm(AWAY)
    with serving(storm) as server:
        service = create_service(server, RetryBudget(capacity=20), most=1)
        send_calls(service, 6)
        assert service.retry_quota is not None
        assert 0 == service.retry_quota.tokens
        storm.calm = True
        assert [""] * 10 == send_calls(service, 10)
        assert 10 == service.retry_quota.tokens
        storm.calm = False
        before = storm.count
        send_calls(service, 4)
        assert (5, 0) == (storm.count - before, service.retry_quota.tokens)
        service.close()


def test_a_successful_retry_is_refunded() -> None:
    """Every second request fails for a long time, and every call succeeds."""

    def every_second(server: RawServer, peer: Peer) -> None:
        while request := peer.request():
            server.requests.append(request)
            peer.send(AWAY if len(server.requests) % 2 else WHOLE)

    with serving(every_second) as server:
        service = create_service(server, RetryBudget(capacity=10), most=1)
        for _ in range(20):
            service.client.complete(service.call(OpenAIChat(), REQUEST))
        assert service.retry_quota is not None
        assert (40, 10) == (len(server.requests), service.retry_quota.tokens)
        service.close()


def test_relaxed_requests_and_refreshes_cost_nothing() -> None:
    """They are not retries of a failure."""
    rejection = error_response(
        b"400 No", b'{"message":"Unsupported parameter: \'seed\' is not supported with this model."}'
    )

    def script(server: RawServer, peer: Peer) -> None:
        while request := peer.request():
            peer.send(rejection if b'"seed"' in request else WHOLE)

    with serving(script) as server:
        service = create_service(server, RetryBudget(capacity=10, refund=0))
        with pytest.warns(RuntimeWarning, match="seed"):
            service.client.complete(service.call(OpenAIChat(), {**REQUEST, "seed": 1}))
        assert service.retry_quota is not None
        assert 10 == service.retry_quota.tokens
        service.close()


@pytest.mark.parametrize("kind", [ChatModelArts, ModelArts])
def test_models_of_both_frameworks_have_one_budget_for_all_calls(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without streaming, in threads and tasks, of the model and its shallow copies."""
    storm = Storm(BUSY)
    with serving(storm) as server:
        model = kind(endpoint=f"{server.url}/v1", model="m", api_key="k", max_retries=1, trust_env=False)
        service = model.service if kind is ChatModelArts else model._get_service()
        assert 1000 == service.retry_quota.tokens
        service.retry_quota._tokens = 20
        copied = copy.copy(model)
        sync_method, async_method = ("invoke", "ainvoke") if kind is ChatModelArts else ("complete", "acomplete")
        with pytest.raises(MDStreamError):
            getattr(model, sync_method)("x")
        with pytest.raises(MDStreamError):
            asyncio.run(getattr(copied, async_method)("x"))
        assert 0 == service.retry_quota.tokens
        started = time.monotonic()
        with pytest.raises(MDStreamError, match="retry budget"):
            getattr(copied, sync_method)("x")
        assert time.monotonic() - started < 10
        model.close()
    assert 5 == storm.count


def test_a_delay_beyond_the_timeout_costs_nothing() -> None:
    """No retry follows."""
    from mdstream_core.call import Call  # noqa: PLC0415

    quota = RetryQuota(RetryBudget())
    call = Call(OCIModelDeployment("http://127.0.0.1:1/ocid1.x"), OpenAIChat(), REQUEST, quota=quota)
    attempt = call.create_attempt()
    with pytest.raises(ServerError):
        call.handle_failure(attempt, ServerError("x", retry_after=5.0), remaining=1.0)

    assert 1000 == quota.tokens
