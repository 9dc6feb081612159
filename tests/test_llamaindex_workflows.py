"""Multi-agent workflows, ReAct agents, and workflows with failed streams."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from _llamaindex_platforms import ACCOUNTS, FEW, PLATFORM_CASES, PlatformCase
from _stream_endings import Ending
from llama_index.core.agent.workflow import AgentOutput, AgentWorkflow, FunctionAgent, ReActAgent, ToolCallResult
from workflows.events import WorkflowFailedEvent

from llamaindex_mdstream import MDStreamLLM, RequestNotSent
from mdstream_core import MDStreamError, errors
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.emulator.model import ModelOutput, ToolCall

REQUEST = "What is 2 + 3?"
ACTION = 'Thought: I need a tool.\nAction: add\nAction Input: {"a": 2, "b": 3}\n'
CONTENT = "Thought: I can answer without using any more tools.\nAnswer: 5 it is"

each_platform = pytest.mark.parametrize("platform_case", PLATFORM_CASES.values(), ids=PLATFORM_CASES)
few = pytest.mark.parametrize(("platform_case", "ending"), FEW.values(), ids=FEW)


def agent_model(request: dict[str, Any]) -> ModelOutput | str:
    """The emulator's model for the agents: hands off, calls `add`, or reasons in text if there are no tools."""
    messages = request["messages"]
    offered = {tool["function"]["name"] for tool in request.get("tools") or ()}
    results = [str(message["content"]) for message in messages if message["role"] == "tool"]
    if not offered:
        return CONTENT if "Observation: 5" in str(messages[-1]["content"]) else ACTION
    if any("5" in result for result in results):
        return "Five it is."
    if "add" in offered:
        return _tool_call_output("add", a=2, b=3)
    return _tool_call_output("handoff", to_agent="adder", reason="it is a sum")


def _tool_call_output(name: str, **arguments: Any) -> ModelOutput:
    pieces = json.dumps(arguments).partition(":")
    return ModelOutput.from_text("", "", [ToolCall(f"call_{name}", name, pieces)])


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator(model=agent_model, **ACCOUNTS) as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The emulator, reset."""
    shared_emulator.reset()
    return shared_emulator


@pytest.fixture
def llm(emulator: Emulator, platform_case: PlatformCase) -> Iterator[MDStreamLLM]:
    """A model without retries."""
    with platform_case.build(emulator, max_retries=0) as model:
        yield model


@pytest.fixture
def executed_calls() -> list[tuple[int, int]]:
    """The arguments of the calls of `add`."""
    return []


@pytest.fixture
def add(executed_calls: list[tuple[int, int]]) -> Callable[[int, int], int]:
    """A tool that records its calls."""

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        executed_calls.append((a, b))
        return a + b

    return add


def workflow(llm: MDStreamLLM, add: Any) -> AgentWorkflow:
    """Two agents; the first can only hand off."""
    receptionist = FunctionAgent(
        name="receptionist", description="Hands over.", llm=llm, tools=[], can_handoff_to=["adder"]
    )
    adder = FunctionAgent(name="adder", description="Adds numbers.", llm=llm, tools=[add])
    return AgentWorkflow(agents=[receptionist, adder], root_agent="receptionist")


async def _failure(handler: Any) -> tuple[MDStreamError, list[Any]]:
    """Return the error of a failed workflow, and its events."""
    events = [event async for event in handler.stream_events()]
    with pytest.raises(MDStreamError) as caught:
        await handler
    return caught.value, events


@each_platform
async def test_agent_handoff(
    emulator: Emulator, llm: MDStreamLLM, add: Any, executed_calls: list[tuple[int, int]]
) -> None:
    """Three requests: handoff, tool call, response of the second agent."""
    handler = workflow(llm, add).run(REQUEST)
    events = [event async for event in handler.stream_events()]
    output = await handler

    assert "Five it is." == output.response.content
    assert "adder" == output.current_agent_name
    assert ["handoff", "add"] == [event.tool_name for event in events if isinstance(event, ToolCallResult)]
    assert ["receptionist", "adder", "adder"] == [
        event.current_agent_name for event in events if isinstance(event, AgentOutput)
    ]
    assert [(2, 3)] == executed_calls
    assert 3 == len(emulator.requests)
    await llm.aclose()


@each_platform
@pytest.mark.parametrize("streaming", [True, False])
async def test_react_agent_workflow(
    emulator: Emulator, llm: MDStreamLLM, add: Any, executed_calls: list[tuple[int, int]], streaming: bool
) -> None:
    """Thought, action, observation and answer are exchanged without tools of the server."""
    output = await ReActAgent(llm=llm, tools=[add], streaming=streaming).run(REQUEST)

    assert "5 it is" == output.response.content
    assert [(2, 3)] == executed_calls
    assert 2 == len(emulator.requests)
    await llm.aclose()


def _within_call(platform_case: PlatformCase, ending: Ending) -> Fault:
    """Return the fault moved into a call: Cohere's older format sends a call in one event."""
    fault = ending.fault
    if fault.after is None or fault.after < 0:
        return fault
    return replace(fault, after=1 if platform_case is PLATFORM_CASES["cohere"] else 2)


@few
@pytest.mark.parametrize("healthy", [0, 1], ids=["handoff", "call"])
async def test_no_tool_of_a_failed_stream_is_executed(
    emulator: Emulator,
    llm: MDStreamLLM,
    platform_case: PlatformCase,
    ending: Ending,
    add: Any,
    executed_calls: list[Any],
    healthy: int,
) -> None:
    """Neither a handoff nor a call is executed for any failure; the workflow fails with our error."""
    emulator.script(*(None,) * healthy, _within_call(platform_case, ending))
    error, events = await _failure(workflow(llm, add).run(REQUEST))

    assert ending.error is type(error)
    assert [] == executed_calls
    assert healthy == len([event for event in events if isinstance(event, ToolCallResult)])
    assert healthy + 1 == len(emulator.requests)
    await llm.aclose()


@few
async def test_no_action_of_a_failed_stream_is_executed(
    emulator: Emulator,
    llm: MDStreamLLM,
    platform_case: PlatformCase,
    ending: Ending,
    add: Any,
    executed_calls: list[Any],
) -> None:
    """An action in the text is not executed if the stream fails within or after it."""
    emulator.script(ending.fault)
    error, _ = await _failure(ReActAgent(llm=llm, tools=[add]).run(REQUEST))

    assert ending.error is type(error)
    assert error.partial is not None
    assert ACTION.startswith(error.partial.text)
    assert [] == executed_calls
    assert 1 == len(emulator.requests)
    await llm.aclose()


@few
async def test_a_failed_workflow_can_be_serialized(
    emulator: Emulator, llm: MDStreamLLM, ending: Ending, add: Any
) -> None:
    """The event has the error itself; a serialized one restores its class and message."""
    emulator.script(ending.fault)
    error, events = await _failure(ReActAgent(llm=llm, tools=[add]).run(REQUEST))
    (failed,) = [event for event in events if isinstance(event, WorkflowFailedEvent)]
    again = WorkflowFailedEvent.model_validate_json(failed.model_dump_json())

    assert error is failed.exception
    assert vars(error)["partial_response"].message.content == error.partial.text  # type: ignore[union-attr]
    assert (type(error), str(error)) == (type(again.exception), str(again.exception))
    await llm.aclose()


def _all(kind: type[MDStreamError]) -> Iterator[type[MDStreamError]]:
    yield kind
    for other in kind.__subclasses__():
        if other.__module__ in {errors.__name__, RequestNotSent.__module__}:
            yield from _all(other)


@pytest.mark.parametrize("kind", sorted(set(_all(MDStreamError)), key=str), ids=lambda kind: kind.__name__)
def test_every_error_is_rebuilt_from_its_message(kind: type[MDStreamError]) -> None:
    """Workflows serialize the class name and the message."""
    text_sent = {"step_name": "run", "attempts": 1, "elapsed_seconds": 0.0}
    saved = WorkflowFailedEvent(exception=kind("why", code="c"), **text_sent).model_dump_json()  # type: ignore[arg-type]
    again = WorkflowFailedEvent.model_validate_json(saved).exception

    assert (kind, "why") == (type(again), str(again))
