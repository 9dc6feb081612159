"""The Gradio example: its function alone, and the app over a real socket."""

import asyncio
import importlib
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from mdstream_core.emulator import Emulator, Fault

gradio = pytest.importorskip("gradio", reason="Gradio is no dependency of mdstream")
gradio_client = pytest.importorskip("gradio_client", reason="Gradio is no dependency of mdstream")
fastapi = pytest.importorskip("fastapi", reason="FastAPI is no dependency of mdstream")
uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is no dependency of mdstream")

SENTENCE = "*The answer was interrupted (ModelResponseTimeExceeded).*"

#: How a model sends nothing while the user waits, and the number of items that Gradio has by then.
SILENCES = pytest.mark.parametrize(
    ("fault", "items"),
    [(Fault("stall", after=3), 1), (Fault("slow_head", seconds=60), 0)],
    ids=["after some text", "before its response"],
)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """The model's service."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def example(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The example's module."""
    monkeypatch.setenv("MDSTREAM_ENDPOINT", emulator.endpoint)
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))
    sys.modules.pop("examples.gradio_chat", None)
    return importlib.import_module("examples.gradio_chat")


@pytest.fixture
def client(example: ModuleType) -> Iterator["gradio_client.Client"]:
    """A client of the running app, on a socket of its own as Gradio's `launch` does not take port 0."""
    app = gradio.mount_gradio_app(fastapi.FastAPI(), example.app, path="/")
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning")
    server, sock = uvicorn.Server(config), config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    yield gradio_client.Client(f"http://127.0.0.1:{sock.getsockname()[1]}/", verbose=False, analytics_enabled=False)
    server.should_exit = server.force_exit = True
    thread.join(20)


def wait_for(condition: Callable[[], object]) -> None:
    """Return when a condition holds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def make_request(session: str) -> "gradio.Request":
    """Return what Gradio passes to the example's functions for a browser's tab."""
    return gradio.Request(session_hash=session)


async def collect(items: AsyncIterator[str]) -> list[str]:
    """Return all items."""
    return [item async for item in items]


def test_a_response_grows(example: ModuleType) -> None:
    """
    Each item is the text so far.
    """
    items = asyncio.run(collect(example.answer("Name three rivers.", [], make_request("1"))))
    assert len(items) > 1
    assert all(later.startswith(earlier) for earlier, later in pairwise(items))
    assert SENTENCE not in items[-1]


def test_a_failed_response_ends_with_one_sentence(emulator: Emulator, example: ModuleType) -> None:
    """
    The partial text stays.
    """
    emulator.script(Fault("trailer", after=3))
    items = asyncio.run(collect(example.answer("Name three rivers.", [], make_request("1"))))
    assert items[-2]
    assert f"{items[-2]}\n\n{SENTENCE}" == items[-1]


def test_a_new_message_continues_after_a_failure(emulator: Emulator, client: "gradio_client.Client") -> None:
    """
    The user sees the sentence and no traceback; the model gets the partial answer, without the sentence.
    """
    emulator.script(Fault("trailer", after=3))
    first = client.predict("Name three rivers.", api_name="/answer")
    assert first.endswith(SENTENCE)
    client.predict("Go on.", api_name="/answer")
    sent = emulator.requests[-1].json["messages"]
    partial = first.removesuffix(f"\n\n{SENTENCE}")
    assert ["Name three rivers.", partial, "Go on."] == [message["content"] for message in sent]


def test_a_failure_before_any_text_leaves_no_empty_message(emulator: Emulator, client: "gradio_client.Client") -> None:
    """
    Services reject empty messages, and many models two messages of the user in sequence.
    """
    emulator.script(Fault("refuse", "not_allowed"))
    assert (
        "*The answer was interrupted (NotAllowed).*" == client.predict("Name three rivers.", api_name="/answer").strip()
    )
    client.predict("Go on.", api_name="/answer")
    sent = emulator.requests[-1].json["messages"]
    assert [("user", "Name three rivers.\nGo on.")] == [(message["role"], message["content"]) for message in sent]


@SILENCES
def test_a_stopped_response_closes_the_models_connection(
    emulator: Emulator, client: "gradio_client.Client", fault: Fault, items: int
) -> None:
    """
    Also while the model sends nothing.
    """
    emulator.script(fault)
    job = client.submit("Name three rivers.", api_name="/answer")
    wait_for(lambda: emulator.requests and len(job.outputs()) >= items)
    assert not emulator.requests[-1].client_closed.is_set()
    job.cancel()
    assert emulator.requests[-1].client_closed.wait(5)


@SILENCES
def test_the_models_connection_closes_when_the_user_leaves(
    emulator: Emulator, client: "gradio_client.Client", fault: Fault, items: int
) -> None:
    """
    Also while the model sends nothing. A page keeps a connection open, which the browser closes when the user leaves.
    """
    emulator.script(fault)
    with httpx.stream("GET", client.heartbeat_url.format(session_hash=client.session_hash)) as page:
        lines = page.iter_lines()
        assert "data: ALIVE" == next(lines)
        job = client.submit("Name three rivers.", api_name="/answer")
        wait_for(lambda: emulator.requests and len(job.outputs()) >= items)
        assert not emulator.requests[-1].client_closed.is_set()
    assert emulator.requests[-1].client_closed.wait(5)


def test_other_users_do_not_wait_for_a_silent_model(emulator: Emulator, client: "gradio_client.Client") -> None:
    """
    Gradio's default is one answer at a time, of all users.
    """
    emulator.script(Fault("stall", after=3))
    client.submit("Name three rivers.", api_name="/answer")
    wait_for(lambda: emulator.requests)
    other = gradio_client.Client(client.src, verbose=False, analytics_enabled=False)
    assert other.submit("Name three lakes.", api_name="/answer").result(timeout=10)


def test_the_responses_of_other_users_go_on(emulator: Emulator, example: ModuleType) -> None:
    """
    Only those of the session that has ended are cancelled, and no session is kept after its last response.
    """
    emulator.script(Fault("stall", after=3), Fault("stall", after=3))

    async def leave_one() -> None:
        leaving, staying = (
            asyncio.create_task(collect(example.answer("Name three rivers.", [], make_request(session))))
            for session in ("1", "2")
        )
        await asyncio.to_thread(wait_for, lambda: len(emulator.requests) == 2)
        await example.stop(make_request("1"))
        await asyncio.wait([leaving], timeout=20)
        assert leaving.cancelled()
        assert not staying.done()
        assert ["2"] == list(example.sessions.values())
        await example.stop(make_request("2"))
        await asyncio.wait([staying], timeout=20)

    asyncio.run(leave_one())
    assert {} == example.sessions


def test_the_history_of_a_browser_is_sent_as_text(emulator: Emulator, example: ModuleType) -> None:
    """
    There each message is a list of parts.
    """
    turn = [("user", "Hi."), ("assistant", "Hello.")]
    history = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in turn]
    asyncio.run(collect(example.answer("Go on.", history, make_request("1"))))
    assert ["Hi.", "Hello.", "Go on."] == [message["content"] for message in emulator.requests[-1].json["messages"]]
