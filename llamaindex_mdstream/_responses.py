"""Convert events to LlamaIndex responses, with one `ResponseBuilder` per response."""

import sys
from dataclasses import asdict, replace
from typing import Any, Generic, TypeVar

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse, LogProb

from llamaindex_mdstream import _unvalidated
from llamaindex_mdstream._output_items import item_kwargs, read_items, thinking_blocks
from mdstream_core import (
    Choice,
    Event,
    Finish,
    Logprobs,
    MDStreamError,
    ModelResponse,
    ProviderData,
    ReasoningDelta,
    RefusalDelta,
    ResponseMetadata,
    StreamResumed,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)

R = TypeVar("R", ChatResponse, CompletionResponse)


#: Maximum length, in characters, of tool call arguments that every chunk includes in full. Longer ones are updated when
#: they have grown by a sixteenth, because joining them for each chunk takes time quadratic in their length.
_FULL_ARGUMENTS_LENGTH = 4096


class _ToolCallState:
    """A tool call that is being received."""

    __slots__ = ("_built", "_next", "_pieces", "_size", "arguments", "id", "name")

    def __init__(self, delta: ToolCallDelta) -> None:
        self.id = delta.id or ""
        self.name = delta.name or ""
        self.arguments = ""
        self._pieces: list[str] = []
        self._size = 0
        self._next = 0
        self._built: tuple[Any, dict[str, Any]] | None = None
        self.add_arguments(delta.arguments)

    def add_arguments(self, arguments: str) -> None:
        self._pieces.append(arguments)
        self._size += len(arguments)
        if self._size >= self._next:
            self.arguments = "".join(self._pieces)
            self._pieces = [self.arguments]
            self._next = 0 if self._size <= _FULL_ARGUMENTS_LENGTH else self._size + self._size // 16
            self._built = None

    def add_name(self, piece: str) -> None:
        self.name += piece
        self._built = None

    def build(self) -> tuple[Any, dict[str, Any]]:
        """Return the call so far as a block and as a dictionary, cached until it changes.

        Each chunk contains all calls of the response; building them again each time would be quadratic in their number.
        """
        if self._built is None:
            call = ToolCall(self.id, self.name, self.arguments)
            self._built = _unvalidated.tool_call_block(call.id, call.name, call.arguments), _wire_call(call)
        return self._built

    def complete(self) -> ToolCall:
        return ToolCall(self.id, self.name, "".join(self._pieces))


class ResponseBuilder(Generic[R]):
    """Builds the responses of one request.

    LlamaIndex supports one choice per response: further choices (`n`) are ignored.

    Args:
        model: Name of the requested model, for servers that report none.
        parallel: Whether the model may call several tools at once. If not, only its first call is returned.
    """

    def __init__(self, model: str | None = None, *, parallel: bool = True) -> None:
        self._model = model
        self._parallel = parallel
        self._text = ""
        self._reasoning = ""
        self._refusal = ""
        self._calls: list[_ToolCallState] = []
        self._logprobs: list[dict[str, Any]] = []
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._metadata = ResponseMetadata(model)
        self._provider_data: dict[str, Any] = {}
        self._resumptions: list[StreamResumed] = []

    def add_event(self, event: Event) -> R | None:
        """Return the chunk of an event; `None` for events that only the last response includes."""
        match event:
            case TextDelta(text, 0):
                self._text += text
                return self._build_chunk(text, {"content": text}, {})
            case ReasoningDelta(text, 0):
                self._reasoning += text
                return self._build_chunk("", {"reasoning_content": text}, {"thinking_delta": text})
            case ToolCallDelta(index=index, choice=0) if self._parallel or index == 0:
                self._add_tool_call(event)
                return self._build_chunk("", {"tool_calls": [_wire_delta(event)]}, {})
            case RefusalDelta(text, 0):
                self._refusal += text
                return self._build_chunk("", {"refusal": text}, {})
            case Logprobs(content, 0):
                self._logprobs += content
            case _:
                self._store(event)
        return None

    def _store(self, event: Event) -> None:
        """Store the data of an event that only the last response includes."""
        match event:
            case Finish(reason, 0):
                self._finish = reason
            case Usage():
                self._usage = event
            case ResponseMetadata():
                self._metadata = self._with_model_name(event)
            case ProviderData(name, value, 0):
                self._provider_data[name] = value
            case StreamResumed():
                self._resumptions.append(event)

    def final_response(self) -> R:
        """Build the last response of a stream: complete content, usage and finish reason, with an empty delta."""
        calls, logprobs = tuple(call.complete() for call in self._calls), tuple(self._logprobs)
        choice = Choice(self._text, self._reasoning, self._refusal, calls, logprobs, self._finish, self._provider_data)
        return self.complete_response(
            ModelResponse((choice,), self._usage, self._metadata, resumptions=tuple(self._resumptions)), delta=""
        )

    def complete_response(self, model_response: ModelResponse, *, delta: str | None = None) -> R:
        """Build the response of a complete `model_response`."""
        return self._build_response(
            model_response, self._allowed_calls(model_response), delta, response_kwargs(model_response)
        )

    def partial_response(self, model_response: ModelResponse, error: MDStreamError) -> R:
        """Build the response with what was received before `error`."""
        additional_kwargs = {
            **response_kwargs(model_response),
            "finish_reason": "error",
            "error": {
                "type": type(error).__name__,
                "message": str(error),
                "code": error.code,
                "status": error.status,
                "request_id": error.request_id,
            },
        }
        return self._build_response(model_response, self._allowed_calls(model_response), None, additional_kwargs)

    def _build_chunk(self, delta: str, raw_delta: dict[str, Any], kwargs: dict[str, Any]) -> R:
        """Build a chunk.

        Args:
            delta: The new text.
            raw_delta: The delta in the OpenAI format, for `raw`.
            kwargs: `additional_kwargs` of the chunk.
        """
        raise NotImplementedError

    def _build_response(
        self,
        model_response: ModelResponse,
        calls: tuple[ToolCall, ...],
        delta: str | None,
        kwargs: dict[str, Any],
    ) -> R:
        raise NotImplementedError

    def _raw(self, raw_delta: dict[str, Any]) -> dict[str, Any]:
        """Return `raw` of a chunk: a chunk of the OpenAI API with this delta."""
        metadata = self._metadata
        return {
            "id": metadata.id,
            "object": "chat.completion.chunk",
            "model": metadata.model,
            "choices": [{"index": 0, "delta": raw_delta, "finish_reason": None}],
        }

    def _document(self, response: ModelResponse, calls: tuple[ToolCall, ...]) -> dict[str, Any]:
        return raw_response(response, calls, response.metadata.model or self._model)

    def _with_model_name(self, metadata: ResponseMetadata) -> ResponseMetadata:
        return metadata if metadata.model else replace(metadata, model=self._model)

    def _add_tool_call(self, delta: ToolCallDelta) -> None:
        if delta.index < len(self._calls):
            if delta.name:
                self._calls[delta.index].add_name(delta.name)
            self._calls[delta.index].add_arguments(delta.arguments)
        else:
            self._calls.append(_ToolCallState(delta))

    def _allowed_calls(self, response: ModelResponse) -> tuple[ToolCall, ...]:
        return response.tool_calls if self._parallel else response.tool_calls[:1]


class ChatResponseBuilder(ResponseBuilder[ChatResponse]):
    """Builds `ChatResponse`s."""

    def _build_chunk(self, delta: str, raw_delta: dict[str, Any], kwargs: dict[str, Any]) -> ChatResponse:
        if self._calls or self._reasoning or self._refusal:
            calls = [call.build() for call in self._calls]
            blocks = [*_blocks(self._text, self._reasoning), *(block for block, _ in calls)]
            message = _unvalidated.chat_message(blocks, _message_kwargs([raw for _, raw in calls], self._refusal))
        else:
            message = _unvalidated.chat_message([_unvalidated.text_block(self._text)], {})
        return _unvalidated.chat_response(message, self._raw(raw_delta), delta, kwargs)

    def _build_response(
        self,
        model_response: ModelResponse,
        calls: tuple[ToolCall, ...],
        delta: str | None,
        kwargs: dict[str, Any],
    ) -> ChatResponse:
        choice = model_response.first
        items = read_items(choice.provider_data)
        if items:
            blocks = [*thinking_blocks(choice.reasoning, items), _unvalidated.text_block(choice.text)]
        else:
            blocks = _blocks(choice.text, choice.reasoning)
        if calls:
            blocks += [_unvalidated.tool_call_block(call.id, call.name, _arguments(call)) for call in calls]
        message_kwargs = _message_kwargs([_wire_call(call) for call in calls], choice.refusal)
        if items:
            message_kwargs |= item_kwargs(items, model_response.metadata.id)
        message = _unvalidated.chat_message(blocks, message_kwargs)
        response = _unvalidated.chat_response(message, self._document(model_response, calls), delta, kwargs)
        if choice.logprobs:
            response.logprobs = _logprobs(model_response)
        return response


class CompletionResponseBuilder(ResponseBuilder[CompletionResponse]):
    """Builds `CompletionResponse`s."""

    def _build_chunk(self, delta: str, raw_delta: dict[str, Any], kwargs: dict[str, Any]) -> CompletionResponse:
        return _unvalidated.completion_response(self._text, self._raw(raw_delta), delta, kwargs)

    def _build_response(
        self,
        model_response: ModelResponse,
        calls: tuple[ToolCall, ...],
        delta: str | None,
        kwargs: dict[str, Any],
    ) -> CompletionResponse:
        response = _unvalidated.completion_response(
            model_response.text, self._document(model_response, calls), delta, kwargs
        )
        if model_response.first.logprobs:
            response.logprobs = _logprobs(model_response)
        return response


def response_kwargs(response: ModelResponse) -> dict[str, Any]:
    """Return `additional_kwargs` of a response: finish reason and usage, as LlamaIndex and OpenInference read them."""
    choice, usage = response.first, response.usage
    kwargs = {**choice.provider_data, **response.metadata.service, "finish_reason": choice.finish_reason}
    if response.resumptions:
        kwargs["resumed"] = [asdict(resumption) for resumption in response.resumptions]
    if usage:
        kwargs["prompt_tokens"] = usage.input
        kwargs["completion_tokens"] = usage.output
        kwargs["total_tokens"] = usage.total
    return kwargs


def raw_response(response: ModelResponse, calls: tuple[ToolCall, ...], model: str | None) -> dict[str, Any]:
    """Return `raw` of a response, in the OpenAI format for every dialect.

    Args:
        response: The response.
        calls: Its tool calls, of which it may have more.
        model: Name of the model.
    """
    choice, metadata = response.first, response.metadata
    message: dict[str, Any] = {"role": "assistant", "content": choice.text}
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if calls or choice.refusal:
        message |= _message_kwargs([_wire_call(call) for call in calls], choice.refusal)
    document: dict[str, Any] = {
        "id": metadata.id,
        "object": "chat.completion",
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": choice.finish_reason}],
    }
    if metadata.fingerprint:
        document["system_fingerprint"] = metadata.fingerprint
    if metadata.service:
        document |= metadata.service
    if response.usage:
        document["usage"] = _usage(response.usage)
    return document


def _blocks(text: str, reasoning: str) -> list[Any]:
    """Return the blocks of a message, with exactly one text block: `content` joins several with newlines."""
    if not reasoning:
        return [_unvalidated.text_block(text)]
    return [_unvalidated.thinking_block(reasoning), _unvalidated.text_block(text)]


def _message_kwargs(calls: list[dict[str, Any]], refusal: str) -> dict[str, Any]:
    """Return `additional_kwargs` of a message, with the calls, which chat engines and programs read only from here."""
    kwargs: dict[str, Any] = {"tool_calls": calls} if calls else {}
    if refusal:
        kwargs["refusal"] = refusal
    return kwargs


def _wire_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _wire_delta(delta: ToolCallDelta) -> dict[str, Any]:
    function = {"name": delta.name, "arguments": delta.arguments}
    return {"index": delta.index, "id": delta.id, "type": "function", "function": function}


def _arguments(call: ToolCall) -> dict[str, Any] | str:
    """Return the arguments as a dictionary, or the text as received if it is not a JSON object."""
    try:
        return call.parse_arguments()
    except ValueError:
        return call.arguments


def _usage(usage: Usage) -> dict[str, Any]:
    """Return the usage with OpenAI's names, which `TokenCountingHandler` reads."""
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.total,
        "prompt_tokens_details": _details("cached_tokens", usage.cached, usage.input_audio),
        "completion_tokens_details": _details("reasoning_tokens", usage.reasoning, usage.output_audio),
    }


def _details(name: str, count: int | None, audio: int | None) -> dict[str, int]:
    """Return the token counts of one kind, and of audio, that the server reports."""
    details = {} if count is None else {name: count}
    if audio is not None:
        details["audio_tokens"] = audio
    return details


def _logprobs(response: ModelResponse) -> list[list[LogProb]]:
    """Return the candidates of each token, or the token itself if the server reports none."""
    tokens = response.first.logprobs
    return [[_logprob(entry) for entry in _candidates(token)] for token in tokens]


def _candidates(token: dict[str, Any]) -> list[dict[str, Any]]:
    others = token.get("top_logprobs")
    found = [entry for entry in others if isinstance(entry, dict)] if isinstance(others, list) else []
    return found or [token]


def _logprob(entry: dict[str, Any]) -> LogProb:
    """Convert a log probability. Fields of an unexpected type are replaced by defaults."""
    token, logprob, raw_bytes = entry.get("token"), entry.get("logprob"), entry.get("bytes")
    is_number = isinstance(logprob, int | float) and abs(logprob) <= sys.float_info.max
    return LogProb(
        token=token if isinstance(token, str) else "",
        logprob=float(logprob or 0.0) if is_number else 0.0,
        bytes=[byte for byte in raw_bytes if type(byte) is int] if isinstance(raw_bytes, list) else [],
    )
