"""The eight ways of asking an LLM, and how to look at what comes."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.llms import LLM

Response = ChatResponse | CompletionResponse


@dataclass(frozen=True, slots=True)
class CallMethod:
    """One way of asking.

    Attributes:
        read: Ask a question and put what comes into a list, so that what came before an error is there too.
        needs: What a package has to offer for it.
    """

    read: Callable[[LLM, str, list[Response]], None]
    needs: tuple[str, ...] = ()


def _stream_chat(llm: LLM, question: str, got: list[Response]) -> None:
    for response in llm.stream_chat([ChatMessage(question)]):
        got.append(response)  # noqa: PERF402


def _stream_complete(llm: LLM, question: str, got: list[Response]) -> None:
    for response in llm.stream_complete(question):
        got.append(response)  # noqa: PERF402


def _astream_chat(llm: LLM, question: str, got: list[Response]) -> None:
    async def read() -> None:
        async for response in await llm.astream_chat([ChatMessage(question)]):
            got.append(response)  # noqa: PERF401

    asyncio.run(read())


def _astream_complete(llm: LLM, question: str, got: list[Response]) -> None:
    async def read() -> None:
        async for response in await llm.astream_complete(question):
            got.append(response)  # noqa: PERF401

    asyncio.run(read())


def _achat(llm: LLM, question: str, got: list[Response]) -> None:
    async def read() -> None:
        got.append(await llm.achat([ChatMessage(question)]))

    asyncio.run(read())


def _acomplete(llm: LLM, question: str, got: list[Response]) -> None:
    async def read() -> None:
        got.append(await llm.acomplete(question))

    asyncio.run(read())


_COMPLETIONS, _ASYNC = "supports_completions", "supports_async"

CHAT_STREAMS = {"stream_chat": CallMethod(_stream_chat), "astream_chat": CallMethod(_astream_chat, (_ASYNC,))}
STREAMS = {
    **CHAT_STREAMS,
    "stream_complete": CallMethod(_stream_complete, (_COMPLETIONS,)),
    "astream_complete": CallMethod(_astream_complete, (_COMPLETIONS, _ASYNC)),
}
WHOLE = {
    "chat": CallMethod(lambda llm, question, got: got.append(llm.chat([ChatMessage(question)]))),
    "achat": CallMethod(_achat, (_ASYNC,)),
    "complete": CallMethod(lambda llm, question, got: got.append(llm.complete(question)), (_COMPLETIONS,)),
    "acomplete": CallMethod(_acomplete, (_COMPLETIONS, _ASYNC)),
}
ALL = {**STREAMS, **WHOLE}

by_chat_stream = pytest.mark.parametrize("way", CHAT_STREAMS.values(), ids=CHAT_STREAMS)
by_stream = pytest.mark.parametrize("way", STREAMS.values(), ids=STREAMS)
by_whole = pytest.mark.parametrize("way", WHOLE.values(), ids=WHOLE)
by_all = pytest.mark.parametrize("way", ALL.values(), ids=ALL)


def response_text(response: Response) -> str:
    """The text of a response."""
    return response.text if isinstance(response, CompletionResponse) else response.message.content or ""


def sum_deltas(responses: list[Response]) -> str:
    """The sum of the deltas."""
    return "".join(response.delta or "" for response in responses)


def finish_reason(response: Response) -> Any:
    """Why an answer ended, where LlamaIndex's observers (OpenInference) look for it; `None` where it is not said."""
    raw = _mapping(response.raw)
    choices = raw.get("choices") or [{}]
    places = (response.additional_kwargs, raw, _mapping(choices[0]))
    names = ("finish_reason", "finishReason", "stop_reason", "stopReason")
    return next((place[name] for place in places for name in names if place.get(name)), None)


def _mapping(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    return value.model_dump() if hasattr(value, "model_dump") else {}
