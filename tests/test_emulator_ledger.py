"""The emulator's ledger: entries, identities of clients, counts and rates, bounds."""

import random
import threading
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from _raw_client import HELLO, send_request

from langchain_mdstream import ChatModelArts, ChatOCIGenAI, ChatOCIModelDeployment, ChatSagemakerEndpoint
from mdstream_core.emulator import Emulator, LedgerEntry, RequestLedger, RequestRateLimit

MAX_ENTRIES = 100_000


def create_ledger(*times: float, rejected: tuple[int, ...] = ()) -> RequestLedger:
    """A ledger with an entry for each time; those at the indices in `rejected` are rejected."""
    ledger = RequestLedger()
    for index, time in enumerate(times):
        ledger.add(
            LedgerEntry(time, "sagemaker", f"endpoint-{index % 2}", f"client-{index % 3}", index not in rejected)
        )
    return ledger


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


def test_each_request_has_an_entry(emulator: Emulator) -> None:
    """Accepted requests are those within the rates, whatever becomes of them later."""
    send_request(f"{emulator.sagemaker.endpoint_url}/endpoints/tgi/invocations", HELLO, user_agent="first/1.0")
    send_request(f"{emulator.openai_url}/nothing", {"model": "mine"}, user_agent="b")
    first, second = emulator.ledger.entries

    assert LedgerEntry(first.time, "sagemaker", "tgi", "first/1.0", True) == first
    assert LedgerEntry(second.time, "openai-compatible", "mine", "b", True) == second
    assert first.time < second.time


def test_the_clock_of_the_ledger_is_that_of_the_limits() -> None:
    times = iter((5.0, 5.5, 7.0))
    with Emulator(monotonic_clock=lambda: next(times)) as emulator:
        for _ in range(3):
            send_request(f"{emulator.openai_url}/models", method="GET")

        assert [5.0, 5.5, 7.0] == [entry.time for entry in emulator.ledger.entries]


def test_a_client_without_a_name_and_one_with_a_long_one(emulator: Emulator) -> None:
    send_request(f"{emulator.openai_url}/models", {"model": "m" * 500})
    send_request(f"{emulator.openai_url}/models", method="GET", user_agent="c" * 500)

    assert ["", "c" * 200] == [entry.client for entry in emulator.ledger.entries]
    assert ["m" * 200, ""] == [entry.endpoint for entry in emulator.ledger.entries]


def test_an_empty_ledger() -> None:
    ledger = RequestLedger()

    assert (0, 0, 0, 0) == (ledger.request_count, ledger.accepted_count, ledger.rejected_count, ledger.dropped_count)
    assert 0 == ledger.max_in_window()
    assert ({}, {}, {}) == (ledger.count_per_second(), ledger.count_by("client"), ledger.shares())
    assert "0 requests: 0 accepted, 0 rejected by a rate limit; at most 0" in ledger.summarize()


def test_the_largest_number_in_a_window() -> None:
    """Wherever it starts; its end does not belong to it."""
    ledger = create_ledger(0.0, 0.75, 1.0, 1.5, 1.625, 3.0, rejected=(1, 4))

    assert 4 == ledger.max_in_window()
    assert 2 == ledger.max_in_window(accepted=True)
    assert 2 == ledger.max_in_window(accepted=False)
    assert 1 == ledger.max_in_window(0.875, accepted=False)
    assert 6 == ledger.max_in_window(4)


def test_the_largest_number_equals_a_count_of_each_window() -> None:
    times = sorted(random.Random(7).uniform(0, 20) for _ in range(300))

    expected = max(sum(start <= time < start + 1 for time in times) for start in times)

    assert expected == create_ledger(*times).max_in_window()


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_window_without_a_length_is_an_error(seconds: float) -> None:
    with pytest.raises(ValueError, match=r"^seconds=.* is not positive \(hint: "):
        create_ledger(0.0).max_in_window(seconds)


def test_counts_per_second() -> None:
    """From the oldest entry on, accepted or not; seconds without requests are absent."""
    ledger = create_ledger(10.5, 11.25, 11.5, 1e9, rejected=(0, 2))

    assert {0: 2, 1: 1, 999_999_989: 1} == ledger.count_per_second()
    assert {0: 1, 999_999_989: 1} == ledger.count_per_second(accepted=True)
    assert {0: 1, 1: 1} == ledger.count_per_second(accepted=False)


def test_counts_and_shares_by_field() -> None:
    ledger = create_ledger(*range(8), rejected=(7,))

    assert {"client-0": 3, "client-1": 3, "client-2": 2} == ledger.count_by("client")
    assert {"client-1": 1} == ledger.count_by("client", accepted=False)
    assert {"endpoint-0": 4 / 7, "endpoint-1": 3 / 7} == ledger.shares("endpoint")
    assert {"sagemaker": 1.0} == ledger.shares("service")
    assert {"client-0": 3 / 8, "client-1": 3 / 8, "client-2": 2 / 8} == ledger.shares(accepted=None)


def test_an_unknown_field_is_an_error() -> None:
    field: Any = "tenant"
    with pytest.raises(ValueError, match=r"^field='tenant' is unknown \(hint: use one of client, service, endpoint\)$"):
        create_ledger(0.0).count_by(field)


def test_old_entries_are_dropped_and_counts_stay_exact() -> None:
    ledger = RequestLedger()
    for number in range(MAX_ENTRIES + 5):
        ledger.add(LedgerEntry(float(number), "maas", "", "", accepted=number % 2 == 0))

    assert MAX_ENTRIES == len(ledger.entries)
    assert 5.0 == ledger.entries[0].time
    assert 5 == ledger.dropped_count
    assert MAX_ENTRIES + 5 == ledger.request_count
    assert MAX_ENTRIES // 2 + 3 == ledger.accepted_count
    ledger.clear()
    assert (0, 0, []) == (ledger.request_count, ledger.dropped_count, ledger.entries)


def test_the_ledger_is_read_while_requests_arrive(emulator: Emulator) -> None:
    """A reader sees whole entries in the order of their times, and a count that only grows."""
    stopped = threading.Event()
    problems: list[str] = []

    def read() -> None:
        count = 0
        while not stopped.is_set():
            times = [entry.time for entry in emulator.ledger.entries]
            if times != sorted(times) or len(times) < count:
                problems.append("not in order")
            count = len(times)
            emulator.ledger.summarize()

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(30):
        send_request(f"{emulator.openai_url}/models", method="GET")
    stopped.set()
    reader.join(30)

    assert [] == problems
    assert 30 == emulator.ledger.request_count


def test_the_totals_in_one_line(emulator: Emulator) -> None:
    emulator.rate_limits = [RequestRateLimit(1 / 3600, burst=2)]
    for _ in range(3):
        send_request(f"{emulator.openai_url}/models", method="GET")

    assert emulator.ledger.summarize().startswith("3 requests: 2 accepted, 1 rejected by a rate limit; at most ")


def test_an_entry_is_immutable() -> None:
    entry = LedgerEntry(0.0, "maas", "", "", accepted=True)
    with pytest.raises(FrozenInstanceError):
        entry.client = "another"  # type: ignore[misc]


def test_models_name_their_client_with_a_default_header(emulator: Emulator) -> None:
    """On every service, SageMaker included, which removes other headers."""
    headers = {"User-Agent": "worker-1"}
    common: dict[str, Any] = {"auth_type": "none", "default_headers": headers}
    modelarts, genai = emulator.modelarts, emulator.oci_genai
    models = [
        ChatOCIModelDeployment(endpoint=emulator.endpoint, **common),
        ChatOCIGenAI(
            model="cohere.command-a-03-2025",
            service_endpoint=genai.endpoint,
            compartment_id=genai.compartment_id,
            **common,
        ),
        ChatSagemakerEndpoint(
            endpoint_name="emulated", endpoint_url=emulator.sagemaker.endpoint_url, region_name="us-east-1", **common
        ),
        ChatModelArts(model="mine", endpoint=modelarts.endpoint, **common),
        ChatModelArts(model="mine", endpoint=modelarts.websocket_endpoint, **common),
        ChatModelArts(model="mine", endpoint=modelarts.maas, **common),
    ]
    for model in models:
        model.invoke("Hello")
        model.close()

    assert {"worker-1"} == set(emulator.ledger.count_by("client"))
    assert {"oci-model-deployment", "oci-genai", "sagemaker", "modelarts", "maas"} == set(
        emulator.ledger.count_by("service")
    )
