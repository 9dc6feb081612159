"""Tools: requests with tools, tool calls of responses, and incomplete calls that are never executed."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.base.llms.types import ToolCallBlock
from llama_index.core.llms import ChatMessage, ChatResponse
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools import FunctionTool

from llamaindex_mdstream import OCIDataScience
from llamaindex_mdstream._tools import read_tool_selections, tool_choice
from mdstream_core import errors
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


def _stream(*deltas: dict[str, Any], finish: str = "tool_calls") -> Fault:
    """Create a stream with exactly these deltas."""
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    last = {"index": 0, "delta": {}, "finish_reason": finish}
    events = "".join(f"data: {json.dumps({'id': 'x', 'choices': [choice]})}\n\n" for choice in [*choices, last])
    return Fault("body", data=f"{events}data: [DONE]\n\n".encode())


def _call(index: int, name: str, arguments: str) -> dict[str, Any]:
    return {
        "index": index,
        "id": f"call_{name}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


TWO = {"tool_calls": [_call(0, "one", '{"a": 1}'), _call(1, "two", '{"b": 2}')]}


def _read(llm: OCIDataScience, **kwargs: Any) -> list[ChatResponse]:
    return list(llm.stream_chat_with_tools([ADD], REQUEST, **kwargs))


async def _aread(llm: OCIDataScience, **kwargs: Any) -> list[ChatResponse]:
    return [response async for response in await llm.astream_chat_with_tools([ADD], REQUEST, **kwargs)]


def test_tool_call_deltas(llm: OCIDataScience) -> None:
    """
    Arguments accumulate as text, ids stay the same; the last response and a complete one have the same calls.
    """
    *chunks, last = _read(llm)
    selected = llm.get_tool_calls_from_response(last)

    texts = [
        block.tool_kwargs for chunk in chunks for block in chunk.message.blocks if isinstance(block, ToolCallBlock)
    ]
    wire = [chunk.message.additional_kwargs["tool_calls"][0]["function"]["arguments"] for chunk in chunks]
    assert texts == wire == sorted(texts, key=len)
    assert len(texts) > 3
    assert {"a": 2, "b": 3} == json.loads(texts[-1]) == selected[0].tool_kwargs
    assert 1 == len({call.tool_id for chunk in [*chunks, last] for call in llm.get_tool_calls_from_response(chunk)})
    assert "tool_calls" == last.additional_kwargs["finish_reason"]
    assert selected == llm.get_tool_calls_from_response(llm.chat_with_tools([ADD], REQUEST))
    assert selected == llm.get_tool_calls_from_response(asyncio.run(_aread(llm))[-1])


def test_the_tools_of_a_request(emulator: Emulator, llm: OCIDataScience) -> None:
    """
    Tools, tool choice and `parallel_tool_calls` are sent.
    """
    _read(llm, tool_required=True)
    sent = emulator.last.json

    assert "add" == sent["tools"][0]["function"]["name"]
    assert ("required", False) == (sent["tool_choice"], sent["parallel_tool_calls"])
    assert not {"tool_required", "allow_parallel_tool_calls", "verbose"} & set(sent)

    _read(llm, tool_choice="add", allow_parallel_tool_calls=True)
    named = {"type": "function", "function": {"name": "add"}}
    assert (named, True) == (emulator.last.json["tool_choice"], emulator.last.json["parallel_tool_calls"])


@pytest.mark.parametrize(
    ("choice", "required", "wire"),
    [(None, False, "auto"), (None, True, "required"), ("none", True, "none"), ("any", False, "required")],
)
def test_tool_choices(choice: str | None, required: bool, wire: str) -> None:
    """
    An explicit choice overrides `tool_required`.
    """
    assert wire == tool_choice(choice, required=required)


def test_requests_without_tools_have_no_tool_fields(emulator: Emulator, llm: OCIDataScience) -> None:
    """
    Servers reject a tool choice without tools.
    """
    llm.chat_with_tools([], "Hi", tool_required=True)

    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(emulator.last.json)


def test_the_chat_history_is_not_modified(llm: OCIDataScience) -> None:
    """
    The new message is appended to a copy of the history.
    """
    history = [ChatMessage("Hello"), ChatMessage("Hi", role="assistant")]
    before = [message.model_copy(deep=True) for message in history]

    llm.chat_with_tools([ADD], REQUEST, chat_history=history)

    assert before == history


def test_two_calls_in_one_delta(emulator: Emulator, llm: OCIDataScience) -> None:
    """
    Both calls are returned.
    """
    emulator.script(_stream(TWO))
    last = _read(llm, allow_parallel_tool_calls=True)[-1]

    assert [("one", {"a": 1}), ("two", {"b": 2})] == [(c.tool_name, c.tool_kwargs) for c in read_tool_selections(last)]


def test_parallel_tool_calls_can_be_disabled(emulator: Emulator, llm: OCIDataScience) -> None:
    """
    A second call of the server is ignored in chunks and in `raw`.
    """
    emulator.script(_stream(TWO), _stream(TWO))
    responses = [*_read(llm), *asyncio.run(_aread(llm))]

    assert {"one"} == {call.tool_name for response in responses for call in read_tool_selections(response)}
    assert "two" not in str(responses)


@pytest.mark.parametrize("finish", ["length", "tool_calls", "stop"])
def test_truncated_arguments_raise(emulator: Emulator, llm: OCIDataScience, finish: str) -> None:
    """
    They raise for each finish reason; the partial response has the text of the arguments.
    """
    emulator.script(_stream({"tool_calls": [_call(0, "delete", '{"path": "/tmp/fo')]}, finish=finish))

    with pytest.raises(errors.IncompleteToolCall) as caught:
        _read(llm)

    partial = vars(caught.value)["partial_response"]
    assert '{"path": "/tmp/fo' == partial.message.blocks[-1].tool_kwargs
    with pytest.raises(errors.StreamInterrupted, match="must not be executed"):
        llm.get_tool_calls_from_response(partial)


def test_a_call_truncated_before_its_arguments_raises(emulator: Emulator, llm: OCIDataScience) -> None:
    """
    With finish reason `length` empty arguments are truncated ones.
    """
    emulator.script(_stream({"tool_calls": [_call(0, "wipe", "")]}, finish="length"))

    with pytest.raises(errors.IncompleteToolCall):
        llm.get_tool_calls_from_response(_read(llm)[-1])


def test_a_call_without_arguments_is_complete(emulator: Emulator, llm: OCIDataScience) -> None:
    """
    With finish reason `stop` empty arguments are complete.
    """
    emulator.script(_stream({"tool_calls": [_call(0, "now", "")]}))

    assert [{}] == [call.tool_kwargs for call in llm.get_tool_calls_from_response(_read(llm)[-1])]


@pytest.mark.parametrize("arguments", ["{city}", "[1]", '"a"', '{"a": 1}}'])
def test_arguments_that_are_no_object_raise(emulator: Emulator, llm: OCIDataScience, arguments: str) -> None:
    """
    Complete but invalid arguments are not repaired.
    """
    emulator.script(_stream({"tool_calls": [_call(0, "go", arguments)]}))

    with pytest.raises(errors.MalformedStream):
        llm.get_tool_calls_from_response(_read(llm)[-1])


def test_a_missing_call_raises(llm: OCIDataScience) -> None:
    """
    A missing call raises `ValueError` with the model's text, or returns an empty list.
    """
    response = llm.chat([ChatMessage("Name three rivers.")])

    assert [] == llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
    with pytest.raises(ValueError, match="Nile"):
        llm.get_tool_calls_from_response(response)


def test_chunks_have_partial_arguments(emulator: Emulator, llm: OCIDataScience) -> None:
    """
    Chunks have the beginning of an unfinished string.
    """
    pieces = ['{"text": "one', " two", ' three"', "}"]
    rest = [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces[1:]]
    emulator.script(_stream({"tool_calls": [_call(0, "say", pieces[0])]}, *rest))

    shown = [read_tool_selections(response)[0].tool_kwargs["text"] for response in _read(llm)]

    assert ["one", "one two", "one two three", "one two three", "one two three"] == shown


def test_nested_arguments_are_not_shared_between_chunks(emulator: Emulator, llm: OCIDataScience) -> None:
    """
    Changing the arguments of one chunk does not change others.
    """
    emulator.script(
        _stream(
            {"tool_calls": [_call(0, "sum", '{"all": [1, 2')]},
            {"tool_calls": [{"index": 0, "function": {"arguments": "]}"}}]},
        )
    )
    responses = _read(llm)
    read_tool_selections(responses[0])[0].tool_kwargs["all"].append("x")

    assert [[1, 2]] * 3 == [read_tool_selections(response)[0].tool_kwargs["all"] for response in responses]


def test_responses_of_other_llms_are_read_strictly() -> None:
    """
    Without the marks of our chunks no arguments are completed, also in `additional_kwargs`.
    """
    wire = {"id": "1", "type": "function", "function": {"name": "go", "arguments": '{"a": "b'}}
    old = ChatMessage(role="assistant", content="", additional_kwargs={"tool_calls": [wire]})

    with pytest.raises(errors.IncompleteToolCall):
        read_tool_selections(ChatResponse(message=old))


def test_the_cost_of_a_delta_does_not_grow_with_the_arguments() -> None:
    """
    200 KB in 40,000 deltas, read at each delta as agents do: chunks lag by a sixteenth, the end is exact.
    """
    pieces = ['{"text": "', *["word "] * 40_000, '"}']

    def built_in_model(request: dict[str, Any]) -> ModelOutput:
        return ModelOutput.from_text("", "", [ToolCall("call_1", "save", tuple(pieces))])

    with Emulator(model=built_in_model, events_per_chunk=500) as emulator:
        llm = OCIDataScience(endpoint=emulator.endpoint, auth_type="none", max_tokens=None)
        shown: list[ToolSelection] = []
        started = time.thread_time()
        for response in llm.stream_chat_with_tools([ADD], REQUEST):
            shown = llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
            text = response.message.blocks[-1]
        spent = time.thread_time() - started

    assert {"text": "word " * 40_000} == shown[0].tool_kwargs
    assert isinstance(text, ToolCallBlock)
    assert spent < 4.0
