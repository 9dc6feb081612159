"""Columns in other processes and threads, in running event loops, and under Ctrl-C."""

import asyncio
import gc
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest
from _rows import FRAMEWORKS, chat_of, embeddings_of, emulator_of_rows

import langchain_mdstream as lc
import llamaindex_mdstream as li
from mdstream_core import errors
from mdstream_core.batch import EmbedColumn, GenerateColumn
from mdstream_core.batching.background_loop import BackgroundLoop
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.hooks import Abandoned, CallEvent, RequestSent

in_both = pytest.mark.parametrize("framework", FRAMEWORKS)

#: Longest wait for something that must happen, in seconds.
LIMIT = 60

PROMPT = {"prompt": ["Name three rivers."]}
RIVERS = "The Nile, the Amazon and the Danube."


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator of the test."""
    with emulator_of_rows() as emulator:
        yield emulator


def _run_column(column: Any, batch: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return os.getpid(), column(batch)


@in_both
def test_a_column_runs_in_a_spawned_process(framework: str, emulator: Emulator) -> None:
    """
    It is pickled with its model.
    """
    columns = [
        GenerateColumn(chat_of(framework, emulator), "prompt"),
        EmbedColumn(embeddings_of(framework, emulator), "prompt"),
    ]
    expected = [column(PROMPT) for column in columns]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as processes:
        results = [
            future.result(LIMIT) for future in [processes.submit(_run_column, column, PROMPT) for column in columns]
        ]

    assert {os.getpid()}.isdisjoint(pid for pid, _ in results)
    assert RIVERS == results[0][1]["answer"][0]
    assert expected[1]["vector"] == results[1][1]["vector"]


@in_both
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # a fork beside threads is what is tried
def test_a_forked_process_has_its_own_loop(framework: str, emulator: Emulator) -> None:
    """
    Although the parent's is in use, and both go on.
    """
    column = GenerateColumn(chat_of(framework, emulator), "prompt")
    assert RIVERS == column(PROMPT)["answer"][0]
    child = os.fork()
    if child == 0:  # nothing of pytest's may run here
        status = 1
        try:
            signal.alarm(LIMIT)
            gc.collect()
            status = 0 if RIVERS == column(PROMPT)["answer"][0] else 2
        finally:
            os._exit(status)

    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert RIVERS == column(PROMPT)["answer"][0]


@in_both
def test_threads_share_the_loop_and_its_connections(framework: str, emulator: Emulator) -> None:
    """
    A batch reuses the connections of the one before.
    """
    column = GenerateColumn(chat_of(framework, emulator), "prompt", max_concurrency=2)
    with ThreadPoolExecutor(4) as threads:
        outs = list(threads.map(column, [{"prompt": ["Name three rivers."] * 3}] * 8))

    assert all([RIVERS] * 3 == out["answer"] for out in outs)
    assert 24 == len(emulator.requests)
    assert len({request.connection for request in emulator.requests}) <= 2
    assert 1 == sum(thread.name == "mdstream-batch" for thread in threading.enumerate())


@in_both
async def test_a_running_loop_may_call_it(framework: str, emulator: Emulator) -> None:
    """
    Blocking, as in a notebook, or awaited.
    """
    column = GenerateColumn(chat_of(framework, emulator), "prompt")
    outs = await asyncio.gather(column.acall(PROMPT), column.acall(PROMPT))

    assert [RIVERS] * 3 == [out["answer"][0] for out in [*outs, column(PROMPT)]]


class CallObserver:
    """Hook that reports the first request and an abandoned call."""

    def __init__(self, on_request: Callable[[], object] = lambda: None) -> None:
        self.is_sent = threading.Event()
        self.is_abandoned = threading.Event()
        self._on_request = on_request

    def __call__(self, event: CallEvent) -> None:
        """Receive an event."""
        if isinstance(event, RequestSent) and not self.is_sent.is_set():
            self.is_sent.set()
            self._on_request()
        elif isinstance(event, Abandoned):
            self.is_abandoned.set()


@in_both
async def test_cancelling_the_awaited_call_cancels_its_requests(framework: str, emulator: Emulator) -> None:
    """
    Their calls are abandoned.
    """
    observer = CallObserver()
    emulator.always(Fault("slow_head", until=threading.Event()))
    column = GenerateColumn(chat_of(framework, emulator, hooks=(observer,)), "prompt")
    task = asyncio.create_task(column.acall(PROMPT))
    assert await asyncio.to_thread(observer.is_sent.wait, LIMIT)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await asyncio.to_thread(observer.is_abandoned.wait, LIMIT)


@in_both
@pytest.mark.skipif(os.name == "nt", reason="SIGINT cannot be sent to the own process only")
def test_ctrl_c_cancels_the_batch(framework: str, emulator: Emulator) -> None:
    """
    Its calls are abandoned, and the next batch works.
    """
    observer = CallObserver(lambda: os.kill(os.getpid(), signal.SIGINT))
    emulator.always(Fault("slow_head", until=threading.Event()))
    column = GenerateColumn(chat_of(framework, emulator, hooks=(observer,)), "prompt")
    with pytest.raises(KeyboardInterrupt):
        column(PROMPT)

    assert observer.is_abandoned.wait(LIMIT)
    emulator.reset()
    assert RIVERS == column(PROMPT)["answer"][0]


@in_both
def test_a_column_inside_of_a_request_is_an_error(framework: str, emulator: Emulator) -> None:
    """
    It would wait for itself.
    """
    inner = GenerateColumn(chat_of(framework, emulator), "prompt")

    def hook(event: CallEvent) -> None:
        inner(PROMPT)

    column = GenerateColumn(chat_of(framework, emulator, hooks=(hook,)), "prompt")
    with pytest.raises(RuntimeError, match="a column is called inside of a request"):
        column(PROMPT)


def test_a_closed_loop_starts_again() -> None:
    """
    Closing it ends its thread and its tasks.
    """
    loop = BackgroundLoop()
    started = threading.Event()

    async def wait_for_ever() -> None:
        started.set()
        await asyncio.Event().wait()

    future = loop.submit(wait_for_ever())
    assert started.wait(LIMIT)
    thread = loop._thread
    loop.close()
    assert thread is not None
    assert not thread.is_alive()
    assert future.cancelled()

    async def one() -> int:
        return 1

    assert 1 == loop.run(one())
    loop.close()
    loop.close()


@in_both
def test_a_pickle_has_no_secret_and_its_error_reports_it(
    framework: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A worker that finds no credentials raises an error with that hint; one that finds them works.
    """
    cls: Any = lc.ChatModelArts if framework == "langchain" else li.ModelArts
    chat = cls(endpoint=emulator.modelarts.maas, model="odsc-llm", api_key="SECRET-KEY")
    data = pickle.dumps(GenerateColumn(chat, "prompt"))
    column = pickle.loads(data)

    assert b"SECRET" not in data
    with pytest.raises((ValueError, errors.AuthenticationError), match="a pickled model holds no secrets: set them in"):
        column(PROMPT)
    monkeypatch.setenv("MODELARTS_API_KEY", "OTHER")
    assert RIVERS == pickle.loads(data)(PROMPT)["answer"][0]


@in_both
def test_errors_survive_pickling(framework: str, emulator: Emulator) -> None:
    """
    Engines send them to the driver, with the rows that were finished.
    """
    emulator.script(None, Fault("refuse", "not_found"))
    column = GenerateColumn(chat_of(framework, emulator), "prompt", max_concurrency=1)
    with pytest.raises(errors.NotFound) as raised:
        column({"prompt": ["Name three rivers.", "Hello"]})
    copied = pickle.loads(pickle.dumps(raised.value))

    assert str(raised.value) == str(copied)
    assert [RIVERS, None] == copied.batch["answer"]
