"""The Chainlit example in Chainlit's server, over its socket."""

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from mdstream_core.emulator import Emulator, Fault

pytest.importorskip("chainlit.version", reason="Chainlit is no dependency of mdstream; `make examples` installs it")
socketio = pytest.importorskip("socketio", reason="Chainlit is no dependency of mdstream; `make examples` installs it")

ROOT = Path(__file__).parent.parent
SENTENCE = "The answer was interrupted (ModelResponseTimeExceeded)."

#: Runs the app as `chainlit run` does, on a port that the system chooses.
SERVER = """
import sys
import uvicorn
from chainlit.config import config, load_module
from chainlit.server import app
config.run.module_name = sys.argv[1]
config.run.headless = True
load_module(sys.argv[1])
server = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error")
listener = server.bind_socket()
listener.listen()  # clients wait until the server accepts
print(listener.getsockname()[1], flush=True)
uvicorn.Server(server).run(sockets=[listener])
"""


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """The model's service."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def url(emulator: Emulator, tmp_path: Path) -> Iterator[str]:
    """The address of the running app."""
    environment = {**os.environ, "MDSTREAM_ENDPOINT": emulator.endpoint, "CHAINLIT_APP_ROOT": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    arguments = [sys.executable, "-c", SERVER, str(ROOT / "examples/chainlit_chat.py")]
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{next(line for line in server.stdout if line.strip().isdigit()).strip()}"
        finally:
            server.terminate()


class Visitor:
    """A browser's part of Chainlit's protocol."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def send(self, text: str) -> None:
        """Send a message."""
        message = {"id": str(uuid.uuid4()), "name": "user", "type": "user_message", "output": text, "createdAt": ""}
        self._client.emit("client_message", {"message": message, "fileReferences": []})

    def stop(self) -> None:
        """Press the stop button."""
        self._client.emit("stop")

    def wait_for(self, name: str) -> Any:
        """Return the data of the next event of a name."""
        while (event := self._client.receive(timeout=30))[0] != name:
            pass
        return event[1] if len(event) > 1 else None

    def read(self) -> list[tuple[str, bool]]:
        """Return the messages of the answer to the last message: the text of each, and whether it is an error."""
        self.wait_for("task_start")
        messages: list[tuple[str, bool]] = []
        while (event := self._client.receive(timeout=30))[0] != "task_end":
            if event[0] == "new_message" and event[1]["type"] == "assistant_message":
                messages.append((event[1]["output"], event[1]["isError"]))
        return messages


@contextmanager
def visit(url: str) -> Iterator[Visitor]:
    """Open the page; leaving the block closes it."""
    client = socketio.SimpleClient()
    auth = {"sessionId": str(uuid.uuid4()), "clientType": "webapp", "userEnv": None, "chatProfile": None}
    client.connect(url, socketio_path="/ws/socket.io", auth={**auth, "threadId": ""})
    try:
        client.emit("connection_successful")
        visitor = Visitor(client)
        visitor.wait_for("task_end")
        yield visitor
    finally:
        client.disconnect()


def read_prompts(emulator: Emulator) -> list[tuple[str, str]]:
    """Return the roles and texts that the model got last."""
    return [(message["role"], message["content"]) for message in emulator.requests[-1].json["messages"]]


def test_a_failed_response_keeps_its_text_and_one_sentence(emulator: Emulator, url: str) -> None:
    """
    The model gets the partial answer with the next message, and not the sentence.
    """
    emulator.script(Fault("trailer", after=3))
    with visit(url) as visitor:
        visitor.send("Name three rivers.")
        (partial, is_error), *rest = visitor.read()
        assert partial
        assert not is_error
        assert [(SENTENCE, True)] == rest
        visitor.send("Go on.")
        ((response, is_error),) = visitor.read()
        assert response
        assert not is_error
    expected = [("user", "Name three rivers."), ("assistant", partial), ("user", "Go on.")]
    assert expected == read_prompts(emulator)


def test_a_failure_before_any_text_leaves_no_empty_message(emulator: Emulator, url: str) -> None:
    """
    Services reject empty messages, and many models two messages of the user in sequence.
    """
    emulator.script(Fault("refuse", "not_allowed"))
    with visit(url) as visitor:
        visitor.send("Name three rivers.")
        assert [("The answer was interrupted (NotAllowed).", True)] == visitor.read()
        visitor.send("Go on.")
        visitor.read()
    assert [("user", "Name three rivers.\nGo on.")] == read_prompts(emulator)


def test_the_stop_button_closes_the_models_connection(emulator: Emulator, url: str) -> None:
    """
    Also while the model sends nothing; the model gets the partial answer, and not Chainlit's message.
    """
    emulator.script(Fault("stall", after=3))
    with visit(url) as visitor:
        visitor.send("Name three rivers.")
        partial = visitor.wait_for("stream_start")["output"]
        visitor.stop()
        assert emulator.requests[-1].client_closed.wait(20)
        visitor.wait_for("task_end")
        visitor.send("Go on.")
        visitor.read()
    user, assistant, _ = read_prompts(emulator)
    assert ("user", "Name three rivers.") == user
    assert assistant[1].startswith(partial)
    assert "stopped" not in assistant[1]


def test_the_models_connection_closes_when_the_user_leaves(emulator: Emulator, url: str) -> None:
    """
    Also while the model sends nothing.
    """
    emulator.script(Fault("stall", after=3))
    with visit(url) as visitor:
        visitor.send("Name three rivers.")
        visitor.wait_for("stream_start")
    assert emulator.requests[-1].client_closed.wait(20)


def test_browsers_do_not_keep_the_page(url: str) -> None:
    """
    A page that a browser keeps for its back button keeps its connection: Chainlit does not learn that the user left.
    """
    page = httpx.get(url)
    assert "text/html" in page.headers["content-type"]
    assert "no-store" == page.headers["cache-control"]
    (path,) = re.findall(r'<script type="module"[^>]*src="([^"]+)"', page.text)
    script = httpx.get(f"{url}{path}")
    assert "javascript" in script.headers["content-type"]
    assert "no-store" != script.headers.get("cache-control")
