"""The Streamlit example, in Streamlit's own test runner."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mdstream_core.emulator import Emulator, Fault

pytest.importorskip("streamlit", reason="Streamlit is no dependency of mdstream")
import streamlit
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).parent.parent


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
    return AppTest.from_file(str(ROOT / "examples/streamlit_chat.py"), default_timeout=60).run()


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


def test_what_has_arrived_is_kept_when_the_script_is_stopped(page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    As by the stop button, or by another message: with an exception in one of Streamlit's functions.
    """

    def write_and_stop(parts: Iterator[str]) -> None:
        next(parts)
        next(parts)
        streamlit.stop()

    with monkeypatch.context() as patched:
        patched.setattr(streamlit, "write_stream", write_and_stop)
        send(page, "Name three rivers.")
    page.run()
    (partial,) = read_responses(page)
    assert "The Nile, the Amazon and the Danube.".startswith(partial)
    assert partial
