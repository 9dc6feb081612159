"""Agents: tool loops, streamed output, and failed streams whose tool calls are not executed."""

from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentStream, FunctionAgent, ReActAgent
from llama_index.core.tools import FunctionTool

from llamaindex_mdstream import OCIDataScience
from mdstream_core import MDStreamError, errors
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.emulator.model import ModelOutput, ToolCall


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


ADD = FunctionTool.from_defaults(add)
REQUEST = "add(2, 3)"


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


def _agent(llm: OCIDataScience, tool: Any = add, **kwargs: Any) -> FunctionAgent:
    return FunctionAgent(llm=llm, tools=[tool], **kwargs)


@pytest.mark.parametrize("streaming", [True, False])
async def test_agent_calls_a_tool_and_responds(emulator: Emulator, llm: OCIDataScience, streaming: bool) -> None:
    """
    The call, its result and the response are exchanged, with one call id.
    """
    output = await _agent(llm, streaming=streaming).run(REQUEST)
    call, result = emulator.last.json["messages"][-2:]

    assert "The tool says: 5" == output.response.content
    assert 2 == len(emulator.requests)
    assert call["tool_calls"][0]["id"] == result["tool_call_id"]
    assert ("assistant", None, "tool", "5") == (call["role"], call["content"], result["role"], result["content"])


@pytest.mark.parametrize(
    "fault", [Fault("trailer", after=8), Fault("cut", after=8), Fault("trailer"), Fault("no_finish", after=-3)]
)
async def test_agent_executes_no_call_of_a_failed_stream(emulator: Emulator, llm: OCIDataScience, fault: Fault) -> None:
    """
    The workflow fails with our error, also if the call was complete; the tool is not called.
    """
    called: list[int] = []

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        called.append(a)
        return a + b

    emulator.script(fault)
    with pytest.raises(MDStreamError) as caught:
        await _agent(llm, add).run(REQUEST)

    assert [] == called
    assert isinstance(caught.value, errors.StreamError)
    assert 1 == len(emulator.requests)


async def test_agent_executes_no_call_with_invalid_json(emulator: Emulator, llm: OCIDataScience) -> None:
    """
    Invalid arguments fail the workflow.
    """
    emulator.script(Fault("tool_arguments"))

    with pytest.raises(errors.MalformedStream):
        await _agent(llm).run(REQUEST)


async def test_agent_streams_reasoning_and_text() -> None:
    """
    `AgentStream` events have deltas, reasoning and calls.
    """

    def built_in_model(request: dict[str, Any]) -> ModelOutput:
        if request["messages"][-1]["role"] == "tool":
            return ModelOutput.from_text("Five it is.", "So 5.")
        return ModelOutput.from_text("", "I add.", [ToolCall("call_1", "add", ('{"a": 2,', ' "b": 3}'))])

    with Emulator(model=built_in_model) as emulator:
        handler = _agent(OCIDataScience(endpoint=emulator.endpoint, auth_type="none")).run(REQUEST)
        events = [event async for event in handler.stream_events() if isinstance(event, AgentStream)]
        await handler

    assert "Five it is." == "".join(event.delta for event in events)
    assert "I add.So 5." == "".join(event.thinking_delta or "" for event in events)
    assert {"a": 2, "b": 3} in [call.tool_kwargs for event in events for call in event.tool_calls]


async def test_react_agent() -> None:
    """
    Thought, action, observation and answer are exchanged in plain chat.
    """
    message = iter(
        [
            'Thought: I need a tool.\nAction: add\nAction Input: {"a": 2, "b": 3}\n',
            "Thought: I can answer without using any more tools.\nAnswer: 5 it is",
        ]
    )
    with Emulator(model=lambda request: next(message)) as emulator:
        llm = OCIDataScience(endpoint=emulator.endpoint, auth_type="none")
        output = await ReActAgent(llm=llm, tools=[ADD]).run(REQUEST)
        observed = emulator.last.json["messages"][-1]["content"]

    assert "5 it is" == output.response.content
    assert "Observation: 5" == observed


async def test_long_arguments_are_complete() -> None:
    """
    An agent reads the calls of each of 5,000 chunks with 25 KB of arguments; the benchmarks measure the cost.
    """
    pieces = ('{"a": 2, "b": 3, "text": "', *["word "] * 5000, '"}')

    def built_in_model(request: dict[str, Any]) -> ModelOutput | str:
        done = request["messages"][-1]["role"] == "tool"
        return "Done." if done else ModelOutput.from_text("", "", [ToolCall("call_1", "add", pieces)])

    def add(a: int, b: int, text: str) -> int:
        """Add two numbers."""
        return len(text)

    with Emulator(model=built_in_model) as emulator:
        await _agent(OCIDataScience(endpoint=emulator.endpoint, auth_type="none"), add).run(REQUEST)

        assert "25000" == emulator.last.json["messages"][-1]["content"]
