"""LangChain's `batch` and `abatch`: no input is lost, and errors are those of their own input."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep
from typing import Any

import pytest

from langchain_mdstream import ChatOCIModelDeployment, OCIModelDeploymentLLM
from langchain_mdstream._errors import InvalidRequest
from mdstream_core.emulator import Emulator, Fault

#: Number of inputs of a batch.
COUNT = 300

#: Longest wait for something that must happen, in seconds.
LIMIT = 60

#: What happens to 3 % of the requests.
FAULTS = (Fault("refuse", "lb_bandwidth"), Fault("cut", after=1), Fault("drop"), Fault("trailer", after=1))

models = pytest.mark.parametrize("kind", [ChatOCIModelDeployment, OCIModelDeploymentLLM])


def respond(request: dict[str, Any]) -> str:
    """Return the number in the prompt, which no other prompt starts with; a prompt with `bad` is rejected."""
    prompt = str(request["messages"][-1]["content"])
    if "bad" in prompt:
        raise ValueError("the prompt is bad")
    return f"<{prompt.split()[1]}>"


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator of the test."""
    with Emulator(model=respond) as emulator:
        yield emulator


def run_batch(model: Any, prompts: list[str], config: dict[str, Any], call: str) -> list[Any]:
    """Call `batch` or `abatch`, and return texts or exceptions."""
    if call == "batch":
        results = model.batch(prompts, config, return_exceptions=True)
    else:
        results = asyncio.run(model.abatch(prompts, config, return_exceptions=True))
    return [getattr(result, "content", result) for result in results]


@models
@pytest.mark.parametrize("call", ["batch", "abatch"])
def test_no_input_of_a_batch_is_lost(kind: Any, call: str, emulator: Emulator) -> None:
    """
    With faults in 3 % of the requests, which are retried.
    """
    emulator.script(*(FAULTS[index // 33 % len(FAULTS)] if index % 33 == 0 else None for index in range(COUNT)))
    model = kind(endpoint=emulator.endpoint, auth_type="none")
    prompts = [f"number {index} ." for index in range(COUNT)]

    assert [f"<{index}>" for index in range(COUNT)] == run_batch(model, prompts, {"max_concurrency": 16}, call)
    assert len(emulator.requests) > COUNT


@models
@pytest.mark.parametrize("call", ["batch", "abatch"])
@pytest.mark.parametrize("config", [{"max_concurrency": 4}, {}], ids=["limited", "unlimited"])
def test_an_error_of_a_batch_belongs_to_its_input(
    kind: Any, call: str, config: dict[str, Any], emulator: Emulator
) -> None:
    """
    The other inputs have their outputs, those of the same group too.
    """
    prompts = [f"number {index} ." for index in range(20)]
    prompts[7] = "bad"
    results = run_batch(kind(endpoint=emulator.endpoint, auth_type="none"), prompts, config, call)

    assert isinstance(results.pop(7), InvalidRequest)
    assert [f"<{index}>" for index in range(20) if index != 7] == results
    assert 20 == len(emulator.requests)


@models
def test_a_batch_without_exceptions_raises_the_error(kind: Any, emulator: Emulator) -> None:
    """
    As LangChain's own method does.
    """
    model = kind(endpoint=emulator.endpoint, auth_type="none")

    with pytest.raises(InvalidRequest, match="the prompt is bad"):
        model.batch(["number 1 .", "bad"])
    with pytest.raises(InvalidRequest, match="the prompt is bad"):
        asyncio.run(model.abatch(["number 1 .", "bad"], {"max_concurrency": 2}))
    assert [] == model.batch([])
    assert [] == asyncio.run(model.abatch([]))


@models
@pytest.mark.parametrize("call", ["batch", "abatch"])
def test_the_requests_of_a_batch_are_concurrent(kind: Any, call: str, emulator: Emulator) -> None:
    """
    As many at the same time as `max_concurrency` allows: none gets its response before that many have arrived.
    """
    released = threading.Event()
    emulator.always(Fault("slow_head", seconds=LIMIT, until=released))
    model = kind(endpoint=emulator.endpoint, auth_type="none")
    with ThreadPoolExecutor(1) as threads:
        results = threads.submit(run_batch, model, ["number 1 ."] * 8, {"max_concurrency": 4}, call)
        deadline = monotonic() + LIMIT
        while len(emulator.requests) < 4 and monotonic() < deadline:
            sleep(0.01)
        arrived = len(emulator.requests)
        released.set()

        assert 4 == arrived
        assert ["<1>"] * 8 == results.result(LIMIT)
