"""Dialect of SageMaker content handlers for chat models, whose messages are kept as the handler returned them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from mdstream_core import (
    ContentHandlerDialect,
    ContentHandlerProtocol,
    Event,
    Finish,
    HandlerDecoder,
    ProviderData,
    ReasoningDelta,
    ResponseMetadata,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    is_unfinished,
)
from mdstream_core.errors import IncompleteToolCall, MalformedStream


@dataclass(frozen=True, slots=True)
class HandlerMessage(ResponseMetadata):
    """A message that a content handler returned. The events beside it have the same output, for partial responses."""

    message: BaseMessage | None = field(default=None, hash=False)
    """The message or message chunk. Its text ends before a stop sequence."""


class HandlerChatDecoder(HandlerDecoder):
    """Decoder of messages or message chunks."""

    def __init__(self, handler: ContentHandlerProtocol, stop: Sequence[str], *, stream: bool) -> None:
        super().__init__(handler, stop, stream=stream)
        self._reason: str | None = None
        self._model: str | None = None
        self._metadata: dict[str, Any] = {}
        self._arguments: dict[int, str] = {}

    def _events(self, output: Any) -> list[Event]:
        if not isinstance(output, BaseMessage):
            raise TypeError(f"transform_output returned a {type(output).__name__}, not a message such as AIMessage")
        was_stopped = self._text.is_stopped
        text = str(output.text)
        delta = self._text.feed(text) + ("" if self._stream else self._text.flush())
        reasoning = output.additional_kwargs.get("reasoning_content")
        calls = self._calls(output)
        events = [
            *([ReasoningDelta(reasoning)] if reasoning else []),
            *([TextDelta(delta)] if delta else []),
            *calls,
            *[ProviderData(name, value) for name, value in output.additional_kwargs.items() if name != _REASONING],
            *_usage(output),
        ]
        if was_stopped and not events and not output.response_metadata:
            return []
        return [*events, self._build_message(output, calls, None if delta == text else delta)]

    def _build_message(self, output: BaseMessage, calls: list[ToolCallDelta], text: str | None) -> HandlerMessage:
        """Build the event of a message, with its text up to a stop sequence if that differs."""
        data = output.response_metadata
        self._reason = data.get("finish_reason") or self._reason
        self._model = data.get("model_name") or self._model
        self._metadata |= {name: value for name, value in data.items() if name not in _KNOWN_METADATA}
        content = output.content if text is None else _replace_text(output.content, text)
        message = output.model_copy(update={"content": content})
        message = _to_chunk(message, calls) if self._stream else message
        return HandlerMessage(self._model, message.id, service=dict(self._metadata), message=message)

    def _calls(self, message: BaseMessage) -> list[ToolCallDelta]:
        calls: list[ToolCallDelta] = []
        if isinstance(message, AIMessageChunk):
            calls = [
                ToolCallDelta(call["index"] or 0, call["id"], call["name"], call["args"] or "")
                for call in message.tool_call_chunks
            ]
        elif isinstance(message, AIMessage):
            calls = [
                ToolCallDelta(index, call["id"], call["name"], json.dumps(call["args"]))
                for index, call in enumerate(message.tool_calls, len(self._arguments))
            ]
        for call in calls:
            self._arguments[call.index] = self._arguments.get(call.index, "") + call.arguments
        return calls

    def flush(self) -> list[Event]:
        """Return the buffered text, which might have become a stop sequence."""
        events = super().flush()
        if not events:
            return []
        text = "".join(event.text for event in events if isinstance(event, TextDelta))
        message = AIMessageChunk(content=text)
        return [*events, HandlerMessage(self._model, service=dict(self._metadata), message=message)]

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """Return the final events, with the handler's finish reason. Raises if a tool call is incomplete."""
        events = super().finish(is_document=is_document)
        for arguments in self._arguments.values():
            if arguments.strip() and is_unfinished(arguments):
                raise IncompleteToolCall("the response ended inside the arguments of a tool call", raw=arguments[:2000])
            if trailing := ToolCall("", "", arguments).trailing_text:
                raise MalformedStream(
                    f"the arguments of a tool call are more than one JSON object: {trailing[:80]!r} follows",
                    code="MalformedToolCall",
                    raw=arguments[:2000],
                )
        return [*events, Finish(self._reason)] if self._reason and not self._text.is_stopped else events


_REASONING = "reasoning_content"

#: Metadata that has fields or events of its own.
_KNOWN_METADATA = frozenset({"finish_reason", "model_name", "model_provider"})


def _usage(message: BaseMessage) -> list[Event]:
    if not isinstance(message, AIMessage) or not (usage := message.usage_metadata):
        return []
    cached = usage.get("input_token_details", {}).get("cache_read")
    reasoning = usage.get("output_token_details", {}).get("reasoning")
    return [Usage(usage["input_tokens"], usage["output_tokens"], usage["total_tokens"], cached, reasoning)]


def _replace_text(content: Any, text: str) -> Any:
    """Replace the text of a message; the blocks of a list that are no text are kept."""
    if isinstance(content, str):
        return text
    return [*([{"type": "text", "text": text}] if text else []), *filter(_is_no_text, content)]


def _is_no_text(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") != "text"


def _to_chunk(message: BaseMessage, calls: list[ToolCallDelta]) -> AIMessageChunk:
    """Convert the message of a line to a chunk."""
    if isinstance(message, AIMessageChunk):
        return message
    fields = {name: getattr(message, name) for name in ("additional_kwargs", "response_metadata", "id", "name")}
    return AIMessageChunk(
        content=cast(Any, message.content),
        usage_metadata=getattr(message, "usage_metadata", None),
        tool_call_chunks=[
            tool_call_chunk(name=call.name, args=call.arguments, id=call.id, index=call.index) for call in calls
        ],
        **fields,
    )


class HandlerChunkBuilder:
    """Convert the events of one stream to the chunks that the content handler returned.

    LangChain adds an empty last chunk to a stream whose chunks do not mark their end; this one has what the service
    reports. A chunk that the handler marks as the last is held back for it.

    Args:
        provider: As for `ChunkBuilder`.
        model: As for `ChunkBuilder`.
    """

    def __init__(self, provider: str, model: str = "") -> None:
        self._provider = provider
        self._model = model
        self._message: BaseMessage | None = None
        self._held: AIMessageChunk | None = None
        self._names: set[str] = set()
        self._info: dict[str, Any] = {}

    def convert(self, event: Event) -> ChatGenerationChunk | None:
        """Return the chunk of a message; `None` for other events, whose output is in a message too."""
        if isinstance(event, Finish):
            self._info["finish_reason"] = event.reason
        if not isinstance(event, HandlerMessage) or event.message is None:
            return None
        if event.message is self._message:  # again, with what the service reports
            self._info |= event.service
            return None
        self._message = event.message
        self._names |= event.message.response_metadata.keys()
        chunk = self._with_provider(cast(AIMessageChunk, event.message))
        if chunk.chunk_position == "last":
            self._held = chunk
            return None
        return ChatGenerationChunk(message=chunk)

    def finish(self) -> ChatGenerationChunk:
        """Return the last chunk, which marks the response as complete."""
        is_list = self._message is not None and isinstance(self._message.content, list)
        empty = AIMessageChunk(content=cast(Any, [] if is_list else ""), chunk_position="last")
        info = {"model_name": self._model, **self._info}
        return ChatGenerationChunk(
            message=self._held or self._with_provider(empty),
            generation_info={name: value for name, value in info.items() if value and name not in self._names},
        )

    def _with_provider(self, chunk: AIMessageChunk) -> AIMessageChunk:
        return chunk.model_copy(
            update={"response_metadata": {"model_provider": self._provider, **chunk.response_metadata}}
        )


class ContentHandlerChatDialect(ContentHandlerDialect):
    """Dialect of a content handler for chat models."""

    decoder_class: ClassVar[type[HandlerDecoder]] = HandlerChatDecoder
    input_name: ClassVar[str] = "messages"
