"""LangChain on every platform: whole answers, tools, usage, and every way in which a stream breaks."""

from collections.abc import Iterator
from typing import Any

import pytest
from _clouds import AWS, MATRIX, PLACES, Place
from _endings import ANSWER, QUESTION, Ending
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import ModelError
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel, Field

from langchain_mdstream import ChatModelArts, ChatOCIGenAI, ChatOCIModelDeployment, ChatSagemakerEndpoint
from mdstream_core import MDStreamError
from mdstream_core.emulator import Emulator

CHAT: dict[str, Any] = {
    "oci-model-deployment": ChatOCIModelDeployment,
    "oci-genai": ChatOCIGenAI,
    "sagemaker": ChatSagemakerEndpoint,
    "modelarts": ChatModelArts,
    "modelarts-websocket": ChatModelArts,
    "modelarts-maas": ChatModelArts,
}

each_place = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator(aws_keys=AWS) as cloud:
        yield cloud


@pytest.fixture
def cloud(emulator: Emulator) -> Emulator:
    """The emulator without memories."""
    emulator.reset()
    return emulator


def chat_at(place: Place, cloud: Emulator, **options: Any) -> Any:
    """A chat model on a platform."""
    return CHAT[place.kind](**{**place.fields(cloud), "max_retries": 0, **options})


class Seen(BaseCallbackHandler):
    """What callbacks are told."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.ends = 0

    def on_llm_error(self, error: BaseException, **_: Any) -> None:
        """Collect."""
        self.errors.append(error)

    def on_llm_end(self, *_: Any, **__: Any) -> None:
        """Count."""
        self.ends += 1


@tool
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"It is sunny in {city}."


@each_place
async def test_whole_answers(cloud: Emulator, place: Place) -> None:
    """Streamed and not, sync and async, the same words, with usage, finish reason and the model's name."""
    chat = chat_at(place, cloud)
    first, *rest = chat.stream(QUESTION)
    streamed = first + rest
    whole = chat.invoke(QUESTION)
    again = "".join([chunk.text async for chunk in chat.astream(QUESTION)])

    assert ANSWER == streamed.text == whole.text == again == (await chat.ainvoke(QUESTION)).text
    assert whole.usage_metadata["output_tokens"] > 0
    assert whole.usage_metadata["output_tokens"] == streamed.usage_metadata["output_tokens"]
    assert "stop" == streamed.response_metadata["finish_reason"] == whole.response_metadata["finish_reason"]
    assert streamed.response_metadata["model_name"]


@each_place
async def test_agents_call_tools(cloud: Emulator, place: Place) -> None:
    """A LangGraph agent loops through a tool, streaming, sync and async."""
    question: Any = {"messages": [HumanMessage("What is the weather in Paris?")]}
    agent = create_agent(chat_at(place, cloud, streaming=True), [get_weather])

    for state in (agent.invoke(question), await agent.ainvoke(question)):
        assert ["human", "ai", "tool", "ai"] == [message.type for message in state["messages"]]
        assert "sunny in Paris" in state["messages"][-1].text


@each_place
def test_structured_output(cloud: Emulator, place: Place) -> None:
    """Answers in the shape of a schema, by the service's own means."""

    class River(BaseModel):
        """A river."""

        name: str = Field(description="its name")

    assert isinstance(chat_at(place, cloud).with_structured_output(River).invoke("Name a river."), River)


@pytest.mark.parametrize(("place", "ending"), MATRIX.values(), ids=MATRIX)
async def test_no_broken_stream_succeeds(cloud: Emulator, place: Place, ending: Ending) -> None:
    """Every ending raises under LangChain's name, with what was delivered as the partial, and tells the callbacks."""
    cloud.always(ending.fault)
    chat, seen, sync, asynchronous = chat_at(place, cloud), Seen(), [], []

    with pytest.raises(MDStreamError) as caught:
        for chunk in chat.stream(QUESTION, {"callbacks": [seen]}):
            sync.append(chunk.text)  # noqa: PERF401  # what came before the error counts
    with pytest.raises(MDStreamError) as again:
        async for chunk in chat.astream(QUESTION, {"callbacks": [seen]}):
            asynchronous.append(chunk.text)  # noqa: PERF401

    for error, chunks in ((caught.value, sync), (again.value, asynchronous)):
        assert isinstance(error, ending.error)
        assert isinstance(error, ModelError)
        assert ending.code in (None, error.code)
        assert error.partial.text == "".join(chunks)
        assert error.partial.text
        assert ANSWER.startswith(error.partial.text)
    assert ([caught.value, again.value], 0) == (seen.errors, seen.ends)
    assert 2 == len(cloud.requests)
