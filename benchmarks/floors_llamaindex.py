"""Floors for LlamaIndex: a `ChatResponse` from the public constructor for each token.

The texts are from memory, or from a raw socket.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseGen,
    LLMMetadata,
)
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_chat_callback

from benchmarks.contenders import PROMPT, Contender
from benchmarks.floors_plain import AsyncSocket, Socket
from benchmarks.source import Source


class _Floor(CustomLLM):
    def _texts(self) -> Iterator[str]:
        raise NotImplementedError

    def _atexts(self) -> AsyncIterator[str]:
        raise NotImplementedError

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(is_chat_model=True)

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        def responses() -> ChatResponseGen:
            output = ""
            for text in self._texts():
                output += text
                yield ChatResponse(message=ChatMessage(role="assistant", content=output), delta=text)

        return responses()

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        async def responses() -> ChatResponseAsyncGen:
            output = ""
            async for text in self._atexts():
                output += text
                yield ChatResponse(message=ChatMessage(role="assistant", content=output), delta=text)

        return responses()

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        raise NotImplementedError

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        raise NotImplementedError


class MemoryLLM(_Floor):
    """Streams texts from memory."""

    texts: list[str]

    def _texts(self) -> Iterator[str]:
        return iter(self.texts)

    async def _atexts(self) -> AsyncIterator[str]:
        for text in self.texts:
            yield text

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return _response("".join(self.texts))

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return _response("".join(self.texts))


class SocketLLM(_Floor):
    """Streams texts from a socket, parsed with `json` only."""

    source: Any
    async_source: Any

    def _texts(self) -> Iterator[str]:
        return self.source.stream()  # type: ignore[no-any-return]

    def _atexts(self) -> AsyncIterator[str]:
        return self.async_source.stream()  # type: ignore[no-any-return]

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return _response(self.source.complete())

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return _response(await self.async_source.complete())


def _response(text: str) -> ChatResponse:
    return ChatResponse(message=ChatMessage(role="assistant", content=text))


def contender(llm: Any) -> Contender:
    """Create a contender from an LLM."""
    messages = [ChatMessage(role="user", content=PROMPT)]
    return Contender(
        lambda: llm.stream_chat(messages),
        lambda: llm.astream_chat(messages),
        lambda response: response.delta or "",
        lambda: llm.chat(messages),
        lambda: llm.achat(messages),
    )


def from_memory(source: Source, pem: bytes | None) -> Contender:
    """No I/O at all."""
    return contender(MemoryLLM(texts=source.texts))


def from_socket(source: Source, pem: bytes | None) -> Contender:
    """No HTTP client."""
    return contender(SocketLLM(source=Socket(source), async_source=AsyncSocket(source)))
