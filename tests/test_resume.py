"""Resuming interrupted streams: in the core, in LangChain, and when it must not happen."""

import json
import logging
from typing import Any

import pytest
from _platforms import PLATFORM_CASES, PlatformCase, emulator, shared_emulator
from _stream_endings import OUTPUT, REQUEST
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_mdstream import (
    ChatModelArts,
    ChatOCIGenAI,
    ChatOCIModelDeployment,
    ChatSagemakerEndpoint,
    OCIModelDeploymentLLM,
    SagemakerEndpoint,
)
from mdstream_core import ModelResponse, OCIModelDeployment, Retry, Service, StreamResumed, TextDelta, Timeout, dialect
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import IncompleteToolCall, MDStreamError, StreamFailure, StreamInterrupted, StreamTimeout
from mdstream_core.resume import is_resumable

__all__ = ["emulator", "shared_emulator"]  # fixtures

TRUNCATED, TRAILER = Fault("cut", after=4), Fault("trailer", after=4)


CHAT: dict[str, Any] = {
    "OCI model deployment": ChatOCIModelDeployment,
    "OCI GenAI OpenAI": ChatOCIGenAI,
    "SageMaker vLLM": ChatSagemakerEndpoint,
    "SageMaker LMI": ChatSagemakerEndpoint,
    "ModelArts": ChatModelArts,
    "ModelArts WebSocket": ChatModelArts,
}


def chat_at(emulator: Emulator, name: str = "OCI model deployment", **options: Any) -> Any:
    """A chat model that resumes streams."""
    return CHAT[name](**{**PLATFORM_CASES[name].fields(emulator), "max_retries": 0, "resume": True, **options})


@pytest.mark.parametrize("name", CHAT)
@pytest.mark.parametrize("breaks", [1, 2], ids=["once", "twice"])
async def test_a_chat_is_resumed(emulator: Emulator, name: str, breaks: int, caplog: pytest.LogCaptureFixture) -> None:
    """The response is complete, without repetitions, and each resume point is reported and logged; streamed and not."""
    caplog.set_level(logging.INFO, "mdstream")
    chat = chat_at(emulator, name)
    faults = [Fault("cut", after=4), Fault("cut", after=4)][:breaks]
    for send_request in (_stream, _astream, _invoke):
        emulator.reset()
        caplog.clear()
        emulator.script(*faults, None)
        message = await send_request(chat)
        records = [record for record in caplog.records if record.name.startswith("mdstream")]

        assert OUTPUT == message.text
        assert breaks == len(message.response_metadata["resumed"])
        assert breaks + 1 == len(emulator.requests)
        assert "stop" == message.response_metadata["finish_reason"]
        assert ["resumed", "responded"] * breaks + ["completed"] == [
            vars(record)["mdstream_event"] for record in records
        ]
        assert f"resumed {breaks}x" in records[-1].getMessage()
    resume_point = message.response_metadata["resumed"][0]
    if "WebSocket" not in name:  # its request is not the body of an HTTP request
        assert OUTPUT[: resume_point["at"]] == emulator.requests[1].json["messages"][-1]["content"]
    json.dumps(message.response_metadata)


async def _stream(chat: Any) -> Any:
    first, *rest = chat.stream(REQUEST)
    return first + rest


async def _astream(chat: Any) -> Any:
    first, *rest = [chunk async for chunk in chat.astream(REQUEST)]
    return first + rest


async def _invoke(chat: Any) -> Any:
    return await chat.ainvoke(REQUEST, stream=True)


LLM: dict[str, tuple[Any, PlatformCase]] = {
    "OCI model deployment": (OCIModelDeploymentLLM, PLATFORM_CASES["OCI model deployment"]),
    "SageMaker vLLM": (SagemakerEndpoint, PLATFORM_CASES["SageMaker vLLM"]),
    "SageMaker TGI": (SagemakerEndpoint, PlatformCase("sagemaker", {"endpoint_name": "tgi", "dialect": "tgi"})),
}


@pytest.mark.parametrize(("model", "platform_case"), LLM.values(), ids=LLM)
async def test_a_completion_is_resumed(emulator: Emulator, model: Any, platform_case: PlatformCase) -> None:
    """By its prompt; the resume point is in the generation's info."""
    llm = model(**platform_case.fields(emulator), max_retries=0, resume=1)
    whole = llm.invoke(REQUEST)
    emulator.script(TRUNCATED, None)
    assert whole == "".join(llm.stream(REQUEST))
    emulator.script(TRUNCATED, None)
    assert whole == "".join([text async for text in llm.astream(REQUEST)])
    emulator.script(TRUNCATED, None)
    (generation,) = llm.generate([REQUEST], stream=True).generations[0]

    assert whole == generation.text
    assert generation.generation_info["resumed"][0]["at"] < len(whole)


def test_the_time_limit_of_oci_is_resumed(emulator: Emulator) -> None:
    """Its trailer interrupts the stream, and the resume point has its code."""
    emulator.script(Fault("trailer", after=6, reason="ModelResponseTimeExceeded"), None)
    message = chat_at(emulator).invoke(REQUEST, stream=True)

    assert OUTPUT == message.text
    assert "ModelResponseTimeExceeded" == message.response_metadata["resumed"][0]["code"]


def test_max_tokens_covers_the_continuation(emulator: Emulator) -> None:
    """The tokens received before count."""
    emulator.script(TRUNCATED, None)
    chat_at(emulator, max_tokens=100).invoke(REQUEST, stream=True)

    assert 90 < emulator.last.json["max_tokens"] < 100


def test_the_number_of_resumptions_is_limited(emulator: Emulator) -> None:
    """Then the last error is raised, with all output."""
    emulator.always(Fault("cut", after=2))
    with pytest.raises(StreamInterrupted) as caught:
        chat_at(emulator, resume=2).invoke("Tell me a long story.", stream=True)

    assert len(emulator.requests) <= 3
    assert caught.value.partial.text  # type: ignore[union-attr]


@pytest.mark.parametrize("resume", [False, 0, -1])
def test_resuming_is_off_by_default(emulator: Emulator, resume: int) -> None:
    """It is an explicit choice."""
    emulator.script(TRUNCATED, None)
    with pytest.raises(StreamInterrupted):
        chat_at(emulator, resume=resume).invoke(REQUEST, stream=True)
    assert 1 == len(emulator.requests)


def test_a_server_that_starts_over_is_detected(emulator: Emulator) -> None:
    """Nothing is delivered twice: the error that interrupted the stream is raised, with the partial response."""
    chat = chat_at(emulator, "OCI model deployment")
    begun = b'data: {"choices":[{"index":0,"delta":{"content":"The Nile, the Ama"}}]}\n\n'
    again = b'data: {"choices":[{"index":0,"delta":{"content":"The Nile, the Amazon and so on"}}]}\n\n'
    emulator.script(Fault("body", data=begun), Fault("body", data=again))
    texts = []
    with pytest.raises(StreamInterrupted, match="repeated its earlier output") as caught:
        for chunk in chat.stream(REQUEST):
            texts.append(chunk.text)  # noqa: PERF401  # what came before the error counts

    assert ["The Nile, the Ama"] == texts
    assert "The Nile, the Ama" == caught.value.partial.text  # type: ignore[union-attr]
    assert 2 == len(emulator.requests)


def _stated(*texts: str, end: bool = False) -> bytes:
    """A stream with these pieces of text."""
    pieces = [{"index": 0, "delta": {"content": text}} for text in texts]
    events = [{"choices": [piece]} for piece in pieces]
    if end:
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n" * end


@pytest.mark.parametrize(
    "again",
    [
        ("  \n", "the nile, the ", "Amazon and the Ganges"),
        (" the", " Amazon", " and the Ganges"),
        ("the Amazon",),
    ],
    ids=["blanks and capitals", "its end, in pieces", "its end, whole"],
)
async def test_a_server_that_repeats_text_is_detected(emulator: Emulator, again: tuple[str, ...]) -> None:
    """In any case and spacing; none of the repetition is delivered."""
    first = "The Nile, the Amazon"
    for send_request in (_stream, _astream):
        emulator.reset()
        emulator.script(Fault("body", data=_stated(first)), Fault("body", data=_stated(*again, end=True)))
        with pytest.raises(StreamInterrupted, match="repeated its earlier output") as caught:
            await send_request(chat_at(emulator))
        assert first == caught.value.partial.text


@pytest.mark.parametrize("more", [(" the", " Ganges"), ("",), (" Amazon", "s"), (" and", " the Nile")])
async def test_similar_text_is_not_a_repetition(emulator: Emulator, more: tuple[str, ...]) -> None:
    """A few characters match by chance."""
    first = "The Nile, the Amazon"
    for send_request in (_stream, _astream):
        emulator.reset()
        emulator.script(Fault("body", data=_stated(first)), Fault("body", data=_stated(*more, end=True)))
        message = await send_request(chat_at(emulator))
        assert first + "".join(more) == message.text
        assert 1 == len(message.response_metadata["resumed"])


async def test_a_continuation_that_fails_while_buffered(emulator: Emulator) -> None:
    """It is requested again; without further resumptions, its text is in the partial response."""
    first, held = Fault("body", data=_stated("The Nile, the Amazon")), Fault("body", data=_stated(" Ama"))
    for send_request in (_stream, _astream):
        emulator.reset()
        emulator.script(first, held, Fault("body", data=_stated(" the Ganges", end=True)))
        assert "The Nile, the Amazon the Ganges" == (await send_request(chat_at(emulator))).text
        emulator.reset()
        emulator.script(first, held)
        with pytest.raises(StreamInterrupted) as caught:
            await send_request(chat_at(emulator, resume=1))
        assert "The Nile, the Amazon Ama" == caught.value.partial.text


def test_a_rejected_continuation_raises_the_first_error(emulator: Emulator) -> None:
    """The rejection is its cause."""
    emulator.script(TRAILER, Fault("refuse", "invalid_parameter"))
    with pytest.raises(StreamFailure) as caught:
        chat_at(emulator).invoke(REQUEST, stream=True)

    assert caught.value.partial.text  # type: ignore[union-attr]
    causes = []
    error: BaseException | None = caught.value
    while error is not None:
        causes.append(type(error).__name__)
        error = error.__cause__
    assert "InvalidRequest" in causes


def test_a_late_continuation_is_retried(emulator: Emulator) -> None:
    """Until its first event, like any other request."""
    emulator.script(TRUNCATED, Fault("refuse", "lb_bandwidth"), None)

    assert OUTPUT == chat_at(emulator, max_retries=1).invoke(REQUEST, stream=True).text
    assert 3 == len(emulator.requests)


@tool
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"It is sunny in {city}."


class River(BaseModel):
    """A river."""

    name: str


async def test_a_partial_tool_call_is_never_resumed(emulator: Emulator) -> None:
    """The error is raised once, and no tool is run."""
    agent = create_agent(chat_at(emulator, streaming=True), [get_weather])
    emulator.always(Fault("cut", after=5))
    with pytest.raises(MDStreamError):
        agent.invoke({"messages": [HumanMessage("What is the weather in Paris?")]})
    assert 1 == len(emulator.requests)


NEVER: dict[str, tuple[str, dict[str, Any]]] = {
    "a thought": ("Think: what is 17 plus 25?", {"model_kwargs": {"reasoning_effort": "low"}}),
    "a schema": ("Name a river.", {"model_kwargs": {"response_format": {"type": "json_object"}}}),
}


@pytest.mark.parametrize(("prompt", "options"), NEVER.values(), ids=NEVER)
def test_reasoning_and_structured_output_are_never_resumed(
    emulator: Emulator, prompt: str, options: dict[str, Any]
) -> None:
    """The error is raised."""
    emulator.always(Fault("cut", after=2))
    with pytest.raises(StreamInterrupted):
        chat_at(emulator, **options).invoke(prompt, stream=True)
    assert 1 == len(emulator.requests)


def test_native_formats_of_oci_cannot_be_resumed(emulator: Emulator) -> None:
    """The service does not support continuations."""
    platform_case = PLATFORM_CASES["OCI GenAI GENERIC"]
    emulator.always(TRUNCATED)
    with pytest.raises(StreamInterrupted):
        ChatOCIGenAI(**platform_case.fields(emulator), resume=True, max_retries=0).invoke(REQUEST, stream=True)
    assert 1 == len(emulator.requests)


async def test_the_resume_point_is_an_event(emulator: Emulator) -> None:
    """It is also part of the accumulated response; sync and async."""
    service = Service(OCIModelDeployment(emulator.endpoint), retry=Retry(0), resume=3)
    call = {"messages": [{"role": "user", "content": REQUEST}]}
    emulator.script(TRUNCATED, None)
    events = list(service.client.stream(service.call(dialect("openai-chat"), call)))
    (resume_point,) = (at for at, event in enumerate(events) if isinstance(event, StreamResumed))
    before = "".join(event.text for event in events[:resume_point] if isinstance(event, TextDelta))
    assert len(before) == events[resume_point].at  # type: ignore[union-attr]

    emulator.script(TRUNCATED, None)
    model_response = await service.async_client.complete(service.call(dialect("openai-chat"), call))
    assert OUTPUT == model_response.text
    assert 1 == len(model_response.resumptions)


def test_the_total_timeout_starts_anew(emulator: Emulator) -> None:
    """OCI's time limit may have used it up for the first request."""
    emulator.script(Fault("stall", after=4), Fault("slow_head", seconds=0.8))
    chat = chat_at(emulator, timeout=Timeout(read=0.9, total=1.5))
    message = chat.invoke(REQUEST, stream=True)

    assert OUTPUT == message.text
    assert "timeout.read" in message.response_metadata["resumed"][0]["error"]


def test_an_expired_call_is_not_resumed(emulator: Emulator) -> None:
    """`timeout.total` is the user's choice."""
    emulator.always(Fault("stall", after=4))
    with pytest.raises(StreamInterrupted, match=r"timeout\.total"):
        chat_at(emulator, timeout=Timeout(read=30, total=0.5)).invoke(REQUEST, stream=True)
    assert 1 == len(emulator.requests)


def test_resumable_errors() -> None:
    """A stream timeout is resumable, a truncated tool call is not."""
    content = ModelResponse.from_events([TextDelta("The Nile, the Amazon")])
    assert is_resumable(StreamTimeout("late"), content)
    assert not is_resumable(IncompleteToolCall("cut"), content)
    assert not is_resumable(StreamFailure("no", retryable=False), content)
    assert not is_resumable(StreamInterrupted("cut"), ModelResponse.from_events([TextDelta("The")]))
