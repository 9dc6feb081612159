"""Rules of tools: which calls come out of which deltas, and that no broken one is ever executed."""

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

ASK = "add(2, 3)"
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
    """One entry of a delta's `tool_calls`, without what is `None`."""
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    numbered = {} if index is None else {"index": index}
    return {**numbered, **({"id": id} if id else {}), **({"type": "function"} if name else {}), "function": function}


def calls(*entries: Json) -> Json:
    """A delta."""
    return {"tool_calls": list(entries)}


TWO = calls(call(0, '{"a": 1, "b": 2}', "add", "call_1"), call(1, '{"path": "notes.txt"}', "delete", "call_2"))
BOTH: list[tuple[str, Json]] = [("add", {"a": 1, "b": 2}), ("delete", {"path": "notes.txt"})]
WHOLE = call(0, '{"path": "notes.txt"}', "delete", "call_1")
CUT = call(0, '{"path": "notes.t', "delete", "call_1")

#: Entries of a stream, and the calls that they are.
SPELLINGS: dict[str, tuple[tuple[Json, ...], list[tuple[str, Json]]]] = {
    "two in one delta": ((TWO,), BOTH),
    "one after the other": ((calls(TWO["tool_calls"][0]), calls(TWO["tool_calls"][1])), BOTH),
    "interleaved": (
        (
            calls(call(0, '{"a": 1,', "add", "call_1")),
            calls(call(1, '{"path":', "delete", "call_2")),
            calls(call(0, ' "b": 2}')),
            calls(call(1, ' "notes.txt"}')),
        ),
        BOTH,
    ),
    "without ids": ((calls(call(0, '{"a": 1,', "add")), calls(call(0, ' "b": 2}'))), BOTH[:1]),
    "null ids": (
        (calls(call(0, "", "add", "call_1")), calls({**call(0, '{"a": 1, "b": 2}'), "id": None, "type": None})),
        BOTH[:1],
    ),
    "no arguments": ((calls(call(0, "{}", "now", "call_1")),), [("now", {})]),
}
_BY_NUMBER = {"interleaved"}


class ToolRules(LLMRules):
    """Rules of tools."""

    @requires("supports_tools")
    def test_a_tool_is_called(self, model: FunctionCallingLLM) -> None:
        """
        The whole answer has the call with its arguments and an id.
        """
        (selected,) = model.get_tool_calls_from_response(model.chat_with_tools([ADD], ASK))

        assert ("add", {"a": 2, "b": 3}) == (selected.tool_name, selected.tool_kwargs)
        assert selected.tool_id

    @requires("supports_tools")
    def test_a_call_is_streamed(self, model: FunctionCallingLLM) -> None:
        """
        The last response has the call, and its id was the same on each response that had it.
        """
        responses = self._streamed(model)
        ids = {one.tool_id for response in responses for one in self._calls(model, response)}

        assert [("add", {"a": 2, "b": 3})] == _named(self._calls(model, responses[-1]))
        assert 1 == len(ids)
        assert all(ids)

    @requires("supports_tools", "supports_async")
    def test_a_call_is_streamed_to_async_readers(self, model: FunctionCallingLLM) -> None:
        """
        The same for `astream_chat_with_tools` and `achat_with_tools`.
        """

        async def ask() -> list[ChatResponse]:
            stream = await model.astream_chat_with_tools([ADD], ASK)
            return [*[response async for response in stream][-1:], await model.achat_with_tools([ADD], ASK)]

        found = [_named(self._calls(model, response)) for response in asyncio.run(ask())]

        assert [[("add", {"a": 2, "b": 3})]] * 2 == found

    @requires("supports_tools", "tool_calls_in_pieces")
    @pytest.mark.parametrize(("spelling", "expected"), SPELLINGS.items(), ids=SPELLINGS)
    def test_calls_are_put_together(
        self, emulator: Emulator, model: FunctionCallingLLM, spelling: str, expected: Any
    ) -> None:
        """
        By index, by id, or by order where there is neither.
        """
        deltas, wanted = expected
        if spelling in _BY_NUMBER and not self.service_under_test.has_indices:
            pytest.skip(f"calls of {self.service} have no number")
        emulator.script(self.service_under_test.stream_fault(*deltas))
        last = self._streamed(model, allow_parallel_tool_calls=True)[-1]

        assert wanted == _named(self._calls(model, last))
        assert len(wanted) == len({one.tool_id for one in self._calls(model, last)} - {""})

    @requires("supports_tools", "tool_calls_in_pieces")
    def test_one_call_where_one_is_allowed(self, emulator: Emulator, model: FunctionCallingLLM) -> None:
        """
        `allow_parallel_tool_calls=False` holds for streams too, which LlamaIndex does not look at.
        """
        emulator.script(self.service_under_test.stream_fault(TWO))

        assert BOTH[:1] == _named(self._calls(model, self._streamed(model)[-1]))

    @requires("supports_tools", "supports_tool_choice")
    def test_a_tool_can_be_required(self, model: FunctionCallingLLM) -> None:
        """
        `tool_required=True` gets a call where none would come by itself, and without it none comes.
        """
        forced, free = (model.chat_with_tools([ADD], NO_TOOL, tool_required=required) for required in (True, False))

        assert ["add"] == [one.tool_name for one in self._calls(model, forced)]
        assert [] == self._calls(model, free)
        with pytest.raises(ValueError):  # noqa: PT011  # each package has its own words
            model.get_tool_calls_from_response(free, error_on_no_tool_call=True)

    @requires("supports_tools")
    def test_the_callers_history_stays_as_it_is(self, model: FunctionCallingLLM) -> None:
        """
        The next message goes into a copy.
        """
        history = [ChatMessage("Hello"), ChatMessage("Hi", role="assistant")]
        before = copy.deepcopy(history)
        model.chat_with_tools([ADD], ASK, chat_history=history)
        list(model.stream_chat_with_tools([ADD], ASK, chat_history=history))

        assert before == history

    @requires("supports_tools", "tool_calls_in_pieces")
    def test_a_call_of_a_broken_stream_is_not_returned(
        self, emulator: Emulator, model: FunctionCallingLLM, ending: Fault
    ) -> None:
        """
        The stream raises, so that there is no last response to take the call from.
        """
        emulator.script(replace(ending, after=4))
        with CapturedError() as ended:
            self._streamed(model)

        assert ended.error is not None, "the stream ended as a success"

    @requires("supports_tools", "tool_calls_in_pieces")
    @pytest.mark.parametrize("finish", ["length", "tool_calls"])
    def test_a_cut_call_is_not_returned(self, emulator: Emulator, model: FunctionCallingLLM, finish: str) -> None:
        """
        Whatever finish reason the server gives: an error or no call, never one whose arguments were repaired.
        """
        emulator.script(self.service_under_test.stream_fault(calls(CUT), finish=finish))
        found: list[Any] = []
        with CapturedError():
            found = self._calls(model, self._streamed(model)[-1])

        assert [] == _named(found)

    @requires("supports_tools", "tool_calls_in_pieces")
    def test_a_cut_call_of_a_whole_answer_is_not_returned(self, emulator: Emulator, model: FunctionCallingLLM) -> None:
        """
        The same where the answer came whole; a whole call is.
        """
        emulator.script(
            self.service_under_test.response_fault(calls(WHOLE)),
            self.service_under_test.response_fault(calls(CUT), "length"),
        )
        found = [self._calls(model, model.chat_with_tools([DELETE], "Delete it."))]
        with CapturedError():
            found.append(self._calls(model, model.chat_with_tools([DELETE], "Delete it.")))

        assert BOTH[1:] == [one for calls in found for one in _named(calls)]

    @requires("supports_tools", "supports_async")
    @pytest.mark.parametrize("streaming", [True, False], ids=["streamed", "whole"])
    def test_an_agent_calls_a_tool_and_answers(
        self, emulator: Emulator, model: FunctionCallingLLM, streaming: bool
    ) -> None:
        """
        The call, its result and the answer go round.
        """
        output = asyncio.run(_agent(model, ADD, ASK, streaming=streaming))

        assert "The tool says: 5" == output.response.content
        assert 2 == len(emulator.requests)

    @requires("supports_tools", "supports_async")
    def test_an_agent_executes_no_call_of_a_broken_stream(
        self, emulator: Emulator, model: FunctionCallingLLM, ending: Fault
    ) -> None:
        """
        The workflow fails, and the tool was not called, as it is if the stream is whole.
        """
        assert [("add", 2, 3)] == _executed(self.create_tool_model(emulator), ASK)[0]
        emulator.script(replace(ending, after=4 if self.tool_calls_in_pieces else 1))
        executed, end = _executed(model, ASK)

        assert [] == executed
        assert isinstance(end, Exception), "the workflow ended as a success"

    @requires("supports_tools", "supports_async", "tool_calls_in_pieces")
    @pytest.mark.parametrize("finish", ["length", "tool_calls"])
    def test_an_agent_executes_no_cut_call(self, emulator: Emulator, model: FunctionCallingLLM, finish: str) -> None:
        """
        A model that had no more tokens has not said which file to delete; one that had enough has.
        """
        emulator.script(self.service_under_test.stream_fault(calls(WHOLE)))
        whole = _executed(self.create_tool_model(emulator), "Go.")[0]
        emulator.reset()
        emulator.script(self.service_under_test.stream_fault(calls(CUT), finish=finish))
        cut = _executed(model, "Go.")[0]

        assert ([("delete", "notes.txt")], []) == (whole, cut)

    @requires("supports_tools")
    def test_structured_predictions(self, model: FunctionCallingLLM) -> None:
        """
        An object of the class comes, whole and streamed: programs read calls of streams from `additional_kwargs`.
        """
        prompt = PromptTemplate("Tell me of the river {name}, name: Nile, length: 6650.")
        *_, last = model.stream_structured_predict(River, prompt, name="Nile")

        assert isinstance(model.structured_predict(River, prompt, name="Nile"), River)
        assert isinstance(last, BaseModel)
        assert {str, int} == {type(value) for value in last.model_dump().values()}

    def create_tool_model(self, emulator: Emulator) -> FunctionCallingLLM:
        """Another model, so that nothing is left of one run in the next."""
        model = self.create_model(emulator)
        assert isinstance(model, FunctionCallingLLM)
        return model

    def _streamed(self, model: FunctionCallingLLM, **kwargs: Any) -> list[ChatResponse]:
        return list(model.stream_chat_with_tools([ADD, DELETE], ASK, **kwargs))

    def _calls(self, model: FunctionCallingLLM, response: ChatResponse) -> list[Any]:
        return model.get_tool_calls_from_response(response, error_on_no_tool_call=False)


def _named(selected: list[Any]) -> list[tuple[str, Any]]:
    return [(one.tool_name, one.tool_kwargs) for one in selected]


async def _agent(model: FunctionCallingLLM, tool: FunctionTool, question: str, *, streaming: bool = True) -> Any:
    return await asyncio.wait_for(FunctionAgent(llm=model, tools=[tool], streaming=streaming).run(question), 30)


def _executed(model: FunctionCallingLLM, question: str) -> tuple[list[Any], Any]:
    """What an agent executed, and how it ended."""
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
        (end,) = await asyncio.gather(asyncio.wait_for(agent.run(question), 30), return_exceptions=True)
        return end

    return executed, asyncio.run(run())
