"""Calls of chat models, shorter without callback handlers."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, ClassVar, cast
from uuid import UUID

from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models import chat_models as langchain_chat_models
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, convert_to_messages
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import RunnableConfig
from langchain_core.utils.utils import LC_ID_PREFIX

from langchain_mdstream._callbacks import OriginalMethods, find_run_id

#: LangChain's own helpers. If another version does not have them, its own path is always used.
_normalize_messages: Any = getattr(langchain_chat_models, "_normalize_messages", None)
_merge_metadata: Any = getattr(langchain_chat_models, "_gen_info_and_msg_metadata", None)
_HAS_HELPERS = _normalize_messages is not None and _merge_metadata is not None

#: For each method, the method that it calls without callback handlers, and LangChain's methods that it leaves out.
LEFT_OUT = {
    "invoke": ("_generate", "_convert_input", "generate_prompt", "generate", "_generate_with_cache"),
    "ainvoke": ("_agenerate", "_convert_input", "agenerate_prompt", "agenerate", "_agenerate_with_cache"),
    "stream": ("_stream", "_convert_input"),
    "astream": ("_astream", "_convert_input"),
}


class ChatCalls(BaseChatModel):
    """Mixin of the chat models: `invoke` and `stream` without the work that only callback handlers need."""

    _original_methods: ClassVar[OriginalMethods]

    def invoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Return the response to the input, a text or messages."""
        if (run_id := self._find_run_id("invoke", config, kwargs)) is None:
            return super().invoke(input, config, stop=stop, **kwargs)
        messages = _to_messages(input)
        return _to_message(self._generate(messages, stop=stop, **kwargs), run_id)

    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Async variant of `invoke`."""
        if (run_id := self._find_run_id("ainvoke", config, kwargs)) is None:
            return await super().ainvoke(input, config, stop=stop, **kwargs)
        messages = _to_messages(input)
        return _to_message(await self._agenerate(messages, stop=stop, **kwargs), run_id)

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Stream the response to the input, a text or messages."""
        if (run_id := self._find_run_id("stream", config, kwargs)) is None:
            yield from super().stream(input, config, stop=stop, **kwargs)
            return
        messages = _to_messages(input)
        message_id = f"{LC_ID_PREFIX}-{run_id}"
        for chunk in self._stream(messages, stop=stop, **kwargs):
            yield _to_message_chunk(chunk, message_id)

    async def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """Async variant of `stream`."""
        if (run_id := self._find_run_id("astream", config, kwargs)) is None:
            own = super().astream(input, config, stop=stop, **kwargs)
            async with aclosing(cast("AsyncGenerator[AIMessageChunk]", own)) as message_chunks:
                async for message_chunk in message_chunks:
                    yield message_chunk
            return
        messages = _to_messages(input)
        message_id = f"{LC_ID_PREFIX}-{run_id}"
        stream = self._astream(messages, stop=stop, **kwargs)
        async with aclosing(cast("AsyncGenerator[ChatGenerationChunk]", stream)) as chunks:
            async for chunk in chunks:
                yield _to_message_chunk(chunk, message_id)

    def _find_run_id(self, name: str, config: RunnableConfig | None, kwargs: Mapping[str, Any]) -> UUID | None:
        """Return the id of the run of a call without callback handlers; `None` if LangChain's method has to be used.

        LangChain's method applies rate limits, and converts contents to its version 1.
        """
        if not _HAS_HELPERS or self.rate_limiter is not None or self.output_version == "v1":
            return None
        streams = name.endswith("stream")
        options = {**kwargs, "stream": True} if streams else kwargs
        if self._should_stream(async_api=name.startswith("a"), **options) != streams:
            return None
        return find_run_id(self, name, config, kwargs)


def _to_messages(model_input: LanguageModelInput) -> list[BaseMessage]:
    """Convert the input as LangChain does, without a prompt value that is converted at once."""
    if isinstance(model_input, str):
        return [HumanMessage(content=model_input)]
    if isinstance(model_input, PromptValue):
        messages = model_input.to_messages()
    elif isinstance(model_input, Sequence):
        messages = convert_to_messages(model_input)
    else:
        # LangChain's error.
        raise ValueError(
            f"Invalid input type {type(model_input)}. Must be a PromptValue, str, or list of BaseMessages."
        )
    return cast(list[BaseMessage], _normalize_messages(messages))


def _to_message(result: ChatResult, run_id: UUID) -> AIMessage:
    """Return the message of a result with its id and metadata, as LangChain adds them."""
    generation, output = result.generations[0], result.llm_output
    message = cast(AIMessage, generation.message)
    if message.id is None:
        message.id = f"{LC_ID_PREFIX}-{run_id}-0"
    metadata = _merge_metadata(generation)
    if output is not None and len(result.generations) == 1:
        metadata = {**output, **metadata}
    message.response_metadata = metadata
    return message


def _to_message_chunk(chunk: ChatGenerationChunk, message_id: str) -> AIMessageChunk:
    """Return the message of a chunk with its id and metadata, as LangChain adds them."""
    message = cast(AIMessageChunk, chunk.message)
    fields = message.__dict__  # setting attributes of pydantic's objects would take as long as building the chunk
    if fields["id"] is None:
        fields["id"] = message_id
        message.__pydantic_fields_set__.add("id")
    if chunk.generation_info:
        message.response_metadata = _merge_metadata(chunk)
    return message
