"""Hooks: every call that was begun is told an end, and a hook can tell calls apart."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _client_requests import DONE, END, HEAD, HI, STOP, WHOLE, CountingSigner, call
from _raw_server import RawServer, respond_with, serving

from mdstream_core import AsyncClient, Client, OCIModelDeployment, OpenAIChat, Retry, Service
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import InvalidRequest
from mdstream_core.hooks import (
    Abandoned,
    CallEvent,
    CallInfo,
    Completed,
    Failed,
    ResponseStarted,
    RetryScheduled,
    add_global_hook,
)
from mdstream_core.http import Request

REQUEST = {"messages": [{"role": "user", "content": "Name three rivers."}]}


class Each:
    """A `CallHook` hook that keeps what each call was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[CallInfo, list[CallEvent]]] = []

    def start_call(self, info: CallInfo) -> Callable[[CallEvent], None] | None:
        moments: list[CallEvent] = []
        self.calls.append((info, moments))
        return moments.append


class Foreign(CountingSigner):
    """Raises what is no error of ours."""

    def sign(self, request: Request) -> Request:
        raise LookupError("no such profile")


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The emulator without memories."""
    shared_emulator.reset()
    return shared_emulator


def read_sync(server: RawServer, events: int, auth: Any = None, **options: Any) -> None:
    """Read so many events and go."""
    client = Client(auth, trust_env=False)
    stream = client.stream(call(server, **options))
    for _ in range(events):
        next(stream)
    stream.close()
    client.close()


def read_async(server: RawServer, events: int, auth: Any = None, **options: Any) -> None:
    """The same, awaited."""

    async def main() -> None:
        client = AsyncClient(auth, trust_env=False)
        stream = client.stream(call(server, **options))
        for _ in range(events):
            await anext(stream)
        await stream.aclose()
        await client.aclose()

    asyncio.run(main())


reading = pytest.mark.parametrize("read", [read_sync, read_async])


@reading
def test_a_reader_who_goes_is_reported_once(read: Callable[..., None]) -> None:
    """With what he had received; nothing is told of a stream that nobody began to read."""
    moments: list[CallEvent] = []
    with serving(respond_with(HEAD, HI, HI, STOP, DONE, END)) as server:
        read(server, 0, hooks=(moments.append,))
        assert [] == moments
        read(server, 2, hooks=(moments.append,))

    assert isinstance(moments[-1], Abandoned)
    assert moments[-1].error is None
    assert moments[-1].partial is not None
    assert moments[-1].partial.text.startswith("Hi")
    assert 1 == sum(isinstance(call_event, Abandoned | Failed | Completed) for call_event in moments)


@reading
def test_a_reader_who_has_it_all_left_nothing(read: Callable[..., None]) -> None:
    """Once the answer is told to be whole, going is nobody's business."""
    moments: list[CallEvent] = []
    with serving(respond_with(WHOLE)) as server, pytest.raises((StopIteration, StopAsyncIteration)):
        read(server, 99, hooks=(moments.append,))

    assert isinstance(moments[-1], Completed)
    assert 1 == sum(isinstance(call_event, Abandoned | Failed | Completed) for call_event in moments)


@reading
def test_what_is_no_failure_of_the_service_is_reported_too(read: Callable[..., None]) -> None:
    """A signer's own exception reaches the caller, and the hooks as what ended the call."""
    moments: list[CallEvent] = []
    with serving(respond_with(WHOLE)) as server, pytest.raises(LookupError, match="no such profile"):
        read(server, 1, Foreign(), hooks=(moments.append,))

    assert isinstance(moments[-1], Abandoned)
    assert isinstance(moments[-1].error, LookupError)
    assert moments[-1].partial is None


async def test_a_task_that_is_cancelled_is_reported(emulator: Emulator) -> None:
    """While it waits for a token, and while it waits to ask again."""
    steps = {"token": Fault("stall", after=3), "pause": Fault("refuse", "lb_bandwidth", retry_after="30")}
    for name, step in steps.items():
        moments: list[CallEvent] = []
        there = asyncio.Event()

        def watch(call_event: CallEvent, reported: Any = moments.append, there: asyncio.Event = there) -> None:
            reported(call_event)
            if isinstance(call_event, ResponseStarted | RetryScheduled):
                there.set()

        emulator.script(step)
        service = Service(OCIModelDeployment(emulator.endpoint), retry=Retry(2), hooks=(watch,))
        task = asyncio.create_task(service.async_client.complete(service.call(OpenAIChat(), REQUEST)))
        await there.wait()
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await service.aclose()

        assert isinstance(moments[-1], Abandoned), name
        assert moments[-1].error is None
        assert ("The Nile" if name == "token" else None) == (moments[-1].partial and moments[-1].partial.text)


def test_a_request_that_is_refused_before_it_is_sent_has_failed() -> None:
    """No request was made, and the hooks know how it ended."""
    moments: list[CallEvent] = []
    service = Service(OCIModelDeployment("http://127.0.0.1:1/ocid1.x"), hooks=(moments.append,))
    too_long = {"messages": [{"role": "user", "content": "x" * 11_000_000}]}
    with pytest.raises(InvalidRequest):
        service.client.complete(service.call(OpenAIChat(), too_long))

    assert [Failed] == [type(call_event) for call_event in moments]


async def test_a_hook_can_report_calls_apart(emulator: Emulator) -> None:
    """Each call begins once, with its question, and is told its own moments in order."""
    each = Each()
    service = Service(OCIModelDeployment(emulator.endpoint), hooks=(each,))
    requested = [{"messages": [{"role": "user", "content": f"echo {number}"}]} for number in range(20)]
    replies = await asyncio.gather(
        *(service.async_client.complete(service.call(OpenAIChat(), question)) for question in requested)
    )
    await service.aclose()

    by_words = {question.params["messages"][0]["content"]: moments for question, moments in each.calls}
    assert 20 == len(by_words)
    assert {("oci-model-deployment", "openai-chat", True)} == {(q.platform, q.dialect, q.stream) for q, _ in each.calls}
    for question, model_response in zip(requested, replies, strict=True):
        moments = by_words[question["messages"][0]["content"]]
        assert ["RequestSent", "ResponseStarted", "FirstEvent", "Completed"] == [
            type(call_event).__name__ for call_event in moments
        ]
        assert model_response.text == moments[-1].response.text  # type: ignore[union-attr]
    assert "echo" not in repr(each.calls[0][0])


def test_the_services_name_of_the_request_comes_with_its_response(emulator: Emulator) -> None:
    """As soon as the headers are there, not only in errors."""
    each = Each()
    service = Service(OCIModelDeployment(emulator.endpoint), hooks=(each,))
    service.client.complete(service.call(OpenAIChat(), REQUEST))
    service.close()

    (responded,) = [call_event for call_event in each.calls[0][1] if isinstance(call_event, ResponseStarted)]
    assert responded.request_id
    assert responded.request_id in dict(responded.head.headers).values()


def test_a_hook_may_decline_a_call(emulator: Emulator) -> None:
    """`None` from `start_call`: this call is told to the others alone."""

    class Declining:
        def start_call(self, info: CallInfo) -> None:
            return None

    moments: list[CallEvent] = []
    service = Service(OCIModelDeployment(emulator.endpoint), hooks=(Declining(), moments.append))
    service.client.complete(service.call(OpenAIChat(), REQUEST))
    service.close()

    assert isinstance(moments[-1], Completed)


def test_a_hook_for_every_call_can_be_taken_back(emulator: Emulator) -> None:
    """Models that were there before are told of too; of one class, a model's own hook counts."""
    service = Service(OCIModelDeployment(emulator.endpoint))
    own = Each()
    with_own = Service(OCIModelDeployment(emulator.endpoint), hooks=(own,))
    everybody = Each()
    off = add_global_hook(everybody)
    try:
        for one in (service, with_own):
            one.client.complete(one.call(OpenAIChat(), REQUEST))
    finally:
        off()
        off()  # twice does no harm
    service.client.complete(service.call(OpenAIChat(), REQUEST))
    service.close()
    with_own.close()

    assert (1, 1) == (len(everybody.calls), len(own.calls))
