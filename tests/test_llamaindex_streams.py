"""Successful streams in LlamaIndex: deltas, events, concurrency, completions."""

import asyncio
import copy
import inspect
from collections.abc import AsyncGenerator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from _stream_endings import OUTPUT, REQUEST
from llama_index.core.base.llms.types import LogProb, TextBlock, ThinkingBlock
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.llms import ChatMessage
from llama_index.core.rate_limiter import BaseRateLimiter

from llamaindex_mdstream import OCIDataScience, _callbacks
from llamaindex_mdstream._responses import ChatResponseBuilder, CompletionResponseBuilder
from mdstream_core import Finish, Logprobs, RefusalDelta, TextDelta
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.emulator.model import ModelOutput
from tests.test_llamaindex_failures import EventRecorder

MESSAGES = [ChatMessage(REQUEST)]
THOUGHT = {"reasoning_effort": "high"}


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


async def _achat(llm: OCIDataScience, **kwargs: Any) -> list[Any]:
    return [response async for response in await llm.astream_chat(MESSAGES, **kwargs)]


async def _acomplete(llm: OCIDataScience) -> list[Any]:
    return [response async for response in await llm.astream_complete(REQUEST)]


def test_deltas_add_up_to_the_text(llm: OCIDataScience) -> None:
    """
    The content of each response is the concatenation of the deltas, in one text block, sync and async.
    """
    responses = list(llm.stream_chat(MESSAGES))

    text = ""
    for response in responses:
        text += response.delta or ""
        assert [TextBlock(text=text)] == response.message.blocks
    assert OUTPUT == text
    assert [r.delta for r in responses] == [r.delta for r in asyncio.run(_achat(llm))]


def test_completions_return_the_same(llm: OCIDataScience) -> None:
    """
    `stream_complete` accumulates its text; all completion methods return the same text.
    """
    responses = list(llm.stream_complete(REQUEST))

    assert [OUTPUT] * 4 == [
        responses[-1].text,
        asyncio.run(_acomplete(llm))[-1].text,
        llm.complete(REQUEST).text,
        asyncio.run(llm.acomplete(REQUEST)).text,
    ]
    assert OUTPUT == "".join(response.delta or "" for response in responses)


def test_the_last_response_has_usage_and_finish_reason(llm: OCIDataScience) -> None:
    """
    Usage and finish reason are where LlamaIndex and OpenInference read them, streamed or not.
    """
    *chunks, last = llm.stream_chat(MESSAGES)
    whole = llm.chat(MESSAGES)

    assert whole.message == last.message
    assert whole.additional_kwargs == last.additional_kwargs
    assert whole.raw["usage"] == last.raw["usage"]
    assert last.raw["usage"]["total_tokens"] == last.additional_kwargs["total_tokens"] > 0
    assert "stop" == last.additional_kwargs["finish_reason"] == last.raw["choices"][0]["finish_reason"]
    assert ["", None] == [last.delta, whole.delta]
    assert all(chunk.raw["choices"][0]["finish_reason"] is None for chunk in chunks)


@pytest.mark.parametrize("call_method", ["chat", "stream", "astream", "complete", "stream_complete"])
def test_the_token_counter_uses_the_servers_counts(llm: OCIDataScience, call_method: str) -> None:
    """
    `TokenCountingHandler` finds the server's usage with every method.
    """
    counter = TokenCountingHandler(tokenizer=str.split)
    llm.callback_manager = CallbackManager([counter])
    methods: dict[str, Any] = {
        "chat": lambda: llm.chat(MESSAGES),
        "stream": lambda: list(llm.stream_chat(MESSAGES))[-1],
        "astream": lambda: asyncio.run(_achat(llm))[-1],
        "complete": lambda: llm.complete(REQUEST),
        "stream_complete": lambda: list(llm.stream_complete(REQUEST))[-1],
    }

    usage = methods[call_method]().raw["usage"]

    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (
        counter.prompt_llm_token_count,
        counter.completion_llm_token_count,
    )


def test_reasoning_is_in_thinking_blocks(llm: OCIDataScience) -> None:
    """
    Reasoning is a `ThinkingBlock` before the text, and each delta a `thinking_delta`, sync and async.
    """
    responses = list(llm.stream_chat(MESSAGES, **THOUGHT))
    thought = "".join(response.additional_kwargs.get("thinking_delta", "") for response in responses)

    assert thought
    assert [ThinkingBlock(content=thought), TextBlock(text=OUTPUT)] == responses[-1].message.blocks
    assert OUTPUT == "".join(response.delta or "" for response in responses)
    assert (
        responses[-1].message
        == asyncio.run(_achat(llm, **THOUGHT))[-1].message
        == llm.chat(MESSAGES, **THOUGHT).message
    )


def test_responses_share_no_state(llm: OCIDataScience) -> None:
    """
    Changing a response does not change others.
    """
    stream = llm.stream_chat(MESSAGES, **THOUGHT)
    first, second = next(stream), next(stream)
    before = copy.deepcopy(second)

    first.message.blocks.clear()
    first.message.additional_kwargs["x"] = first.additional_kwargs["x"] = first.raw["x"] = 1
    first.raw["choices"][0]["delta"].clear()
    third = next(stream)

    assert before == second
    assert "x" not in {**third.additional_kwargs, **third.raw, **third.message.additional_kwargs}
    stream.close()


async def test_streams_are_generators(llm: OCIDataScience) -> None:
    """
    LlamaIndex recognizes streams by their type, OpenInference by their frame.
    """
    stream, astream = llm.stream_chat(MESSAGES), await llm.astream_chat(MESSAGES)

    assert isinstance(stream, Generator)
    assert isinstance(astream, AsyncGenerator)
    assert stream.gi_frame is not None  # type: ignore[attr-defined]
    assert inspect.isasyncgen(astream)
    assert astream.ag_frame is not None
    stream.close()
    await astream.aclose()


def test_events_of_a_complete_stream(llm: OCIDataScience, listener: EventRecorder) -> None:
    """
    A stream has one start event, one event per response, and one end event with the last response.
    """
    responses = list(llm.stream_chat(MESSAGES))

    assert ["LLMChatStartEvent", "LLMChatEndEvent"] == listener.names()
    assert responses == [event.response for event in listener.events[1:-1]]  # type: ignore[attr-defined]
    assert responses[-1] == listener.events[-1].response  # type: ignore[attr-defined]
    assert 1 == len({event.span_id for event in listener.events})


def test_chunk_events_are_built_only_for_listeners() -> None:
    """
    LlamaIndex's null handler is no listener; a handler on the root is.
    """
    handler, root = EventRecorder(), get_dispatcher()

    assert not _callbacks.has_listeners()
    root.event_handlers.append(handler)
    assert _callbacks.has_listeners()
    root.event_handlers.remove(handler)


class Limiter(BaseRateLimiter):
    """Counts."""

    def __init__(self) -> None:
        self.count = 0

    def acquire(self, num_tokens: int = 0) -> None:
        """Count."""
        self.count += 1

    async def async_acquire(self, num_tokens: int = 0) -> None:
        """Count."""
        self.count += 1


def test_the_rate_limiter_is_acquired_once_per_call(llm: OCIDataScience) -> None:
    """
    Eight calls acquire the limiter eight times.
    """
    limiter = llm.rate_limiter = Limiter()
    llm.chat(MESSAGES)
    llm.complete(REQUEST)
    list(llm.stream_chat(MESSAGES))
    list(llm.stream_complete(REQUEST))
    asyncio.run(llm.achat(MESSAGES))
    asyncio.run(llm.acomplete(REQUEST))
    asyncio.run(_achat(llm))
    asyncio.run(_acomplete(llm))

    assert 8 == limiter.count


def test_several_event_loops(emulator: Emulator, llm: OCIDataScience) -> None:
    """
    Two calls of `asyncio.run` send one request each.
    """
    assert [OUTPUT, OUTPUT] == [asyncio.run(_achat(llm))[-1].message.content for _ in range(2)]
    assert 2 == len(emulator.requests)


async def test_concurrent_tasks(llm: OCIDataScience) -> None:
    """
    Concurrent streams have their own state.
    """
    streams = await asyncio.gather(*(_achat(llm) for _ in range(30)))

    assert {OUTPUT} == {stream[-1].message.content for stream in streams}


def test_concurrent_threads(llm: OCIDataScience) -> None:
    """
    Streams in several threads have their own state.
    """
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda _: list(llm.stream_complete(REQUEST))[-1].text, range(30)))

    assert {OUTPUT} == set(texts)


def test_sequential_streams_reuse_the_connection(emulator: Emulator, llm: OCIDataScience) -> None:
    """
    A stream that was read to its end returns its connection to the pool.
    """
    for _ in range(20):
        list(llm.stream_chat(MESSAGES))

    assert 1 == len({received.connection for received in emulator.requests})


@pytest.mark.parametrize("fault", ["bytewise", "crlf", "keepalive_comments", "joined", "no_done"])
def test_unusual_encodings_are_read(emulator: Emulator, llm: OCIDataScience, fault: str) -> None:
    """
    Split characters, other line endings and comments do not change the response.
    """
    emulator.script(Fault(fault))

    assert OUTPUT == list(llm.stream_chat(MESSAGES))[-1].message.content


def test_unicode_line_separators_are_text() -> None:
    """
    U+2028 and U+0085 are part of the text.
    """
    text = "one\u2028two\u0085three 🦙"
    with Emulator(model=lambda request: text) as emulator:
        emulator.script(Fault("bytewise"))
        llm = OCIDataScience(endpoint=emulator.endpoint, auth_type="none")

        assert text == list(llm.stream_chat(MESSAGES))[-1].message.content


def test_models_without_chat_use_completions(emulator: Emulator, llm: OCIDataScience) -> None:
    """
    `is_chat_model=False` sends prompts to the completions route, for chats too.
    """
    llm.is_chat_model = False

    assert list(llm.stream_complete(REQUEST))[-1].text
    assert REQUEST == emulator.last.json["prompt"]
    assert "/v1/completions" == emulator.last.headers["route"]
    assert list(llm.stream_chat(MESSAGES))[-1].message.content
    assert f"user: {REQUEST}\nassistant: " == emulator.last.json["prompt"]


def test_chat_models_receive_prompts_as_user_messages(emulator: Emulator, llm: OCIDataScience) -> None:
    """
    `complete` sends a chat request to a chat model.
    """
    llm.complete(REQUEST)

    assert [{"role": "user", "content": REQUEST}] == emulator.last.json["messages"]


def test_refusals_and_log_probabilities() -> None:
    """
    A refusal is returned beside the empty text; the last response has the log probabilities.
    """
    builder, text = ChatResponseBuilder(), CompletionResponseBuilder()
    entry = {"token": "Par", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "Lon", "logprob": -1.0}]}
    for event in (RefusalDelta("No."), Logprobs([entry, {"token": "is", "logprob": -0.1}]), Finish("stop")):
        builder.add_event(event)
        text.add_event(event)
    last = builder.final_response()

    assert "No." == last.message.additional_kwargs["refusal"]
    assert [[LogProb(token="Lon", logprob=-1.0)], [LogProb(token="is", logprob=-0.1)]] == last.logprobs
    assert last.logprobs == text.final_response().logprobs


def test_only_the_first_choice_is_returned() -> None:
    """
    Of several choices the first is returned.
    """
    builder = ChatResponseBuilder()
    deltas = [builder.add_event(TextDelta(text, choice)) for text, choice in (("Par", 0), ("Lon", 1), ("is", 0))]

    assert ["Par", None, "is"] == [delta and delta.delta for delta in deltas]
    assert "Paris" == builder.final_response().message.content


def test_a_response_without_text_is_complete() -> None:
    """
    A response without text is no error.
    """
    with Emulator(model=lambda request: ModelOutput()) as emulator:
        llm = OCIDataScience(endpoint=emulator.endpoint, auth_type="none")

        assert ["stop"] == [response.additional_kwargs["finish_reason"] for response in llm.stream_chat(MESSAGES)]
