"""`read_in_task`: when the reader leaves, the requests of the stream's tasks and threads are closed."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from typing import Any

import anyio
import pytest
from _langchain_platforms import PlatformCase, chat_at, each_platform, emulator, shared_emulator
from langgraph.graph import START, MessagesState, StateGraph
from llama_index.core.agent.workflow import AgentStream, FunctionAgent

from llamaindex_mdstream import OCIDataScience
from mdstream_core import MDStreamError, read_in_task
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import StreamFailure

__all__ = ["emulator", "shared_emulator"]


def build_graph(chat: Any, kind: str) -> Any:
    """A graph whose only node calls the model, in a task or in a thread."""

    async def call_in_task(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await chat.ainvoke(state["messages"])]}

    def call_in_thread(state: MessagesState) -> dict[str, Any]:
        return {"messages": [chat.invoke(state["messages"])]}

    node: Any = {"task": call_in_task, "thread": call_in_thread}[kind]
    return StateGraph(MessagesState).add_node("model", node).add_edge(START, "model").compile()


async def leave_like_starlette(stream: AsyncGenerator[Any]) -> list[Any]:
    """Read a few items, and be cancelled as Starlette cancels a response: in each step until it has ended."""
    items = []
    async with anyio.create_task_group() as tasks:

        async def respond() -> None:
            async for item in stream:
                items.append(item)
                if len(items) == 2:
                    tasks.cancel_scope.cancel()

        tasks.start_soon(respond)
    return items


@each_platform
@pytest.mark.parametrize("kind", ["task", "thread"])
def test_a_graph_closes_its_requests_when_the_reader_leaves(
    emulator: Emulator, platform_case: PlatformCase, kind: str
) -> None:
    emulator.script(Fault("stall", after=platform_case.count_events(3)))
    chat = chat_at(platform_case, emulator, streaming=True, timeout=60)

    async def main() -> None:
        stream = build_graph(chat, kind).astream({"messages": "Name three rivers."}, stream_mode="messages")
        assert 2 <= len(await leave_like_starlette(read_in_task(stream)))
        assert await asyncio.to_thread(emulator.requests[-1].client_closed.wait, 30)
        await chat.aclose()

    asyncio.run(main())


def test_an_agent_of_llamaindex_is_cancelled_when_the_reader_leaves(emulator: Emulator) -> None:
    emulator.script(Fault("stall", after=3))
    llm = OCIDataScience(endpoint=emulator.endpoint, auth_type="none", timeout=60, context_window=8000)

    async def read_agent() -> AsyncGenerator[AgentStream]:
        handler = FunctionAgent(llm=llm, tools=[]).run("Name three rivers.")
        try:
            async for event in handler.stream_events():
                if isinstance(event, AgentStream):
                    yield event
        finally:
            await handler.cancel_run()

    async def main() -> None:
        assert 2 <= len(await leave_like_starlette(read_in_task(read_agent())))
        assert await asyncio.to_thread(emulator.requests[-1].client_closed.wait, 30)
        await llm.aclose()

    asyncio.run(main())


def test_a_request_in_a_thread_is_not_sent_again(emulator: Emulator) -> None:
    """Also if the reader leaves before the response has begun, so that a failure could be retried."""
    from langchain_mdstream import ChatOCIModelDeployment  # noqa: PLC0415

    emulator.script(Fault("slow_head", seconds=30))
    chat = ChatOCIModelDeployment(endpoint=emulator.endpoint, auth_type="none", max_retries=3)
    ended = threading.Event()

    async def run() -> AsyncGenerator[Any]:
        def invoke() -> None:
            try:
                chat.invoke("Name three rivers.")
            finally:
                ended.set()

        yield "started"
        await asyncio.to_thread(invoke)

    async def main() -> None:
        stream = read_in_task(run())
        await anext(stream)
        while not emulator.requests:  # noqa: ASYNC110  # it arrives on a thread of the emulator
            await asyncio.sleep(0.01)
        await stream.aclose()
        assert await asyncio.to_thread(ended.wait, 20)

    asyncio.run(main())
    assert 1 == len(emulator.requests)


async def count(ends: Callable[[], None] = lambda: None) -> AsyncGenerator[int]:
    """Three numbers, and then what a test adds."""
    for number in range(3):
        yield number
    ends()


def test_items_arrive_in_order_and_a_failure_after_them() -> None:
    def fail() -> None:
        raise StreamFailure("broken")

    async def main() -> None:
        assert [0, 1, 2] == [number async for number in read_in_task(count())]
        items = []
        with pytest.raises(StreamFailure, match="broken"):
            async for number in read_in_task(count(fail)):
                items.append(number)  # noqa: PERF401  # the items before the failure
        assert [0, 1, 2] == items

    asyncio.run(main())


def test_the_stream_is_one_item_ahead_of_its_reader() -> None:
    produced = []

    async def produce() -> AsyncGenerator[int]:
        for number in range(10):
            produced.append(number)
            yield number

    async def main() -> None:
        stream = read_in_task(produce())
        await anext(stream)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(produced) <= 3
        await stream.aclose()

    asyncio.run(main())


def test_a_failure_after_the_reader_has_left_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail_when_closed() -> AsyncGenerator[int]:
        try:
            yield 1
            await asyncio.sleep(60)
        finally:
            raise MDStreamError("closed")

    async def main() -> None:
        stream = read_in_task(fail_when_closed())
        await anext(stream)
        await stream.aclose()
        for _ in range(10):
            await asyncio.sleep(0)

    asyncio.run(main())
    assert [] == [record.getMessage() for record in caplog.records]
