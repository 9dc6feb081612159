"""The least that LangChain asks for: chunks by the public constructors, out of memory or off a bare socket."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from benchmarks.contenders import REQUEST, Contender
from benchmarks.floors_plain import AsyncSocket, Socket
from benchmarks.server import Source


class _Floor(BaseChatModel):
    @property
    def _llm_type(self) -> str:
        return "floor"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError


class Trivial(_Floor):
    """Has its texts in memory."""

    texts: list[str]

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for text in self.texts:
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for text in self.texts:
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))


class FedBySocket(_Floor):
    """Reads its texts off a socket, with nothing in between but `json`."""

    fed: Any
    afed: Any

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for text in self.fed.stream():
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for text in self.afed.stream():
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))


def contender(model: BaseChatModel) -> Contender:
    """Any chat model, as its users call it."""
    return Contender(lambda: model.stream(REQUEST), lambda: model.astream(REQUEST), lambda chunk: chunk.text)


def trivial(source: Source, pem: bytes | None) -> Contender:
    """No I/O at all."""
    return contender(Trivial(texts=source.texts))


def fed_by_socket(source: Source, pem: bytes | None) -> Contender:
    """No HTTP client."""
    return contender(FedBySocket(fed=Socket(source), afed=AsyncSocket(source)))
