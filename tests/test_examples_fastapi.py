"""The FastAPI example, in uvicorn over real sockets."""

import importlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mdstream_core.emulator import Emulator, Fault

pytest.importorskip("fastapi", reason="FastAPI is no dependency of mdstream")
uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is no dependency of mdstream")


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """The model's service."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def url(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The running app's address."""
    monkeypatch.setenv("MDSTREAM_ENDPOINT", emulator.endpoint)
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))
    sys.modules.pop("examples.fastapi_langgraph", None)
    app = importlib.import_module("examples.fastapi_langgraph").app

    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning")
    server, sock = uvicorn.Server(config), config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    yield f"http://127.0.0.1:{sock.getsockname()[1]}/chat?prompt=hi"
    server.should_exit = True
    thread.join(10)


def test_a_client_that_leaves_closes_the_models_connection(emulator: Emulator, url: str) -> None:
    """
    LangGraph's node is cancelled.
    """
    emulator.script(Fault("stall", after=3))
    with httpx.stream("GET", url, timeout=20) as response:
        next(response.iter_lines())
    assert emulator.requests[-1].client_closed.wait(20)


def test_a_failed_stream_ends_with_an_error_event(emulator: Emulator, url: str) -> None:
    """
    It has the code and the partial text.
    """
    emulator.script(Fault("trailer", after=3))
    text = httpx.get(url, timeout=20).text
    assert "event: error" in text
    assert "ModelResponseTimeExceeded" in text
    assert '"partial": "' in text
    assert "event: done" not in text
