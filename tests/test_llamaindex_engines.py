"""Query and chat engines on every platform: what they find, what they answer, and how a broken stream reaches readers."""

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
    """A platform: where its embeddings, its reranker and its LLM are, and how its streams break in its own way."""

    embedding: str
    ranking: str
    llm: str
    own: dict[str, Ending]

    @property
    def endings(self) -> dict[str, Ending]:
        """Its own, and the one that all have."""
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

#: Chat engines, and how many questions an engine asks before the LLM answers: the vector and the ranking.
CHATS = {"condense_plus_context": 2, "context": 2, "simple": 0}
ENGINES = {"query": 2, **CHATS}

everywhere = pytest.mark.parametrize("platform_case", PLATFORMS.values(), ids=PLATFORMS)
broken = pytest.mark.parametrize(("platform_case", "ending"), BROKEN.values(), ids=BROKEN)
any_engine = pytest.mark.parametrize("kind", ENGINES)

#: Core's writing thread dies of the error that it has handed to the reader.
threads = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def condensing(request: dict[str, Any]) -> ModelOutput | str:
    """The emulator's own model, which takes a follow-up question for one that stands alone."""
    requested = request["messages"][-1]["content"] if "messages" in request else request.get("prompt", "")
    _, found, follow_up = str(requested).partition("Follow Up Input: ")
    return follow_up.partition("\n")[0] if found else respond(request)


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator(model=condensing, aws_keys=AWS) as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The emulator without memories."""
    shared_emulator.reset()
    return shared_emulator


def engine_at(emulator: Emulator, platform_case: Platform, kind: str, *, streaming: bool = True) -> Any:
    """An engine over the corpus: a dozen candidates, the best two of them."""
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


def send_request(engine: Any, question: str = REQUEST) -> Any:
    """A streaming response."""
    return engine.query(question) if hasattr(engine, "query") else engine.stream_chat(question)


async def aask(engine: Any, question: str = REQUEST) -> Any:
    """The same, awaited."""
    return await (engine.aquery(question) if hasattr(engine, "aquery") else engine.astream_chat(question))


Read = Callable[[Any, list[str]], Any]


def read(engine: Any, pieces: list[str]) -> Any:
    """Read a whole response into `pieces`."""
    response = send_request(engine)
    take(response, pieces)
    return response


async def aread(engine: Any, pieces: list[str]) -> Any:
    """The same, awaited."""
    response = await aask(engine)
    await atake(response, pieces)
    return response


def take(response: Any, pieces: list[str]) -> None:
    """Read `response_gen`."""
    for piece in response.response_gen:
        pieces.append(piece)  # noqa: PERF402  # what comes before an error counts


async def atake(response: Any, pieces: list[str]) -> None:
    """Read `async_response_gen()`, which must not wait for ever."""
    async with asyncio.timeout(20):
        async for piece in response.async_response_gen():
            pieces.append(piece)  # noqa: PERF401


READS: dict[str, Read] = {"sync": read, "async": lambda engine, pieces: asyncio.run(aread(engine, pieces))}
either = pytest.mark.parametrize("reading", READS.values(), ids=READS)


@everywhere
async def test_the_right_passage_is_found(emulator: Emulator, platform_case: Platform) -> None:
    """For each question the amendment that answers it comes first, and the answer is out of it, whichever way."""
    whole, streamed = (engine_at(emulator, platform_case, "query", streaming=streaming) for streaming in (False, True))
    for question, amendment in QUERIES.items():
        response = whole.query(question)
        best = response.source_nodes[0].text
        awaited: list[str] = []
        await atake(await streamed.aquery(question), awaited)

        assert best.startswith(amendment), question
        assert response.response
        assert response.response in best
        assert response.response == (await whole.aquery(question)).response == "".join(awaited)
        assert response.response == "".join(streamed.query(question).response_gen)


@everywhere
@pytest.mark.parametrize("kind", ["condense_plus_context", "context"])
async def test_a_chat_finds_the_right_passages(emulator: Emulator, platform_case: Platform, kind: str) -> None:
    """One question after the other, whole and streamed, sync and async; history has what was read."""
    engine = engine_at(emulator, platform_case, kind)
    for question, amendment in QUERIES.items():
        engine.reset()
        responses = [engine.chat(question), await engine.achat(question), engine.stream_chat(question)]
        pieces: list[str] = []
        take(responses[-1], pieces)
        responses.append(await engine.astream_chat(question))
        await atake(responses[-1], pieces)

        assert {amendment} == {response.source_nodes[0].text[: len(amendment)] for response in responses}
        assert 1 == len(output := {response.response for response in responses})
        assert "".join(pieces) == 2 * output.pop()
        assert [message.content for message in engine.chat_history[1::2]] == [one.response for one in responses]


@everywhere
async def test_a_simple_chat(emulator: Emulator, platform_case: Platform) -> None:
    """An engine without an index says what the model says, in all four ways."""
    engine = engine_at(emulator, platform_case, "simple")
    output = [engine.chat(REQUEST).response, (await engine.achat(REQUEST)).response]
    for reading in (take, atake):
        pieces: list[str] = []
        response = engine.stream_chat(REQUEST) if reading is take else await engine.astream_chat(REQUEST)
        if found := reading(response, pieces):
            await found
        output.append("".join(pieces))

    assert 1 == len(set(output)), output
    assert 4 * [MessageRole.USER, MessageRole.ASSISTANT] == [message.role for message in engine.chat_history]


@threads
@broken
@any_engine
@either
def test_a_broken_stream_reaches_the_reader(
    emulator: Emulator, platform_case: Platform, ending: Ending, kind: str, reading: Read
) -> None:
    """A chat engine's reader may lose tokens that core had queued before the error; the error's partial has them all."""
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
def test_a_refusal_reaches_the_reader(emulator: Emulator, kind: str, reading: Read) -> None:
    """With nothing read before; engines over an index ask the LLM when they are read, the simple chat at once."""
    engine = engine_at(emulator, PLATFORMS["OCI model deployment"], kind)
    emulator.script(*(None,) * ENGINES[kind], Fault("refuse", "not_found"))
    pieces: list[str] = []

    with pytest.raises(NotFound) as caught:
        reading(engine, pieces)

    assert "" == "".join(pieces)
    if kind == "simple":
        assert not {"take", "atake"} & {entry.name for entry in caught.traceback}


UNASKED: dict[str, tuple[Callable[[Emulator], Any], type[MDStreamError]]] = {
    "no such way to sign": (lambda emulator: llm_at(emulator, auth_type="carrier_pigeon"), RequestNotSent),
    "no JSON": (lambda emulator: llm_at(emulator, additional_kwargs={"seed": object()}), RequestNotSent),
    "no credential": (lambda emulator: SageMakerLLM(endpoint_name="e", region_name="us-east-1"), AuthenticationError),
}


@pytest.mark.parametrize(("build", "kind"), UNASKED.values(), ids=UNASKED)
async def test_what_cannot_be_requested_is_no_empty_response(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, build: Callable[[Emulator], Any], kind: type[MDStreamError]
) -> None:
    """Core would log a `ValueError` or a `TypeError` and answer "Empty Response"; the error that is raised is neither."""
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    index = VectorStoreIndex([TextNode(text=text) for text in passages()], embed_model=embedding_at(emulator))
    for streaming in (False, True):
        engine = index.as_query_engine(llm=build(emulator), streaming=streaming)
        with pytest.raises(kind) as caught:
            str(engine.query(REQUEST))
        with pytest.raises(kind):
            await atake(await engine.aquery(REQUEST), [])
        assert not isinstance(caught.value, ValueError | TypeError)


@pytest.mark.parametrize("kind", ["query", "context"])
@either
def test_a_reranker_that_fails_is_seen(emulator: Emulator, kind: str, reading: Read) -> None:
    """No answer is made from an unranked context."""
    engine = engine_at(emulator, PLATFORMS["OCI model deployment"], kind)
    emulator.script(None, Fault("body", data=b'{"error":{"message":"the model server failed","code":500}}'))

    with pytest.raises(StreamFailure):
        reading(engine, [])

    assert 2 == len(emulator.requests)


def test_a_second_read_of_a_broken_response(emulator: Emulator) -> None:
    """Core forgets the error of a query engine's response: "None" follows, or the partial as if it were whole."""
    engine = engine_at(emulator, PLATFORMS["OCI model deployment"], "query")
    emulator.script(None, None, Fault("cut", after=8))
    response = send_request(engine)
    with pytest.raises(MDStreamError):
        str(response)
    assert ("None", []) == (str(response), list(response.response_gen))

    async def again() -> None:
        emulator.script(None, None, Fault("cut", after=8))
        response = await aask(engine)
        pieces: tuple[list[str], list[str]] = ([], [])
        with pytest.raises(MDStreamError) as caught:
            await atake(response, pieces[0])
        await atake(response, pieces[1])
        assert caught.value.partial is not None
        assert [caught.value.partial.text] == ["".join(pieces[0])] == pieces[1]

    asyncio.run(again())


@threads
@pytest.mark.parametrize("kind", CHATS)
def test_a_second_read_of_a_broken_chat(emulator: Emulator, kind: str) -> None:
    """The same error again; the history has the question, and what was answered has to be put there by its owner."""
    engine = engine_at(emulator, PLATFORMS["OCI model deployment"], kind)
    emulator.script(*(None,) * CHATS[kind], Fault("cut", after=8))
    response = send_request(engine)
    errors = []
    for _ in range(2):
        with pytest.raises(MDStreamError) as caught:
            take(response, [])
        errors.append(caught.value)

    assert errors[0] is errors[1]
    assert [REQUEST] == [message.content for message in engine.chat_history]
    assert "" == str(response)

    async def again() -> None:
        engine.reset()
        emulator.script(*(None,) * CHATS[kind], Fault("cut", after=8))
        response = await aask(engine)
        for _ in range(2):
            with pytest.raises(MDStreamError):
                await atake(response, [])
        assert [REQUEST] == [message.content for message in engine.chat_history]

    asyncio.run(again())


async def test_a_reader_who_leaves_a_query_engine_closes_the_connection(emulator: Emulator) -> None:
    """At once, sync; async when the loop comes round, because core closes its own generator alone."""
    engine = engine_at(emulator, PLATFORMS["OCI model deployment"], "query")
    emulator.script(None, None, Fault("stall", after=6))
    response = send_request(engine)
    next(response.response_gen)
    response.response_gen.close()
    assert emulator.last.client_closed.wait(5)

    emulator.script(None, None, Fault("stall", after=6))
    response = await aask(engine)
    await anext(response.response_gen)
    await response.response_gen.aclose()
    assert await asyncio.to_thread(emulator.last.client_closed.wait, 5)
