"""Failed streams raise for each call style, with the partial output."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypedDict

import pytest
from _stream_endings import ENDINGS, FEW, HEALTHY, NOTHING, OUTPUT, REQUEST, Ending
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import ModelError
from langchain_core.messages import AIMessage
from langchain_core.outputs import LLMResult
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph

from langchain_mdstream import ChatOCIModelDeployment, OCIModelDeploymentLLM
from mdstream_core import MDStreamError, errors
from mdstream_core.emulator import ERROR_RESPONSES, Emulator, Fault


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The emulator, without recorded requests."""
    shared_emulator.reset()
    return shared_emulator


class Seen(BaseCallbackHandler):
    """Callback handler that records all events."""

    def __init__(self) -> None:
        self.errors: list[tuple[BaseException, LLMResult]] = []
        self.ends: list[LLMResult] = []
        self.tokens: list[str] = []

    def on_llm_new_token(self, token: Any, **_: Any) -> None:
        """Record the event."""
        self.tokens.append(token)

    def on_llm_error(self, error: BaseException, *, response: LLMResult, **_: Any) -> None:
        """Record the event."""
        self.errors.append((error, response))

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """Record the event."""
        self.ends.append(response)

    def partial(self) -> dict[str, Any]:
        """Partial output in the response of `on_llm_error`, in either of its fields."""
        ((_, response),) = self.errors
        bodies = [
            generation.message.response_metadata["body"]  # type: ignore[union-attr]
            for row in response.generations
            for generation in row
            if "body" in generation.message.response_metadata  # type: ignore[union-attr]
        ]
        (body,) = bodies
        partial: dict[str, Any] = body["partial"]
        return partial


class State(TypedDict):
    """State of a graph."""

    output: str


def _graph(chat: ChatOCIModelDeployment) -> Any:
    def node(state: State) -> State:
        return {"output": chat.invoke(REQUEST).text}

    async def anode(state: State) -> State:
        return {"output": (await chat.ainvoke(REQUEST)).text}

    graph = StateGraph(State)
    graph.add_node("model", _runnable(node, anode))
    graph.add_edge(START, "model")
    graph.add_edge("model", END)
    return graph.compile()


def _runnable(node: Callable[[State], State], anode: Callable[[State], Awaitable[State]]) -> Any:
    return RunnableLambda(node, anode)


async def _reported(seen: Seen) -> None:
    """Wait for the callbacks, which LangChain calls in v3 after it has raised the error."""
    async with asyncio.timeout(10):
        while not seen.errors:  # noqa: ASYNC110  # set by another thread
            await asyncio.sleep(0.001)


def _drain(events: Any) -> None:
    for _ in events:
        pass


async def _adrain(events: Any) -> None:
    async for _ in events:
        pass


async def _av3(chat: ChatOCIModelDeployment, config: Any) -> None:
    stream = await chat.astream_events(REQUEST, config, version="v3")
    await _adrain(stream)


SYNC: dict[str, Callable[[ChatOCIModelDeployment, Any], Any]] = {
    "stream": lambda chat, config: _drain(chat.stream(REQUEST, config)),
    "invoke, streaming": lambda chat, config: chat.invoke(REQUEST, config, stream=True),
    "invoke, streaming field": lambda chat, config: chat.model_copy(update={"streaming": True}).invoke(REQUEST, config),
    "stream_events v3": lambda chat, config: _drain(chat.stream_events(REQUEST, config, version="v3")),
    "chain": lambda chat, config: _drain((chat | (lambda message: message)).stream(REQUEST, config)),
    **{
        f"LangGraph {mode}": lambda chat, config, mode=mode: _drain(  # type: ignore[misc]
            _graph(chat.model_copy(update={"streaming": True})).stream({"output": ""}, config, stream_mode=mode)
        )
        for mode in ("messages", "updates", "values", "custom", "debug")
    },
}

ASYNC: dict[str, Callable[[ChatOCIModelDeployment, Any], Awaitable[Any]]] = {
    "astream": lambda chat, config: _adrain(chat.astream(REQUEST, config)),
    "ainvoke, streaming": lambda chat, config: chat.ainvoke(REQUEST, config, stream=True),
    "ainvoke, streaming field": lambda chat, config: chat.model_copy(update={"streaming": True}).ainvoke(
        REQUEST, config
    ),
    "astream_events v2": lambda chat, config: _adrain(chat.astream_events(REQUEST, config, version="v2")),
    "astream_events v3": _av3,
    **{
        f"LangGraph {mode}": lambda chat, config, mode=mode: _adrain(  # type: ignore[misc]
            _graph(chat.model_copy(update={"streaming": True})).astream({"output": ""}, config, stream_mode=mode)
        )
        for mode in ("messages", "updates", "values", "custom", "debug")
    },
}


def _chat(emulator: Emulator, **options: Any) -> ChatOCIModelDeployment:
    return ChatOCIModelDeployment(**{"endpoint": emulator.endpoint, "auth_type": "none", "max_retries": 0, **options})


def _check(ending: Ending, error: MDStreamError, seen: Seen, emulator: Emulator) -> None:
    assert isinstance(error, ending.error)
    assert isinstance(error, ModelError)
    assert ending.code is None or ending.code == error.code
    assert ending.text == error.partial.text  # type: ignore[union-attr]
    assert error.request_id is not None
    assert emulator.last.headers["opc-request-id"] in error.request_id
    assert seen.ends == []
    assert error is seen.errors[0][0]
    assert ending.text == seen.partial()["text"]
    assert len(emulator.requests) == 1


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_a_failed_stream_raises(emulator: Emulator, ending: Ending) -> None:
    """Each failure raises from `stream`, after the received text was delivered."""
    emulator.script(ending.fault)
    seen = Seen()
    chunks: list[str] = []

    with pytest.raises(MDStreamError) as caught:
        for chunk in _chat(emulator).stream(REQUEST, {"callbacks": [seen]}):
            chunks.append(chunk.text)  # noqa: PERF401  # keeps the output before the error

    _check(ending, caught.value, seen, emulator)
    assert ending.text == "".join(chunks)


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
async def test_a_failed_asynchronous_stream_raises(emulator: Emulator, ending: Ending) -> None:
    """Each failure raises from `astream`, after the received text was delivered."""
    emulator.script(ending.fault)
    seen = Seen()
    chunks: list[str] = []

    with pytest.raises(MDStreamError) as caught:
        async for chunk in _chat(emulator).astream(REQUEST, {"callbacks": [seen]}):
            chunks.append(chunk.text)  # noqa: PERF401

    _check(ending, caught.value, seen, emulator)
    assert ending.text == "".join(chunks)


@pytest.mark.parametrize("ending", NOTHING.values(), ids=NOTHING)
async def test_an_empty_stream_is_an_error(emulator: Emulator, ending: Ending) -> None:
    """An empty stream raises too."""
    emulator.always(ending.fault)
    with pytest.raises(ending.error) as caught:
        _drain(_chat(emulator).stream(REQUEST))
    with pytest.raises(ending.error):
        await _adrain(_chat(emulator).astream(REQUEST))

    assert (ending.code is None or ending.code == caught.value.code, None) == (True, caught.value.partial)
    assert 2 == len(emulator.requests)


@pytest.mark.parametrize("fault", HEALTHY.values(), ids=HEALTHY)
async def test_unusual_streams_are_read(emulator: Emulator, fault: Fault) -> None:
    """Unusual but complete streams are read completely, sync and async."""
    emulator.always(fault)
    chat = _chat(emulator)

    assert OUTPUT == "".join(chunk.text for chunk in chat.stream(REQUEST))
    assert OUTPUT == "".join([chunk.text async for chunk in chat.astream(REQUEST)])


def test_long_lines(emulator: Emulator) -> None:
    """A line of 8 MB is read; one beyond the limit raises, with the output so far."""
    emulator.script(Fault("huge_line", size=8 * 2**20, after=3), Fault("huge_line", size=17 * 2**20, after=3))

    assert 8 * 2**20 < len("".join(chunk.text for chunk in _chat(emulator).stream(REQUEST)))
    with pytest.raises(errors.MalformedStream, match="more than 16777216 bytes") as caught:
        _drain(_chat(emulator).stream(REQUEST))
    assert "The Nile" == caught.value.partial.text  # type: ignore[union-attr]


@pytest.mark.parametrize("read", SYNC.values(), ids=SYNC)
@pytest.mark.parametrize("ending", FEW.values(), ids=FEW)
def test_each_synchronous_call_style_raises(emulator: Emulator, ending: Ending, read: Callable[..., Any]) -> None:
    """Each synchronous call style raises and calls `on_llm_error` with the partial output."""
    emulator.script(ending.fault)
    seen = Seen()

    with pytest.raises(MDStreamError) as caught:
        read(_chat(emulator), {"callbacks": [seen]})

    _check(ending, caught.value, seen, emulator)


@pytest.mark.parametrize("read", ASYNC.values(), ids=ASYNC)
@pytest.mark.parametrize("ending", FEW.values(), ids=FEW)
async def test_each_asynchronous_call_style_raises(
    emulator: Emulator, ending: Ending, read: Callable[..., Any]
) -> None:
    """Each asynchronous call style raises and calls `on_llm_error` with the partial output."""
    emulator.script(ending.fault)
    seen = Seen()

    with pytest.raises(MDStreamError) as caught:
        await read(_chat(emulator), {"callbacks": [seen]})

    await _reported(seen)
    _check(ending, caught.value, seen, emulator)


def _llm(emulator: Emulator) -> OCIModelDeploymentLLM:
    return OCIModelDeploymentLLM(endpoint=emulator.endpoint, auth_type="none", max_retries=0)


LLM_SYNC: dict[str, Callable[[OCIModelDeploymentLLM, Any], Any]] = {
    "stream": lambda llm, config: _drain(llm.stream(REQUEST, config)),
    "invoke, streaming": lambda llm, config: llm.invoke(REQUEST, config, stream=True),
}
LLM_ASYNC: dict[str, Callable[[OCIModelDeploymentLLM, Any], Awaitable[Any]]] = {
    "astream": lambda llm, config: _adrain(llm.astream(REQUEST, config)),
    "ainvoke, streaming": lambda llm, config: llm.ainvoke(REQUEST, config, stream=True),
}


@pytest.mark.parametrize("read", [*LLM_SYNC.values(), *LLM_ASYNC.values()], ids=[*LLM_SYNC, *LLM_ASYNC])
@pytest.mark.parametrize("ending", FEW.values(), ids=FEW)
def test_a_failed_completion_raises(emulator: Emulator, ending: Ending, read: Callable[..., Any]) -> None:
    """A failed stream of a completion model raises, calls `on_llm_error` once, and has the partial output."""
    emulator.script(ending.fault)
    seen = Seen()

    with pytest.raises(MDStreamError) as caught:
        result = read(_llm(emulator), {"callbacks": [seen]})
        if result is not None:
            asyncio.run(result)

    assert isinstance(caught.value, ending.error)
    assert isinstance(caught.value, ModelError)
    assert caught.value.partial is not None
    assert caught.value.partial.text
    assert ([caught.value], []) == ([error for error, _ in seen.errors], seen.ends)


@pytest.mark.parametrize("name", ERROR_RESPONSES)
@pytest.mark.parametrize("call_method", ["invoke", "stream"])
def test_error_responses_have_their_class(emulator: Emulator, name: str, call_method: str) -> None:
    """Each error response of OCI or a container is a `ModelError` that states whether it can be retried."""
    emulator.script(Fault("refuse", name))
    seen = Seen()

    with pytest.raises(errors.ServiceError) as caught:
        _read(getattr(_chat(emulator), call_method)(REQUEST, {"callbacks": [seen]}))

    error = caught.value
    assert isinstance(error, ModelError)
    assert error.retryable == error.is_retryable  # type: ignore[attr-defined]
    assert error.retryable != isinstance(error, ValueError)
    assert not isinstance(error, RuntimeError | OSError)
    assert ERROR_RESPONSES[name].status == error.status
    assert ERROR_RESPONSES[name].status == seen.errors[0][1].generations[0][0].message.response_metadata["status_code"]  # type: ignore[union-attr]
    assert len(emulator.requests) == 1


def _read(result: Any) -> None:
    if not isinstance(result, AIMessage):
        _drain(result)


def test_a_truncated_tool_call_is_not_executed(emulator: Emulator) -> None:
    """An agent whose stream fails inside a tool call raises, and the tool never runs."""
    ran: list[str] = []

    @tool
    def get_weather(city: str) -> str:
        """Tell the weather in a city."""
        ran.append(city)
        return "sunny"

    emulator.script(Fault("trailer", after=4))
    agent = create_agent(_chat(emulator, streaming=True), [get_weather])

    with pytest.raises(errors.StreamTimeout) as caught:
        agent.invoke({"messages": [{"role": "user", "content": "What is the weather in Paris?"}]})

    assert ran == []
    assert caught.value.partial.tool_calls[0].name == "get_weather"  # type: ignore[union-attr]
    assert caught.value.partial.tool_calls[0].is_truncated  # type: ignore[union-attr]
