"""`ChatOCIModelDeployment` and its connections: reuse, closing, retries, sharing, imports."""

import asyncio
import copy
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import httpx2
import pytest
from _langchain import OUTPUT, REQUEST, SECRET, chat_at, emulator, shared_emulator
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage

from langchain_mdstream import ChatOCIModelDeployment, OCIModelDeploymentLLM
from mdstream_core import Timeout, errors, transport
from mdstream_core.emulator import Emulator, Fault

__all__ = ["emulator", "shared_emulator"]  # fixtures


def test_two_hundred_streams_use_one_connection(emulator: Emulator) -> None:
    """Streams are read to their end, so the connection is used again."""
    chat = chat_at(emulator)
    before = emulator.connections
    for _ in range(200):
        assert OUTPUT == "".join(chunk.text for chunk in chat.stream(REQUEST))

    assert 1 == emulator.connections - before


def test_a_model_outlives_its_event_loop(emulator: Emulator) -> None:
    """Two `asyncio.run` in a row work, with one request each."""
    chat = chat_at(emulator, max_retries=0)

    assert OUTPUT == asyncio.run(chat.ainvoke(REQUEST)).text
    assert OUTPUT == asyncio.run(chat.ainvoke(REQUEST)).text
    assert 2 == len(emulator.requests)


def test_breaking_out_closes_the_socket(emulator: Emulator) -> None:
    """The server sees the client go at once, not when the garbage is collected."""
    emulator.script(Fault("stall", after=3))
    stream = chat_at(emulator).stream(REQUEST)
    next(stream)
    stream.close()  # type: ignore[attr-defined]

    assert emulator.last.client_closed.wait(5)


async def test_breaking_out_of_an_asynchronous_stream_closes_the_socket(emulator: Emulator) -> None:
    """`aclose` reaches the socket."""
    emulator.script(Fault("stall", after=3))
    stream = chat_at(emulator).astream(REQUEST)
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]

    assert await asyncio.to_thread(emulator.last.client_closed.wait, 5)


async def test_cancelling_closes_the_socket(emulator: Emulator) -> None:
    """A cancelled task leaves no request running on the server."""
    emulator.script(Fault("stall", after=3))
    arrived = asyncio.Event()

    async def read() -> None:
        async for _ in chat_at(emulator).astream(REQUEST):
            arrived.set()

    task = asyncio.create_task(read())
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await asyncio.to_thread(emulator.last.client_closed.wait, 5)


def test_retries_end_where_delivery_begins(emulator: Emulator) -> None:
    """Before the first token a failure is asked again; after it never."""
    chat = chat_at(emulator)
    emulator.script(Fault("refuse", "lb_bandwidth"), Fault("trailer", after=0), None)
    assert OUTPUT == "".join(chunk.text for chunk in chat.stream(REQUEST))
    assert 3 == len(emulator.requests)

    emulator.reset()
    emulator.script(Fault("trailer", after=3))
    with pytest.raises(errors.StreamTimeout):
        list(chat.stream(REQUEST))
    assert 1 == len(emulator.requests)


def test_fallbacks_switch_before_the_first_token(emulator: Emulator) -> None:
    """`with_fallbacks` takes the next model when the first gives nothing."""
    emulator.script(Fault("trailer", after=0))
    chain = chat_at(emulator, max_retries=0).with_fallbacks([chat_at(emulator, model="second")])
    first, *rest = chain.stream(REQUEST)

    assert "second" == rest[-1].response_metadata["model_name"]
    assert OUTPUT == (first + rest).text  # type: ignore[operator]


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_a_client_of_the_users_own(emulator: Emulator, library: Any) -> None:
    """A stock client works; that it cannot show trailers is said in a warning."""
    with library.Client(trust_env=False) as http, pytest.warns(RuntimeWarning, match="cannot see HTTP trailers"):
        assert OUTPUT == "".join(chunk.text for chunk in chat_at(emulator, http_client=http).stream(REQUEST))


def test_a_client_of_the_users_own_with_our_transport(emulator: Emulator) -> None:
    """Built by our factory, a client shows trailers."""
    emulator.script(Fault("trailer"))
    with transport.http_client() as http, pytest.raises(errors.StreamTimeout):
        list(chat_at(emulator, http_client=http).stream(REQUEST))


def test_timeouts(emulator: Emulator) -> None:
    """Silence ends with an error that says which limit it was, with the partial."""
    emulator.script(Fault("stall", after=3))
    with pytest.raises(errors.StreamStalled, match=r"no data arrived for 0.2 s \(timeout.read\)") as caught:
        list(chat_at(emulator, timeout=0.2, max_retries=0).stream(REQUEST))
    assert "The Nile" == caught.value.partial.text  # type: ignore[union-attr]

    emulator.script(Fault("stall", after=0))
    with pytest.raises(errors.StreamStalled, match=r"no first token within 0\.2 s"):
        list(chat_at(emulator, timeout=Timeout(first_token=0.2), max_retries=0).stream(REQUEST))


def test_a_changed_field_counts(emulator: Emulator) -> None:
    """A copy with another endpoint asks there, and so does a model whose field was assigned."""
    chat = chat_at(emulator)
    chat.invoke("hi")
    with Emulator() as other:
        there = chat.model_copy(update={"endpoint": other.endpoint})
        there.invoke("hi")
        assert (1, 1) == (len(emulator.requests), len(other.requests))
        there.endpoint = emulator.endpoint
        there.invoke("hi")
        assert (2, 1) == (len(emulator.requests), len(other.requests))


async def test_one_failed_prompt_leaves_no_orphans(emulator: Emulator) -> None:
    """Where one of several prompts fails, the others' streams are closed."""
    llm = OCIModelDeploymentLLM(endpoint=emulator.endpoint, auth_type="none", max_retries=0, streaming=True)
    emulator.script(Fault("stall", after=2), (Fault("slow_head", seconds=0.2), Fault("empty")))
    with pytest.raises(errors.StreamInterrupted):
        await llm.agenerate(["one", "two"])

    stalled = emulator.requests[0]
    assert await asyncio.to_thread(stalled.client_closed.wait, 5)


def test_fifty_threads_share_one_model(emulator: Emulator) -> None:
    """Each gets its own answer."""
    chat = chat_at(emulator)

    def send_request(number: int) -> tuple[int, str]:
        return number, "".join(chunk.text for chunk in chat.stream(f"Repeat after me: {number}"))

    with ThreadPoolExecutor(50) as pool:
        responses = list(pool.map(send_request, range(100)))

    assert all(str(number) in answer for number, answer in responses)


async def test_a_hundred_tasks_share_one_model(emulator: Emulator) -> None:
    """Each gets its own answer."""
    chat = chat_at(emulator)
    responses = await asyncio.gather(*(chat.ainvoke(f"Repeat after me: {n}", stream=True) for n in range(100)))

    assert all(str(n) in answer.text for n, answer in enumerate(responses))


def test_streaming_leaves_the_model_as_it_was(emulator: Emulator) -> None:
    """A stream sets nothing on the model: the next `invoke` does not stream."""
    chat = chat_at(emulator)
    before = chat.model_dump()
    list(chat.stream("hi"))
    chat.invoke("hi")

    assert before == chat.model_dump()
    assert "streaming" not in chat.model_fields_set
    assert "stream" not in emulator.last.json


def test_the_cache_reports_models_apart(emulator: Emulator) -> None:
    """Two models never share an answer; one model's second question is not asked."""
    cache = InMemoryCache()
    one, two = (chat_at(emulator, model=name, cache=cache) for name in ("one", "two"))

    assert ["one", "two", "one"] == [chat.invoke("hi").response_metadata["model_name"] for chat in (one, two, one)]
    assert 2 == len(emulator.requests)


def test_the_cache_reports_routes_apart(emulator: Emulator) -> None:
    """A header may say which model answers; a secret in one is not written into the cache's key."""
    cache = InMemoryCache()
    one, two = (
        chat_at(emulator, cache=cache, default_headers={"x-route": name, "authorization": SECRET}) for name in "ab"
    )

    assert [OUTPUT] * 3 == [chat.invoke(REQUEST).text for chat in (one, two, one)]
    assert 2 == len(emulator.requests)
    assert SECRET not in one._get_llm_string()
    assert "a" in one._get_llm_string() != two._get_llm_string()


def test_a_deep_copy_shares_no_field(emulator: Emulator) -> None:
    """What is changed in it is not changed in the original."""
    chat = chat_at(emulator, model_kwargs={"seed": 1})
    other = copy.deepcopy(chat)
    other.model_kwargs["seed"] = 2
    chat.invoke("hi")

    assert 1 == emulator.last.json["seed"]


def test_a_pickle_finds_the_key_of_its_environment(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a new object does; it holds none itself."""
    monkeypatch.setenv("MDSTREAM_API_KEY", "one")
    chat = ChatOCIModelDeployment(endpoint=emulator.endpoint)
    written = pickle.dumps(chat)
    monkeypatch.setenv("MDSTREAM_API_KEY", "other")
    read = pickle.loads(written)
    read.invoke("hi")

    assert "Bearer other" == emulator.last.headers["authorization"]
    assert b"one" not in pickle.dumps(ChatOCIModelDeployment(endpoint="https://h/ocid1.x", api_key="one"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # fork beside the emulator's threads: it is what is tried
def test_a_forked_process_has_connections_of_its_own(emulator: Emulator) -> None:
    """Two that read from one socket would read each other's answers (gunicorn forks after loading the model)."""
    chat = chat_at(emulator)
    chat.invoke("hi")
    before = emulator.connections
    child = os.fork()
    if child == 0:  # nothing of pytest's may run here
        status = 1
        try:
            status = 0 if chat.invoke(REQUEST).text == OUTPUT else 2
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)

    assert 0 == os.waitstatus_to_exitcode(status)
    assert before + 1 == emulator.connections
    assert OUTPUT == chat.invoke(REQUEST).text
    assert before + 1 == emulator.connections  # the parent's is still open


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda chat: pickle.loads(pickle.dumps(chat))])
def test_copies_and_pickles_work(emulator: Emulator, duplicate: Any) -> None:
    """A copy asks as the original does."""
    chat = chat_at(emulator)
    chat.invoke("hi")

    assert OUTPUT == duplicate(chat).invoke(REQUEST).text


def test_import_is_light() -> None:
    """Importing the package loads no vendor SDK, not the other framework, and nothing heavy."""
    heavy = ("oci", "ads", "boto3", "botocore", "openai", "llama_index", "cryptography", "requests", "aiohttp", "trio")
    code = f"import sys, langchain_mdstream; print([name for name in {heavy} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    core = "import sys, langchain_core.language_models; print([n for n in ('requests', 'aiohttp') if n in sys.modules])"
    brought = subprocess.run([sys.executable, "-c", core], capture_output=True, text=True, check=True)
    assert brought.stdout == shown.stdout


def test_no_threads_are_left(emulator: Emulator) -> None:
    """Neither streaming nor closing leaves threads behind."""
    before = threading.active_count()
    chat = chat_at(emulator)
    list(chat.stream("hi"))
    asyncio.run(chat.ainvoke("hi"))
    chat.close()

    end = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert before >= threading.active_count()


def test_a_response_is_json_all_through(emulator: Emulator) -> None:
    """A message can be kept by any checkpointer."""
    message: AIMessage = chat_at(emulator).invoke("hi")

    json.dumps(message.response_metadata)
    json.dumps(message.additional_kwargs)
