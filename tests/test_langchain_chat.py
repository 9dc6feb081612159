"""`ChatOCIModelDeployment` as people use it: tools, structure, connections, sharing, secrets."""

import asyncio
import copy
import json
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import httpx2
import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumpd, dumps, load
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel, Field, ValidationError

from langchain_mdstream import ChatOCIModelDeployment, OCIModelDeploymentLLM
from langchain_mdstream._fast import built, filled, same
from mdstream_core import Timeout, errors, tracing, transport
from mdstream_core.emulator import Emulator, Fault

ANSWER = "The Nile, the Amazon and the Danube."
QUESTION = "Name three rivers."


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator() as cloud:
        yield cloud


@pytest.fixture
def cloud(emulator: Emulator) -> Emulator:
    """The emulator without memories."""
    emulator.reset()
    return emulator


def chat_at(cloud: Emulator, **options: Any) -> ChatOCIModelDeployment:
    """A chat model on the emulator."""
    return ChatOCIModelDeployment(**{"endpoint": cloud.endpoint, "auth_type": "none", **options})


@tool
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"It is sunny in {city}."


# ------------------------------------------------------------------ chunks


def test_filled_chunks_are_what_the_constructors_build() -> None:
    """The fast way gives equal objects, dumps, pickles and field sets, and merges alike."""
    for arguments in (("x", {}, {}), ("", {"reasoning_content": "r"}, {"model_provider": "p"})):
        ours, theirs = filled(*copy.deepcopy(arguments)), built(*copy.deepcopy(arguments))

        assert theirs == ours
        assert theirs.model_dump() == ours.model_dump()
        assert dumps(theirs) == dumps(ours)
        assert theirs.message.model_fields_set == ours.message.model_fields_set
        assert theirs.model_fields_set == ours.model_fields_set
        assert pickle.loads(pickle.dumps(theirs)) == pickle.loads(pickle.dumps(ours))
        assert theirs + theirs == ours + ours
    assert same()


def test_streamed_and_whole_answers_are_the_same_message(cloud: Emulator) -> None:
    """The sum of the chunks says what `invoke` says, usage and metadata included."""
    chat = chat_at(cloud)
    first, *rest = chat.stream(QUESTION)
    streamed, whole = first + rest, chat.invoke(QUESTION)  # type: ignore[operator]

    assert ANSWER == streamed.text == whole.text
    assert whole.usage_metadata == streamed.usage_metadata
    for name in ("finish_reason", "model_name", "model_provider"):
        assert whole.response_metadata[name] == streamed.response_metadata[name]
    assert "last" == rest[-1].chunk_position
    assert [None] * len(rest) == [chunk.chunk_position for chunk in (first, *rest[:-1])]
    assert all(chunk.text for chunk in (first, *rest[:-1]))


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_reasoning_text_and_calls_keep_apart(cloud: Emulator, version: str) -> None:
    """Under both output versions the merged blocks are reasoning, text, and each call for itself."""
    chat = chat_at(cloud, output_version=version, model_kwargs={"reasoning_effort": "low"})
    bound = chat.bind_tools([get_weather])
    first, *rest = bound.stream("What is the weather in Paris and in Tokyo?")
    message: AIMessageChunk = first + rest  # type: ignore[operator,assignment]

    assert ["Paris", "Tokyo"] == [call["args"]["city"] for call in message.tool_calls]
    blocks = message.content_blocks
    assert ["reasoning", "tool_call", "tool_call"] == [block["type"] for block in blocks if block["type"] != "text"]
    assert ["Paris", "Tokyo"] == [block["args"]["city"] for block in blocks if block["type"] == "tool_call"]


# ------------------------------------------------------------------ tools and structure


@pytest.mark.parametrize("streaming", [False, True])
async def test_an_agent_loops_through_its_tools(cloud: Emulator, streaming: bool) -> None:
    """`create_agent` calls the tool, feeds the result back and answers, with a checkpointer, sync and async."""
    agent = create_agent(chat_at(cloud, streaming=streaming), [get_weather], checkpointer=InMemorySaver())
    question: Any = {"messages": [HumanMessage("What is the weather in Paris?")]}

    for thread, state in (
        ("a", agent.invoke(question, {"configurable": {"thread_id": "a"}})),
        ("b", await agent.ainvoke(question, {"configurable": {"thread_id": "b"}})),
    ):
        kinds = [message.type for message in state["messages"]]
        assert ["human", "ai", "tool", "ai"] == kinds, thread
        assert "sunny in Paris" in state["messages"][-1].text


async def test_langgraph_streams_tokens(cloud: Emulator) -> None:
    """`stream_mode="messages"` gives the tokens of a model that is only invoked in a node."""
    agent = create_agent(chat_at(cloud), [])
    question: Any = {"messages": [HumanMessage(QUESTION)]}

    sync = [chunk.text for chunk, _ in agent.stream(question, stream_mode="messages")]
    asynchronous = [chunk.text async for chunk, _ in agent.astream(question, stream_mode="messages")]

    assert ANSWER == "".join(sync) == "".join(asynchronous)
    assert len([text for text in sync if text]) > 3


def test_an_agent_answers_in_a_shape(cloud: Emulator) -> None:
    """`create_agent(response_format=…)` works by the server's own schema where the profile says that it can."""

    class River(BaseModel):
        """A river."""

        name: str = Field(description="its name")

    chat = chat_at(cloud, profile={"structured_output": True})
    state = create_agent(chat, [], response_format=River).invoke({"messages": [HumanMessage("Name a river.")]})  # type: ignore[typeddict-item]

    assert isinstance(state["structured_response"], River)
    assert "json_schema" == cloud.last.json["response_format"]["type"]


def test_wrong_tool_choice_is_named(cloud: Emulator) -> None:
    """A tool choice that is none of the tools is told before anything is sent."""
    with pytest.raises(ValueError, match=r"tool_choice='fly' is none of the tools: get_weather"):
        chat_at(cloud).bind_tools([get_weather], tool_choice="fly")


def test_a_model_without_tools_says_so(cloud: Emulator) -> None:
    """A server that refuses tools is quoted in its own words."""
    with pytest.raises(errors.InvalidRequest, match="enable-auto-tool-choice"):
        chat_at(cloud, model="no-tools").bind_tools([get_weather]).invoke("What is the weather in Paris?")


def test_calls_that_the_model_wrote_wrongly_are_invalid_calls(cloud: Emulator) -> None:
    """Arguments that are complete but no JSON are told as `invalid_tool_calls`, streamed and not."""
    cloud.always(Fault("tool_arguments"))
    first, *rest = chat_at(cloud).bind_tools([get_weather]).stream("What is the weather in Paris?")
    message: Any = first + rest  # type: ignore[operator]

    assert [] == message.tool_calls
    assert ["get_weather"] == [call["name"] for call in message.invalid_tool_calls]


def test_n_answers(cloud: Emulator) -> None:
    """`n` answers come as `n` generations, and cannot be streamed as one."""
    chat = chat_at(cloud, n=2)

    assert 2 == len(chat.generate([[HumanMessage("hi")]]).generations[0])
    with pytest.raises(ValueError, match="n=2"):
        list(chat.stream("hi"))


def test_logprobs(cloud: Emulator) -> None:
    """Log probabilities come in OpenAI's shape, streamed and not."""
    chat = chat_at(cloud, logprobs=True)
    first, *rest = chat.stream(QUESTION)
    streamed: Any = first + rest  # type: ignore[operator]

    whole = chat.invoke(QUESTION).response_metadata["logprobs"]["content"]
    assert ANSWER == "".join(entry["token"] for entry in whole)
    assert ANSWER == "".join(entry["token"] for entry in streamed.response_metadata["logprobs"]["content"])


# ------------------------------------------------------------------ what is sent


def test_fields_and_overrides_reach_the_wire(cloud: Emulator) -> None:
    """Fields, then `model_kwargs`, then the call's own words, then `extra_body`."""
    chat = chat_at(
        cloud,
        model_name="m1",
        temperature=0.5,
        max_completion_tokens=7,
        stop_sequences=["END"],
        model_kwargs={"top_k": 3},
        extra_body={"min_p": 0.1},
        default_headers={"X-Team": "rivers"},
    )
    chat.invoke("hi", temperature=0.7, stop=["STOP"], extra_headers={"X-Trace": "7"})

    sent = cloud.last.json
    expected = {"model": "m1", "temperature": 0.7, "max_tokens": 7, "stop": ["STOP"], "top_k": 3, "min_p": 0.1}
    assert expected == {name: value for name, value in sent.items() if name != "messages"}
    assert ("rivers", "7") == (cloud.last.headers["x-team"], cloud.last.headers["x-trace"])
    assert {"X-Team": "rivers"} == chat.default_headers


def test_streams_and_answers_use_their_doors(cloud: Emulator) -> None:
    """`invoke` asks `/predict`, `stream` asks `/predictWithResponseStream`; the route is a header."""
    chat = chat_at(cloud)
    chat.invoke("hi")
    list(chat.stream("hi"))

    first, second = cloud.requests
    assert first.path.endswith("/predict")
    assert second.path.endswith("/predictWithResponseStream")
    assert "/v1/chat/completions" == first.headers["route"] == second.headers["route"]
    assert {"include_usage": True} == second.json["stream_options"]
    assert "stream" not in first.json


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"endpoint": "ftp://x"}, "endpoint='ftp://x' is neither a URL nor an OCID"),
        ({"endpoint": ""}, "endpoint is missing"),
        ({"max_retries": -1}, "max_retries=-1"),
        ({"temprature": 1}, "temprature"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], words: str) -> None:
    """A wrong option is told where it is written, by its name."""
    with pytest.raises(ValidationError, match=words):
        ChatOCIModelDeployment(**{"endpoint": "https://h/o", **options})


# ------------------------------------------------------------------ connections


def test_two_hundred_streams_use_one_connection(cloud: Emulator) -> None:
    """Streams are read to their end, so the connection is used again."""
    chat = chat_at(cloud)
    before = cloud.connections
    for _ in range(200):
        assert ANSWER == "".join(chunk.text for chunk in chat.stream(QUESTION))

    assert 1 == cloud.connections - before


def test_a_model_outlives_its_event_loop(cloud: Emulator) -> None:
    """Two `asyncio.run` in a row work, with one request each."""
    chat = chat_at(cloud, max_retries=0)

    assert ANSWER == asyncio.run(chat.ainvoke(QUESTION)).text
    assert ANSWER == asyncio.run(chat.ainvoke(QUESTION)).text
    assert 2 == len(cloud.requests)


def test_breaking_out_closes_the_socket(cloud: Emulator) -> None:
    """The server sees the client go at once, not when the garbage is collected."""
    cloud.script(Fault("stall", after=3))
    stream = chat_at(cloud).stream(QUESTION)
    next(stream)
    stream.close()  # type: ignore[attr-defined]

    assert cloud.last.closed.wait(5)


async def test_breaking_out_of_an_asynchronous_stream_closes_the_socket(cloud: Emulator) -> None:
    """`aclose` reaches the socket."""
    cloud.script(Fault("stall", after=3))
    stream = chat_at(cloud).astream(QUESTION)
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]

    assert await asyncio.to_thread(cloud.last.closed.wait, 5)


async def test_cancelling_closes_the_socket(cloud: Emulator) -> None:
    """A cancelled task leaves no request running on the server."""
    cloud.script(Fault("stall", after=3))
    arrived = asyncio.Event()

    async def read() -> None:
        async for _ in chat_at(cloud).astream(QUESTION):
            arrived.set()

    task = asyncio.create_task(read())
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await asyncio.to_thread(cloud.last.closed.wait, 5)


def test_retries_end_where_delivery_begins(cloud: Emulator) -> None:
    """Before the first token a failure is asked again; after it never."""
    chat = chat_at(cloud)
    cloud.script(Fault("refuse", "lb_bandwidth"), Fault("trailer", after=0), None)
    assert ANSWER == "".join(chunk.text for chunk in chat.stream(QUESTION))
    assert 3 == len(cloud.requests)

    cloud.reset()
    cloud.script(Fault("trailer", after=3))
    with pytest.raises(errors.StreamTimeout):
        list(chat.stream(QUESTION))
    assert 1 == len(cloud.requests)


def test_fallbacks_switch_before_the_first_token(cloud: Emulator) -> None:
    """`with_fallbacks` takes the next model when the first gives nothing."""
    cloud.script(Fault("trailer", after=0))
    chain = chat_at(cloud, max_retries=0).with_fallbacks([chat_at(cloud, model="second")])
    first, *rest = chain.stream(QUESTION)

    assert "second" == rest[-1].response_metadata["model_name"]
    assert ANSWER == (first + rest).text  # type: ignore[operator]


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_a_client_of_the_users_own(cloud: Emulator, library: Any) -> None:
    """A stock client works; that it cannot show trailers is said in a warning."""
    with library.Client(trust_env=False) as http, pytest.warns(RuntimeWarning, match="cannot see HTTP trailers"):
        assert ANSWER == "".join(chunk.text for chunk in chat_at(cloud, http_client=http).stream(QUESTION))


def test_a_client_of_the_users_own_with_our_transport(cloud: Emulator) -> None:
    """Built by our factory, a client shows trailers."""
    cloud.script(Fault("trailer"))
    with transport.http_client() as http, pytest.raises(errors.StreamTimeout):
        list(chat_at(cloud, http_client=http).stream(QUESTION))


def test_timeouts(cloud: Emulator) -> None:
    """Silence ends with an error that says which limit it was, with the partial."""
    cloud.script(Fault("stall", after=3))
    with pytest.raises(errors.StreamStalled, match=r"nothing came for 0.2 s \(timeout.read\)") as caught:
        list(chat_at(cloud, timeout=0.2, max_retries=0).stream(QUESTION))
    assert "The Nile" == caught.value.partial.text  # type: ignore[union-attr]

    cloud.script(Fault("stall", after=0))
    with pytest.raises(errors.StreamStalled, match=r"no first token within 0\.2 s"):
        list(chat_at(cloud, timeout=Timeout(first_token=0.2), max_retries=0).stream(QUESTION))


# ------------------------------------------------------------------ sharing


def test_fifty_threads_share_one_model(cloud: Emulator) -> None:
    """Each gets its own answer."""
    chat = chat_at(cloud)

    def ask(number: int) -> tuple[int, str]:
        return number, "".join(chunk.text for chunk in chat.stream(f"Repeat after me: {number}"))

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(ask, range(100)))

    assert all(str(number) in answer for number, answer in answers)


async def test_a_hundred_tasks_share_one_model(cloud: Emulator) -> None:
    """Each gets its own answer."""
    chat = chat_at(cloud)
    answers = await asyncio.gather(*(chat.ainvoke(f"Repeat after me: {n}", stream=True) for n in range(100)))

    assert all(str(n) in answer.text for n, answer in enumerate(answers))


def test_streaming_leaves_the_model_as_it_was(cloud: Emulator) -> None:
    """A stream sets nothing on the model: the next `invoke` does not stream."""
    chat = chat_at(cloud)
    before = chat.model_dump()
    list(chat.stream("hi"))
    chat.invoke("hi")

    assert before == chat.model_dump()
    assert "streaming" not in chat.model_fields_set
    assert "stream" not in cloud.last.json


def test_the_cache_tells_models_apart(cloud: Emulator) -> None:
    """Two models never share an answer; one model's second question is not asked."""
    cache = InMemoryCache()
    one, two = (chat_at(cloud, model=name, cache=cache) for name in ("one", "two"))

    assert ["one", "two", "one"] == [chat.invoke("hi").response_metadata["model_name"] for chat in (one, two, one)]
    assert 2 == len(cloud.requests)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda chat: pickle.loads(pickle.dumps(chat))])
def test_copies_and_pickles_work(cloud: Emulator, duplicate: Any) -> None:
    """A copy asks as the original does."""
    chat = chat_at(cloud)
    chat.invoke("hi")

    assert ANSWER == duplicate(chat).invoke(QUESTION).text


# ------------------------------------------------------------------ secrets and serialization

SECRET = "sesame-open-1234567890"


def test_secrets_are_nowhere(cloud: Emulator) -> None:
    """A key is in no repr, dump, serialization, trace, error, or metadata."""
    chat = chat_at(cloud, auth_type=None, api_key=SECRET, default_headers={"X-Token": SECRET})
    cloud.script(Fault("trailer", after=3))
    with pytest.raises(errors.StreamFailure) as caught:
        list(chat.stream(QUESTION))

    assert f"Bearer {SECRET}" == cloud.last.headers["authorization"]
    shown = [
        repr(chat),
        str(chat),
        dumps(chat),
        str(chat.model_dump()),
        str(chat.asdict()),
        str(chat._get_llm_string()),
        str(chat._identifying_params),
        repr(caught.value),
        str(vars(caught.value)),
        json.dumps(caught.value.response.json()),  # type: ignore[union-attr]
        str(caught.value.response.headers),  # type: ignore[union-attr]
        str(vars(caught.value.__cause__)),
    ]
    assert [] == [text for text in shown if SECRET in text]


def test_a_wrong_option_shows_no_secret() -> None:
    """What is wrong is named; what else was given is not shown."""
    with pytest.raises(ValidationError) as caught:
        ChatOCIModelDeployment(endpoint="nowhere", auth={"key": SECRET}, default_headers={"authorization": SECRET})

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("auth_type", ["none", "NONE", None])
def test_a_key_in_the_environment_counts_where_nothing_else_was_said(
    cloud: Emulator, monkeypatch: pytest.MonkeyPatch, auth_type: str | None
) -> None:
    """`MDSTREAM_API_KEY` does not stand in the way of another `auth_type`."""
    monkeypatch.setenv("MDSTREAM_API_KEY", SECRET)
    chat_at(cloud, auth_type=auth_type).invoke("hi")

    assert (auth_type is None) == ("authorization" in cloud.last.headers)


def test_loading_what_was_dumped(cloud: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """`load(dumpd(model))` gives the model again; the key comes from the environment."""
    monkeypatch.setenv("MDSTREAM_API_KEY", SECRET)
    for model in (
        chat_at(cloud, auth_type=None, api_key=SECRET, temperature=0.3),
        OCIModelDeploymentLLM(endpoint=cloud.endpoint, api_key=SECRET, temperature=0.3),  # type: ignore[arg-type]
    ):
        again = load(
            dumpd(model), valid_namespaces=["langchain_mdstream"], allowed_objects="all", secrets_from_env=True
        )
        assert model == again


def test_versions_are_traced(cloud: Emulator) -> None:
    """A trace says which packages made it."""
    assert {"langchain-core", "mdstream-llm"} <= set((chat_at(cloud).metadata or {})["lc_versions"])


def test_hooks_are_told_what_happens(cloud: Emulator) -> None:
    """Each attempt, the answer's head, the first event and the end are told, in this order, without credentials."""
    told: list[Any] = []
    cloud.script(Fault("refuse", "lb_bandwidth"), None)
    list(chat_at(cloud, auth_type=None, api_key=SECRET, hooks=(told.append,)).stream(QUESTION))

    first = [tracing.Asked, tracing.Answered, tracing.AskedAgain]
    then = [tracing.Asked, tracing.Answered, tracing.Started, tracing.Ended]
    assert [*first, *then] == [type(moment) for moment in told]
    assert ANSWER == told[-1].reply.text
    assert SECRET not in repr(told)


# ------------------------------------------------------------------ completions


async def test_completions_stream_in_events_and_when_asked(cloud: Emulator) -> None:
    """The completion class streams, reports usage and finish reason, and streams underneath `astream_events`."""
    llm = OCIModelDeploymentLLM(endpoint=cloud.endpoint, auth_type="none")
    whole = await llm.agenerate([QUESTION])
    streamed = [chunk async for chunk in llm.astream(QUESTION)]
    events = [event["event"] async for event in llm.astream_events(QUESTION, version="v2")]

    assert whole.generations[0][0].text == "".join(streamed)
    assert (whole.llm_output or {})["token_usage"]["completion_tokens"] > 0
    assert "stop" == (whole.generations[0][0].generation_info or {})["finish_reason"]
    assert events.count("on_llm_stream") > 2
    assert cloud.requests[0].json["prompt"] == QUESTION
    assert "/v1/completions" == cloud.last.headers["route"]


# ------------------------------------------------------------------ imports


def test_import_is_light() -> None:
    """Importing the package loads no vendor SDK, not the other framework, and nothing heavy."""
    heavy = ("oci", "ads", "boto3", "botocore", "openai", "llama_index", "cryptography", "requests", "aiohttp", "trio")
    code = f"import sys, langchain_mdstream; print([name for name in {heavy} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    core = "import sys, langchain_core.language_models; print([n for n in ('requests', 'aiohttp') if n in sys.modules])"
    brought = subprocess.run([sys.executable, "-c", core], capture_output=True, text=True, check=True)
    assert brought.stdout == shown.stdout


def test_no_threads_are_left(cloud: Emulator) -> None:
    """Neither streaming nor closing leaves threads behind."""
    before = threading.active_count()
    chat = chat_at(cloud)
    list(chat.stream("hi"))
    asyncio.run(chat.ainvoke("hi"))
    chat.close()

    end = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert before >= threading.active_count()


def test_an_answer_is_json_all_through(cloud: Emulator) -> None:
    """A message can be kept by any checkpointer."""
    message: AIMessage = chat_at(cloud).invoke("hi")

    json.dumps(message.response_metadata)
    json.dumps(message.additional_kwargs)
