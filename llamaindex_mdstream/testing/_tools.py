"""Rules of tools: how tool call deltas are merged, and that incomplete calls are never executed."""

import asyncio
import copy
from dataclasses import replace
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from llamaindex_mdstream.testing._conformance import CapturedError, requires
from llamaindex_mdstream.testing._llm_rules import LLMRules
from llamaindex_mdstream.testing._services import Json
from mdstream_core.emulator import Emulator, Fault

TOOL_PROMPT = "add(2, 3)"
NO_TOOL = "Name three rivers."


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def delete(path: str) -> str:
    """Delete a file."""
    return path


ADD, DELETE = FunctionTool.from_defaults(add), FunctionTool.from_defaults(delete)


class River(BaseModel):
    """A river."""

    name: str
    length: int


def call(index: int | None, arguments: str, name: str | None = None, id: str | None = None) -> Json:
    """Create an entry of a delta's `tool_calls`, without fields that are `None`."""
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    index_field = {} if index is None else {"index": index}
    return {**index_field, **({"id": id} if id else {}), **({"type": "function"} if name else {}), "function": function}


def calls(*entries: Json) -> Json:
    """Create a delta with tool calls."""
    return {"tool_calls": list(entries)}


TWO_CALLS = calls(call(0, '{"a": 1, "b": 2}', "add", "call_1"), call(1, '{"path": "notes.txt"}', "delete", "call_2"))
BOTH_CALLS: list[tuple[str, Json]] = [("add", {"a": 1, "b": 2}), ("delete", {"path": "notes.txt"})]
COMPLETE_CALL = call(0, '{"path": "notes.txt"}', "delete", "call_1")
TRUNCATED_CALL = call(0, '{"path": "notes.t', "delete", "call_1")

#: Deltas of a stream, and the resulting calls.
ENCODINGS: dict[str, tuple[tuple[Json, ...], list[tuple[str, Json]]]] = {
    "two in one delta": ((TWO_CALLS,), BOTH_CALLS),
    "one after the other": ((calls(TWO_CALLS["tool_calls"][0]), calls(TWO_CALLS["tool_calls"][1])), BOTH_CALLS),
    "interleaved": (
        (
            calls(call(0, '{"a": 1,', "add", "call_1")),
            calls(call(1, '{"path":', "delete", "call_2")),
            calls(call(0, ' "b": 2}')),
            calls(call(1, ' "notes.txt"}')),
        ),
        BOTH_CALLS,
    ),
    "without ids": ((calls(call(0, '{"a": 1,', "add")), calls(call(0, ' "b": 2}'))), BOTH_CALLS[:1]),
    "null ids": (
        (calls(call(0, "", "add", "call_1")), calls({**call(0, '{"a": 1, "b": 2}'), "id": None, "type": None})),
        BOTH_CALLS[:1],
    ),
    "no arguments": ((calls(call(0, "{}", "now", "call_1")),), [("now", {})]),
}
_BY_INDEX = {"interleaved"}


class ToolRules(LLMRules):
    """Rules of tools."""

    @requires("supports_tools")
    def test_tool_call(self, model: FunctionCallingLLM) -> None:
        """
        A complete response has the call with its arguments and an id.
        """
        (selected,) = model.get_tool_calls_from_response(model.chat_with_tools([ADD], TOOL_PROMPT))

        assert ("add", {"a": 2, "b": 3}) == (selected.tool_name, selected.tool_kwargs)
        assert selected.tool_id

    @requires("supports_tools")
    def test_streamed_tool_call(self, model: FunctionCallingLLM) -> None:
        """
        The last response has the call, and the id of the call is the same in each response.
        """
        responses = self._stream_tool_calls(model)
        ids = {one.tool_id for response in responses for one in self._calls(model, response)}

        assert [("add", {"a": 2, "b": 3})] == _names_and_arguments(self._calls(model, responses[-1]))
        assert 1 == len(ids)
        assert all(ids)

    @requires("supports_tools", "supports_async")
    def test_async_tool_calls(self, model: FunctionCallingLLM) -> None:
        """
        `astream_chat_with_tools` and `achat_with_tools` return the call.
        """

        async def send() -> list[ChatResponse]:
            stream = await model.astream_chat_with_tools([ADD], TOOL_PROMPT)
            return [*[response async for response in stream][-1:], await model.achat_with_tools([ADD], TOOL_PROMPT)]

        found = [_names_and_arguments(self._calls(model, response)) for response in asyncio.run(send())]

        assert [[("add", {"a": 2, "b": 3})]] * 2 == found

    @requires("supports_tools", "supports_tool_call_deltas")
    @pytest.mark.parametrize(("encoding", "expected"), ENCODINGS.items(), ids=ENCODINGS)
    def test_tool_call_deltas_are_merged(
        self, emulator: Emulator, model: FunctionCallingLLM, encoding: str, expected: Any
    ) -> None:
        """
        Deltas of a call are merged by index, by id, or by order if there is neither.
        """
        deltas, expected_calls = expected
        if encoding in _BY_INDEX and not self.service_under_test.has_indices:
            pytest.skip(f"tool calls of {self.service} have no index")
        emulator.script(self.service_under_test.stream_fault(*deltas))
        last = self._stream_tool_calls(model, allow_parallel_tool_calls=True)[-1]

        assert expected_calls == _names_and_arguments(self._calls(model, last))
        assert len(expected_calls) == len({one.tool_id for one in self._calls(model, last)} - {""})

    @requires("supports_tools", "supports_tool_call_deltas")
    def test_parallel_tool_calls_can_be_disabled(self, emulator: Emulator, model: FunctionCallingLLM) -> None:
        """
        `allow_parallel_tool_calls=False` applies to streams too, where LlamaIndex does not enforce it.
        """
        emulator.script(self.service_under_test.stream_fault(TWO_CALLS))

        assert BOTH_CALLS[:1] == _names_and_arguments(self._calls(model, self._stream_tool_calls(model)[-1]))

    @requires("supports_tools", "supports_tool_choice")
    def test_tool_call_can_be_required(self, model: FunctionCallingLLM) -> None:
        """
        With `tool_required=True` the model calls a tool that it would not call otherwise.
        """
        forced, free = (model.chat_with_tools([ADD], NO_TOOL, tool_required=required) for required in (True, False))

        assert ["add"] == [one.tool_name for one in self._calls(model, forced)]
        assert [] == self._calls(model, free)
        with pytest.raises(ValueError):  # noqa: PT011  # messages differ between packages
            model.get_tool_calls_from_response(free, error_on_no_tool_call=True)

    @requires("supports_tools")
    def test_chat_history_is_not_modified(self, model: FunctionCallingLLM) -> None:
        """
        The new message is appended to a copy of the history.
        """
        history = [ChatMessage("Hello"), ChatMessage("Hi", role="assistant")]
        before = copy.deepcopy(history)
        model.chat_with_tools([ADD], TOOL_PROMPT, chat_history=history)
        list(model.stream_chat_with_tools([ADD], TOOL_PROMPT, chat_history=history))

        assert before == history

    @requires("supports_tools", "supports_tool_call_deltas")
    def test_failed_stream_returns_no_tool_call(
        self, emulator: Emulator, model: FunctionCallingLLM, ending: Fault
    ) -> None:
        """
        The stream raises before a last response with the call.
        """
        emulator.script(replace(ending, after=4))
        with CapturedError() as captured:
            self._stream_tool_calls(model)

        assert captured.error is not None, "the stream succeeded"

    @requires("supports_tools", "supports_tool_call_deltas")
    @pytest.mark.parametrize("finish", ["length", "tool_calls"])
    def test_truncated_tool_call_of_a_stream_is_not_returned(
        self, emulator: Emulator, model: FunctionCallingLLM, finish: str
    ) -> None:
        """
        A truncated call is an error or no call for each finish reason, never a call with repaired arguments.
        """
        emulator.script(self.service_under_test.stream_fault(calls(TRUNCATED_CALL), finish=finish))
        found: list[Any] = []
        with CapturedError():
            found = self._calls(model, self._stream_tool_calls(model)[-1])

        assert [] == _names_and_arguments(found)

    @requires("supports_tools", "supports_tool_call_deltas")
    def test_truncated_tool_call_of_a_response_is_not_returned(
        self, emulator: Emulator, model: FunctionCallingLLM
    ) -> None:
        """
        A truncated call of a non-streamed response is not returned, a complete one is.
        """
        emulator.script(
            self.service_under_test.response_fault(calls(COMPLETE_CALL)),
            self.service_under_test.response_fault(calls(TRUNCATED_CALL), "length"),
        )
        found = [self._calls(model, model.chat_with_tools([DELETE], "Delete it."))]
        with CapturedError():
            found.append(self._calls(model, model.chat_with_tools([DELETE], "Delete it.")))

        assert BOTH_CALLS[1:] == [one for calls in found for one in _names_and_arguments(calls)]

    @requires("supports_tools", "supports_async")
    @pytest.mark.parametrize("streaming", [True, False], ids=["streamed", "whole"])
    def test_agent_calls_a_tool_and_responds(
        self, emulator: Emulator, model: FunctionCallingLLM, streaming: bool
    ) -> None:
        """
        The agent executes the call, sends its result and returns the response.
        """
        output = asyncio.run(_run_agent(model, ADD, TOOL_PROMPT, streaming=streaming))

        assert "The tool says: 5" == output.response.content
        assert 2 == len(emulator.requests)

    @requires("supports_tools", "supports_async")
    def test_agent_executes_no_tool_of_a_failed_stream(
        self, emulator: Emulator, model: FunctionCallingLLM, ending: Fault
    ) -> None:
        """
        The workflow fails without executing the tool, which it executes if the stream is complete.
        """
        assert [("add", 2, 3)] == _execute_tools(self.create_tool_model(emulator), TOOL_PROMPT)[0]
        emulator.script(replace(ending, after=4 if self.supports_tool_call_deltas else 1))
        executed, end = _execute_tools(model, TOOL_PROMPT)

        assert [] == executed
        assert isinstance(end, Exception), "the workflow succeeded"

    @requires("supports_tools", "supports_async", "supports_tool_call_deltas")
    @pytest.mark.parametrize("finish", ["length", "tool_calls"])
    def test_agent_executes_no_truncated_tool_call(
        self, emulator: Emulator, model: FunctionCallingLLM, finish: str
    ) -> None:
        """
        The agent executes a complete call, but not a truncated one.
        """
        emulator.script(self.service_under_test.stream_fault(calls(COMPLETE_CALL)))
        of_complete = _execute_tools(self.create_tool_model(emulator), "Go.")[0]
        emulator.reset()
        emulator.script(self.service_under_test.stream_fault(calls(TRUNCATED_CALL), finish=finish))
        of_truncated = _execute_tools(model, "Go.")[0]

        assert ([("delete", "notes.txt")], []) == (of_complete, of_truncated)

    @requires("supports_tools")
    def test_structured_predict(self, model: FunctionCallingLLM) -> None:
        """
        Structured predictions return an instance of the class, also streamed.
        """
        prompt = PromptTemplate("Tell me of the river {name}, name: Nile, length: 6650.")
        *_, last = model.stream_structured_predict(River, prompt, name="Nile")

        assert isinstance(model.structured_predict(River, prompt, name="Nile"), River)
        assert isinstance(last, BaseModel)
        assert {str, int} == {type(value) for value in last.model_dump().values()}

    def create_tool_model(self, emulator: Emulator) -> FunctionCallingLLM:
        """Create another model, so that runs share no state."""
        model = self.create_model(emulator)
        assert isinstance(model, FunctionCallingLLM)
        return model

    def _stream_tool_calls(self, model: FunctionCallingLLM, **kwargs: Any) -> list[ChatResponse]:
        return list(model.stream_chat_with_tools([ADD, DELETE], TOOL_PROMPT, **kwargs))

    def _calls(self, model: FunctionCallingLLM, response: ChatResponse) -> list[Any]:
        return model.get_tool_calls_from_response(response, error_on_no_tool_call=False)


def _names_and_arguments(selected: list[Any]) -> list[tuple[str, Any]]:
    return [(one.tool_name, one.tool_kwargs) for one in selected]


async def _run_agent(model: FunctionCallingLLM, tool: FunctionTool, prompt: str, *, streaming: bool = True) -> Any:
    return await asyncio.wait_for(FunctionAgent(llm=model, tools=[tool], streaming=streaming).run(prompt), 30)


def _execute_tools(model: FunctionCallingLLM, prompt: str) -> tuple[list[Any], Any]:
    """Run an agent, and return the executed tools and the result or the error."""
    executed: list[Any] = []

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        executed.append(("add", a, b))
        return 5

    def delete(path: str) -> str:
        """Delete a file."""
        executed.append(("delete", path))
        return "deleted"

    async def run() -> Any:
        tools = [FunctionTool.from_defaults(add), FunctionTool.from_defaults(delete)]
        agent = FunctionAgent(llm=model, tools=tools)
        (end,) = await asyncio.gather(asyncio.wait_for(agent.run(prompt), 30), return_exceptions=True)
        return end

    return executed, asyncio.run(run())
