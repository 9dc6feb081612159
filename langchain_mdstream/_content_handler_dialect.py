"""Content handlers as dialects: everything else stays as it is, attempts, limits, exception frames, what was received.

A handler cannot say which of its outputs is the last, so the end of the body is the end of the answer: an exception
frame, a cut connection and a line that the handler cannot read are failures all the same.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

from langchain_mdstream._content_handlers import ContentHandlerProtocol, HandlerBody
from mdstream_core import (
    Embedding,
    Event,
    Finish,
    MDStreamError,
    ModelResponse,
    ProviderData,
    ReasoningDelta,
    ResponseMetadata,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    is_unfinished,
)
from mdstream_core.errors import (
    IncompleteToolCall,
    MalformedStream,
    StreamFailure,
    StreamInterrupted,
    parse_error_object,
)

#: What a handler's code raises when an answer is not what it expects. An exception class of the user's own passes.
_HANDLER_ERRORS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)

#: Of a question, what is no option of the model.
_REQUEST_FIELDS = frozenset({"prompt", "messages", "input", "input_type", "stream", "stream_options", "stop"})


class HandlerDecoder:
    """Reads one answer of a completion model with a handler.

    Args:
        handler: Reads the body, or each line of a stream.
        stop: Texts that end the answer: the container is not told of them, so the answer is cut here.
        stream: Whether lines come, and not the whole body at once.
    """

    #: Nothing is wrong with an answer behind its events.
    error: MDStreamError | None = None
    #: Only the end of the body says that the answer is whole.
    is_finished = is_complete = False

    def __init__(self, handler: ContentHandlerProtocol, stop: Sequence[str], *, stream: bool) -> None:
        self._handler = handler
        self._text = _StopFilter(stop)
        self._stream = stream
        self._has_read = False
        self._parse_error: MDStreamError | None = None

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """The events of a line, or of the whole body. An empty line says nothing."""
        if data in {b"", b"\r"}:
            return []
        try:
            events = self._events(self._handler.transform_output(HandlerBody(data)))
        except _HANDLER_ERRORS as error:
            unread = _error_in_line(data) or _parse_error(data, error)
            if self._stream:
                raise unread from error
            unread.__cause__, self._parse_error = error, unread  # a body that came whole was not cut
            return []
        if not events and (failure := _error_in_line(data)):
            raise failure
        self._has_read = True
        return events

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """What was held back because it might have become a stop, and why it ended where that is known."""
        if self._parse_error:
            raise self._parse_error
        if not self._has_read:
            raise StreamInterrupted("the stream ended without an answer", code="EmptyStream")
        rest = self._text.flush()
        events: list[Event] = [TextDelta(rest)] if rest else []
        return [*events, Finish("stop")] if self._text.is_stopped else events

    def flush(self) -> list[Event]:
        """What has come and was not told yet, because it might have become a stop."""
        rest = self._text.flush()
        return [TextDelta(rest)] if rest else []

    def _events(self, output: Any) -> list[Event]:
        if not isinstance(output, str):
            raise TypeError(f"transform_output gave a {type(output).__name__}, not a str")
        return self._emit_text(output)

    def _emit_text(self, text: str) -> list[Event]:
        said = self._text.feed(text)
        return [TextDelta(said)] if said else []


class HandlerChatDecoder(HandlerDecoder):
    """Reads messages, or chunks of one."""

    def __init__(self, handler: ContentHandlerProtocol, stop: Sequence[str], *, stream: bool) -> None:
        super().__init__(handler, stop, stream=stream)
        self._reason: str | None = None
        self._arguments: dict[int, str] = {}

    def _events(self, output: Any) -> list[Event]:
        if not isinstance(output, BaseMessage):
            raise TypeError(f"transform_output gave a {type(output).__name__}, not a message such as AIMessage")
        thought = output.additional_kwargs.get("reasoning_content")
        thoughts: list[Event] = [ReasoningDelta(thought)] if thought else []
        return [*thoughts, *self._emit_text(str(output.text)), *self._calls(output), *self._provider_data(output)]

    def _calls(self, message: BaseMessage) -> list[Event]:
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
        return list(calls)

    def _provider_data(self, message: BaseMessage) -> list[Event]:
        told = {**message.response_metadata, **message.additional_kwargs}
        self._reason = told.get("finish_reason") or self._reason
        events = [ProviderData(name, value) for name, value in told.items() if name not in _KNOWN_METADATA]
        metadata = (
            [ResponseMetadata(told.get("model_name"), message.id)] if told.get("model_name") or message.id else []
        )
        return [*metadata, *events, *_usage(message)]

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """The handler's own reason, if it gave one. Raises if a tool call is not whole."""
        events = super().finish(is_document=is_document)
        for arguments in self._arguments.values():
            if arguments.strip() and is_unfinished(arguments):
                raise IncompleteToolCall("the answer ended inside the arguments of a tool call", raw=arguments[:2000])
            if surplus := ToolCall("", "", arguments).trailing_text:
                raise MalformedStream(
                    f"the arguments of a tool call are not one JSON object: behind it stands {surplus[:80]!r}",
                    code="MalformedToolCall",
                    raw=arguments[:2000],
                )
        return [*events, Finish(self._reason)] if self._reason and not self._text.is_stopped else events


#: What has a place of its own in an answer.
_KNOWN_METADATA = frozenset({"finish_reason", "model_name", "model_provider", "reasoning_content"})


def _usage(message: BaseMessage) -> list[Event]:
    if not isinstance(message, AIMessage) or not (usage := message.usage_metadata):
        return []
    cached = usage.get("input_token_details", {}).get("cache_read")
    reasoning = usage.get("output_token_details", {}).get("reasoning")
    return [Usage(usage["input_tokens"], usage["output_tokens"], usage["total_tokens"], cached, reasoning)]


class HandlerEmbeddingDecoder(HandlerDecoder):
    """Reads vectors."""

    def _events(self, output: Any) -> list[Event]:
        return [Embedding(_vector(numbers, at), at) for at, numbers in enumerate(output)]


def _vector(numbers: Any, at: int) -> list[float]:
    """Numbers of any library as floats. Raises `ValueError` for a vector that has none, and for what is no number."""
    vector = [float("nan") if isinstance(number, bool | str) else float(number) for number in numbers]
    if not vector or not all(map(isfinite, vector)):
        raise ValueError(f"vector {at} has {'something that is no finite number' if vector else 'no numbers'}")
    return vector


class _StopFilter:
    """A text up to the first of some stops, also where one is spread over several pieces."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.is_stopped = False

    def feed(self, text: str) -> str:
        """What is certain of the text with this piece."""
        if self.is_stopped:
            return ""
        self._held += text
        found = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        self.is_stopped = bool(found)
        sure = (
            min(found)
            if found
            else len(self._held) - max((self._partial_match(stop) for stop in self._stops), default=0)
        )
        said, self._held = self._held[:sure], "" if found else self._held[sure:]
        return said

    def flush(self) -> str:
        """What was no stop after all."""
        return self._held

    def _partial_match(self, stop: str) -> int:
        """How much of a stop stands at the end."""
        return next((size for size in range(len(stop) - 1, 0, -1) if self._held.endswith(stop[:size])), 0)


def _parse_error(data: bytes, error: Exception) -> MalformedStream:
    shown = data[:300].decode("utf-8", "replace")
    why = f"{type(error).__name__}: {error}"
    return MalformedStream(f"the content handler cannot read {shown!r}: {why}", raw=shown)


def _error_in_line(data: bytes) -> StreamFailure | None:
    """The failure that a line spells, if it is an error object: alone, or as the data of an event."""
    text = data.strip().removeprefix(b"data:")
    try:
        document = json.loads(text)
    except ValueError:
        return None
    if not isinstance(document, dict) or not document.get("error") or not (words := parse_error_object(document)):
        return None
    raw = text[:4000].decode("utf-8", "replace")
    return StreamFailure(f"the container failed: {words.message}", code=words.code, status=words.status, raw=raw)


@dataclass(frozen=True, slots=True)
class ContentHandlerDialect:
    """What a handler speaks, for one question.

    Args:
        handler: Writes the body and reads the answer.
        stop: Texts that end the answer.
        options: What the handler is told beside the question's own options, over them.
        stream: Whether the answer comes line by line.
    """

    handler: ContentHandlerProtocol
    stop: tuple[str, ...]
    options: Mapping[str, Any]
    stream: bool

    name: ClassVar[str] = "content-handler"
    route: ClassVar[str] = "/invocations"
    decoder_class: ClassVar[type[HandlerDecoder]] = HandlerDecoder
    input_name: ClassVar[str] = "prompt"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> Any:
        """The bytes that the handler makes of the question."""
        options = {name: value for name, value in params.items() if value is not None and name not in _REQUEST_FIELDS}
        written = self.handler.transform_input(self._handler_input(params), {**options, **self.options})
        written = written.read() if hasattr(written, "read") else written
        return written.encode() if isinstance(written, str) else bytes(written)

    def _handler_input(self, params: Mapping[str, Any]) -> Any:
        return params[self.input_name]

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """A handler's body is not changed."""
        return None

    def build_continuation(self, payload: Mapping[str, Any], partial: ModelResponse) -> dict[str, Any] | None:
        """There is no way."""
        return None

    def create_decoder(self) -> HandlerDecoder:
        """A fresh decoder."""
        return self.decoder_class(self.handler, self.stop, stream=self.stream)


class ContentHandlerChatDialect(ContentHandlerDialect):
    """The same for a chat."""

    decoder_class: ClassVar[type[HandlerDecoder]] = HandlerChatDecoder
    input_name: ClassVar[str] = "messages"


class ContentHandlerEmbeddingDialect(ContentHandlerDialect):
    """The same for texts, as many to a request as TEI takes; langchain-community sends 64."""

    input_field: ClassVar[str] = "input"
    max_batch_size: ClassVar[int] = 32
    decoder_class: ClassVar[type[HandlerDecoder]] = HandlerEmbeddingDecoder

    def _handler_input(self, params: Mapping[str, Any]) -> list[str]:
        """Without line breaks, as langchain-community sends them: an index that stands already fits."""
        return [text.replace("\n", " ") for text in params["input"]]
