"""Model servers without parsers: tool calls and thoughts come as text, and are read on request, in both frameworks."""

from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ThinkingBlock

from langchain_mdstream import ChatOCIModelDeployment
from llamaindex_mdstream import OCIDataScience
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import IncompleteToolCall, StreamInterrupted

CALL = '{"name": "get_weather", "arguments": {"city": "Paris"}}'
WRITTEN = {
    "hermes": f"Let me look. <tool_call>\n{CALL}\n</tool_call>",
    "mistral": f"[TOOL_CALLS][{CALL}]",
    "llama3_json": CALL.replace("arguments", "parameters"),
    "pythonic": '[get_weather(city="Paris")]',
}

each = pytest.mark.parametrize("parser", WRITTEN)


def built_in_model(parser: str) -> Any:
    """A model that calls a tool once, in its own way."""

    def model_response(request: dict[str, Any]) -> str:
        if any(message["role"] == "tool" for message in request["messages"]):
            return "It is sunny in Paris."
        return WRITTEN[parser] if request.get("tools") else "<think>Hm.</think>Paris."

    return model_response


@pytest.fixture
def emulator(parser: str) -> Iterator[Emulator]:
    """A server with such a model."""
    with Emulator(model=built_in_model(parser)) as shared_emulator:
        yield shared_emulator


CALLED: list[str] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    CALLED.clear()


def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    CALLED.append(city)
    return f"It is sunny in {city}."


def chat_at(emulator: Emulator, **options: Any) -> ChatOCIModelDeployment:
    """LangChain."""
    return ChatOCIModelDeployment(endpoint=emulator.endpoint, auth_type="none", max_retries=0, **options)


def llm_at(emulator: Emulator, **options: Any) -> OCIDataScience:
    """LlamaIndex."""
    return OCIDataScience(endpoint=emulator.endpoint, auth_type="none", max_retries=0, **options)


@each
@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
async def test_langchain_agents(emulator: Emulator, parser: Any, streaming: bool) -> None:
    """The loop goes through the tool, sync and async, streamed and whole."""
    agent = create_agent(chat_at(emulator, tool_call_parser=parser, streaming=streaming), [tool(get_weather)])
    inputs: Any = {"messages": [HumanMessage("What is the weather in Paris?")]}

    for state in (agent.invoke(inputs), await agent.ainvoke(inputs)):
        assert "It is sunny in Paris." == state["messages"][-1].text
        assert "tool_calls" == state["messages"][1].response_metadata["finish_reason"]
    assert ["Paris", "Paris"] == CALLED
    assert {"none"} == {request.json["tool_choice"] for request in emulator.requests}


@each
@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
async def test_llamaindex_agents(emulator: Emulator, parser: Any, streaming: bool) -> None:
    """The same."""
    llm = llm_at(emulator, tool_call_parser=parser)
    output = await FunctionAgent(tools=[get_weather], llm=llm, streaming=streaming).run("What is the weather?")

    assert "It is sunny in Paris." == str(output)
    assert ["Paris"] == CALLED


@pytest.mark.parametrize("parser", ["hermes"])
def test_a_truncated_call_in_text_is_not_executed(emulator: Emulator, parser: Any) -> None:
    """Cut by the line or by `max_tokens`: an error, with all that came in the partial."""
    agent = create_agent(chat_at(emulator, tool_call_parser=parser, streaming=True), [tool(get_weather)])
    inputs: Any = {"messages": [HumanMessage("What is the weather in Paris?")]}
    for after in range(4, 20, 3):
        emulator.script(Fault("cut", after=after))
        with pytest.raises(StreamInterrupted) as caught:
            agent.invoke(inputs)
        assert caught.value.partial.text.startswith("Let me")  # type: ignore[union-attr]
    short = create_agent(chat_at(emulator, tool_call_parser=parser, max_tokens=14), [tool(get_weather)])
    with pytest.raises(IncompleteToolCall):
        short.invoke(inputs)
    assert [] == CALLED


@pytest.mark.parametrize("parser", ["hermes"])
async def test_reasoning_in_text(emulator: Emulator, parser: str) -> None:
    """Reasoning is separated from the text, in both frameworks, sync and async."""
    chat = chat_at(emulator, reasoning_parser="think")
    first, *rest = chat.stream("Where?")
    for message in (first + rest, chat.invoke("Where?"), await chat.ainvoke("Where?")):
        assert ["reasoning", "text"] == [block["type"] for block in message.content_blocks]  # type: ignore[union-attr]
        assert "Paris." == message.text
    llm = llm_at(emulator, reasoning_parser="think")
    whole, streamed = llm.chat([ChatMessage("Where?")]), [*llm.stream_chat([ChatMessage("Where?")])][-1]
    for response in (whole, streamed):
        assert "Paris." == response.message.content
        assert ["Hm."] == [block.content for block in response.message.blocks if isinstance(block, ThinkingBlock)]


@pytest.mark.parametrize("parser", ["hermes"])
def test_unknown_names_are_rejected(emulator: Emulator, parser: str) -> None:
    """By the field."""
    with pytest.raises(ValueError, match="tool_call_parser"):
        chat_at(emulator, tool_call_parser="latin")
    with pytest.raises(ValueError, match="reasoning_parser"):
        llm_at(emulator, reasoning_parser="latin")
