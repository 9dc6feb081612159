"""Callback and instrumentation events of a call.

The events and their order are those of LlamaIndex's own decorators, with these differences:

| event | LlamaIndex | mdstream |
|---|---|---|
| a call or stream fails | the error only | the error and the partial response |
| the consumer stops early | an exception, `GeneratorExit` | the end event with the partial response |
| the inner stream of a closed stream | closed by garbage collection | closed at once |
| a call without listeners | event objects are built | none is built |
| no credential | a `ValueError`, which engines turn into an empty response | `RequestNotSent`, which they raise |

Decorate public methods only: each decorated method on the call path sends events of its own.
"""

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing, closing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from llama_index.core.base.llms.types import CompletionResponse
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.instrumentation.events.exception import ExceptionEvent
from llama_index.core.instrumentation.events.llm import (
    LLMChatEndEvent,
    LLMChatInProgressEvent,
    LLMChatStartEvent,
    LLMCompletionEndEvent,
    LLMCompletionInProgressEvent,
    LLMCompletionStartEvent,
)
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.event_handlers import NullEventHandler
from llama_index_instrumentation.span import active_span_id

from llamaindex_mdstream._errors import map_value_errors
from llamaindex_mdstream._requests import hide_headers, with_signature
from llamaindex_mdstream._streams import astart_generator, start_generator

P = ParamSpec("P")
T = TypeVar("T")

#: The dispatcher of LlamaIndex's own decorators, so that handlers on any of its parents receive these events.
_dispatcher = get_dispatcher("llama_index.core.llms.callbacks")


@dataclass(frozen=True, slots=True)
class _CallKind:
    """Names and event classes of chats or of completions."""

    trace: str
    input_field: str
    input_key: str
    output_key: str
    start: Any
    progress: Any
    end: Any
    empty_response: Callable[[], Any]


_CHAT = _CallKind(
    "chat",
    "messages",
    EventPayload.MESSAGES,
    EventPayload.RESPONSE,
    LLMChatStartEvent,
    LLMChatInProgressEvent,
    LLMChatEndEvent,
    lambda: None,
)
_COMPLETION = _CallKind(
    "completion",
    "prompt",
    EventPayload.PROMPT,
    EventPayload.COMPLETION,
    LLMCompletionStartEvent,
    LLMCompletionInProgressEvent,
    LLMCompletionEndEvent,
    lambda: CompletionResponse(text=""),  # LLMCompletionEndEvent requires a response
)


class _CallObserver:
    """Sends the events of one call."""

    def __init__(self, kind: _CallKind, llm: Any, inputs: Any, options: dict[str, Any]) -> None:
        if not isinstance(llm.callback_manager, CallbackManager):
            llm.callback_manager = CallbackManager()
        self.manager: CallbackManager = llm.callback_manager
        self.kind = kind
        self.inputs = inputs
        self.span_id = active_span_id.get()
        self.last: Any = None
        self._llm = llm
        self._options = options
        self._event_id = ""

    def on_start(self) -> None:
        """Send the start events, before the request."""
        payload: dict[str, Any] | None = None
        if (listens := has_listeners()) or self.manager.handlers:
            model, options = self._llm.to_payload(), self._options
            payload = {
                self.kind.input_key: self.inputs,
                EventPayload.ADDITIONAL_KWARGS: options,
                EventPayload.SERIALIZED: model,
            }
        if listens:
            _dispatcher.event(
                self.kind.start(**self._input_kwargs, model_dict=model, additional_kwargs=options, span_id=self.span_id)
            )
        self._event_id = self.manager.on_event_start(CBEventType.LLM, payload=payload)

    @property
    def _input_kwargs(self) -> dict[str, Any]:
        return {self.kind.input_field: self.inputs}

    def on_progress(self, response: Any) -> None:
        """Send the event of one chunk, if an event handler is registered."""
        self.last = response
        if has_listeners():
            _dispatcher.event(self.kind.progress(**self._input_kwargs, response=response, span_id=self.span_id))

    def on_end(self, response: Any) -> None:
        """Send the end events: the response is complete, or its consumer stopped early."""
        payload = {self.kind.input_key: self.inputs, self.kind.output_key: response}
        self.manager.on_event_end(CBEventType.LLM, payload=payload, event_id=self._event_id)
        if has_listeners():
            response = self.kind.empty_response() if response is None else response
            _dispatcher.event(self.kind.end(**self._input_kwargs, response=response, span_id=self.span_id))

    def on_error(self, error: BaseException) -> None:
        """Send the end event of a failed call, with the partial response."""
        payload: dict[str, Any] = {EventPayload.EXCEPTION: error}
        partial = getattr(error, "partial_response", None) or self.last
        if partial is not None:
            payload |= {self.kind.input_key: self.inputs, self.kind.output_key: partial}
        self.manager.on_event_end(CBEventType.LLM, payload=payload, event_id=self._event_id)


@dataclass(frozen=True, slots=True)
class _RequestScope:
    """Context of a call until its method returns.

    An error in it sends no `ExceptionEvent`: in LlamaIndex's decorators only errors of a stream do.
    """

    observer: _CallObserver

    def __enter__(self) -> None:
        self.observer.on_start()

    def __exit__(self, _: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self.observer.on_error(error)


@dataclass(frozen=True, slots=True)
class _StreamScope:
    """Context of a stream until it ends, fails or is closed."""

    observer: _CallObserver

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None or isinstance(error, GeneratorExit):
            self.observer.on_end(self.observer.last)
            return
        self.observer.on_error(error)
        _dispatcher.event(ExceptionEvent(exception=error, span_id=self.observer.span_id))


def has_listeners() -> bool:
    """Return whether the dispatcher has an event handler other than LlamaIndex's initial one, which does nothing."""
    dispatcher: Any = _dispatcher
    while dispatcher is not None:
        for handler in dispatcher.event_handlers:
            if type(handler) is not NullEventHandler:
                return True
        dispatcher = dispatcher.parent if dispatcher.propagate else None
    return False


def observe_chat(method: Callable[P, T]) -> Callable[P, T]:
    """Decorate a public method that takes `messages`, as LlamaIndex's `llm_chat_callback()` does.

    Args:
        method: A sync or async method that returns a response or a generator of responses.
    """
    return _observe(_CHAT, method)


def observe_completion(method: Callable[P, T]) -> Callable[P, T]:
    """Decorate a public method that takes a `prompt`, as LlamaIndex's `llm_completion_callback()` does."""
    return _observe(_COMPLETION, method)


def _observe(kind: _CallKind, method: Callable[P, T]) -> Callable[P, T]:
    if inspect.iscoroutinefunction(method):
        return cast(Callable[P, T], _observe_async(kind, method))
    return cast(Callable[P, T], _observe_sync(kind, method))


def _observe_sync(kind: _CallKind, method: Callable[..., Any]) -> Callable[..., Any]:
    get_inputs = _input_getter(kind, method)

    @functools.wraps(method)
    def call(llm: Any, *args: Any, **kwargs: Any) -> Any:
        observer = _CallObserver(kind, llm, *get_inputs(llm, *args, **kwargs))
        with observer.manager.as_trace(kind.trace):
            with _RequestScope(observer), map_value_errors():
                result = method(llm, *args, **kwargs)
            if isinstance(result, Generator):
                return start_generator(_observe_stream(observer, result))
            observer.on_end(result)
            return result

    return with_signature(call, method)


def _observe_async(kind: _CallKind, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    get_inputs = _input_getter(kind, method)

    @functools.wraps(method)
    async def call(llm: Any, *args: Any, **kwargs: Any) -> Any:
        observer = _CallObserver(kind, llm, *get_inputs(llm, *args, **kwargs))
        with observer.manager.as_trace(kind.trace):
            with _RequestScope(observer), map_value_errors():
                result = await method(llm, *args, **kwargs)
            if isinstance(result, AsyncGenerator):
                return await astart_generator(_observe_astream(observer, result))
            observer.on_end(result)
            return result

    return with_signature(call, method)


def _observe_stream(observer: _CallObserver, responses: Generator[T]) -> Generator[T | None]:
    with _StreamScope(observer), closing(responses):
        yield None
        for response in responses:
            observer.on_progress(response)
            yield response


async def _observe_astream(observer: _CallObserver, responses: AsyncGenerator[T]) -> AsyncGenerator[T | None]:
    with _StreamScope(observer):
        async with aclosing(responses):
            yield None
            async for response in responses:
                observer.on_progress(response)
                yield response


def _input_getter(kind: _CallKind, method: Callable[..., Any]) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """Create a function that returns the inputs (messages or prompt) and the options of a call."""
    signature = inspect.signature(method)

    def get_inputs(*args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        arguments = signature.bind(*args, **kwargs).arguments
        return arguments[kind.input_field], hide_headers(arguments.get("kwargs", {}))

    return get_inputs
