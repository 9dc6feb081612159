"""Floors for LangChain: chunks from the public constructors, with texts from memory or from a raw socket."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from benchmarks.contenders import PROMPT, Contender
from benchmarks.floors_plain import AsyncSocket, Socket
from benchmarks.source import Source


class _Floor(BaseChatModel):
    @property
    def _llm_type(self) -> str:
        return "floor"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError


def _result(text: str) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text))])


class MemoryModel(_Floor):
    """Streams texts from memory."""

    texts: list[str]

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for text in self.texts:
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for text in self.texts:
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return _result("".join(self.texts))

    async def _agenerate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return _result("".join(self.texts))


class SocketModel(_Floor):
    """Streams texts from a socket, parsed with `json` only."""

    source: Any
    async_source: Any

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for text in self.source.stream():
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for text in self.async_source.stream():
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return _result(self.source.complete())

    async def _agenerate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return _result(await self.async_source.complete())


def contender(model: BaseChatModel) -> Contender:
    """Create a contender from a chat model."""
    return Contender(
        lambda: model.stream(PROMPT),
        lambda: model.astream(PROMPT),
        lambda chunk: chunk.text,
        lambda: model.invoke(PROMPT),
        lambda: model.ainvoke(PROMPT),
    )


def from_memory(source: Source, pem: bytes | None) -> Contender:
    """No I/O at all."""
    return contender(MemoryModel(texts=source.texts))


def from_socket(source: Source, pem: bytes | None) -> Contender:
    """No HTTP client."""
    return contender(SocketModel(source=Socket(source), async_source=AsyncSocket(source)))


def from_socket_with_callbacks(source: Source, pem: bytes | None) -> Contender:
    """No HTTP client, and a callback handler that does nothing."""
    handlers = [BaseCallbackHandler()]
    return contender(SocketModel(source=Socket(source), async_source=AsyncSocket(source), callbacks=handlers))
