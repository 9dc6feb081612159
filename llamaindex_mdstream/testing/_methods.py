"""The eight chat and completion methods of an LLM, and accessors of their responses."""

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
    """A chat or completion method.

    Attributes:
        read: Calls the method with a prompt, and appends the responses to a list, also those before an error.
        needs: Features that the method requires, as attributes of `LLMRules`.
    """

    read: Callable[[LLM, str, list[Response]], None]
    needs: tuple[str, ...] = ()


def _stream_chat(llm: LLM, prompt: str, responses: list[Response]) -> None:
    for response in llm.stream_chat([ChatMessage(prompt)]):
        responses.append(response)  # noqa: PERF402


def _stream_complete(llm: LLM, prompt: str, responses: list[Response]) -> None:
    for response in llm.stream_complete(prompt):
        responses.append(response)  # noqa: PERF402


def _astream_chat(llm: LLM, prompt: str, responses: list[Response]) -> None:
    async def read() -> None:
        async for response in await llm.astream_chat([ChatMessage(prompt)]):
            responses.append(response)  # noqa: PERF401

    asyncio.run(read())


def _astream_complete(llm: LLM, prompt: str, responses: list[Response]) -> None:
    async def read() -> None:
        async for response in await llm.astream_complete(prompt):
            responses.append(response)  # noqa: PERF401

    asyncio.run(read())


def _achat(llm: LLM, prompt: str, responses: list[Response]) -> None:
    async def read() -> None:
        responses.append(await llm.achat([ChatMessage(prompt)]))

    asyncio.run(read())


def _acomplete(llm: LLM, prompt: str, responses: list[Response]) -> None:
    async def read() -> None:
        responses.append(await llm.acomplete(prompt))

    asyncio.run(read())


_COMPLETIONS, _ASYNC = "supports_completions", "supports_async"

CHAT_STREAMS = {"stream_chat": CallMethod(_stream_chat), "astream_chat": CallMethod(_astream_chat, (_ASYNC,))}
STREAMS = {
    **CHAT_STREAMS,
    "stream_complete": CallMethod(_stream_complete, (_COMPLETIONS,)),
    "astream_complete": CallMethod(_astream_complete, (_COMPLETIONS, _ASYNC)),
}
WHOLE = {
    "chat": CallMethod(lambda llm, prompt, responses: responses.append(llm.chat([ChatMessage(prompt)]))),
    "achat": CallMethod(_achat, (_ASYNC,)),
    "complete": CallMethod(lambda llm, prompt, responses: responses.append(llm.complete(prompt)), (_COMPLETIONS,)),
    "acomplete": CallMethod(_acomplete, (_COMPLETIONS, _ASYNC)),
}
ALL = {**STREAMS, **WHOLE}

each_chat_stream_method = pytest.mark.parametrize("method", CHAT_STREAMS.values(), ids=CHAT_STREAMS)
each_stream_method = pytest.mark.parametrize("method", STREAMS.values(), ids=STREAMS)
each_blocking_method = pytest.mark.parametrize("method", WHOLE.values(), ids=WHOLE)
each_method = pytest.mark.parametrize("method", ALL.values(), ids=ALL)


def response_text(response: Response) -> str:
    """Return the text of a response."""
    return response.text if isinstance(response, CompletionResponse) else response.message.content or ""


def sum_deltas(responses: list[Response]) -> str:
    """Return the concatenated deltas of a stream."""
    return "".join(response.delta or "" for response in responses)


def finish_reason(response: Response) -> Any:
    """Return the finish reason from where OpenInference reads it, or `None`."""
    raw = _mapping(response.raw)
    choices = raw.get("choices") or [{}]
    sources = (response.additional_kwargs, raw, _mapping(choices[0]))
    names = ("finish_reason", "finishReason", "stop_reason", "stopReason")
    return next((source[name] for source in sources for name in names if source.get(name)), None)


def _mapping(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    return value.model_dump() if hasattr(value, "model_dump") else {}
