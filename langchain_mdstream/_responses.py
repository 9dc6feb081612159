"""Convert events and responses to LangChain's chunks, messages and results."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    BaseMessageChunk,
    InvalidToolCall,
    ToolCall,
    message_chunk_to_message,
)
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_mdstream._content_handler_dialect import HandlerMessage
from langchain_mdstream._unvalidated import chat_result, last_chunk, text_chunk, whole_generation
from mdstream_core import (
    Choice,
    Event,
    Finish,
    Logprobs,
    ModelResponse,
    ProviderData,
    ReasoningDelta,
    RefusalDelta,
    ResponseMetadata,
    StreamResumed,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from mdstream_core import ToolCall as CoreToolCall

#: The metadata of a response whose service sends none.
_NO_METADATA = ResponseMetadata()


class ChunkBuilder:
    """Convert the events of one stream to chunks.

    Metadata (model, finish reason, token usage) is stored for the last chunk, which is built only after the stream is
    known to be complete. In several chunks it would be repeated, and LangChain concatenates strings when it merges
    chunks. LangChain streams one choice, so events of further choices are ignored.

    Args:
        provider: Value of `response_metadata["model_provider"]` in each chunk.
        model: Name of the requested model, for services that do not report the model in the response.
    """

    def __init__(self, provider: str, model: str = "") -> None:
        self._provider = provider
        self._model = model
        self._metadata = _NO_METADATA
        self._usage: Usage | None = None
        self._reason: str | None = None
        self._provider_data: dict[str, Any] = {}
        self._resumptions: list[StreamResumed] = []

    def convert(self, event: Event) -> ChatGenerationChunk | None:
        """Return the chunk of an event, or `None` if its data is stored for the last chunk or ignored."""
        if type(event) is TextDelta and event.choice == 0:  # the usual event; `match` would be 10% slower
            return text_chunk(event.text, {}, {"model_provider": self._provider})
        match event:
            case ReasoningDelta(text, 0):
                return text_chunk("", {"reasoning_content": text}, {"model_provider": self._provider})
            case RefusalDelta(text, 0):
                return text_chunk("", {"refusal": text}, {"model_provider": self._provider})
            case ToolCallDelta(index, id, name, arguments, 0):
                call = tool_call_chunk(name=name, args=arguments, id=id, index=index)
                return self._generation_chunk(AIMessageChunk(content="", tool_call_chunks=[call]))
            case Logprobs(content, 0):
                return self._generation_chunk(AIMessageChunk(content=""), {"logprobs": {"content": content}})
        self._store(event)
        return None

    def _store(self, event: Event) -> None:
        """Store an event for the last chunk."""
        match event:
            case ResponseMetadata():
                self._metadata = event
            case Usage():
                self._usage = event
            case Finish(reason, 0):
                self._reason = reason
            case ProviderData(name, value, 0):
                self._provider_data[name] = value
            case StreamResumed():
                self._resumptions.append(event)

    def finish(self) -> ChatGenerationChunk:
        """Return the last chunk, which marks the response as complete."""
        return last_chunk(
            self._provider_data,
            self._chunk_metadata(),
            usage_metadata(self._usage) if self._usage else None,
            _response_metadata(self._metadata, self._reason, self._model, self._resumptions),
        )

    def _chunk_metadata(self) -> dict[str, Any]:
        """Return the `response_metadata` of each chunk."""
        return {"model_provider": self._provider}

    def _generation_chunk(self, message: AIMessageChunk, info: dict[str, Any] | None = None) -> ChatGenerationChunk:
        message.response_metadata.update(self._chunk_metadata())
        return ChatGenerationChunk(message=message, generation_info=info)


def build_result(response: ModelResponse, provider: str, model: str = "") -> ChatResult:
    """Convert a response to LangChain's result, with one generation per choice. Arguments as for `ChunkBuilder`."""
    if isinstance(response.metadata, HandlerMessage) and response.metadata.message is not None:
        generations = [_handler_generation(response, response.metadata, response.metadata.message, provider, model)]
        return ChatResult(generations=generations)
    model = response.metadata.model or model
    generations = [_generation(choice, response, provider, model) for choice in response.choices]
    output: dict[str, Any] = {"model_name": model} if model else {}
    if usage := token_usage(response.usage):
        output["token_usage"] = usage
    return chat_result(generations, output)


def _generation(choice: Choice, response: ModelResponse, provider: str, model: str) -> ChatGeneration:
    info = _response_metadata(response.metadata, choice.finish_reason, model)
    if choice.logprobs:
        info["logprobs"] = {"content": list(choice.logprobs)}
    extra = {"reasoning_content": choice.reasoning, "refusal": choice.refusal, **choice.provider_data}
    extra = {name: value for name, value in extra.items() if value}
    usage = usage_metadata(response.usage) if response.usage else None
    metadata = {"model_provider": provider}
    calls, invalid = _calls(choice.tool_calls) if choice.tool_calls else ([], [])
    if not invalid and "tool_calls" not in extra:  # which LangChain's constructor would read
        return whole_generation(choice.text, extra=extra, calls=calls, usage=usage, metadata=metadata, info=info)
    message = AIMessage(
        content=choice.text,
        additional_kwargs=extra,
        tool_calls=calls,
        invalid_tool_calls=invalid,
        usage_metadata=usage,
        response_metadata=metadata,
    )
    return ChatGeneration(message=message, generation_info=info)


def _handler_generation(
    response: ModelResponse, metadata: HandlerMessage, message: BaseMessage, provider: str, model: str
) -> ChatGeneration:
    """Return the message of a content handler as it is, and what the service reports."""
    message = message_chunk_to_message(message) if isinstance(message, BaseMessageChunk) else message
    known = {"model_provider": provider, **message.response_metadata}
    return ChatGeneration(
        message=message.model_copy(update={"response_metadata": known}),
        generation_info=_response_metadata(replace(metadata, id=None), response.finish_reason, model),
    )


def _calls(calls: Iterable[CoreToolCall]) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    """Return the calls whose arguments can be parsed, and the invalid ones."""
    valid, invalid = [], []
    for call in calls:
        try:
            valid.append(tool_call(name=call.name, args=call.parse_arguments(), id=call.id))
        except ValueError as error:
            invalid.append(invalid_tool_call(name=call.name, args=call.arguments, id=call.id, error=str(error)))
    return valid, invalid


def _response_metadata(
    metadata: ResponseMetadata, reason: str | None, model: str, resumed: Sequence[StreamResumed] = ()
) -> dict[str, Any]:
    # The server's id is not the message's: LangGraph overwrites messages with equal ids, and some servers repeat them.
    values = {
        "finish_reason": reason,
        "model_name": metadata.model or model,
        "id": metadata.id,
        "system_fingerprint": metadata.fingerprint,
        "resumed": [asdict(resumption) for resumption in resumed] if resumed else None,
        **metadata.service,
    }
    return {name: value for name, value in values.items() if value}


def usage_metadata(usage: Usage) -> UsageMetadata:
    """Return LangChain's token usage, with the details that the server reported."""
    metadata = UsageMetadata(input_tokens=usage.input, output_tokens=usage.output, total_tokens=usage.total)
    if known := _known_details({"audio": usage.input_audio, "cache_read": usage.cached}):
        metadata["input_token_details"] = InputTokenDetails(**known)  # type: ignore[typeddict-item]
    if known := _known_details({"audio": usage.output_audio, "reasoning": usage.reasoning}):
        metadata["output_token_details"] = OutputTokenDetails(**known)  # type: ignore[typeddict-item]
    return metadata


def _known_details(details: dict[str, int | None]) -> dict[str, int]:
    return {name: count for name, count in details.items() if count is not None}


def token_usage(usage: Usage | None) -> dict[str, int]:
    """Return the token usage with OpenAI's names, for `llm_output`."""
    if usage is None:
        return {}
    return {"prompt_tokens": usage.input, "completion_tokens": usage.output, "total_tokens": usage.total}
