"""Query and chat engines on every platform: retrieved passages, responses, failed streams."""

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from _corpus import QUERIES, passages
from _embedding_platforms import EMBEDDING, RANKING
from _llamaindex_embeddings import embedding_at, llm_at, reranker_at
from _platforms import AWS, PLATFORM_CASES, USUAL
from _stream_endings import ENDINGS, Ending
from llama_index.core import VectorStoreIndex
from llama_index.core.llms import ChatResponse, MessageRole
from llama_index.core.schema import TextNode

from llamaindex_mdstream import RequestNotSent, SageMakerLLM
from mdstream_core import MDStreamError
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.emulator.model import ModelOutput, respond
from mdstream_core.errors import AuthenticationError, NotFound, StreamFailure

REQUEST, AMENDMENT = next(iter(QUERIES.items()))


@dataclass(frozen=True)
class Platform:
    """A platform with its embeddings, reranker and LLM, and a failure of its streams."""

    embedding: str
    ranking: str
    llm: str
    own: dict[str, Ending]

    @property
    def endings(self) -> dict[str, Ending]:
        """Return the platform's own failure and the common one."""
        return {"cut": USUAL["cut"], **self.own}


PLATFORMS = {
    "OCI model deployment": Platform(
        "OCI model deployment, vLLM",
        "OCI model deployment",
        "OCI model deployment",
        {name: ENDINGS[name] for name in ("trailer json after [DONE]", "trailer json before [DONE]")},
    ),
    "OCI Generative AI": Platform(
        "OCI GenAI", "OCI GenAI", "OCI GenAI COHERE", {"no finish reason": USUAL["no finish reason"]}
    ),
    "SageMaker": Platform(
        "SageMaker TEI",
        "SageMaker TEI",
        "SageMaker vLLM",
        {"ModelStreamError": PLATFORM_CASES["SageMaker vLLM"].endings["ModelStreamError"]},
    ),
    "ModelArts": Platform(
        "ModelArts",
        "MaaS",
        "ModelArts WebSocket",
        {"close code": PLATFORM_CASES["ModelArts WebSocket"].endings["close code 1011"]},
    ),
}
BROKEN = {
    f"{name}: {how}": (emulator, ending)
    for name, emulator in PLATFORMS.items()
    for how, ending in emulator.endings.items()
}

#: Chat engines, and the number of requests (embedding, reranking) before that of the LLM.
CHATS = {"condense_plus_context": 2, "context": 2, "simple": 0}
ENGINES = {"query": 2, **CHATS}

each_platform = pytest.mark.parametrize("platform_case", PLATFORMS.values(), ids=PLATFORMS)
broken = pytest.mark.parametrize(("platform_case", "ending"), BROKEN.values(), ids=BROKEN)
any_engine = pytest.mark.parametrize("kind", ENGINES)

#: LlamaIndex's writer thread also ends with the error that it passed to the reader.
threads = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def condense(request: dict[str, Any]) -> ModelOutput | str:
    """The emulator's built-in model, which returns follow-up questions unchanged."""
    requested = request["messages"][-1]["content"] if "messages" in request else request.get("prompt", "")
    _, found, follow_up = str(requested).partition("Follow Up Input: ")
    return follow_up.partition("\n")[0] if found else respond(request)


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator(model=condense, aws_keys=AWS) as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The emulator, reset."""
    shared_emulator.reset()
    return shared_emulator


def engine_at(emulator: Emulator, platform_case: Platform, kind: str, *, streaming: bool = True) -> Any:
    """An engine over the corpus that retrieves twelve candidates and keeps the best two."""
    embedding = embedding_at(emulator, EMBEDDING[platform_case.embedding])
    reranker = reranker_at(emulator, RANKING[platform_case.ranking], top_n=2)
    index = VectorStoreIndex([TextNode(text=text) for text in passages()], embed_model=embedding)
    given = {
        "llm": llm_at(emulator, PLATFORM_CASES[platform_case.llm]),
        "similarity_top_k": 12,
        "node_postprocessors": [reranker],
    }
    emulator.reset()
    if kind == "query":
        return index.as_query_engine(streaming=streaming, **given)
    return index.as_chat_engine(chat_mode=kind, **given)


def send_request(engine: Any, query: str = REQUEST) -> Any:
    """Send a query and return the streaming response."""
    return engine.query(query) if hasattr(engine, "query") else engine.stream_chat(query)


async def asend_request(engine: Any, query: str = REQUEST) -> Any:
    """Async variant."""
    return await (engine.aquery(query) if hasattr(engine, "aquery") else engine.astream_chat(query))


Read = Callable[[Any, list[str]], Any]


def read(engine: Any, pieces: list[str]) -> Any:
    """Read a response into `pieces`."""
    response = send_request(engine)
    read_response(response, pieces)
    return response


async def aread(engine: Any, pieces: list[str]) -> Any:
    """Async variant."""
    response = await asend_request(engine)
    await aread_response(response, pieces)
    return response


def read_response(response: Any, pieces: list[str]) -> None:
    """Read `response_gen`."""
    for piece in response.response_gen:
        pieces.append(piece)  # noqa: PERF402  # responses before an error must be kept


async def aread_response(response: Any, pieces: list[str]) -> None:
    """Read `async_response_gen()`, which must not wait for ever."""
    async with asyncio.timeout(20):
        async for piece in response.async_response_gen():
            pieces.append(piece)  # noqa: PERF401


READS: dict[str, Read] = {"sync": read, "async": lambda engine, pieces: asyncio.run(aread(engine, pieces))}
either = pytest.mark.parametrize("reading", READS.values(), ids=READS)


@each_platform
async def test_query_engine_finds_the_passage(emulator: Emulator, platform_case: Platform) -> None:
    """For each query the right amendment ranks first, and the response is taken from it, by each method."""
    whole, streamed = (engine_at(emulator, platform_case, "query", streaming=streaming) for streaming in (False, True))
    for query, amendment in QUERIES.items():
        response = whole.query(query)
        best = response.source_nodes[0].text
        awaited: list[str] = []
        await aread_response(await streamed.aquery(query), awaited)

        assert best.startswith(amendment), query
        assert response.response
        assert response.response in best
        assert response.response == (await whole.aquery(query)).response == "".join(awaited)
        assert response.response == "".join(streamed.query(query).response_gen)


@each_platform
@pytest.mark.parametrize("kind", ["condense_plus_context", "context"])
async def test_chat_engine_finds_the_passages(emulator: Emulator, platform_case: Platform, kind: str) -> None:
    """Several messages are sent, streamed or not, sync and async; the history has the responses."""
    engine = engine_at(emulator, platform_case, kind)
    for query, amendment in QUERIES.items():
        engine.reset()
        responses = [engine.chat(query), await engine.achat(query), engine.stream_chat(query)]
        pieces: list[str] = []
        read_response(responses[-1], pieces)
        responses.append(await engine.astream_chat(query))
        await aread_response(responses[-1], pieces)

        assert {amendment} == {response.source_nodes[0].text[: len(amendment)] for response in responses}
        assert 1 == len(output := {response.response for response in responses})
        assert "".join(pieces) == 2 * output.pop()
        assert [message.content for message in engine.chat_history[1::2]] == [one.response for one in responses]


@each_platform
async def test_simple_chat_engine(emulator: Emulator, platform_case: Platform) -> None:
    """An engine without an index returns the model's response, by all four methods."""
    engine = engine_at(emulator, platform_case, "simple")
    output = [engine.chat(REQUEST).response, (await engine.achat(REQUEST)).response]
    for reading in (read_response, aread_response):
        pieces: list[str] = []
        response = engine.stream_chat(REQUEST) if reading is read_response else await engine.astream_chat(REQUEST)
        if found := reading(response, pieces):
            await found
        output.append("".join(pieces))

    assert 1 == len(set(output)), output
    assert 4 * [MessageRole.USER, MessageRole.ASSISTANT] == [message.role for message in engine.chat_history]


@threads
@broken
@any_engine
@either
def test_engines_raise_the_error_of_a_failed_stream(
    emulator: Emulator, platform_case: Platform, ending: Ending, kind: str, reading: Read
) -> None:
    """Readers of a chat engine may lose tokens that LlamaIndex queued before the error; the error's partial has all."""
    engine = engine_at(emulator, platform_case, kind)
    emulator.script(*(None,) * ENGINES[kind], ending.fault)
    pieces: list[str] = []

    with pytest.raises(MDStreamError) as caught:
        reading(engine, pieces)

    error: Any = caught.value
    assert ending.error is type(error)
    assert isinstance(error.partial_response, ChatResponse)
    assert error.partial.text == error.partial_response.message.content
    assert error.partial.text
    assert error.partial.text.startswith("".join(pieces))
    if kind == "query":
        assert error.partial.text == "".join(pieces)


@threads
@any_engine
@either
def test_engines_raise_error_responses(emulator: Emulator, kind: str, reading: Read) -> None:
    """Engines over an index send the LLM request when they are read, the simple chat engine at once."""
    engine = engine_at(emulator, PLATFORMS["OCI model deployment"], kind)
    emulator.script(*(None,) * ENGINES[kind], Fault("refuse", "not_found"))
    pieces: list[str] = []

    with pytest.raises(NotFound) as caught:
        reading(engine, pieces)

    assert "" == "".join(pieces)
    if kind == "simple":
        assert not {"take", "atake"} & {entry.name for entry in caught.traceback}


UNASKED: dict[str, tuple[Callable[[Emulator], Any], type[MDStreamError]]] = {
    "no config file": (
        lambda emulator: llm_at(emulator, auth_type="api_key", auth_file_location="/nowhere"),
        RequestNotSent,
    ),
    "no JSON": (lambda emulator: llm_at(emulator, additional_kwargs={"seed": object()}), RequestNotSent),
    "no credential": (lambda emulator: SageMakerLLM(endpoint_name="e", region_name="us-east-1"), AuthenticationError),
}


@pytest.mark.parametrize(("build", "kind"), UNASKED.values(), ids=UNASKED)
async def test_unsendable_requests_are_no_empty_response(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, build: Callable[[Emulator], Any], kind: type[MDStreamError]
) -> None:
    """LlamaIndex logs a `ValueError` or `TypeError` and returns "Empty Response"; the raised error is neither."""
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    index = VectorStoreIndex([TextNode(text=text) for text in passages()], embed_model=embedding_at(emulator))
    for streaming in (False, True):
        engine = index.as_query_engine(llm=build(emulator), streaming=streaming)
        with pytest.raises(kind) as caught:
            str(engine.query(REQUEST))
        with pytest.raises(kind):
            await aread_response(await engine.aquery(REQUEST), [])
        assert not isinstance(caught.value, ValueError | TypeError)


@pytest.mark.parametrize("kind", ["query", "context"])
@either
def test_engines_raise_the_error_of_a_reranker(emulator: Emulator, kind: str, reading: Read) -> None:
    """No response is generated from an unranked context."""
    engine = engine_at(emulator, PLATFORMS["OCI model deployment"], kind)
    emulator.script(None, Fault("body", data=b'{"error":{"message":"the model server failed","code":500}}'))

    with pytest.raises(StreamFailure):
        reading(engine, [])

    assert 2 == len(emulator.requests)


def test_rereading_a_failed_response_raises(emulator: Emulator) -> None:
    """LlamaIndex forgets the error of a query response: a second read returns "None" or the partial response."""
    engine = engine_at(emulator, PLATFORMS["OCI model deployment"], "query")
    emulator.script(None, None, Fault("cut", after=8))
    response = send_request(engine)
    with pytest.raises(MDStreamError):
        str(response)
    assert ("None", []) == (str(response), list(response.response_gen))

    async def again() -> None:
        emulator.script(None, None, Fault("cut", after=8))
        response = await asend_request(engine)
        pieces: tuple[list[str], list[str]] = ([], [])
        with pytest.raises(MDStreamError) as caught:
            await aread_response(response, pieces[0])
        await aread_response(response, pieces[1])
        assert caught.value.partial is not None
        assert [caught.value.partial.text] == ["".join(pieces[0])] == pieces[1]

    asyncio.run(again())


@threads
@pytest.mark.parametrize("kind", CHATS)
def test_rereading_a_failed_chat_raises(emulator: Emulator, kind: str) -> None:
    """A second read raises the same error; the history has the user message but not the partial response."""
    engine = engine_at(emulator, PLATFORMS["OCI model deployment"], kind)
    emulator.script(*(None,) * CHATS[kind], Fault("cut", after=8))
    response = send_request(engine)
    errors = []
    for _ in range(2):
        with pytest.raises(MDStreamError) as caught:
            read_response(response, [])
        errors.append(caught.value)

    assert errors[0] is errors[1]
    assert [REQUEST] == [message.content for message in engine.chat_history]
    assert "" == str(response)

    async def again() -> None:
        engine.reset()
        emulator.script(*(None,) * CHATS[kind], Fault("cut", after=8))
        response = await asend_request(engine)
        for _ in range(2):
            with pytest.raises(MDStreamError):
                await aread_response(response, [])
        assert [REQUEST] == [message.content for message in engine.chat_history]

    asyncio.run(again())


async def test_closing_a_query_stream_closes_the_connection(emulator: Emulator) -> None:
    """Sync streams close at once, async ones in the next loop iteration, because LlamaIndex closes only its own generator."""
    engine = engine_at(emulator, PLATFORMS["OCI model deployment"], "query")
    emulator.script(None, None, Fault("stall", after=6))
    response = send_request(engine)
    next(response.response_gen)
    response.response_gen.close()
    assert emulator.last.client_closed.wait(5)

    emulator.script(None, None, Fault("stall", after=6))
    response = await asend_request(engine)
    await anext(response.response_gen)
    await response.response_gen.aclose()
    assert await asyncio.to_thread(emulator.last.client_closed.wait, 5)
