"""Rules of running: several loops, tasks and threads, nobody waits for another, and leaving closes the connection."""

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
from llamaindex_mdstream.testing._services import ANSWER, QUESTION
from mdstream_core.emulator import Emulator, Fault

#: Silence in mid-answer that outlasts the patience of these tests, but not that of whoever runs them.
SILENCE = Fault("hold", after=6, seconds=4.0)
MAX_SECONDS = 2.0

PAUSES = {"before the answer": Fault("slow_head", seconds=0.5), "in mid-answer": Fault("hold", after=3, seconds=0.5)}


class ConcurrencyRules(LLMRules):
    """Rules of running."""

    @requires("supports_async")
    def test_one_model_serves_several_event_loops(self, emulator: Emulator, model: LLM) -> None:
        """
        Two `asyncio.run` in a row send one request each; LlamaIndex itself runs coroutines in loops of their own.
        """
        texts = [sum_deltas(self.read_responses(STREAMS["astream_chat"], model)) for _ in range(2)]

        assert [ANSWER, ANSWER] == texts
        assert 2 == len(emulator.requests)

    @requires("supports_async")
    @pytest.mark.parametrize("fault", PAUSES.values(), ids=PAUSES)
    def test_async_does_not_block_the_loop(self, emulator: Emulator, model: LLM, fault: Fault) -> None:
        """
        While a stream is waited for, other tasks run.
        """
        emulator.script(fault)

        assert asyncio.run(count_ticks(_astream(model))) > 10

    @requires("supports_async")
    def test_tasks_share_a_model(self, model: LLM) -> None:
        """
        Each of many streams at a time has its own answer: the state of a stream is not the model's.
        """
        questions = [f"Say: {number} is my number" for number in range(12)]

        async def ask() -> list[str]:
            return await asyncio.gather(*(_astream(model, question) for question in questions))

        assert [question.removeprefix("Say: ") for question in questions] == asyncio.run(ask())

    def test_threads_share_a_model(self, model: LLM) -> None:
        """
        The same with threads.
        """
        questions = [f"Say: {number} is my number" for number in range(12)]
        with ThreadPoolExecutor(4) as pool:
            streams = list(
                pool.map(lambda question: self.read_responses(STREAMS["stream_chat"], model, question), questions)
            )

        assert [question.removeprefix("Say: ") for question in questions] == [
            response_text(stream[-1]) for stream in streams
        ]

    @pytest.mark.parametrize("read", [1, 3])
    def test_closing_a_stream_closes_the_connection(self, emulator: Emulator, model: LLM, read: int) -> None:
        """
        The server stops writing, and charging, when the reader has enough.
        """
        emulator.script(SILENCE)
        stream = model.stream_chat([ChatMessage(QUESTION)])
        for _ in range(read):
            next(stream)

        stream.close()

        assert emulator.last.client_closed.wait(MAX_SECONDS)

    @requires("supports_async")
    @pytest.mark.parametrize("read", [1, 3])
    def test_closing_an_async_stream_closes_the_connection(self, emulator: Emulator, model: LLM, read: int) -> None:
        """
        The same for `aclose`.
        """
        emulator.script(SILENCE)

        async def leave() -> bool:
            stream: Any = await model.astream_chat([ChatMessage(QUESTION)])
            for _ in range(read):
                await anext(stream)
            await stream.aclose()
            return await asyncio.to_thread(emulator.last.client_closed.wait, MAX_SECONDS)

        assert asyncio.run(leave())

    @requires("supports_async")
    def test_cancelling_closes_the_connection(self, emulator: Emulator, model: LLM) -> None:
        """
        A task that is cancelled while it waits for a token leaves no connection behind.
        """
        emulator.script(SILENCE)

        async def leave() -> bool:
            task = asyncio.create_task(_astream(model))
            await asyncio.sleep(0.5)
            task.cancel()
            (end,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(end, asyncio.CancelledError)
            return await asyncio.to_thread(emulator.last.client_closed.wait, MAX_SECONDS)

        assert asyncio.run(leave())


async def count_ticks(work: Awaitable[Any]) -> int:
    """How often a loop comes round while something is awaited."""
    task, ticks = asyncio.ensure_future(work), 0
    while not task.done():
        await asyncio.sleep(0.01)
        ticks += 1
    await task
    return ticks


async def _astream(model: LLM, question: str = QUESTION) -> str:
    return "".join([response.delta or "" async for response in await model.astream_chat([ChatMessage(question)])])
