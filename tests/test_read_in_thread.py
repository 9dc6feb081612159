"""`read_in_thread`: the reader can stop while nothing arrives, and the model's connection closes at once."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from contextvars import ContextVar
from typing import Any

import pytest
from _langchain_platforms import PlatformCase, chat_at, each_platform, emulator, shared_emulator
from llama_index.core.llms import ChatMessage
from test_fork import fork

from langchain_mdstream import ChatOCIModelDeployment
from llamaindex_mdstream import OCIDataScience
from mdstream_core import MDStreamError, read_in_thread
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import StreamTimeout
from mdstream_core.transport._cancellation import CancelToken, RequestCancelled, inherited_token

__all__ = ["emulator", "shared_emulator"]


class PageLeft(BaseException):
    """What a web framework ends a page with."""


def leave_when(is_time: Callable[[], bool]) -> Callable[[], None]:
    """A check that ends the reading once a condition holds."""

    def check() -> None:
        if is_time():
            raise PageLeft

    return check


@each_platform
def test_the_connection_closes_while_the_model_sends_nothing(emulator: Emulator, platform_case: PlatformCase) -> None:
    emulator.script(Fault("stall", after=platform_case.count_events(3)))
    chat = chat_at(platform_case, emulator, timeout=60)
    texts: list[str] = []
    with pytest.raises(PageLeft):
        for chunk in read_in_thread(
            lambda: chat.stream("Name three rivers."), leave_when(lambda: "".join(texts) != "")
        ):
            texts.append(chunk.text)  # noqa: PERF401  # what has arrived before the exception
    assert emulator.requests[-1].client_closed.wait(20)
    assert 1 == len(emulator.requests)


def test_a_request_without_a_response_is_closed_and_not_sent_again(emulator: Emulator) -> None:
    """Also LlamaIndex sends it in the thread, although its models send it before the first item is read."""
    emulator.script(Fault("slow_head", seconds=30))
    llm = OCIDataScience(endpoint=emulator.endpoint, auth_type="none", timeout=60, context_window=8000, max_retries=3)
    start = time.monotonic()
    with pytest.raises(PageLeft):
        list(read_in_thread(lambda: llm.stream_chat([ChatMessage("hi")]), leave_when(lambda: bool(emulator.requests))))
    assert time.monotonic() - start < 20
    assert emulator.requests[-1].client_closed.wait(20)
    assert 1 == len(emulator.requests)


def test_closing_the_generator_closes_the_connection(emulator: Emulator) -> None:
    emulator.script(Fault("stall", after=3))
    chat = ChatOCIModelDeployment(endpoint=emulator.endpoint, auth_type="none", timeout=60)
    with closing(read_in_thread(lambda: chat.stream("Name three rivers."), lambda: None)) as chunks:
        next(chunks)
    assert emulator.requests[-1].client_closed.wait(20)


def test_a_failure_is_raised_after_the_text_before_it(emulator: Emulator) -> None:
    """With the partial response."""
    emulator.script(Fault("trailer", after=3))
    chat = ChatOCIModelDeployment(endpoint=emulator.endpoint, auth_type="none")
    texts = []
    with pytest.raises(StreamTimeout) as caught:
        for chunk in read_in_thread(lambda: chat.stream("Name three rivers."), lambda: None):
            texts.append(chunk.text)  # noqa: PERF401  # the items before the failure
    assert isinstance(caught.value, MDStreamError)
    assert caught.value.partial is not None
    assert "The Nile" == "".join(texts) == caught.value.partial.text


def test_a_failure_of_the_start_is_raised(emulator: Emulator) -> None:
    def fail() -> Iterator[int]:
        raise MDStreamError("broken")

    with pytest.raises(MDStreamError, match="broken"):
        list(read_in_thread(fail, lambda: None))


def test_the_check_runs_regularly_in_the_readers_thread() -> None:
    """While nothing arrives, and while items arrive."""
    checks: list[int] = []

    def produce() -> Iterator[int]:
        while len(checks) < 3:
            time.sleep(0.005)
        yield 1
        while len(checks) < 6:
            yield 2
            time.sleep(0.005)

    items = list(read_in_thread(produce, lambda: checks.append(threading.get_ident()), interval=0.02))
    assert 1 == items[0]
    assert {threading.get_ident()} == set(checks)


def test_the_stream_is_one_item_ahead_of_its_reader() -> None:
    """And it is closed in its own thread when the reader leaves."""
    produced: list[int] = []
    closed = threading.Event()

    def produce() -> Iterator[int]:
        try:
            for number in range(10):
                produced.append(number)
                yield number
        finally:
            closed.set()

    stream = read_in_thread(produce, lambda: None)
    next(stream)
    time.sleep(0.2)
    assert len(produced) <= 3
    stream.close()
    assert closed.wait(20)


def test_the_stream_has_the_readers_context_variables() -> None:
    """Such as the parent of a trace's span."""
    variable: ContextVar[str] = ContextVar("variable")
    variable.set("of the reader")
    assert ["of the reader"] == list(read_in_thread(lambda: [variable.get()], lambda: None))


def test_a_reader_that_is_cancelled_cancels_the_stream(emulator: Emulator) -> None:
    """As in a graph's node that runs in a thread of `read_in_task`."""
    emulator.script(Fault("stall", after=3))
    chat = ChatOCIModelDeployment(endpoint=emulator.endpoint, auth_type="none", timeout=60)
    token = CancelToken()
    reset = inherited_token.set(token)
    try:
        chunks = read_in_thread(lambda: chat.stream("Name three rivers."), lambda: None, interval=0.02)
        next(chunks)
        token.cancel()
        with pytest.raises(RequestCancelled):
            list(chunks)
    finally:
        inherited_token.reset(reset)
    assert emulator.requests[-1].client_closed.wait(20)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # a fork beside threads is what is tried
def test_a_forked_process_gets_an_error_instead_of_waiting() -> None:
    """The parent reads on."""
    release = threading.Event()

    def produce() -> Iterator[int]:
        yield 1
        release.wait(30)
        yield 2

    stream: Any = read_in_thread(produce, lambda: None, interval=0.02)
    next(stream)

    def read_in_child() -> None:
        with pytest.raises(RuntimeError, match="before the process was forked"):
            list(stream)

    assert 0 == fork(read_in_child)
    release.set()
    assert [2] == list(stream)
