"""LangGraph agents on every platform: tools, a checkpointer, three stream modes, retries, fallbacks and errors."""

from typing import Any, TypedDict

import pytest
from _langchain_platforms import chat_at, each_platform, emulator, shared_emulator
from _platforms import PLATFORM_CASES, PlatformCase
from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware, ModelRetryMiddleware, SummarizationMiddleware
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.outputs import LLMResult
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy

from mdstream_core import MDStreamError
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import ContextOverflow, InvalidRequest, RateLimited, StreamFailure, StreamInterrupted

__all__ = ["emulator", "shared_emulator"]  # fixtures

REQUEST: Any = {"messages": [HumanMessage("What is the weather in Paris?")]}


def deployment(emulator: Emulator, **options: Any) -> Any:
    """Chat model on a deployment."""
    return chat_at(PLATFORM_CASES["OCI model deployment"], emulator, **options)


CALLED: list[str] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    CALLED.clear()


@tool
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    CALLED.append(city)
    get_stream_writer()({"looking": city})
    return f"It is sunny in {city}."


class Seen(BaseCallbackHandler):
    """Callback handler that records errors."""

    def __init__(self) -> None:
        self.errors: list[tuple[BaseException, LLMResult]] = []

    def on_llm_error(self, error: BaseException, *, response: LLMResult, **_: Any) -> None:
        """Record the error."""
        self.errors.append((error, response))


MODES = ["messages", "updates", "custom"]


@each_platform
async def test_tools_a_checkpointer_and_three_modes(emulator: Emulator, platform_case: PlatformCase) -> None:
    """Tokens, updates and custom events are streamed, and the thread continues from its checkpoint; sync and async."""
    agent = create_agent(chat_at(platform_case, emulator), [get_weather], checkpointer=InMemorySaver())
    sync, asynchronous = _thread("sync"), _thread("async")
    sync_pieces = [*agent.stream(REQUEST, sync, stream_mode=MODES)]
    async_pieces = [piece async for piece in agent.astream(REQUEST, asynchronous, stream_mode=MODES)]

    for pieces, config in ((sync_pieces, sync), (async_pieces, asynchronous)):
        by_mode = {mode: [data for kind, data in pieces if kind == mode] for mode in MODES}
        assert [{"looking": "Paris"}] == by_mode["custom"]
        assert ["model", "tools", "model"] == [next(iter(step)) for step in by_mode["updates"]]
        text = "".join(chunk.text for chunk, _ in by_mode["messages"] if isinstance(chunk, AIMessage))
        messages = agent.get_state(config).values["messages"]
        assert text == messages[-1].text
        assert "sunny in Paris" in text
        assert len([1 for chunk, _ in by_mode["messages"] if isinstance(chunk, AIMessage) and chunk.text]) > 1
        _, ai_message, tool_message, _ = messages
        assert isinstance(tool_message, ToolMessage)
        assert ai_message.tool_calls[0]["id"] == tool_message.tool_call_id
    state = agent.invoke({"messages": [HumanMessage("Thank you. What is the weather in Rome?")]}, sync)

    assert 8 == len(state["messages"])
    assert 8 == len({message.id for message in state["messages"]})
    assert ["Paris", "Paris", "Rome"] == CALLED


def _thread(name: str) -> Any:
    return {"configurable": {"thread_id": name}}


@each_platform
async def test_an_interrupted_stream_inside_an_agent_raises(emulator: Emulator, platform_case: PlatformCase) -> None:
    """The error propagates, callbacks get the partial output, no tool runs, and the thread can be continued."""
    agent = create_agent(chat_at(platform_case, emulator), [get_weather], checkpointer=InMemorySaver())
    for name, read in (("sync", _read), ("async", _aread)):
        emulator.reset()
        CALLED.clear()
        seen, config = Seen(), _thread(name)
        emulator.script(None, Fault("cut", after=platform_case.count_events(4)))
        with pytest.raises(MDStreamError) as caught:
            await read(agent, REQUEST, {**config, "callbacks": [seen]})

        ((error, response),) = seen.errors
        assert caught.value is error
        assert isinstance(error, StreamInterrupted)
        assert error.partial.text  # type: ignore[union-attr]
        metadata = [one.message.response_metadata for row in response.generations for one in row]  # type: ignore[union-attr]
        assert error.partial.text in [body["body"]["partial"]["text"] for body in metadata if "body" in body]  # type: ignore[union-attr]
        assert ["Paris"] == CALLED
        whole = (await agent.ainvoke(None, config))["messages"][-1].text
        assert "sunny in Paris" in whole
        assert whole.startswith(error.partial.text)  # type: ignore[union-attr]


async def _read(agent: Any, inputs: Any, config: Any) -> None:
    for _ in agent.stream(inputs, config, stream_mode=MODES):
        pass


async def _aread(agent: Any, inputs: Any, config: Any) -> None:
    async for _ in agent.astream(inputs, config, stream_mode=MODES):
        pass


@pytest.mark.parametrize("after", [2, 4, 6, 8])
def test_a_truncated_call_runs_no_tool_in_any_mode(emulator: Emulator, after: int) -> None:
    """Independent of how many fragments of the call were received."""
    agent = create_agent(deployment(emulator), [get_weather])
    for mode in ("messages", "updates", "values"):
        emulator.script(Fault("cut", after=after))
        with pytest.raises(MDStreamError):
            list(agent.stream(REQUEST, {"callbacks": [Seen()]}, stream_mode=mode, streaming=True))
    assert [] == CALLED


async def test_middleware_retries_retryable_errors(emulator: Emulator) -> None:
    """An interrupted stream and a 503 are retried; an invalid request is not."""
    retry = ModelRetryMiddleware(max_retries=2, initial_delay=0, jitter=False, on_failure="error")
    agent = create_agent(deployment(emulator, streaming=True), [], middleware=[retry])
    emulator.script(Fault("trailer", after=3), Fault("refuse", "lb_bandwidth"), None)
    assert (await agent.ainvoke(REQUEST))["messages"][-1].text
    assert 3 == len(emulator.requests)

    emulator.reset()
    emulator.always(Fault("refuse", "invalid_parameter"))
    with pytest.raises(InvalidRequest):
        agent.invoke(REQUEST)
    assert 1 == len(emulator.requests)


async def test_middleware_falls_back(emulator: Emulator) -> None:
    """To another model, if the stream of the first was interrupted or its request was rejected."""
    other = deployment(emulator, model="other", streaming=True)
    agent = create_agent(deployment(emulator, streaming=True), [], middleware=[ModelFallbackMiddleware(other)])
    for fault in (Fault("trailer", after=3), Fault("refuse", "internal")):
        emulator.reset()
        emulator.script(fault, None)
        message = agent.invoke(REQUEST)["messages"][-1]
        assert "other" == message.response_metadata["model_name"]
        emulator.script(fault, None)
        message = (await agent.ainvoke(REQUEST))["messages"][-1]
        assert "other" == message.response_metadata["model_name"]


def test_middleware_summarizes_long_conversations(emulator: Emulator) -> None:
    """Summarization by the context window of the profile, with the server's token counts."""
    chat = deployment(emulator, profile={"max_input_tokens": 400})
    middleware = SummarizationMiddleware(chat, trigger=("fraction", 0.5), keep=("messages", 2))
    agent = create_agent(chat, [], middleware=[middleware])
    conversation = [message for number in range(20) for message in _turn(number)]
    state = agent.invoke({"messages": [*conversation, HumanMessage("And now?")]})

    assert len(state["messages"]) < len(conversation)


def _turn(number: int) -> tuple[HumanMessage, AIMessage]:
    return HumanMessage(f"What is {number} plus 1? " * 5), AIMessage(f"It is {number + 1}. " * 5)


def test_a_context_overflow_has_its_own_class() -> None:
    """The class that summarization middleware handles."""
    with Emulator(context=50) as small, pytest.raises(ContextOverflow) as caught:
        deployment(small).invoke("word " * 200)
    assert isinstance(caught.value, ValueError)


class State(TypedDict):
    """State of a graph."""

    output: str


@pytest.mark.parametrize(
    ("fault", "requests"),
    [
        (Fault("trailer", after=3), 3),
        (Fault("cut", after=3), 3),
        (Fault("refuse", "internal"), 3),
        (Fault("refuse", "lb_bandwidth"), 3),
        (Fault("refuse", "invalid_parameter"), 1),
        (Fault("refuse", "not_authenticated"), 1),
        (Fault("refuse", "vllm_too_long"), 1),
    ],
    ids=lambda value: f"{value.kind} {value.spelling}" if isinstance(value, Fault) else str(value),
)
async def test_the_default_retry_policy_of_langgraph(emulator: Emulator, fault: Fault, requests: int) -> None:
    """The default `RetryPolicy()` retries retryable errors only; sync and async."""
    chat = deployment(emulator, streaming=True)
    policy = RetryPolicy(max_attempts=3, initial_interval=0.001, jitter=False)

    def node(state: State) -> State:
        return {"output": chat.invoke("Name three rivers.").text}

    async def anode(state: State) -> State:
        return {"output": (await chat.ainvoke("Name three rivers.")).text}

    for step in (node, anode):
        emulator.reset()
        emulator.always(fault)
        graph = StateGraph(State)
        graph.add_node("model", step, retry_policy=policy)
        graph.add_edge(START, "model")
        graph.add_edge("model", END)
        with pytest.raises(MDStreamError):
            await graph.compile().ainvoke({"output": ""})
        assert requests == len(emulator.requests)


async def test_with_retry_and_with_fallbacks(emulator: Emulator) -> None:
    """`with_retry` retries if nothing was delivered; fallbacks switch before the first token only."""
    chat = deployment(emulator)
    emulator.script(Fault("trailer", after=3), None)
    retrying = chat.with_retry(retry_if_exception_type=(StreamFailure, RateLimited), wait_exponential_jitter=False)
    assert retrying.invoke("Name three rivers.", stream=True).text
    assert 2 == len(emulator.requests)

    emulator.reset()
    chain = chat.with_fallbacks([deployment(emulator, model="other")])
    emulator.script(Fault("refuse", "internal"), None)
    assert "".join([chunk.text async for chunk in chain.astream("Name three rivers.")])
    emulator.script(Fault("trailer", after=3), None)
    with pytest.raises(StreamFailure):
        async for _ in chain.astream("Name three rivers."):
            pass
    assert 3 == len(emulator.requests)


def test_parallel_calls_and_their_ids(emulator: Emulator) -> None:
    """Two calls in one response are both run, and the ids of calls and results match, after a checkpoint too."""
    saver = InMemorySaver()
    agent = create_agent(deployment(emulator, streaming=True), [get_weather], checkpointer=saver)
    config = _thread("parallel")
    inputs: Any = {"messages": [HumanMessage("What is the weather in Paris and in Rome?")]}
    agent.invoke(inputs, config)
    messages = (
        create_agent(deployment(emulator), [get_weather], checkpointer=saver).get_state(config).values["messages"]
    )
    calls = [call["id"] for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]

    assert 2 == len(set(calls))
    assert set(calls) == {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
    assert {"Paris", "Rome"} == set(CALLED)


def test_tools_that_return_images(emulator: Emulator) -> None:
    """An image in a tool message is sent to the model as a part of its own."""
    image = {"type": "image", "base64": "QQ==", "mime_type": "image/png"}
    call = {"name": "look", "args": {}, "id": "c1"}
    messages = [
        HumanMessage("Look."),
        AIMessage("", tool_calls=[call]),
        ToolMessage([{"type": "text", "text": "Here:"}, image], tool_call_id="c1"),
    ]
    deployment(emulator).invoke(messages)

    content = emulator.last.json["messages"][-1]["content"]
    assert ["text", "image_url"] == [part["type"] for part in content]
