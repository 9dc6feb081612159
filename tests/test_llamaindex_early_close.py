"""Streams that are closed early: the connection closes at once, and no failure is reported."""

import asyncio
from collections.abc import Iterator

import pytest
from _stream_endings import REQUEST
from llama_index.core.callbacks import CallbackManager, EventPayload
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.llms import ChatMessage

from llamaindex_mdstream import OCIDataScience
from mdstream_core.emulator import Emulator, Fault
from tests.test_llamaindex_failures import CallbackRecorder, EventRecorder

MESSAGES = [ChatMessage(REQUEST)]


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


@pytest.fixture
def llm(emulator: Emulator) -> Iterator[OCIDataScience]:
    """A model."""
    with OCIDataScience(endpoint=emulator.endpoint, auth_type="none", max_retries=0) as model:
        yield model


@pytest.fixture
def listener() -> Iterator[EventRecorder]:
    """A recorder on the root dispatcher."""
    handler, root = EventRecorder(), get_dispatcher()
    root.event_handlers.append(handler)
    yield handler
    root.event_handlers.remove(handler)


@pytest.mark.parametrize("read", [0, 1, 3])
def test_closing_closes_the_connection_at_once(emulator: Emulator, llm: OCIDataScience, read: int) -> None:
    """
    The server sees the closed connection, also if nothing was read.
    """
    emulator.script(Fault("stall", after=6))
    stream = llm.stream_chat(MESSAGES)
    for _ in range(read):
        next(stream)

    stream.close()

    assert emulator.last.client_closed.wait(5)


@pytest.mark.parametrize("read", [0, 1, 3])
async def test_aclosing_closes_the_connection_at_once(emulator: Emulator, llm: OCIDataScience, read: int) -> None:
    """
    Async streams close without waiting for the garbage collector.
    """
    emulator.script(Fault("stall", after=6))
    stream = await llm.astream_chat(MESSAGES)
    for _ in range(read):
        await anext(stream)

    await stream.aclose()

    assert await asyncio.to_thread(emulator.last.client_closed.wait, 5)


async def test_cancelling_closes_the_connection_at_once(emulator: Emulator, llm: OCIDataScience) -> None:
    """
    A task that is cancelled while it waits for a token closes its connection.
    """
    emulator.script(Fault("stall", after=3))
    reading = asyncio.Event()

    async def read() -> None:
        async for _ in await llm.astream_chat(MESSAGES):
            reading.set()

    task = asyncio.create_task(read())
    await reading.wait()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await asyncio.to_thread(emulator.last.client_closed.wait, 5)


def test_closing_early_is_no_failure(emulator: Emulator, llm: OCIDataScience, listener: EventRecorder) -> None:
    """
    Closing a stream ends the call with the partial response; no exception is reported.
    """
    callbacks = CallbackRecorder()
    llm.callback_manager = CallbackManager([callbacks])
    emulator.script(Fault("stall", after=6))
    stream = llm.stream_chat(MESSAGES)
    response = [next(stream), next(stream)][-1]

    stream.close()

    ((payload),) = callbacks.ends
    assert {EventPayload.MESSAGES: MESSAGES, EventPayload.RESPONSE: response} == payload
    assert ["LLMChatStartEvent", "LLMChatEndEvent"] == listener.names()


async def test_an_unread_async_completion_is_no_failure(llm: OCIDataScience, listener: EventRecorder) -> None:
    """
    The end event of a completion requires a response, so it has an empty one.
    """
    stream = await llm.astream_complete(REQUEST)

    await stream.aclose()

    assert ["LLMCompletionStartEvent", "LLMCompletionEndEvent"] == listener.names()
    assert "" == listener.events[-1].response.text  # type: ignore[attr-defined]
