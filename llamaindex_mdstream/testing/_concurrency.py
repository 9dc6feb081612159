"""Rules of concurrency: event loops, tasks, threads, and closed connections."""

import asyncio
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms import LLM

from llamaindex_mdstream.testing._conformance import requires
from llamaindex_mdstream.testing._llm_rules import LLMRules
from llamaindex_mdstream.testing._methods import STREAMS, response_text, sum_deltas
from llamaindex_mdstream.testing._services import OUTPUT, PROMPT
from mdstream_core.emulator import Emulator, Fault

#: A pause within the response that is longer than `MAX_SECONDS`.
SILENCE = Fault("hold", after=6, seconds=4.0)
#: Maximum time until the server notices a closed connection.
MAX_SECONDS = 2.0

PAUSES = {
    "before the response": Fault("slow_head", seconds=0.5),
    "within the response": Fault("hold", after=3, seconds=0.5),
}


class ConcurrencyRules(LLMRules):
    """Rules of concurrency."""

    @requires("supports_async")
    def test_model_works_in_several_event_loops(self, emulator: Emulator, model: LLM) -> None:
        """
        Two calls of `asyncio.run` send one request each. LlamaIndex runs coroutines in event loops of their own.
        """
        texts = [sum_deltas(self.read_responses(STREAMS["astream_chat"], model)) for _ in range(2)]

        assert [OUTPUT, OUTPUT] == texts
        assert 2 == len(emulator.requests)

    @requires("supports_async")
    @pytest.mark.parametrize("fault", PAUSES.values(), ids=PAUSES)
    def test_async_methods_do_not_block_the_event_loop(self, emulator: Emulator, model: LLM, fault: Fault) -> None:
        """
        Other tasks run while a stream is awaited.
        """
        emulator.script(fault)

        assert asyncio.run(count_ticks(_astream(model))) > 10

    @requires("supports_async")
    def test_concurrent_tasks(self, model: LLM) -> None:
        """
        Concurrent streams of one model receive their own responses.
        """
        prompts = [f"Say: {number} is my number" for number in range(12)]

        async def send_all() -> list[str]:
            return await asyncio.gather(*(_astream(model, prompt) for prompt in prompts))

        assert [prompt.removeprefix("Say: ") for prompt in prompts] == asyncio.run(send_all())

    def test_concurrent_threads(self, model: LLM) -> None:
        """
        Streams in several threads receive their own responses.
        """
        prompts = [f"Say: {number} is my number" for number in range(12)]
        with ThreadPoolExecutor(4) as pool:
            streams = list(pool.map(lambda prompt: self.read_responses(STREAMS["stream_chat"], model, prompt), prompts))

        assert [prompt.removeprefix("Say: ") for prompt in prompts] == [response_text(stream[-1]) for stream in streams]

    @pytest.mark.parametrize("read", [1, 3])
    def test_closing_a_stream_closes_the_connection(self, emulator: Emulator, model: LLM, read: int) -> None:
        """
        The server stops generating when the reader closes the stream.
        """
        emulator.script(self.service_under_test.after_text(SILENCE))
        stream = model.stream_chat([ChatMessage(PROMPT)])
        for _ in range(read):
            next(stream)

        stream.close()

        assert emulator.last.client_closed.wait(MAX_SECONDS)

    @requires("supports_async")
    @pytest.mark.parametrize("read", [1, 3])
    def test_closing_an_async_stream_closes_the_connection(self, emulator: Emulator, model: LLM, read: int) -> None:
        """
        The server stops generating when the reader calls `aclose`.
        """
        emulator.script(self.service_under_test.after_text(SILENCE))

        async def close_early() -> bool:
            stream: Any = await model.astream_chat([ChatMessage(PROMPT)])
            for _ in range(read):
                await anext(stream)
            await stream.aclose()
            return await asyncio.to_thread(emulator.last.client_closed.wait, MAX_SECONDS)

        assert asyncio.run(close_early())

    @requires("supports_async")
    def test_cancelling_a_task_closes_the_connection(self, emulator: Emulator, model: LLM) -> None:
        """
        A task that is cancelled while it waits for a token closes its connection.
        """
        emulator.script(self.service_under_test.after_text(SILENCE))

        async def cancel() -> bool:
            task = asyncio.create_task(_astream(model))
            await asyncio.sleep(0.5)
            task.cancel()
            (end,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(end, asyncio.CancelledError)
            return await asyncio.to_thread(emulator.last.client_closed.wait, MAX_SECONDS)

        assert asyncio.run(cancel())


async def count_ticks(awaitable: Awaitable[Any]) -> int:
    """Count the iterations of the event loop while an awaitable runs, one each 10 ms."""
    task, ticks = asyncio.ensure_future(awaitable), 0
    while not task.done():
        await asyncio.sleep(0.01)
        ticks += 1
    await task
    return ticks


async def _astream(model: LLM, prompt: str = PROMPT) -> str:
    return "".join([response.delta or "" async for response in await model.astream_chat([ChatMessage(prompt)])])
