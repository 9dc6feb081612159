"""`ChatOCIModelDeployment`: chunks, tools, structured output, and the requests that are sent."""

import copy
import json
import pickle
from typing import Any

import pytest
from _langchain import OUTPUT, REQUEST, chat_at, emulator, get_weather, shared_emulator
from langchain.agents import create_agent
from langchain_core.exceptions import OutputParserException
from langchain_core.load import dumps
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.messages.ai import UsageMetadata
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel, Field, ValidationError

from langchain_mdstream import ChatOCIModelDeployment, OCIModelDeploymentLLM
from langchain_mdstream._unvalidated import (
    construct_chunk,
    construct_last_chunk,
    fill_chunk,
    fill_last_chunk,
    is_equivalent,
)
from mdstream_core import errors
from mdstream_core.emulator import Emulator, Fault

__all__ = ["emulator", "shared_emulator"]  # fixtures


def test_filled_chunks_are_what_the_constructors_build() -> None:
    """The fast path builds equal objects, with equal dumps, pickles, field sets and merges."""
    for arguments in (("x", {}, {}), ("", {"reasoning_content": "r"}, {"model_provider": "p"})):
        ours, theirs = fill_chunk(*copy.deepcopy(arguments)), construct_chunk(*copy.deepcopy(arguments))

        assert theirs == ours
        assert theirs.model_dump() == ours.model_dump()
        assert dumps(theirs) == dumps(ours)
        assert theirs.message.model_fields_set == ours.message.model_fields_set
        assert theirs.model_fields_set == ours.model_fields_set
        assert pickle.loads(pickle.dumps(theirs)) == pickle.loads(pickle.dumps(ours))
        assert theirs + theirs == ours + ours
    assert is_equivalent()


@pytest.mark.parametrize("usage", [None, {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}])
def test_the_filled_last_chunk_is_what_the_constructors_build(usage: UsageMetadata | None) -> None:
    """The fast path of the end of a response builds an equal object."""
    arguments = ({"citations": [1]}, {"model_provider": "p"}, usage, {"finish_reason": "stop", "id": "x"})
    ours, theirs = fill_last_chunk(*copy.deepcopy(arguments)), construct_last_chunk(*copy.deepcopy(arguments))
    token = construct_chunk("x", {}, {"model_provider": "p"})

    assert theirs == ours
    assert theirs.model_dump() == ours.model_dump()
    assert theirs.message.model_fields_set == ours.message.model_fields_set
    assert theirs.model_fields_set == ours.model_fields_set
    assert token + theirs == token + ours
    assert pickle.loads(pickle.dumps(theirs)) == pickle.loads(pickle.dumps(ours))


def test_streamed_and_whole_responses_are_the_same_message(emulator: Emulator) -> None:
    """The merged chunks equal the message of `invoke`, with usage and metadata."""
    chat = chat_at(emulator)
    first, *rest = chat.stream(REQUEST)
    streamed, whole = first + rest, chat.invoke(REQUEST)  # type: ignore[operator]

    assert OUTPUT == streamed.text == whole.text
    assert whole.usage_metadata == streamed.usage_metadata
    for name in ("finish_reason", "model_name", "model_provider"):
        assert whole.response_metadata[name] == streamed.response_metadata[name]
    assert "last" == rest[-1].chunk_position
    assert [None] * len(rest) == [chunk.chunk_position for chunk in (first, *rest[:-1])]
    assert all(chunk.text for chunk in (first, *rest[:-1]))


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_reasoning_text_and_calls_are_separate_blocks(emulator: Emulator, version: str) -> None:
    """In both output versions the merged blocks are reasoning, text, and each call."""
    chat = chat_at(emulator, output_version=version, model_kwargs={"reasoning_effort": "low"})
    bound = chat.bind_tools([get_weather])
    first, *rest = bound.stream("What is the weather in Paris and in Tokyo?")
    message: AIMessageChunk = first + rest  # type: ignore[operator,assignment]

    assert ["Paris", "Tokyo"] == [call["args"]["city"] for call in message.tool_calls]
    blocks = message.content_blocks
    assert ["reasoning", "tool_call", "tool_call"] == [block["type"] for block in blocks if block["type"] != "text"]
    assert ["Paris", "Tokyo"] == [block["args"]["city"] for block in blocks if block["type"] == "tool_call"]


@pytest.mark.parametrize("streaming", [False, True])
async def test_an_agent_calls_its_tools(emulator: Emulator, streaming: bool) -> None:
    """`create_agent` calls the tool, sends the result and returns the response, with a checkpointer; sync and async."""
    agent = create_agent(chat_at(emulator, streaming=streaming), [get_weather], checkpointer=InMemorySaver())
    inputs: Any = {"messages": [HumanMessage("What is the weather in Paris?")]}

    for thread, state in (
        ("a", agent.invoke(inputs, {"configurable": {"thread_id": "a"}})),
        ("b", await agent.ainvoke(inputs, {"configurable": {"thread_id": "b"}})),
    ):
        kinds = [message.type for message in state["messages"]]
        assert ["human", "ai", "tool", "ai"] == kinds, thread
        assert "sunny in Paris" in state["messages"][-1].text


async def test_langgraph_streams_tokens(emulator: Emulator) -> None:
    """`stream_mode="messages"` yields the tokens of a model that a node only invokes."""
    agent = create_agent(chat_at(emulator), [])
    inputs: Any = {"messages": [HumanMessage(REQUEST)]}

    sync = [chunk.text for chunk, _ in agent.stream(inputs, stream_mode="messages")]
    asynchronous = [chunk.text async for chunk, _ in agent.astream(inputs, stream_mode="messages")]

    assert OUTPUT == "".join(sync) == "".join(asynchronous)
    assert len([text for text in sync if text]) > 3


def test_an_agent_with_a_response_format(emulator: Emulator) -> None:
    """`create_agent(response_format=…)` uses the server's JSON schema if the profile has it."""

    class River(BaseModel):
        """A river."""

        name: str = Field(description="its name")

    chat = chat_at(emulator, profile={"structured_output": True})
    state = create_agent(chat, [], response_format=River).invoke({"messages": [HumanMessage("Name a river.")]})  # type: ignore[typeddict-item]

    assert isinstance(state["structured_response"], River)
    assert "json_schema" == emulator.last.json["response_format"]["type"]


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
def test_truncated_json_is_an_error(emulator: Emulator, method: Any) -> None:
    """Output that `max_tokens` truncated raises and is not completed to an object."""
    schema = {"title": "pay", "type": "object", "properties": {"note": {"type": "string"}}, "required": ["note"]}
    bound = chat_at(emulator, max_tokens=3).with_structured_output(schema, method=method)
    raw = chat_at(emulator, max_tokens=3).with_structured_output(schema, method=method, include_raw=True)

    with pytest.raises(OutputParserException, match="cut off by max_tokens"):
        bound.invoke("Answer as JSON: note a long story about three rivers.")
    output: Any = raw.invoke("Answer as JSON: note a long story about three rivers.")
    assert (None, True) == (output["parsed"], isinstance(output["parsing_error"], OutputParserException))


def test_an_unknown_tool_choice_is_an_error(emulator: Emulator) -> None:
    """A tool choice that is not a bound tool raises before a request is sent."""
    with pytest.raises(ValueError, match=r"tool_choice='fly' is not a bound tool"):
        chat_at(emulator).bind_tools([get_weather], tool_choice="fly")


def test_a_server_that_rejects_tools_is_quoted(emulator: Emulator) -> None:
    """The message of a server that rejects tools is part of the error."""
    with pytest.raises(errors.InvalidRequest, match="enable-auto-tool-choice"):
        chat_at(emulator, model="no-tools").bind_tools([get_weather]).invoke("What is the weather in Paris?")


def test_malformed_arguments_become_invalid_tool_calls(emulator: Emulator) -> None:
    """Complete arguments that are not JSON become `invalid_tool_calls`, streamed and not."""
    emulator.always(Fault("tool_arguments"))
    first, *rest = chat_at(emulator).bind_tools([get_weather]).stream("What is the weather in Paris?")
    message: Any = first + rest  # type: ignore[operator]

    assert [] == message.tool_calls
    assert ["get_weather"] == [call["name"] for call in message.invalid_tool_calls]


NAMED = {"type": "function", "function": {"name": "get_weather"}}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [("any", "required"), (True, "required"), ("get_weather", NAMED), ("none", "none")],
)
def test_a_tool_choice_of_a_call(emulator: Emulator, choice: Any, sent: Any) -> None:
    """It has the same meaning as in `bind_tools`."""
    chat_at(emulator).bind_tools([get_weather]).invoke("hi", tool_choice=choice)

    assert sent == emulator.last.json["tool_choice"]


def test_a_refusal_is_an_error_of_structured_output(emulator: Emulator) -> None:
    """A refusal raises with the model's text, and can be sent back in a conversation."""
    schema = {"title": "pay", "type": "object", "properties": {"note": {"type": "string"}}}
    choice = {"index": 0, "finish_reason": "stop", "message": {"content": None, "refusal": "I cannot pay."}}
    refused = Fault("body", data=json.dumps({"choices": [choice]}).encode())
    emulator.script(refused)
    with pytest.raises(Exception, match="I cannot pay") as caught:
        chat_at(emulator).with_structured_output(schema).invoke("pay")
    assert "Refusal" in type(caught.value).__name__ or isinstance(caught.value, OutputParserException)
    for version in ("v0", "v1"):
        chat = chat_at(emulator, output_version=version)
        emulator.script(refused, None)
        chat.invoke([HumanMessage("pay"), chat.invoke("pay"), HumanMessage("why?")])
        assert "I cannot pay." in json.dumps(emulator.last.json["messages"][1])


def test_a_complete_response_that_is_not_json_is_not_retried(emulator: Emulator) -> None:
    """A proxy's HTML page is not retried; truncated JSON is."""
    emulator.script(Fault("body", data=b'{"choices": oops}'), Fault("body", data=b'{"choices":[{"ind'))
    with pytest.raises(errors.MalformedStream):
        chat_at(emulator, max_retries=0).invoke("hi")
    with pytest.raises(errors.StreamInterrupted):
        chat_at(emulator, max_retries=0).invoke("hi")


def test_several_choices(emulator: Emulator) -> None:
    """`n` choices become `n` generations; a stream has one."""
    chat = chat_at(emulator, n=2)

    assert 2 == len(chat.generate([[HumanMessage("hi")]]).generations[0])
    assert "".join(chunk.text for chunk in chat.stream("hi"))
    assert 1 == emulator.last.json["n"]


def test_logprobs(emulator: Emulator) -> None:
    """Log probabilities have OpenAI's format, streamed and not."""
    chat = chat_at(emulator, logprobs=True)
    first, *rest = chat.stream(REQUEST)
    streamed: Any = first + rest  # type: ignore[operator]

    whole = chat.invoke(REQUEST).response_metadata["logprobs"]["content"]
    assert OUTPUT == "".join(entry["token"] for entry in whole)
    assert OUTPUT == "".join(entry["token"] for entry in streamed.response_metadata["logprobs"]["content"])


def test_fields_and_overrides_are_sent(emulator: Emulator) -> None:
    """Fields, `model_kwargs`, arguments of the call and `extra_body` are sent, in this precedence."""
    chat = chat_at(
        emulator,
        model_name="m1",
        temperature=0.5,
        max_completion_tokens=7,
        stop_sequences=["END"],
        model_kwargs={"top_k": 3},
        extra_body={"min_p": 0.1},
        default_headers={"X-Team": "rivers"},
    )
    chat.invoke("hi", temperature=0.7, stop=["STOP"], extra_headers={"X-Trace": "7"})

    sent = emulator.last.json
    expected = {"model": "m1", "temperature": 0.7, "max_tokens": 7, "stop": ["STOP"], "top_k": 3, "min_p": 0.1}
    assert expected == {name: value for name, value in sent.items() if name != "messages"}
    assert ("rivers", "7") == (emulator.last.headers["x-team"], emulator.last.headers["x-trace"])
    assert {"X-Team": "rivers"} == chat.default_headers


def test_connection_options_in_a_call_are_rejected(emulator: Emulator) -> None:
    """A timeout among the arguments of a call raises and is not sent."""
    with pytest.raises(ValueError, match="max_retries, timeout cannot be set for a single call"):
        chat_at(emulator).invoke("hi", timeout=5, max_retries=0)
    assert [] == emulator.requests


def test_streams_and_whole_responses_use_different_paths(emulator: Emulator) -> None:
    """`invoke` uses `/predict`, `stream` uses `/predictWithResponseStream`; the route is a header."""
    chat = chat_at(emulator)
    chat.invoke("hi")
    list(chat.stream("hi"))

    first, second = emulator.requests
    assert first.path.endswith("/predict")
    assert second.path.endswith("/predictWithResponseStream")
    assert "/v1/chat/completions" == first.headers["route"] == second.headers["route"]
    assert {"include_usage": True} == second.json["stream_options"]
    assert "stream" not in first.json


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"endpoint": "ftp://x"}, "endpoint='ftp://x' is neither a URL nor an OCID"),
        ({"endpoint": ""}, "endpoint is missing"),
        ({"max_retries": -1}, "max_retries=-1"),
        ({"temprature": 1}, "temprature"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    """An unknown or invalid option raises at construction, with its name."""
    with pytest.raises(ValidationError, match=message):
        ChatOCIModelDeployment(**{"endpoint": "https://h/o", **options})


async def test_completions_stream_in_events_and_when_requested(emulator: Emulator) -> None:
    """Completion models stream, report usage and finish reason, and stream in `astream_events`."""
    llm = OCIModelDeploymentLLM(endpoint=emulator.endpoint, auth_type="none")
    whole = await llm.agenerate([REQUEST])
    streamed = [chunk async for chunk in llm.astream(REQUEST)]
    events = [event["event"] async for event in llm.astream_events(REQUEST, version="v2")]

    assert whole.generations[0][0].text == "".join(streamed)
    assert (whole.llm_output or {})["token_usage"]["completion_tokens"] > 0
    assert "stop" == (whole.generations[0][0].generation_info or {})["finish_reason"]
    assert events.count("on_llm_stream") > 2
    assert emulator.requests[0].json["prompt"] == REQUEST
    assert "/v1/completions" == emulator.last.headers["route"]
