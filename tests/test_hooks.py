"""Hooks: every started call has a final event, and a `CallHook` distinguishes calls."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _client_requests import DONE, END, HEAD, HI, STOP, WHOLE, CountingSigner, call
from _raw_server import RawServer, respond_with, serving

from langchain_mdstream import ChatOCIModelDeployment
from llamaindex_mdstream import OCIDataScience
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


class RecordingCallHook:
    """A `CallHook` that records the events of each call."""

    def __init__(self) -> None:
        self.calls: list[tuple[CallInfo, list[CallEvent]]] = []

    def start_call(self, info: CallInfo) -> Callable[[CallEvent], None] | None:
        events: list[CallEvent] = []
        self.calls.append((info, events))
        return events.append


class FailingSigner(CountingSigner):
    """Signer that raises an exception that is not mdstream's."""

    def sign(self, request: Request) -> Request:
        raise LookupError("no such profile")


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The emulator, reset."""
    shared_emulator.reset()
    return shared_emulator


def read_sync(server: RawServer, events: int, auth: Any = None, **options: Any) -> None:
    """Read this many events with the sync client, and close the stream."""
    client = Client(auth, trust_env=False)
    stream = client.stream(call(server, **options))
    for _ in range(events):
        next(stream)
    stream.close()
    client.close()


def read_async(server: RawServer, events: int, auth: Any = None, **options: Any) -> None:
    """Async variant."""

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
def test_a_stream_that_is_closed_early_is_abandoned(read: Callable[..., None]) -> None:
    """With the partial response; a stream that was never started has no events."""
    events: list[CallEvent] = []
    with serving(respond_with(HEAD, HI, HI, STOP, DONE, END)) as server:
        read(server, 0, hooks=(events.append,))
        assert [] == events
        read(server, 2, hooks=(events.append,))

    assert isinstance(events[-1], Abandoned)
    assert events[-1].error is None
    assert events[-1].partial is not None
    assert events[-1].partial.text.startswith("Hi")
    assert 1 == sum(isinstance(event, Abandoned | Failed | Completed) for event in events)


@reading
def test_a_completed_stream_is_not_abandoned(read: Callable[..., None]) -> None:
    """Closing it after `Completed` is not an event."""
    events: list[CallEvent] = []
    with serving(respond_with(WHOLE)) as server, pytest.raises((StopIteration, StopAsyncIteration)):
        read(server, 99, hooks=(events.append,))

    assert isinstance(events[-1], Completed)
    assert 1 == sum(isinstance(event, Abandoned | Failed | Completed) for event in events)


@reading
def test_an_exception_of_a_signer_is_abandoned(read: Callable[..., None]) -> None:
    """It propagates to the caller, and hooks receive it."""
    events: list[CallEvent] = []
    with serving(respond_with(WHOLE)) as server, pytest.raises(LookupError, match="no such profile"):
        read(server, 1, FailingSigner(), hooks=(events.append,))

    assert isinstance(events[-1], Abandoned)
    assert isinstance(events[-1].error, LookupError)
    assert events[-1].partial is None


async def test_a_cancelled_task_is_abandoned(emulator: Emulator) -> None:
    """While it waits for a token, and while it waits for a retry."""
    steps = {"token": Fault("stall", after=3), "pause": Fault("refuse", "lb_bandwidth", retry_after="30")}
    for name, step in steps.items():
        events: list[CallEvent] = []
        reached = asyncio.Event()

        def watch(event: CallEvent, record: Any = events.append, reached: asyncio.Event = reached) -> None:
            record(event)
            if isinstance(event, ResponseStarted | RetryScheduled):
                reached.set()

        emulator.script(step)
        service = Service(OCIModelDeployment(emulator.endpoint), retry=Retry(2), hooks=(watch,))
        task = asyncio.create_task(service.async_client.complete(service.call(OpenAIChat(), REQUEST)))
        await reached.wait()
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await service.aclose()

        assert isinstance(events[-1], Abandoned), name
        assert events[-1].error is None
        assert ("The Nile" if name == "token" else None) == (events[-1].partial and events[-1].partial.text)


def test_a_request_rejected_before_sending_has_failed() -> None:
    """No request was made, and hooks receive `Failed`."""
    events: list[CallEvent] = []
    service = Service(OCIModelDeployment("http://127.0.0.1:1/ocid1.x"), hooks=(events.append,))
    too_long = {"messages": [{"role": "user", "content": "x" * 11_000_000}]}
    with pytest.raises(InvalidRequest):
        service.client.complete(service.call(OpenAIChat(), too_long))

    assert [Failed] == [type(event) for event in events]


async def test_a_call_hook_distinguishes_calls(emulator: Emulator) -> None:
    """Each call starts once, with its parameters, and has its own events in order."""
    hook = RecordingCallHook()
    service = Service(OCIModelDeployment(emulator.endpoint), hooks=(hook,))
    requests = [{"messages": [{"role": "user", "content": f"echo {number}"}]} for number in range(20)]
    responses = await asyncio.gather(
        *(service.async_client.complete(service.call(OpenAIChat(), params)) for params in requests)
    )
    await service.aclose()

    by_content = {info.params["messages"][0]["content"]: events for info, events in hook.calls}
    assert 20 == len(by_content)
    assert {("oci-model-deployment", "openai-chat", True)} == {(q.platform, q.dialect, q.stream) for q, _ in hook.calls}
    for params, model_response in zip(requests, responses, strict=True):
        events = by_content[params["messages"][0]["content"]]
        assert ["RequestSent", "ResponseStarted", "FirstEvent", "Completed"] == [
            type(event).__name__ for event in events
        ]
        assert model_response.text == events[-1].response.text  # type: ignore[union-attr]
    assert "echo" not in repr(hook.calls[0][0])


def test_the_request_id_comes_with_the_response_head(emulator: Emulator) -> None:
    """Not only with errors."""
    hook = RecordingCallHook()
    service = Service(OCIModelDeployment(emulator.endpoint), hooks=(hook,))
    service.client.complete(service.call(OpenAIChat(), REQUEST))
    service.close()

    (started,) = [event for event in hook.calls[0][1] if isinstance(event, ResponseStarted)]
    assert started.request_id
    assert started.request_id in dict(started.head.headers).values()


def test_a_call_hook_may_ignore_a_call(emulator: Emulator) -> None:
    """`start_call` returns `None`; other hooks receive the events."""

    class IgnoringHook:
        def start_call(self, info: CallInfo) -> None:
            return None

    events: list[CallEvent] = []
    service = Service(OCIModelDeployment(emulator.endpoint), hooks=(IgnoringHook(), events.append))
    service.client.complete(service.call(OpenAIChat(), REQUEST))
    service.close()

    assert isinstance(events[-1], Completed)


def test_a_global_hook_can_be_removed(emulator: Emulator) -> None:
    """It also applies to existing models; of two hooks of one class, the model's own is used."""
    service = Service(OCIModelDeployment(emulator.endpoint))
    own_hook = RecordingCallHook()
    service_with_hook = Service(OCIModelDeployment(emulator.endpoint), hooks=(own_hook,))
    global_hook = RecordingCallHook()
    remove = add_global_hook(global_hook)
    try:
        for one in (service, service_with_hook):
            one.client.complete(one.call(OpenAIChat(), REQUEST))
    finally:
        remove()
        remove()  # twice does no harm
    service.client.complete(service.call(OpenAIChat(), REQUEST))
    service.close()
    service_with_hook.close()

    assert (1, 1) == (len(global_hook.calls), len(own_hook.calls))


@pytest.mark.parametrize("model", [ChatOCIModelDeployment, OCIDataScience])
def test_the_field_hooks_takes_callables_and_call_hooks(model: Any) -> None:
    """Both kinds are kept as they are; anything else is an error that names the field."""
    options = {"endpoint": "http://127.0.0.1:1/ocid1.x", "auth_type": "none"}
    hooks = (print, RecordingCallHook())

    assert hooks == model(**options, hooks=hooks).hooks
    with pytest.raises(ValueError, match=r"hooks\.1\s+Input should be callable"):
        model(**options, hooks=(print, "print"))
