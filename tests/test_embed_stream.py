"""`embed_stream` and `aembed_stream` on every platform, in both frameworks: order, window, closing, arrays, memory."""

import asyncio
import base64
import os
import subprocess
import sys
import threading
from array import array
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from _embed_stream import STYLES, acounted, aembed, counted, embed, worker_threads
from _embedding_platforms import EMBEDDING
from _json_server import CLASSES, Embedder, responding
from _llamaindex_embeddings import embedding_at
from _platforms import PlatformCase, emulator, shared_emulator
from _raw_server import Peer, RawServer, certificates, serving
from test_batch_limits import limited, sizes
from test_fork import fork
from test_langchain_embeddings import embeddings_at

from langchain_mdstream import OCIModelDeploymentEmbeddings
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import InvalidRequest, MalformedStream, MDStreamError, MissingExtra

__all__ = ["emulator", "shared_emulator"]  # fixtures

MODELS: dict[str, Any] = {"LangChain": embeddings_at, "LlamaIndex": embedding_at}

each_framework = pytest.mark.parametrize("framework", MODELS)
each_style = pytest.mark.parametrize("style", STYLES)

#: Seconds that a test waits for another thread; a test that needs them has failed.
LIMIT = 60


def respond(body: dict[str, Any]) -> tuple[int, Any]:
    """Vectors of the number in each text."""
    rows = [{"index": at, "embedding": [float(text[12:]), 1.0]} for at, text in enumerate(body["input"])]
    return 200, {"data": rows}


def expected(count: int) -> list[tuple[int, list[float]]]:
    return [(number, [float(number), 1.0]) for number in range(count)]


@each_framework
@pytest.mark.parametrize("platform_case", EMBEDDING.values(), ids=EMBEDDING)
async def test_every_platform(emulator: Emulator, framework: str, platform_case: PlatformCase) -> None:
    """Vectors in the order of the texts, of generators and async generators, as lists and as arrays."""
    model = MODELS[framework](emulator, platform_case, batch_size=16)
    vectors = model.embed([*counted(100)]).embeddings
    lists = [(vector.index, vector.vector) for vector in vectors]

    assert lists == embed(model, counted(100))
    assert lists == await aembed(model, counted(100)) == await aembed(model, acounted(100))
    for results in (embed(model, counted(100), as_array=True), await aembed(model, acounted(100), as_array=True)):
        assert [*range(100)] == [index for index, _ in results]
        assert {"float32"} == {str(vector.dtype) for _, vector in results}
        np.testing.assert_array_equal(np.array([vector for _, vector in lists], "float32"), [v for _, v in results])
        assert all(vector.flags.writeable for _, vector in results)
    assert [] == embed(model, []) == await aembed(model, []) == await aembed(model, acounted(0))


@each_style
@each_framework
def test_a_slow_request_does_not_hold_the_others_up(framework: str, style: str) -> None:
    """Four batches for each concurrent request are sent meanwhile; no more texts are read than these."""
    read: list[int] = []
    counts: list[int] = []
    released = threading.Event()

    def hold_the_first(body: dict[str, Any]) -> tuple[int, Any]:
        if len(server.notes) == 8:  # the window: 2 * 4 batches
            released.set()
        if "text number 0" in body["input"]:
            assert released.wait(LIMIT)
            counts.append(len(read))
        return respond(body)

    def on_result(index: int, vector: Any) -> None:
        assert len(read) <= index + 40 + 5  # the window, and the batch that is being delivered

    with responding(hold_the_first) as server:
        model = Embedder(framework, "OCI", server, batch_size=5, max_concurrency=2).model
        assert expected(200) == STYLES[style](model, counted(200, read), on_result)
        assert [5] * 40 == sizes(server)
    assert [40] == counts
    assert [*range(200)] == read


class Enough(Exception):
    """Raised by a consumer."""


@each_style
@each_framework
def test_closing_cancels_the_requests(framework: str, style: str) -> None:
    """The sockets of requests in progress are closed, no further text is read, no thread or task is left."""
    second = threading.Event()
    read: list[int] = []

    def script(server: RawServer, peer: Peer) -> None:
        peer.request()
        body = b'{"data":[%s]}' % b",".join(b'{"index":%d,"embedding":[1.0]}' % at for at in range(5))
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body), body)
        peer.request()
        second.set()
        server.note(peer.sees_end(LIMIT))

    def stop(index: int, vector: Any) -> None:
        if index == 3:
            if style == "threads":
                assert second.wait(LIMIT)
            raise Enough

    with serving(script) as server:
        model = Embedder(framework, "OCI", server, batch_size=5, max_concurrency=1).model
        with pytest.raises(Enough):
            STYLES[style](model, counted(10**9, read), stop)
        assert [] == worker_threads()
        if second.is_set():
            assert server.noted.wait(LIMIT)
            assert [True] == server.notes
    assert len(read) <= 30


def _respond_once(server: RawServer, peer: Peer) -> None:
    """Respond to the first request of 5 texts, and note whether the client closes in the second."""
    body = b'{"data":[%s]}' % b",".join(b'{"index":%d,"embedding":[1.0]}' % at for at in range(5))
    while request := peer.request():
        if b"text number 0" not in request:
            server.requests.append(request)
            server.note(peer.sees_end(LIMIT))
            return
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body), body)


def _wait_for_the_second(server: RawServer) -> None:
    deadline = threading.Event()
    while not server.requests:
        deadline.wait(0.005)


def test_closing_over_tls(tmp_path: Path) -> None:
    """A thread that reads from an encrypted connection is interrupted too."""
    server_context, _, authority = certificates(tmp_path)
    with serving(_respond_once, tls=server_context) as server:
        fields = {"endpoint": f"{server.url}/ocid1.x", "auth_type": "none", "verify": str(authority)}
        model = OCIModelDeploymentEmbeddings(**fields, batch_size=5, max_concurrency=1)
        for index, _ in model.embed_stream(counted(10**9)):
            if index == 2:
                _wait_for_the_second(server)
                break
        assert server.noted.wait(LIMIT)
        assert [True] == server.notes
    assert [] == worker_threads()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process() -> None:
    """A stream of the parent is an error in the child, where closing it does not close the parent's sockets."""

    def use_it() -> None:
        with pytest.raises(RuntimeError, match="before the process was forked"):
            for _ in stream:
                pass
        stream.close()

    with serving(_respond_once) as server:
        model = Embedder("LangChain", "OCI", server, batch_size=5, max_concurrency=1).model
        stream = model.embed_stream(counted(10**9))
        next(stream)
        _wait_for_the_second(server)
        assert 0 == fork(use_it)
        assert [] == server.notes  # the parent still waits for the response
        assert (1, [1.0]) == next(stream)
        stream.close()
        assert server.noted.wait(LIMIT)
    assert [] == worker_threads()


@each_framework
async def test_a_cancelled_consumer_leaves_no_task(framework: str) -> None:
    """Cancelled while it waits for a response."""
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    def script(server: RawServer, peer: Peer) -> None:
        peer.request()
        loop.call_soon_threadsafe(started.set)
        server.note(peer.sees_end(LIMIT))

    with serving(script) as server:
        model = Embedder(framework, "OCI", server, batch_size=5, max_concurrency=1).model
        before = asyncio.all_tasks()
        task = asyncio.create_task(aembed(model, counted(10**9)))
        await asyncio.wait_for(started.wait(), LIMIT)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert before == asyncio.all_tasks()
        assert await asyncio.to_thread(server.noted.wait, LIMIT)
        assert [True] == server.notes


async def test_a_loop_that_is_left_without_closing(emulator: Emulator) -> None:
    """The loop closes the generator when it is not referenced any more."""
    model = embeddings_at(emulator, batch_size=5)
    before = asyncio.all_tasks()
    async for index, _ in model.aembed_stream(counted(10**9)):
        if index == 7:
            break
    while left := asyncio.all_tasks() - before:
        await asyncio.wait(left)
    for index, _ in model.embed_stream(counted(10**9)):
        if index == 7:
            break
    assert [] == worker_threads()


def test_a_loop_that_ends_before_the_stream(emulator: Emulator) -> None:
    """`asyncio.run` cancels the tasks and closes the generator."""
    model = embeddings_at(emulator, batch_size=5)
    kept = []

    async def main() -> int:
        stream = model.aembed_stream(counted(10**9))
        kept.append(stream)
        index, _ = await anext(stream)
        return int(index)

    assert 0 == asyncio.run(main())


def test_closing_ends_the_wait_for_a_retry() -> None:
    """The request is abandoned, and not sent again."""
    events: list[str] = []
    waiting = threading.Event()

    def note(event: Any) -> None:
        events.append(type(event).__name__)
        if events[-1] == "RetryScheduled":
            waiting.set()

    def busy(body: dict[str, Any]) -> tuple[int, Any]:
        return respond(body) if "text number 0" in body["input"] else (503, {"error": "busy"})

    with responding(busy) as server:
        options = {"batch_size": 5, "max_concurrency": 1, "max_retries": 9}
        model = Embedder("LangChain", "OCI", server, hooks=(note,), **options).model
        for index, _ in model.embed_stream(counted(100)):
            if index == 4:  # the inputs of the second batch were read for the results of the first
                assert waiting.wait(LIMIT)
                break
    assert "Abandoned" == events[-1]
    assert [] == worker_threads()


def test_a_client_of_the_user_without_our_transport(emulator: Emulator) -> None:
    """Closing waits for the responses in progress."""
    with httpx.Client() as http:
        model = embeddings_at(emulator, batch_size=5, http_client=http)
        with pytest.warns(RuntimeWarning, match="cannot see HTTP trailers"):
            assert 50 == len(embed(model, counted(50)))
        for index, _ in model.embed_stream(counted(10**9)):
            if index == 7:
                break
    assert [] == worker_threads()


@each_style
@each_framework
def test_an_error_of_the_iterable(emulator: Emulator, framework: str, style: str) -> None:
    """It is raised as it is, after the vectors of the texts before it."""
    error = KeyError("the database")

    def texts() -> Any:
        yield from counted(23)
        raise error

    model, results = MODELS[framework](emulator, batch_size=5), []
    with pytest.raises(KeyError) as caught:
        STYLES[style](model, texts(), lambda index, vector: results.append(index))
    assert error is caught.value
    assert [*range(23)] == results


@each_style
@each_framework
def test_a_text_that_is_no_string(emulator: Emulator, framework: str, style: str) -> None:
    """The error names its index, after the vectors of the texts before it; a single string is no list of texts."""
    model, results = MODELS[framework](emulator, batch_size=5), []
    with pytest.raises(TypeError, match=r"text 12 has the type NoneType \(hint: pass strings\)"):
        STYLES[style](model, [*counted(12), None, "more"], lambda index, vector: results.append(index))
    assert [*range(12)] == results
    with pytest.raises(TypeError, match="single string"):
        STYLES[style](model, "one text")
    with pytest.raises(TypeError, match="not iterable"):
        STYLES[style](model, 5)


@each_style
@pytest.mark.parametrize("max_concurrency", [1, 3])
@each_framework
def test_a_failed_request(framework: str, max_concurrency: int, style: str) -> None:
    """Everything before it is delivered; everything received after it is in the partial, with its indices."""
    received: list[int] = []
    later = threading.Event()

    def fail_one(body: dict[str, Any]) -> tuple[int, Any]:
        first = int(body["input"][0][12:])
        if first == 20:
            later.wait(LIMIT if max_concurrency > 1 else 0)
            return 400, {"error": {"message": "this text is not accepted"}}
        if first > 25:
            later.set()
        received.extend(range(first, first + len(body["input"])))
        return respond(body)

    results: list[Any] = []
    with responding(fail_one) as server:
        model = Embedder(framework, "OCI", server, batch_size=5, max_concurrency=max_concurrency).model
        with pytest.raises(InvalidRequest, match="not accepted") as caught:
            STYLES[style](model, counted(10**9), lambda index, vector: results.append((index, vector)))
        assert [] == worker_threads()

    assert expected(20) == results
    partial = [(one.index, one.vector) for one in getattr(caught.value.partial, "embeddings", ())]
    assert all([float(index), 1.0] == vector for index, vector in partial)
    assert sorted(received)[20:] == [index for index, _ in partial]
    assert bool(partial) == (max_concurrency > 1)
    assert 0 == len(received) % 5


def test_the_first_of_two_failed_requests_is_raised() -> None:
    """In the order of the texts, also if it fails after the other."""
    other = threading.Event()

    def fail_two(body: dict[str, Any]) -> tuple[int, Any]:
        first = int(body["input"][0][12:])
        if first == 5:
            other.wait(LIMIT)
        if first == 10:
            other.set()
        return (400, {"error": {"message": f"rejected {first}"}}) if first in {5, 10} else respond(body)

    results: list[int] = []
    with responding(fail_two) as server:
        model = Embedder("LangChain", "OCI", server, batch_size=5, max_concurrency=3).model
        with pytest.raises(InvalidRequest, match="rejected 5"):
            embed(model, counted(100), lambda index, vector: results.append(index))
    assert [*range(5)] == results


@each_style
def test_an_exception_of_a_hook(emulator: Emulator, style: str) -> None:
    """It is raised as it is, after the vectors before it."""
    requests: list[int] = []

    def hook(event: Any) -> None:
        if type(event).__name__ == "RequestSent":
            requests.append(1)
            if len(requests) == 3:
                raise ZeroDivisionError

    model, results = embeddings_at(emulator, batch_size=5, max_concurrency=1, hooks=(hook,)), []
    with pytest.raises(ZeroDivisionError):
        STYLES[style](model, counted(100), lambda index, vector: results.append(index))
    assert [*range(10)] == results


@pytest.mark.parametrize(("framework", "platform"), CLASSES)
@each_style
def test_the_limit_of_the_server(framework: str, platform: str, style: str) -> None:
    """Batches that are too large are split once; the object remembers the limit."""
    with responding(limited(8)) as server:
        model = Embedder(framework, platform, server, batch_size=25, max_concurrency=2).model
        assert [(n, [float(n)]) for n in range(203)] == STYLES[style](model, counted(203))
        assert 1 <= sizes(server).count(25) <= 2
        server.notes.clear()
        assert 203 == len(STYLES[style](model, counted(203)))
        assert {8, 3} == set(sizes(server))


@each_style
def test_requests_with_too_many_bytes(style: str) -> None:
    """Status 413: fewer texts are sent together, and a text that is too large alone has its position in the order."""

    def refuse(body: dict[str, Any]) -> tuple[int, Any]:
        if sum(map(len, body["input"])) > 3000:
            return 413, {"error": "Payload Too Large"}
        return 200, {"data": [{"index": at, "embedding": [float(len(text))]} for at, text in enumerate(body["input"])]}

    results: list[int] = []
    with responding(refuse) as server:
        model = Embedder("LangChain", "OCI", server, batch_size=10, max_concurrency=2).model
        assert 57 == len(STYLES[style](model, ("x" * 1000 for _ in range(57))))
        with pytest.raises(InvalidRequest, match="Payload Too Large"):
            STYLES[style](model, ["x" * 1000] * 12 + ["x" * 4000] + ["x"] * 9, lambda index, _: results.append(index))
    assert [*range(12)] == results


def test_large_texts_fill_the_window_by_their_bytes(emulator: Emulator) -> None:
    """A text above the limit of the service is sent alone, so that it gets an error and no endless wait."""
    model = embeddings_at(emulator, batch_size=4, max_concurrency=1)
    assert [0, 1, 2] == [index for index, _ in embed(model, ["x " * 1_000_000] * 3)]
    with pytest.raises(MDStreamError):
        embed(model, ["a", "x " * 10_000_000, "b"])


def _packed(*numbers: float) -> str:
    return base64.b64encode(array("f", numbers).tobytes()).decode()


ODD: dict[str, tuple[Any, str]] = {
    "NaN": (_packed(1.0, float("nan")), "vector 0 has nan at 1, which is not a finite number"),
    "infinity": (_packed(float("-inf")), "vector 0 has -inf at 0"),
    "empty": ("", "vector 0 has no numbers"),
    "half a number": (base64.b64encode(b"abc").decode(), "another shape"),
    "not base64": ("????", "another shape"),
    "a boolean": ([True], "vector 0 has True at 0"),
    "nothing": (None, "another shape"),
}


@each_style
@pytest.mark.parametrize(("vector", "message"), ODD.values(), ids=ODD)
def test_odd_vectors_of_arrays(vector: Any, message: str, style: str) -> None:
    """Each number is checked, as for lists."""
    with responding(lambda body: (200, {"data": [{"index": 0, "embedding": vector}]})) as server:
        model = Embedder("LangChain", "OCI", server).model
        with pytest.raises(MalformedStream, match=message):
            STYLES[style](model, ["a"], as_array=True)


@each_style
@each_framework
def test_arrays_from_a_server_without_base64(framework: str, style: str) -> None:
    """`encoding_format` is left out after it was rejected, and the numbers are converted."""

    def refuse(body: dict[str, Any]) -> tuple[int, Any]:
        if "encoding_format" in body:
            return 422, {"detail": [{"loc": ["body", "encoding_format"], "msg": "Extra inputs"}]}
        return respond(body)

    with responding(refuse) as server:
        model = Embedder(framework, "OCI", server, batch_size=5, max_concurrency=1).model
        results = STYLES[style](model, counted(20), as_array=True)
        assert 5 == len(server.notes)
    assert expected(20) == [(index, vector.tolist()) for index, vector in results]


@each_framework
def test_the_vectors_of_an_error_are_arrays(framework: str) -> None:
    """As those that were delivered."""
    later = threading.Event()

    def fail_the_first(body: dict[str, Any]) -> tuple[int, Any]:
        if "text number 0" in body["input"]:
            later.wait(LIMIT)
            return 400, {"error": {"message": "no"}}
        later.set()
        return respond(body)

    with responding(fail_the_first) as server:
        model = Embedder(framework, "OCI", server, batch_size=5, max_concurrency=2).model
        with pytest.raises(InvalidRequest) as caught:
            embed(model, counted(10), as_array=True)
    partial = caught.value.partial
    assert partial is not None
    assert [(5, "float32")] == [(one.index, str(one.vector.dtype)) for one in partial.embeddings][:1]  # type: ignore[attr-defined]


@each_style
def test_numpy_is_optional(emulator: Emulator, style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays need it, lists do not."""
    monkeypatch.setitem(sys.modules, "numpy", None)
    model = embeddings_at(emulator)
    with pytest.raises(MissingExtra, match=r"numpy is not installed \(hint: pip install numpy\)"):
        STYLES[style](model, ["a"], as_array=True)
    assert 1 == len(STYLES[style](model, ["a"]))


def test_one_request_after_the_other_is_retried(emulator: Emulator) -> None:
    """A retry costs one more request."""
    model = embeddings_at(emulator, batch_size=10, max_retries=2, max_concurrency=1)
    emulator.script(None, Fault("refuse", "lb_bandwidth"), None)

    assert 50 == len(embed(model, counted(50)))
    assert 6 == len(emulator.requests)


def test_the_parameters_of_a_call(emulator: Emulator) -> None:
    """LangChain: the size of a request and further fields; both: the input type."""
    model = embeddings_at(emulator, EMBEDDING["OCI GenAI"])
    embed(model, counted(40), input_type="query", chunk_size=20)
    assert [20, 20] == [len(request.json["inputs"]) for request in emulator.requests]
    assert "SEARCH_QUERY" == emulator.last.json["inputType"]
    embed(embedding_at(emulator, EMBEDDING["OCI GenAI"]), ["a"], input_type="query")
    assert "SEARCH_QUERY" == emulator.last.json["inputType"]
    embed(embeddings_at(emulator), ["a"], model_name="other")
    assert "other" == emulator.last.json["model"]
    with pytest.raises(ValueError, match="batch_size=-1"):
        embed(embeddings_at(emulator), ["a"], chunk_size=-1)


@pytest.mark.parametrize("texts", [[*counted(30)], (text for text in counted(30))], ids=["list", "generator"])
def test_a_progress_bar(emulator: Emulator, texts: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """It counts the texts; the total is known for a list."""
    embed(embeddings_at(emulator, batch_size=10, show_progress_bar=True), texts)

    assert ("30/30" if isinstance(texts, list) else "30it") in capsys.readouterr().err


_MEMORY = """
import asyncio, gc, sys, tracemalloc
from {package} import {name}

model = {name}(endpoint=sys.argv[1], auth_type="none", batch_size=64, max_concurrency=2)

def run(count):
    for _ in model.embed_stream(f"text {{number}}" for number in range(count)):
        pass

def arun(count):
    async def main():
        async for _ in model.aembed_stream((f"text {{number}}" for number in range(count)), as_array=True):
            pass
        await model.aclose()
    asyncio.run(main())

embed = {run}
embed(1000)
tracemalloc.start()
for count in (1000, 10000):
    gc.collect()
    tracemalloc.reset_peak()
    embed(count)
    print(tracemalloc.get_traced_memory()[1])
"""


@pytest.mark.parametrize(
    ("package", "name", "run"),
    [
        ("langchain_mdstream", "OCIModelDeploymentEmbeddings", "run"),
        ("llamaindex_mdstream", "OCIDataScienceEmbedding", "arun"),
    ],
)
def test_memory_does_not_grow(package: str, name: str, run: str) -> None:
    """The peak of 10,000 texts is that of 1,000, in a process of its own: lists in threads, arrays in tasks."""
    with Emulator(embedding_size=16) as server:
        script = _MEMORY.format(package=package, name=name, run=run)
        root = Path(__file__).parent.parent
        output = subprocess.check_output([sys.executable, "-c", script, server.endpoint], text=True, cwd=root)
    short, long = map(int, output.split())

    assert long < 1.3 * short + 64 * 1024


async def test_several_streams_share_the_limit(emulator: Emulator) -> None:
    """Two streams and a list at once, with two requests at a time; the results are those of one after the other."""
    model = embeddings_at(emulator, batch_size=5, max_concurrency=2)

    async def collect(count: int) -> Any:
        async with aclosing(model.aembed_stream(counted(count))) as stream:
            return [vector async for _, vector in stream]

    one, two, three = await asyncio.gather(collect(60), collect(80), model.aembed_documents([*counted(30)]))
    assert (one, three) == (two[:60], two[:30])
    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(lambda count: embed(model, counted(count)), [60, 80]))
    assert two == [vector for _, vector in results[1]]
