"""Connections of `ChatOCIModelDeployment`: reuse, closing, retries, copies, and imports."""

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
    """Streams are read to their end, so that the connection is reused."""
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


def test_leaving_a_stream_closes_the_socket(emulator: Emulator) -> None:
    """The server sees the connection close immediately, not at the next garbage collection."""
    emulator.script(Fault("stall", after=3))
    stream = chat_at(emulator).stream(REQUEST)
    next(stream)
    stream.close()  # type: ignore[attr-defined]

    assert emulator.last.client_closed.wait(5)


async def test_leaving_an_asynchronous_stream_closes_the_socket(emulator: Emulator) -> None:
    """`aclose` closes the socket."""
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


def test_retries_end_with_the_first_token(emulator: Emulator) -> None:
    """Failures are retried before the first token, and never after it."""
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
    """`with_fallbacks` uses the next model if the first returns nothing."""
    emulator.script(Fault("trailer", after=0))
    chain = chat_at(emulator, max_retries=0).with_fallbacks([chat_at(emulator, model="second")])
    first, *rest = chain.stream(REQUEST)

    assert "second" == rest[-1].response_metadata["model_name"]
    assert OUTPUT == (first + rest).text  # type: ignore[operator]


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_a_stock_http_client(emulator: Emulator, library: Any) -> None:
    """A stock httpx client works; a warning states that it cannot see trailers."""
    with library.Client(trust_env=False) as http, pytest.warns(RuntimeWarning, match="cannot see HTTP trailers"):
        assert OUTPUT == "".join(chunk.text for chunk in chat_at(emulator, http_client=http).stream(REQUEST))


def test_a_http_client_with_the_librarys_transport(emulator: Emulator) -> None:
    """A client from the library's factory sees trailers."""
    emulator.script(Fault("trailer"))
    with transport.http_client() as http, pytest.raises(errors.StreamTimeout):
        list(chat_at(emulator, http_client=http).stream(REQUEST))


def test_timeouts(emulator: Emulator) -> None:
    """A timeout raises an error that names the limit and has the partial output."""
    emulator.script(Fault("stall", after=3))
    with pytest.raises(errors.StreamStalled, match=r"no data arrived for 0.2 s \(timeout.read\)") as caught:
        list(chat_at(emulator, timeout=0.2, max_retries=0).stream(REQUEST))
    assert "The Nile" == caught.value.partial.text  # type: ignore[union-attr]

    emulator.script(Fault("stall", after=0))
    with pytest.raises(errors.StreamStalled, match=r"no first token within 0\.2 s"):
        list(chat_at(emulator, timeout=Timeout(first_token=0.2), max_retries=0).stream(REQUEST))


def test_a_changed_field_takes_effect(emulator: Emulator) -> None:
    """A copy with another endpoint, and a model with a reassigned field, use the new endpoint."""
    chat = chat_at(emulator)
    chat.invoke("hi")
    with Emulator() as other:
        copied = chat.model_copy(update={"endpoint": other.endpoint})
        copied.invoke("hi")
        assert (1, 1) == (len(emulator.requests), len(other.requests))
        copied.endpoint = emulator.endpoint
        copied.invoke("hi")
        assert (2, 1) == (len(emulator.requests), len(other.requests))


async def test_a_failed_prompt_cancels_the_others(emulator: Emulator) -> None:
    """If one of several prompts fails, the streams of the others are closed."""
    llm = OCIModelDeploymentLLM(endpoint=emulator.endpoint, auth_type="none", max_retries=0, streaming=True)
    emulator.script(Fault("stall", after=2), (Fault("slow_head", seconds=0.2), Fault("empty")))
    with pytest.raises(errors.StreamInterrupted):
        await llm.agenerate(["one", "two"])

    stalled = emulator.requests[0]
    assert await asyncio.to_thread(stalled.client_closed.wait, 5)


def test_fifty_threads_share_one_model(emulator: Emulator) -> None:
    """Each thread gets its own response."""
    chat = chat_at(emulator)

    def send_request(number: int) -> tuple[int, str]:
        return number, "".join(chunk.text for chunk in chat.stream(f"Repeat after me: {number}"))

    with ThreadPoolExecutor(50) as pool:
        responses = list(pool.map(send_request, range(100)))

    assert all(str(number) in response for number, response in responses)


async def test_a_hundred_tasks_share_one_model(emulator: Emulator) -> None:
    """Each task gets its own response."""
    chat = chat_at(emulator)
    responses = await asyncio.gather(*(chat.ainvoke(f"Repeat after me: {n}", stream=True) for n in range(100)))

    assert all(str(n) in response.text for n, response in enumerate(responses))


def test_streaming_does_not_change_the_model(emulator: Emulator) -> None:
    """A stream changes nothing on the model: the next `invoke` does not stream."""
    chat = chat_at(emulator)
    before = chat.model_dump()
    list(chat.stream("hi"))
    chat.invoke("hi")

    assert before == chat.model_dump()
    assert "streaming" not in chat.model_fields_set
    assert "stream" not in emulator.last.json


def test_the_cache_distinguishes_models(emulator: Emulator) -> None:
    """Different models never share a cached response; a repeated request to one model is not sent."""
    cache = InMemoryCache()
    one, two = (chat_at(emulator, model=name, cache=cache) for name in ("one", "two"))

    assert ["one", "two", "one"] == [chat.invoke("hi").response_metadata["model_name"] for chat in (one, two, one)]
    assert 2 == len(emulator.requests)


def test_the_cache_distinguishes_headers(emulator: Emulator) -> None:
    """Headers are part of the cache key, because they may select a model; their values are not in it."""
    cache = InMemoryCache()
    one, two = (
        chat_at(emulator, cache=cache, default_headers={"x-route": name, "authorization": SECRET}) for name in "ab"
    )

    assert [OUTPUT] * 3 == [chat.invoke(REQUEST).text for chat in (one, two, one)]
    assert 2 == len(emulator.requests)
    assert SECRET not in one._get_llm_string()
    assert "a" in one._get_llm_string() != two._get_llm_string()


def test_a_deep_copy_shares_no_field(emulator: Emulator) -> None:
    """A change in the copy does not affect the original."""
    chat = chat_at(emulator, model_kwargs={"seed": 1})
    other = copy.deepcopy(chat)
    other.model_kwargs["seed"] = 2
    chat.invoke("hi")

    assert 1 == emulator.last.json["seed"]


def test_a_pickle_finds_the_key_of_its_environment(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Like a new object; the pickle has no key."""
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
    """Processes that share a socket would read each other's responses (gunicorn forks after loading the model)."""
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
    """A copy sends the same requests as the original."""
    chat = chat_at(emulator)
    chat.invoke("hi")

    assert OUTPUT == duplicate(chat).invoke(REQUEST).text


def test_import_is_light() -> None:
    """The import loads no vendor SDK, not the other framework, and nothing slow."""
    heavy = ("oci", "ads", "boto3", "botocore", "openai", "llama_index", "cryptography", "requests", "aiohttp", "trio")
    code = f"import sys, langchain_mdstream; print([name for name in {heavy} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    core = "import sys, langchain_core.language_models; print([n for n in ('requests', 'aiohttp') if n in sys.modules])"
    expected = subprocess.run([sys.executable, "-c", core], capture_output=True, text=True, check=True)
    assert expected.stdout == loaded.stdout


def test_no_threads_are_left(emulator: Emulator) -> None:
    """Neither streaming nor closing leaves threads running."""
    before = threading.active_count()
    chat = chat_at(emulator)
    list(chat.stream("hi"))
    asyncio.run(chat.ainvoke("hi"))
    chat.close()

    end = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert before >= threading.active_count()


def test_messages_are_json_serializable(emulator: Emulator) -> None:
    """Any checkpointer can store a message."""
    message: AIMessage = chat_at(emulator).invoke("hi")

    json.dumps(message.response_metadata)
    json.dumps(message.additional_kwargs)
