"""Content-block events of `stream_events(version="v3")` and LangGraph, compared with LangChain's own."""

import asyncio
import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from _langchain import emulator, get_weather
from _platforms import AWS, MATRIX, PLATFORM_CASES, PlatformCase
from _stream_endings import ENDINGS, OUTPUT, REQUEST, Ending
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler, get_usage_metadata_callback
from langchain_core.exceptions import ModelError
from langchain_core.language_models._compat_bridge import chunks_to_events
from langchain_core.language_models.chat_model_stream import ChatModelStream
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import LLMResult
from langchain_core.tools import tool
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream

from langchain_mdstream import ChatModelArts, ChatOCIGenAI, ChatOCIModelDeployment, ChatSagemakerEndpoint
from langchain_mdstream._content_events import ContentEventBuilder
from mdstream_core import MDStreamError
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.emulator.model import ModelOutput, ToolCall, respond

__all__ = ["emulator"]  # a fixture

pytestmark = pytest.mark.filterwarnings("ignore:The v3 streaming protocol on Pregel is experimental")

PARIS = ToolCall("c1", "get_weather", ('{"city"', ': "Paris"}'))
TOKYO = ToolCall("c2", "get_weather", ('{"city": "Tokyo"}',))

#: For each prompt the output and its blocks. OCI's COHERE format has no reasoning.
CONTENT: dict[str, tuple[ModelOutput, list[str]]] = {
    "words": (ModelOutput.from_text("The Nile."), ["text"]),
    "thoughts": (ModelOutput.from_text("The Nile.", "I think of rivers."), ["reasoning", "text"]),
    "words and two calls": (
        ModelOutput.from_text("Let me look.", "", [PARIS, TOKYO]),
        ["text", "tool_call", "tool_call"],
    ),
    "thoughts and a call": (ModelOutput.from_text("", "I need the weather.", [PARIS]), ["reasoning", "tool_call"]),
    "all": (
        ModelOutput.from_text("Let me look.", "Hm.", [PARIS, TOKYO]),
        ["reasoning", "text", "tool_call", "tool_call"],
    ),
    "a call without arguments": (ModelOutput.from_text("", "", [ToolCall("c1", "now", ())]), ["tool_call"]),
    "nothing": (ModelOutput.from_text(""), []),
}
PLATFORM = PLATFORM_CASES["OCI model deployment"]
CHAT: dict[str, Any] = {
    "oci-model-deployment": ChatOCIModelDeployment,
    "oci-genai": ChatOCIGenAI,
    "sagemaker": ChatSagemakerEndpoint,
    "modelarts": ChatModelArts,
    "modelarts-websocket": ChatModelArts,
    "modelarts-maas": ChatModelArts,
}

each_platform = pytest.mark.parametrize("platform_case", PLATFORM_CASES.values(), ids=PLATFORM_CASES)
each_response = pytest.mark.parametrize("prompt", CONTENT)


def _model(request: dict[str, Any]) -> ModelOutput:
    content = request["messages"][-1]["content"]
    text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
    return CONTENT[text][0] if text in CONTENT else respond(request)


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator(aws_keys=AWS, model=_model) as emulator:
        yield emulator


def chat_at(platform_case: PlatformCase, emulator: Emulator, **options: Any) -> Any:
    """Chat model on a platform."""
    return CHAT[platform_case.kind](**{**platform_case.fields(emulator), "max_retries": 0, **options})


class Seen(BaseCallbackHandler):
    """Callback handler that records all events."""

    def __init__(self) -> None:
        self.errors: list[tuple[BaseException, LLMResult]] = []
        self.ends: list[LLMResult] = []
        self.tokens: list[Any] = []
        self.events: list[Any] = []

    def on_llm_new_token(self, token: Any, **_: Any) -> None:
        """Record the event."""
        self.tokens.append(token)

    def on_stream_event(self, event: Any, **_: Any) -> None:
        """Record the event."""
        self.events.append(event)

    def on_llm_error(self, error: BaseException, *, response: LLMResult, **_: Any) -> None:
        """Record the event."""
        self.errors.append((error, response))

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """Record the event."""
        self.ends.append(response)


def _build_message(events: Any) -> AIMessage:
    """Message that LangChain builds from events."""
    stream = ChatModelStream()
    for event in events:
        stream.dispatch(event)
    assert stream.output_message is not None
    return stream.output_message


def _build_both(chat: Any, prompt: str) -> tuple[AIMessage, AIMessage]:
    """The same stream by our events, and by LangChain's bridge from our chunks."""
    events = list(chat.service.client.stream(chat._create_chat_call([HumanMessage(prompt)], None, {}, stream=True)))
    ours = ContentEventBuilder(chat.provider_name, chat.model)
    chunks = chat.model_copy(update={"output_version": "v1"})._create_chunk_builder({})
    bridged = chunks_to_events(iter([*filter(None, map(chunks.convert, events)), chunks.finish()]))
    return _build_message([*chain.from_iterable(map(ours.convert, events)), *ours.finish()]), _build_message(bridged)


#: Fields that only chunks have, or of which LangChain's bridge keeps none for tool calls.
_OF_ONE_FORM = frozenset({"index", "extras"})


def _without_indices(message: AIMessage) -> dict[str, Any]:
    """Message without the indices of its blocks, and the version of its output, which only chunks with blocks have."""
    metadata = {name: value for name, value in message.response_metadata.items() if name != "output_version"}
    return {**message.model_dump(exclude={"content"}), "content": _blocks(message), "response_metadata": metadata}


def _blocks(message: AIMessage) -> list[dict[str, Any]]:
    known: list[dict[str, Any]] = [{**block} for block in message.content_blocks]
    return [
        {name: value for name, value in block.items() if value != [] and name not in _OF_ONE_FORM} for block in known
    ]


def _texts(events: list[Any]) -> str:
    return "".join(event["delta"].get("text", "") for event in events if event["event"] == "content-block-delta")


@each_platform
@each_response
async def test_events_are_valid(emulator: Emulator, platform_case: PlatformCase, prompt: str) -> None:
    """Blocks start, grow and finish as the protocol requires, and build the same blocks sync and async."""
    chat = chat_at(platform_case, emulator)
    sync, asynchronous = chat.stream_events(prompt, version="v3"), await chat.astream_events(prompt, version="v3")
    events, awaited = list(sync), [event async for event in asynchronous]

    assert_valid_event_stream(events)
    assert_valid_event_stream(awaited)
    assert [event["event"] for event in events] == [event["event"] for event in awaited]
    kinds = [block["type"] for block in sync.output.content_blocks]
    blocks = CONTENT[prompt][1] or (["text"] if platform_case.is_responses_api else [])  # an item with an empty text
    assert [kind for kind in blocks if kind in kinds or platform_case != PLATFORM_CASES["OCI GenAI COHERE"]] == kinds
    assert kinds == [block["type"] for block in (await asynchronous).content_blocks]
    assert events[0]["id"] == sync.output.id


@each_platform
@each_response
def test_events_equal_those_derived_from_chunks(emulator: Emulator, platform_case: PlatformCase, prompt: str) -> None:
    """Content, calls, usage, metadata and further arguments equal those of LangChain's bridge."""
    ours, bridged = _build_both(chat_at(platform_case, emulator), prompt)

    assert _without_indices(bridged) == _without_indices(ours)
    assert ours.usage_metadata
    assert {"finish_reason", "model_name", "model_provider"} <= ours.response_metadata.keys()


def test_fields_of_the_service_are_kept(emulator: Emulator) -> None:
    """A service's own fields are in `additional_kwargs`, as in chunks."""
    chat = chat_at(
        PLATFORM_CASES["OCI GenAI COHERE"], emulator, model_kwargs={"documents": [{"id": "d", "text": "The Nile."}]}
    )
    ours, bridged = _build_both(chat, "words")

    assert _without_indices(bridged) == _without_indices(ours)
    assert ours.additional_kwargs["citations"]


def _sse(*deltas: dict[str, Any]) -> Fault:
    """Stream of deltas, of the first choice unless they have an index."""
    choices: list[dict[str, Any]] = [{"index": delta.get("choice", 0), "delta": delta} for delta in deltas]
    ends = [{"index": index, "finish_reason": "stop"} for index in sorted({choice["index"] for choice in choices})]
    events = [json.dumps({"choices": [choice]}) for choice in [*choices, *ends]]
    return Fault("body", data="".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]).encode())


def _call(index: int, arguments: str, id: str | None = None, name: str | None = None) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "id": id, "function": {"name": name, "arguments": arguments}}]}


def _tool_call(id: str, name: str, args: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_call", "id": id, "name": name, "args": args}


def _invalid(args: str) -> dict[str, Any]:
    return {"type": "invalid_tool_call", "id": "c1", "name": "f", "args": args}


#: Unusual streams: the deltas, and the blocks.
ODD: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "calls in mixed fragments": (
        [_call(0, '{"x"', "c1", "f"), _call(1, '{"y"', "c2", "g"), _call(0, ":1}"), _call(1, ":2}")],
        [_tool_call("c1", "f", {"x": 1}), _tool_call("c2", "g", {"y": 2})],
    ),
    "text after a call": (
        [{"content": "a"}, _call(0, "{}", "c1", "f"), {"content": "b"}],
        [{"type": "text", "text": "a"}, _tool_call("c1", "f", {}), {"type": "text", "text": "b"}],
    ),
    "reasoning and text in turns": (
        [{"reasoning_content": "r"}, {"content": "t"}, {"reasoning_content": "s"}, {"content": "u"}],
        [
            {"type": "reasoning", "reasoning": "r"},
            {"type": "text", "text": "t"},
            {"type": "reasoning", "reasoning": "s"},
            {"type": "text", "text": "u"},
        ],
    ),
    "several choices": ([{"content": "a"}, {"content": "b", "choice": 1}], [{"type": "text", "text": "a"}]),
    "arguments that are no JSON": ([_call(0, "{x", "c1", "f"), _call(0, "}")], [_invalid("{x}")]),
    "arguments that are no object": ([_call(0, "[1", "c1", "f"), _call(0, "]")], [_invalid("[1]")]),
}


@pytest.mark.parametrize(("deltas", "blocks"), ODD.values(), ids=ODD)
def test_unusual_streams(emulator: Emulator, deltas: list[dict[str, Any]], blocks: list[dict[str, Any]]) -> None:
    """Each kind of output has a block of its own, and each call its own fragments, in any order."""
    emulator.script(_sse(*deltas))
    stream = chat_at(PLATFORM, emulator).stream_events(REQUEST, version="v3")

    assert_valid_event_stream(stream)
    reported = [{name: value for name, value in block.items() if name != "error"} for block in _blocks(stream.output)]
    assert blocks == reported
    started = [event["content"] for event in stream if event["event"] == "content-block-start"]
    calls = [block for block in started if block["type"] == "tool_call_chunk"]
    assert [f"lc_tc_{at}" for at in range(len(calls))] == [call["index"] for call in calls]
    assert all(call["error"] for call in stream.output.invalid_tool_calls)


def test_a_refusal_is_one_block(emulator: Emulator) -> None:
    """A refusal in several pieces is one block, as in a response without streaming."""
    emulator.always(_sse({"refusal": "I "}, {"refusal": "will not."}))
    chat = chat_at(PLATFORM, emulator)
    stream, whole = chat.stream_events(REQUEST, version="v3"), AIMessage("")
    assert_valid_event_stream(stream)

    whole.additional_kwargs = {"refusal": "I will not."}
    whole.response_metadata = {"model_provider": chat.provider_name}
    assert _blocks(whole) == _blocks(stream.output)
    assert whole.additional_kwargs == stream.output.additional_kwargs


def test_logprobs(emulator: Emulator) -> None:
    """All log probabilities are kept, as in merged chunks."""
    chat = chat_at(PLATFORM, emulator, logprobs=True)
    first, *rest = chat.stream(REQUEST)
    logprobs = chat.stream_events(REQUEST, version="v3").output.response_metadata["logprobs"]

    assert (first + rest).response_metadata["logprobs"] == logprobs
    assert OUTPUT == "".join(entry["token"] for entry in logprobs["content"])


async def test_callbacks_are_called_once(emulator: Emulator) -> None:
    """v3 streams report events and no tokens, `stream` reports tokens and no events, both report the end once."""
    chat = chat_at(PLATFORM, emulator)
    seen, old = Seen(), Seen()
    sync = list(chat.stream_events(REQUEST, {"callbacks": [seen]}, version="v3"))
    stream = await chat.astream_events(REQUEST, {"callbacks": [seen]}, version="v3")
    asynchronous = [event async for event in stream]
    await stream
    chunks = list(chat.stream(REQUEST, {"callbacks": [old]}))

    assert ([], 2, []) == (seen.tokens, len(seen.ends), seen.errors)
    assert [*sync, *asynchronous] == seen.events
    assert OUTPUT == _texts(sync) == _texts(asynchronous)
    assert ([chunk.content for chunk in chunks], [], 1) == (old.tokens, old.events, len(old.ends))


def test_usage_is_counted(emulator: Emulator) -> None:
    """LangChain's usage callback finds the usage under the model's name."""
    with get_usage_metadata_callback() as counter:
        output = chat_at(PLATFORM, emulator).stream_events(REQUEST, version="v3").output

    assert {output.response_metadata["model_name"]: output.usage_metadata} == counter.usage_metadata


async def _reported(seen: Seen) -> None:
    """Wait for the callbacks, which LangChain calls after it has raised the error."""
    async with asyncio.timeout(10):
        while not seen.errors:  # noqa: ASYNC110  # set by another thread
            await asyncio.sleep(0.001)


def _check(ending: Ending, error: MDStreamError, seen: Seen, events: list[Any]) -> None:
    assert isinstance(error, ending.error)
    assert isinstance(error, ModelError)
    assert ending.code in (None, error.code)
    ((reported, response),) = seen.errors
    ((generation,),) = response.generations
    assert error is reported
    assert [] == seen.ends
    assert error.response is not None
    assert _texts(events) == error.response.json()["partial"]["text"]
    assert error.response.json() == generation.message.response_metadata["body"]  # type: ignore[union-attr]
    assert not {"message-finish", "error"} & {event["event"] for event in events}


@pytest.mark.parametrize(
    ("platform_case", "ending"),
    [*MATRIX.values(), *((PLATFORM, ending) for ending in ENDINGS.values())],
    ids=[*MATRIX, *ENDINGS],
)
async def test_no_failed_stream_succeeds(emulator: Emulator, platform_case: PlatformCase, ending: Ending) -> None:
    """Each failure raises after the events that were received, and calls `on_llm_error` once, with the partial output."""
    emulator.always(ending.fault)
    chat, first, second, sync, asynchronous = chat_at(platform_case, emulator), Seen(), Seen(), [], []

    with pytest.raises(MDStreamError) as caught:
        for event in chat.stream_events(REQUEST, {"callbacks": [first]}, version="v3"):
            sync.append(event)  # noqa: PERF402  # keeps the events before the error
    with pytest.raises(MDStreamError) as async_caught:
        async for event in await chat.astream_events(REQUEST, {"callbacks": [second]}, version="v3"):
            asynchronous.append(event)  # noqa: PERF401

    _check(ending, caught.value, first, sync)
    await _reported(second)
    _check(ending, async_caught.value, second, asynchronous)
    assert _texts(sync)
    assert 2 == len(emulator.requests)


async def test_leaving_a_stream_closes_the_socket(emulator: Emulator) -> None:
    """The server sees the connection close immediately, when a generator is closed and when a stream is left."""
    emulator.always(Fault("stall", after=3))
    chat = chat_at(PLATFORM, emulator)

    sync = chat._stream_chat_model_events([HumanMessage(REQUEST)])
    next(sync)
    sync.close()
    assert await asyncio.to_thread(emulator.last.client_closed.wait, 5)

    asynchronous = chat._astream_chat_model_events([HumanMessage(REQUEST)])
    await anext(asynchronous)
    await asynchronous.aclose()
    assert await asyncio.to_thread(emulator.last.client_closed.wait, 5)

    async with await chat.astream_events(REQUEST, version="v3") as stream:
        assert "The" == await anext(aiter(stream.text))
    assert await asyncio.to_thread(emulator.last.client_closed.wait, 5)
    assert 3 == len(emulator.requests)


WEATHER: Any = {"messages": [HumanMessage("What is the weather in Paris?")]}


@each_platform
async def test_agents_stream_both_messages(emulator: Emulator, platform_case: PlatformCase) -> None:
    """LangGraph's v3 streams have the call and the response, token by token, with the ids of the messages in the state."""
    agent = create_agent(chat_at(platform_case, emulator), [get_weather])

    run = agent.stream_events(WEATHER, version="v3")
    sync = [(message.message_id, list(message.text), message.tool_calls.get()) for message in run.messages]
    awaited = await agent.astream_events(WEATHER, version="v3")
    asynchronous = [
        (message.message_id, [text async for text in message.text], await message.tool_calls)
        async for message in awaited.messages
    ]

    for reported, state in ((sync, run.output), (asynchronous, await awaited.output())):
        (requesting, _, (call,)), (answering, words, none) = reported
        assert (("get_weather", {"city": "Paris"}), []) == ((call["name"], call["args"]), none)
        assert "sunny in Paris" in "".join(words)
        assert len(words) > 3
        assert ["human", "ai", "tool", "ai"] == [message.type for message in state["messages"]]
        assert [requesting, answering] == [message.id for message in state["messages"] if message.type == "ai"]


@pytest.mark.parametrize("fault", [Fault("trailer"), Fault("trailer", after=4)], ids=["after [DONE]", "in the call"])
async def test_an_agent_runs_no_tool_of_a_failed_stream(emulator: Emulator, fault: Fault) -> None:
    """A tool call of a failed stream, complete or not, is neither finished nor executed, and the agent raises."""
    ran: list[str] = []

    @tool
    def get_weather(city: str) -> str:
        """Tell the weather in a city."""
        ran.append(city)
        return "sunny"

    emulator.always(fault)
    seen = Seen()
    agent = create_agent(chat_at(PLATFORM, emulator), [get_weather])

    with pytest.raises(MDStreamError) as caught:
        _ = agent.stream_events(WEATHER, {"callbacks": [seen]}, version="v3").output
    with pytest.raises(MDStreamError):
        await (await agent.astream_events(WEATHER, version="v3")).output()

    assert [] == ran
    assert "get_weather" == caught.value.partial.tool_calls[0].name  # type: ignore[union-attr]
    assert not {"content-block-finish", "message-finish"} & {event["event"] for event in seen.events}
    assert [caught.value] == [error for error, _ in seen.errors]
