"""A tool call that a server leaves in the text is recovered if the text is exactly one call of an offered tool."""

import asyncio
import json
from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest
from _platforms import PLATFORM_CASES, PlatformCase, emulator, shared_emulator
from llama_index.core.llms import ChatMessage

from langchain_mdstream import ChatModelArts, ChatOCIGenAI, ChatOCIModelDeployment, ChatSagemakerEndpoint
from llamaindex_mdstream import ModelArts, OCIDataScience, OCIGenAI, SageMakerLLM
from mdstream_core import OpenAIChat, recover_tool_calls
from mdstream_core.emulator import Emulator
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, ModelResponse, TextDelta, Usage

__all__ = ["emulator", "shared_emulator"]  # fixtures

BODY = '{"name": "get_weather", "arguments": {"city": "Paris"}}'
CALL = f"\n<tool_call>\n{BODY}\n</tool_call>\n"
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
PARAMS = {"tools": [TOOL]}


def chunk(reason: str | None = None, **delta: Any) -> bytes:
    """Payload of a stream."""
    return json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}).encode()


def decode(pieces: list[str], reason: str = "stop", **params: Any) -> tuple[list[list[Event]], ModelResponse]:
    """Decode a text in pieces. Return the events of each payload, and the response."""
    decoder = recover_tool_calls(OpenAIChat(), {**PARAMS, **params}).create_decoder()
    events = [decoder.feed(chunk(content=piece)) for piece in pieces]
    events += [decoder.feed(chunk(reason)), decoder.feed(b"[DONE]"), decoder.finish()]
    return events, ModelResponse.from_events(event for batch in events for event in batch)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_one_call_is_recovered(size: int) -> None:
    """Wherever the text is divided, with white space around it."""
    _, response = decode([CALL[at : at + size] for at in range(0, len(CALL), size)])
    (call,) = response.tool_calls

    assert ("get_weather", {"city": "Paris"}, "tool_calls", "") == (
        call.name, call.parse_arguments(), response.finish_reason, response.text
    )  # fmt: skip
    assert call.id


TEXTS = {
    "text": "It is sunny.",
    "text before": f"Let me look. {CALL}",
    "text after": f"{CALL} Done.",
    "two calls": CALL + CALL,
    "no end": f"<tool_call>{BODY}",
    "half": CALL[:40],
    "the marker only": "<tool_call>",
    "the start of the marker": "<tool",
    "another tag": "<b>bold</b>",
    "another tool": CALL.replace("get_weather", "drop_table"),
    "no object": CALL.replace('{"city": "Paris"}', '"Paris"'),
    "no name": CALL.replace('"name"', '"title"'),
    "two objects": f"<tool_call>{BODY}{BODY}</tool_call>",
    "broken JSON": f"<tool_call>{BODY[:-1]}</tool_call>",
    "deep": f"<tool_call>{'[' * 100_000}</tool_call>",
    "nothing": "",
}


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_other_text_stays_text(text: str, size: int) -> None:
    """Not a character is lost or changed, and no call is made."""
    size = max(size, len(text) // 1000)
    _, response = decode([text[at : at + size] for at in range(0, len(text), size)])

    assert (text, (), "stop") == (response.text, response.tool_calls, response.finish_reason)


def test_a_truncated_response_has_no_call() -> None:
    """`length` means that the model was interrupted."""
    _, response = decode([CALL], "length")

    assert (CALL, (), "length") == (response.text, response.tool_calls, response.finish_reason)


@pytest.mark.parametrize(
    "pieces", [["It", " is", " <tool_call>"], [" ", "\n", "It"], ["<", "b>", "x"], ["<tool_", "x"]]
)
def test_normal_text_is_returned_at_once(pieces: list[str]) -> None:
    """Text is held back only as long as it is the start of a call."""
    events, response = decode(pieces)
    first = next(at for at in range(len(pieces)) if not CALL.strip().startswith("".join(pieces[: at + 1]).lstrip()))

    assert "".join(pieces) == response.text
    assert "".join(pieces[: first + 1]) == ModelResponse.from_events(chain.from_iterable(events[: first + 1])).text
    assert [[TextDelta(piece)] for piece in pieces[first + 1 :]] == events[first + 1 : len(pieces)]


def test_normal_text_costs_nothing() -> None:
    """After its first piece, payloads go to the decoder of the server's format directly."""
    decoder: Any = recover_tool_calls(OpenAIChat(), PARAMS).create_decoder()
    decoder.feed(chunk(content="It"))

    assert decoder.feed == decoder._inner.feed


def test_a_long_call_shows_progress_and_is_bounded() -> None:
    """An empty delta for each 1,024 characters; more than 1 MiB is text."""
    events, _ = decode(["<tool_call>", *("x" * 512 for _ in range(6))])
    assert [TextDelta("")] in events

    events, response = decode(["<tool_call>", *("x" * 65_536 for _ in range(17))])
    assert 11 + 17 * 65_536 == len(response.text)
    assert [TextDelta("x" * 65_536)] == events[17]


def test_an_interrupted_stream_returns_its_text() -> None:
    """In the partial response."""
    decoder = recover_tool_calls(OpenAIChat(), PARAMS).create_decoder()
    assert TextDelta not in map(type, decoder.feed(chunk(content=CALL[:30])))

    assert CALL[:30] == ModelResponse.from_events(decoder.flush()).text
    with pytest.raises(MDStreamError):
        decoder.finish()


def test_a_call_of_the_server_is_not_repeated() -> None:
    """A server with a parser may also return the text."""
    call = {"index": 0, "id": "c1", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    decoder = recover_tool_calls(OpenAIChat(), PARAMS).create_decoder()
    payloads = [chunk(content=CALL), chunk(tool_calls=[call]), chunk("tool_calls"), b"[DONE]"]
    response = ModelResponse.from_events([event for one in payloads for event in decoder.feed(one)] + decoder.finish())

    assert (CALL, ["c1"]) == (response.text, [one.id for one in response.tool_calls])


def test_a_continuation_is_not_the_whole_text() -> None:
    """Its text may look like a call, but other text came before."""
    dialect = recover_tool_calls(OpenAIChat(), PARAMS)
    dialect.build_continuation({"messages": []}, ModelResponse.from_events([TextDelta("Look at this: ")]))

    assert type(OpenAIChat().create_decoder()) is type(dialect.create_decoder())


@pytest.mark.parametrize("params", [{}, {"tools": []}, {"tools": [TOOL], "tool_choice": "none"}, {"tools": "x"}])
def test_requests_without_tools_are_unchanged(params: dict[str, Any]) -> None:
    """There is no wrapper around the dialect."""
    dialect = OpenAIChat()

    assert dialect is recover_tool_calls(dialect, params)


def test_usage_after_the_finish_reason() -> None:
    """Other events pass."""
    decoder = recover_tool_calls(OpenAIChat(), PARAMS).create_decoder()
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    events = [*decoder.feed(chunk(content=CALL)), *decoder.feed(chunk("stop"))]
    events += decoder.feed(json.dumps({"choices": [], "usage": usage}).encode())

    assert Usage(1, 2, 3) in events
    assert 1 == len(ModelResponse.from_events(events).tool_calls)


def _model(request: dict[str, Any]) -> str:
    return CALL.strip() if request.get("tools") else "It is sunny."


@pytest.fixture(scope="module")
def writing_emulator() -> Any:
    """A server whose model writes its calls as text."""
    with Emulator(model=_model, aws_keys={"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}) as shared:
        yield shared


CLASSES: dict[str, tuple[Any, Any]] = {
    "oci-model-deployment": (ChatOCIModelDeployment, OCIDataScience),
    "oci-genai": (ChatOCIGenAI, OCIGenAI),
    "sagemaker": (ChatSagemakerEndpoint, SageMakerLLM),
    "modelarts": (ChatModelArts, ModelArts),
    "modelarts-websocket": (ChatModelArts, ModelArts),
    "modelarts-maas": (ChatModelArts, ModelArts),
}


async def _collect(stream: Any) -> list[Any]:
    return [piece async for piece in stream]


async def _collect_awaited(stream: Any) -> list[Any]:
    return [piece async for piece in await stream]


def _merge(chunks: list[Any]) -> Any:
    return chunks[0] + chunks[1:]


HI = [ChatMessage("Weather in Paris?")]
SEND: dict[str, tuple[int, Callable[[Any], Any]]] = {
    "invoke": (0, lambda model: model.invoke("Hi", tools=[TOOL])),
    "ainvoke": (0, lambda model: asyncio.run(model.ainvoke("Hi", tools=[TOOL]))),
    "stream": (0, lambda model: _merge(list(model.stream("Hi", tools=[TOOL])))),
    "astream": (0, lambda model: _merge(asyncio.run(_collect(model.astream("Hi", tools=[TOOL]))))),
    "chat": (1, lambda llm: llm.chat(HI, tools=[TOOL])),
    "achat": (1, lambda llm: asyncio.run(llm.achat(HI, tools=[TOOL]))),
    "stream_chat": (1, lambda llm: list(llm.stream_chat(HI, tools=[TOOL]))[-1]),
    "astream_chat": (1, lambda llm: asyncio.run(_collect_awaited(llm.astream_chat(HI, tools=[TOOL])))[-1]),
}


def _calls(model: Any, response: Any) -> list[tuple[str, Any]]:
    if hasattr(response, "tool_calls"):
        return [(call["name"], call["args"]) for call in response.tool_calls]
    selections = model.get_tool_calls_from_response(response, error_on_no_tool_call=False)
    return [(call.tool_name, call.tool_kwargs) for call in selections]


@pytest.mark.parametrize("recover", [True, False])
@pytest.mark.parametrize(("framework", "send"), SEND.values(), ids=SEND)
@pytest.mark.parametrize("platform_case", PLATFORM_CASES.values(), ids=PLATFORM_CASES)
def test_every_platform(
    writing_emulator: Emulator, platform_case: PlatformCase, framework: int, send: Any, recover: bool
) -> None:
    """In both frameworks, sync and async; the option switches it off."""
    model = CLASSES[platform_case.kind][framework](
        **platform_case.fields(writing_emulator), max_retries=0, **({} if recover else {"recover_tool_calls": False})
    )
    response = send(model)

    assert ([("get_weather", {"city": "Paris"})] if recover else []) == _calls(model, response)
    text = response.text if framework == 0 else response.message.content
    assert ("" if recover else CALL.strip()) == (text or "").strip()
