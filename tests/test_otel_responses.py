"""Traces of OpenAI's Responses API: request, response, usage and failures, on each platform, in both frameworks."""

from collections.abc import Iterator
from typing import Any

import pytest
from _langchain_responses import chat_on
from _llamaindex_platforms import ACCOUNTS, RESPONSES_CASES, PlatformCase
from _responses_events import Json, completed, created, done, failed, incomplete, message, reasoning, stream_of
from _scripted_server import scripted
from _telemetry import Backend
from llama_index.core.llms import ChatMessage
from opentelemetry.trace import StatusCode

from mdstream_core.emulator import Emulator
from mdstream_core.errors import MDStreamError

each_platform = pytest.mark.parametrize("platform_case", RESPONSES_CASES.values(), ids=RESPONSES_CASES)
MESSAGES = [ChatMessage("Name three rivers.")]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator(**ACCOUNTS) as emulator:
        yield emulator


def attributes(backend: Backend) -> list[dict[str, Any]]:
    """The attributes of each span."""
    return [dict(span.attributes or {}) for span in backend.ours]


@each_platform
async def test_a_response(emulator: Emulator, platform_case: PlatformCase) -> None:
    """
    Streamed or not: one span with the ids, the model, the finish reason and all token counts of the response.
    """
    emulator.reset()
    backend = Backend()
    llm = platform_case.build(emulator, max_retries=0, max_tokens=64, hooks=(backend.hook,))
    responses = [
        llm.chat(MESSAGES),
        [*llm.stream_chat(MESSAGES)][-1],
        await llm.achat(MESSAGES),
        [response async for response in await llm.astream_chat(MESSAGES)][-1],
    ]
    await llm.aclose()

    spans = attributes(backend)
    assert len(responses) == len(spans)
    for response, seen in zip(responses, spans, strict=True):
        usage = response.raw["usage"]
        expected = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.max_tokens": 64,
            "gen_ai.response.id": response.raw["id"],
            "gen_ai.response.model": response.raw["model"],
            "gen_ai.response.finish_reasons": ("stop",),
            "gen_ai.usage.input_tokens": usage["prompt_tokens"],
            "gen_ai.usage.output_tokens": usage["completion_tokens"],
        }
        assert expected == {name: seen[name] for name in expected}
        assert seen["gen_ai.response.id"].startswith("resp_")
    assert [None, True, None, True] == [seen.get("gen_ai.request.stream") for seen in spans]
    assert "Nile" not in backend.everything()


#: name: (the last events of a stream, the finish reasons)
ENDS: dict[str, tuple[list[Json], tuple[str, ...]]] = {
    "complete": ([completed(message("Hello"))], ("stop",)),
    "length": ([incomplete("max_output_tokens", message("Hello"))], ("length",)),
    "filtered": ([incomplete("content_filter", message("Hello"))], ("content_filter",)),
    "no reason": ([incomplete(None, message("Hello"))], ("incomplete",)),
}


@pytest.mark.parametrize(("events", "reasons"), ENDS.values(), ids=ENDS)
def test_finish_reasons(events: list[Json], reasons: tuple[str, ...]) -> None:
    """
    `response.incomplete` is no error, and not `stop`.
    """
    backend = Backend()
    with scripted(lambda _: [created(), *events]) as server:
        list(chat_on(server, hooks=(backend.hook,)).stream("Hi"))
    (span,) = backend.ours

    assert reasons == attributes(backend)[0]["gen_ai.response.finish_reasons"]
    assert StatusCode.UNSET == span.status.status_code


def test_cached_and_reasoning_tokens() -> None:
    """
    The details of the usage have attributes of their own; the conversation's id is the request's.
    """
    backend = Backend()
    with scripted(lambda _: stream_of(reasoning("Hm."), message("Hello"))) as server:
        chat = chat_on(server, hooks=(backend.hook,))
        list(chat.stream("Hi", conversation="conv_1"))
        list(chat.stream("Hi", conversation={"id": "conv_2"}))

    seen, other = attributes(backend)
    assert (4, 3) == (seen["gen_ai.usage.cache_read.input_tokens"], seen["gen_ai.usage.reasoning.output_tokens"])
    assert ("conv_1", "conv_2") == (seen["gen_ai.conversation.id"], other["gen_ai.conversation.id"])
    assert not {"Hm.", "Hello"} & set(backend.everything().split())


#: name: (the events of a stream after its text, the error)
FAILURES: dict[str, tuple[list[Json], str]] = {
    "response.failed": ([failed("server_error")], "StreamFailure"),
    "an error event": ([{"type": "error", "code": "server_error", "message": "it died"}], "StreamFailure"),
    "no end": ([], "StreamInterrupted"),
    "another text": ([completed(message("Bye"))], "MalformedStream"),
}


@pytest.mark.parametrize(("events", "error"), FAILURES.values(), ids=FAILURES)
def test_failures_are_errors(events: list[Json], error: str) -> None:
    """
    With what was received: its size, the response's id and model; no finish reason.
    """
    backend = Backend()
    start = [event for event in stream_of(message("Hello")) if event["type"] != "response.completed"]
    with scripted(lambda _: [*start, *events]) as server, pytest.raises(MDStreamError):
        list(chat_on(server, hooks=(backend.hook,)).stream("Hi"))
    (span,), (seen,) = backend.ours, attributes(backend)

    assert (StatusCode.ERROR, error) == (span.status.status_code, seen["error.type"])
    assert (5, "resp_1", "m-1") == (
        seen["mdstream.partial.characters"],
        seen["gen_ai.response.id"],
        seen["gen_ai.response.model"],
    )
    assert "gen_ai.response.finish_reasons" not in seen


def test_a_retry_is_an_event() -> None:
    """
    Of a stream that broke before its output; the span has one response.
    """
    backend = Backend()
    streams = iter([[created()], stream_of(message("Hello"))])
    with scripted(lambda _: next(streams)) as server:
        list(chat_on(server, max_retries=1, hooks=(backend.hook,)).stream("Hi"))
    (span,) = backend.ours

    assert ["mdstream.retry"] == [event.name for event in span.events]
    assert "resp_1" == attributes(backend)[0]["gen_ai.response.id"]


def test_items_of_tools_are_not_recorded() -> None:
    """
    Items of tools that the service ran are content: they are in no span.
    """
    backend = Backend()
    item = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "zebras"}}
    with scripted(lambda _: [created(), done(item), completed(item, message("Hello"))]) as server:
        list(chat_on(server, hooks=(backend.hook,)).stream("Hi"))

    assert len(backend.ours) == 1
    assert "zebras" not in backend.everything()
