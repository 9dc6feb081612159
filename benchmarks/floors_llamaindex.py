"""Floor for LlamaIndex: a `ChatResponse` from the public constructor for each token, with texts from memory."""

from collections.abc import Sequence
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
from benchmarks.server import Source


class MemoryLLM(CustomLLM):
    """Streams texts from memory."""

    texts: list[str]

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(is_chat_model=True)

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        def responses() -> ChatResponseGen:
            output = ""
            for text in self.texts:
                output += text
                yield ChatResponse(message=ChatMessage(role="assistant", content=output), delta=text)

        return responses()

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        async def responses() -> ChatResponseAsyncGen:
            output = ""
            for text in self.texts:
                output += text
                yield ChatResponse(message=ChatMessage(role="assistant", content=output), delta=text)

        return responses()

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        raise NotImplementedError

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        raise NotImplementedError


def contender(llm: Any) -> Contender:
    """Create a contender from an LLM."""
    messages = [ChatMessage(role="user", content=PROMPT)]
    return Contender(
        lambda: llm.stream_chat(messages), lambda: llm.astream_chat(messages), lambda response: response.delta or ""
    )


def from_memory(source: Source, pem: bytes | None) -> Contender:
    """No I/O at all."""
    return contender(MemoryLLM(texts=source.texts))
