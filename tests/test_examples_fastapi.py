"""The FastAPI examples in uvicorn, over real sockets."""

import importlib
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from mdstream_core.emulator import Emulator, Fault

pytest.importorskip("fastapi", reason="FastAPI is no dependency of mdstream; `make examples` installs it")
uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is no dependency of mdstream; `make examples` installs it")

each_route = pytest.mark.parametrize(
    ("app", "route"),
    [("fastapi_sse", "langchain"), ("fastapi_sse", "llamaindex"), ("fastapi_langgraph", "chat")],
)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """The model's service."""
    with Emulator() as emulator:
        yield emulator


@contextmanager
def running(app: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run an example, and return its address."""
    monkeypatch.setenv("MDSTREAM_ENDPOINT", emulator.endpoint)
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))
    sys.modules.pop(f"examples.{app}", None)
    config = uvicorn.Config(importlib.import_module(f"examples.{app}").app, host="127.0.0.1", port=0)
    server, listener = uvicorn.Server(config), config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@each_route
def test_the_models_connection_closes_when_the_client_leaves(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, app: str, route: str
) -> None:
    emulator.script(Fault("stall", after=3))
    with running(app, emulator, monkeypatch) as url:
        with httpx.stream("GET", f"{url}/{route}?prompt=hi", timeout=30) as response:
            next(response.iter_lines())
        assert emulator.requests[-1].client_closed.wait(30)


@each_route
def test_a_failed_stream_ends_with_an_error_event_and_the_partial(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, app: str, route: str
) -> None:
    emulator.script(Fault("trailer", after=3))
    with running(app, emulator, monkeypatch) as url:
        events = httpx.get(f"{url}/{route}?prompt=hi", timeout=30).text.strip().split("\n\n")
    assert ["event: token"] * (len(events) - 1) == [event.partition("\n")[0] for event in events[:-1]]
    name, _, data = events[-1].partition("\ndata: ")
    texts = [json.loads(event.partition("\ndata: ")[2])["text"] for event in events[:-1]]
    assert "event: error" == name
    assert {"code": "ModelResponseTimeExceeded", "partial": "".join(texts)} == {
        key: json.loads(data)[key] for key in ("code", "partial")
    }
    assert any(texts)


@each_route
def test_a_complete_response_ends_with_done(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, app: str, route: str
) -> None:
    with running(app, emulator, monkeypatch) as url:
        assert httpx.get(f"{url}/{route}?prompt=hi", timeout=30).text.endswith("event: done\ndata: {}\n\n")


@pytest.mark.parametrize("route", ["langchain", "llamaindex"])
def test_a_failure_before_the_first_token_has_an_error_status(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    emulator.always(Fault("refuse", "tenancy_rate"))
    with running("fastapi_sse", emulator, monkeypatch) as url:
        assert 429 == httpx.get(f"{url}/{route}?prompt=hi", timeout=60).status_code
