"""The Streamlit example: in Streamlit's own test runner, and in its server, over its socket."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mdstream_core.emulator import Emulator, Fault

pytest.importorskip("streamlit", reason="Streamlit is no dependency of mdstream; `make examples` installs it")
import streamlit
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.testing.v1 import AppTest
from websockets.sync.client import connect

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples/streamlit_chat.py"

#: Runs the app as `streamlit run` does, on a port that the system chooses.
SERVER = """
import sys
import uvicorn
from streamlit.starlette import App
server = uvicorn.Config(App(sys.argv[1]), host="127.0.0.1", port=0, log_level="error")
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
def page(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The app as a new visitor sees it."""
    monkeypatch.setenv("MDSTREAM_ENDPOINT", emulator.endpoint)
    monkeypatch.syspath_prepend(str(ROOT))
    streamlit.cache_resource.clear()
    return AppTest.from_file(str(EXAMPLE), default_timeout=60).run()


def send(page: AppTest, prompt: str) -> None:
    """Send a message."""
    page.chat_input[0].set_value(prompt).run()


def read_responses(page: AppTest) -> list[str]:
    """Return the text of the answers on the page."""
    return [message.markdown[0].value for message in page.chat_message if message.name == "assistant"]


def test_a_response_is_shown_and_stays(page: AppTest) -> None:
    """
    It has no warning, and the next run shows the same.
    """
    send(page, "Name three rivers.")
    (response,) = read_responses(page)
    assert response
    page.run()
    assert [response] == read_responses(page)
    assert not page.warning
    assert not page.exception


def test_a_failed_response_keeps_its_text_and_one_sentence(emulator: Emulator, page: AppTest) -> None:
    """
    There is no traceback, and the next run shows the same.
    """
    emulator.script(Fault("trailer", after=3))
    send(page, "Name three rivers.")
    (response,) = read_responses(page)
    assert response
    page.run()
    assert [response] == read_responses(page)
    assert ["The answer was interrupted (ModelResponseTimeExceeded)."] == [warning.value for warning in page.warning]
    assert not page.exception


def test_a_new_message_continues_after_a_failure(emulator: Emulator, page: AppTest) -> None:
    """
    The model gets the partial answer too.
    """
    emulator.script(Fault("trailer", after=3))
    send(page, "Name three rivers.")
    (partial,) = read_responses(page)
    send(page, "Go on.")
    sent = emulator.requests[-1].json["messages"]
    assert ["Name three rivers.", partial, "Go on."] == [message["content"] for message in sent]
    assert 2 == len(read_responses(page))
    assert 1 == len(page.warning)


def test_a_failure_before_any_text_leaves_no_empty_message(emulator: Emulator, page: AppTest) -> None:
    """
    Services reject empty messages, and many models two messages of the user in sequence.
    """
    emulator.script(Fault("refuse", "not_allowed"))
    send(page, "Name three rivers.")
    assert 1 == len(page.warning)
    send(page, "Go on.")
    assert [("user", "Name three rivers.\nGo on.")] == read_prompts(emulator)
    assert 1 == len(page.warning)
    assert not page.exception


@pytest.fixture
def address(emulator: Emulator) -> Iterator[str]:
    """The address of the running app's socket."""
    environment = {**os.environ, "MDSTREAM_ENDPOINT": emulator.endpoint}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    arguments = [sys.executable, "-c", SERVER, str(EXAMPLE)]
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"ws://127.0.0.1:{next(line for line in server.stdout if line.strip().isdigit()).strip()}/_stcore/stream"
        finally:
            server.terminate()


class Visitor:
    """A browser's part of Streamlit's protocol."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        message = BackMsg()
        message.rerun_script.query_string = ""
        socket.send(message.SerializeToString())
        self._input = self.wait_for(
            lambda message: message.delta.new_element.chat_input.id
        ).delta.new_element.chat_input

    def wait_for(self, is_wanted: Callable[[Any], object]) -> Any:
        """Return the next message of the server that fulfils a condition."""
        while not is_wanted(message := ForwardMsg.FromString(self._socket.recv(timeout=30))):
            pass
        return message

    def wait_for_text(self, text: str) -> None:
        """Wait until an element with a text is shown."""
        self.wait_for(lambda message: message.delta.new_element.markdown.body == text)

    def send(self, text: str) -> None:
        """Send a message."""
        message = BackMsg()
        message.rerun_script.widget_states.widgets.add(id=self._input.id).chat_input_value.data = text
        self._socket.send(message.SerializeToString())

    def stop(self) -> None:
        """Press the stop button."""
        message = BackMsg()
        message.stop_script = True
        self._socket.send(message.SerializeToString())


@contextmanager
def visit(address: str) -> Iterator[Visitor]:
    """Open the page; leaving the block closes it."""
    with connect(address, subprotocols=["streamlit"]) as socket:  # type: ignore[list-item]  # a NewType of str
        yield Visitor(socket)


def read_prompts(emulator: Emulator) -> list[tuple[str, str]]:
    """Return the roles and texts that the model got last."""
    return [(message["role"], message["content"]) for message in emulator.requests[-1].json["messages"]]


def test_the_models_connection_closes_when_the_user_leaves(emulator: Emulator, address: str) -> None:
    """
    Also while the model sends nothing.
    """
    emulator.script(Fault("stall", after=3))
    with visit(address) as visitor:
        visitor.send("Name three rivers.")
        visitor.wait_for_text("The Nile")
    assert emulator.requests[-1].client_closed.wait(20)


def test_the_stop_button_and_a_new_message_close_the_models_connection(emulator: Emulator, address: str) -> None:
    """
    What has arrived stays in its place of the conversation.
    """
    emulator.script(Fault("stall", after=3), Fault("stall", after=3))
    with visit(address) as visitor:
        visitor.send("Name three rivers.")
        visitor.wait_for_text("The Nile")
        visitor.stop()
        assert emulator.requests[-1].client_closed.wait(20)
        visitor.send("Name three rivers.")
        visitor.wait_for_text("The Nile")  # the answer that was stopped
        visitor.wait_for_text("The Nile")
        visitor.send("Go on.")
        assert emulator.requests[1].client_closed.wait(20)
        visitor.wait_for_text("You said: Go on.")
    turn = [("user", "Name three rivers."), ("assistant", "The Nile")]
    assert [*turn, *turn, ("user", "Go on.")] == read_prompts(emulator)
