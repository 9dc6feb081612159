"""Resuming with OpenAI's Responses API: a stream is retried before its output, and never resumed within it."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _langchain_responses import chat_on
from _llamaindex_platforms import ACCOUNTS, RESPONSES_CASES, PlatformCase
from _responses_events import (
    Json,
    added,
    arguments_delta,
    call,
    created,
    done,
    message,
    reasoning,
    stream_of,
    summary_delta,
    text_delta,
)
from _scripted_server import scripted
from llama_index.core.llms import ChatMessage

from mdstream_core import ModelResponse, OpenAIResponses, ToolCallDelta, recover_tool_calls
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import MDStreamError, StreamInterrupted

OUTPUT = "The Nile, the Amazon and the Danube."
MESSAGES = [ChatMessage("Name three rivers.")]
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "a"}}
TEXT = "The Nile, the Amazon"

each_platform = pytest.mark.parametrize("platform_case", RESPONSES_CASES.values(), ids=RESPONSES_CASES)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator(**ACCOUNTS) as emulator:
        yield emulator


@each_platform
async def test_an_interrupted_text_is_not_resumed(emulator: Emulator, platform_case: PlatformCase) -> None:
    """
    With `resume=True` on each platform: one request, and an error with the text that was received.

    The API has no continuation: an assistant message at the end of the input is an earlier response, after which the
    model begins another one.
    """
    emulator.reset()
    llm = platform_case.build(emulator, max_retries=0, resume=True)
    emulator.script(Fault("cut", after=8), Fault("cut", after=8))
    with pytest.raises(StreamInterrupted) as caught:
        list(llm.stream_chat(MESSAGES))
    with pytest.raises(StreamInterrupted):
        _ = [response async for response in await llm.astream_chat(MESSAGES)]
    await llm.aclose()

    assert 2 == len(emulator.requests)
    partial = caught.value.partial
    assert partial is not None
    assert partial.text
    assert OUTPUT.startswith(partial.text)
    assert partial.text != OUTPUT
    assert () == partial.resumptions


@each_platform
def test_a_stream_without_output_is_retried(emulator: Emulator, platform_case: PlatformCase) -> None:
    """
    By `max_retries`, whatever `resume` is; the response is complete, and resumed nowhere.
    """
    emulator.reset()
    with platform_case.build(emulator, max_retries=1, resume=True) as llm:
        emulator.script(Fault("cut", after=1), None)
        *_, last = llm.stream_chat(MESSAGES)

    assert OUTPUT == last.message.content
    assert 2 == len(emulator.requests)
    assert "resumed" not in last.additional_kwargs


#: What was received before a stream breaks, each of which must not be repeated or continued.
BROKEN: dict[str, list[Json]] = {
    "text": [text_delta(TEXT)],
    "a whole message": [text_delta(TEXT), done(message(TEXT))],
    "reasoning": [added(reasoning()), summary_delta("I think of rivers.")],
    "a tool that the service ran": [added(SEARCH), done(SEARCH)],
    "text after a tool of the service": [done(SEARCH), text_delta(TEXT, at=1)],
    "half a call": [added(call("")), arguments_delta('{"city": ')],
    "a whole call": [done(call('{"city": "Rome"}'))],
}


@pytest.mark.parametrize("events", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("version", ["v0", "v1"])
def test_no_output_is_repeated(events: list[Json], version: str, caplog: pytest.LogCaptureFixture) -> None:
    """
    Neither by a retry nor by a continuation; the log has one failure.
    """
    caplog.set_level(logging.INFO, "mdstream")
    with scripted(lambda _: [created(), *events]) as server:
        chat = chat_on(server, max_retries=2, resume=True, output_version=version)
        reads: list[Callable[[], Any]] = [
            lambda: list(chat.stream("Hi")),
            lambda: chat.invoke("Hi", stream=True),
            lambda: list(chat.stream_events("Hi", version="v3")),
        ]
        for number, read in enumerate(reads):
            with pytest.raises(MDStreamError) as caught:
                read()
            assert number + 1 == len(server.bodies)
            assert isinstance(caught.value.partial, ModelResponse)
    logged = [vars(record).get("mdstream_event") for record in caplog.records if record.name.startswith("mdstream")]

    assert "resumed" not in logged
    assert ["failed"] * len(reads) == [event for event in logged if event == "failed"]


@pytest.mark.parametrize("events", [[], [created()], [created(), added({**SEARCH, "status": "in_progress"})]])
def test_what_has_no_output_is_retried(events: list[Json]) -> None:
    """
    The events before the first output, and the start of a tool's call, are none.
    """
    streams = iter([events, events, stream_of(message("Hello"))])
    with scripted(lambda _: next(streams)) as server:
        chunks = list(chat_on(server, max_retries=2, resume=True).stream("Hi"))

    assert "Hello" == "".join(chunk.text for chunk in chunks)
    assert 3 == len(server.bodies)


def test_the_dialect_has_no_continuation() -> None:
    """
    Also within a dialect that recovers tool calls.
    """
    partial = ModelResponse.from_events([ToolCallDelta(0, "a", "f", "{}")])
    tools = [{"type": "function", "function": {"name": "weather"}}]
    for one in (OpenAIResponses(), recover_tool_calls(OpenAIResponses(), {"tools": tools})):
        assert one.build_continuation({"input": []}, partial) is None
