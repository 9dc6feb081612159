"""What observers are told of a call: the same events as core's own decorators send, in the same order, and more truth.

| | core | here |
|---|---|---|
| a call or a stream fails | the error alone | the error and what had been received |
| the reader stops early | an exception, `GeneratorExit` | the end, with what had been received |
| the stream behind a closed one | closed when somebody collects it | closed at once |
| a chunk that nobody watches | an event is built | none is |
| there is no credential | a `ValueError`, which engines take for an empty answer | `RequestNotSent`, which they raise |

Core counts a call once for each decorated method that it passes through: decorate the public methods only.
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
from llamaindex_mdstream._requests import hide_headers
from llamaindex_mdstream._streams import astart_generator, start_generator

P = ParamSpec("P")
T = TypeVar("T")

#: The dispatcher of core's own decorators, so that a handler on any of its parents hears of us too.
_dispatcher = get_dispatcher("llama_index.core.llms.callbacks")


@dataclass(frozen=True, slots=True)
class _CallKind:
    """A chat or a completion, in the words of the callbacks."""

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
    lambda: CompletionResponse(text=""),  # this event cannot be sent without a response
)


class _CallObserver:
    """One call, and what is told of it."""

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
        """The question is about to be sent."""
        model, more = self._llm.to_payload(), self._options
        event = self.kind.start(**self._input_kwargs, model_dict=model, additional_kwargs=more, span_id=self.span_id)
        _dispatcher.event(event)
        said: dict[str, Any] = {EventPayload.ADDITIONAL_KWARGS: more, EventPayload.SERIALIZED: model}
        payload = {self.kind.input_key: self.inputs, **said}
        self._event_id = self.manager.on_event_start(CBEventType.LLM, payload=payload)

    @property
    def _input_kwargs(self) -> dict[str, Any]:
        return {self.kind.input_field: self.inputs}

    def on_progress(self, response: Any) -> None:
        """A chunk came."""
        self.last = response
        if has_listeners():
            _dispatcher.event(self.kind.progress(**self._input_kwargs, response=response, span_id=self.span_id))

    def on_end(self, response: Any) -> None:
        """The answer is whole, or its reader has enough."""
        answered = {self.kind.input_key: self.inputs, self.kind.output_key: response}
        self.manager.on_event_end(CBEventType.LLM, payload=answered, event_id=self._event_id)
        response = self.kind.empty_response() if response is None else response
        _dispatcher.event(self.kind.end(**self._input_kwargs, response=response, span_id=self.span_id))

    def on_error(self, error: BaseException) -> None:
        """There is no whole answer."""
        payload: dict[str, Any] = {EventPayload.EXCEPTION: error}
        partial = getattr(error, "partial_response", None) or self.last
        if partial is not None:
            payload |= {self.kind.input_key: self.inputs, self.kind.output_key: partial}
        self.manager.on_event_end(CBEventType.LLM, payload=payload, event_id=self._event_id)


@dataclass(frozen=True, slots=True)
class _RequestScope:
    """From the question until the method returns."""

    observer: _CallObserver

    def __enter__(self) -> None:
        self.observer.on_start()

    def __exit__(self, _: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self.observer.on_error(error)


@dataclass(frozen=True, slots=True)
class _StreamScope:
    """From there until the stream has ended, one way or another."""

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
    """Whether any handler listens to the dispatcher's events. The handler that core begins with does nothing."""
    at: Any = _dispatcher
    while at is not None:
        for handler in at.event_handlers:
            if type(handler) is not NullEventHandler:
                return True
        at = at.parent if at.propagate else None
    return False


def observe_chat(method: Callable[P, T]) -> Callable[P, T]:
    """Decorate a public method that takes `messages`, as `llama_index.core.llms.callbacks.llm_chat_callback()` does.

    Args:
        method: A method of an LLM, with `async def` or without, which returns a response or a generator of them.
    """
    return _observe(_CHAT, method)


def observe_completion(method: Callable[P, T]) -> Callable[P, T]:
    """The same for a public method that takes a `prompt`, as core's `llm_completion_callback()`."""
    return _observe(_COMPLETION, method)


def _observe(kind: _CallKind, method: Callable[P, T]) -> Callable[P, T]:
    if inspect.iscoroutinefunction(method):
        return cast(Callable[P, T], _observe_async(kind, method))
    return cast(Callable[P, T], _observe_sync(kind, method))


def _observe_sync(kind: _CallKind, method: Callable[..., Any]) -> Callable[..., Any]:
    question = _input_getter(kind, method)

    @functools.wraps(method)
    def call(llm: Any, *args: Any, **kwargs: Any) -> Any:
        observer = _CallObserver(kind, llm, *question(llm, *args, **kwargs))
        with observer.manager.as_trace(kind.trace):
            with _RequestScope(observer), map_value_errors():
                if llm.rate_limiter is not None:
                    llm.rate_limiter.acquire()
                answer = method(llm, *args, **kwargs)
            if isinstance(answer, Generator):
                return start_generator(_observe_stream(observer, answer))
            observer.on_end(answer)
            return answer

    return call


def _observe_async(kind: _CallKind, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    question = _input_getter(kind, method)

    @functools.wraps(method)
    async def call(llm: Any, *args: Any, **kwargs: Any) -> Any:
        observer = _CallObserver(kind, llm, *question(llm, *args, **kwargs))
        with observer.manager.as_trace(kind.trace):
            with _RequestScope(observer), map_value_errors():
                if llm.rate_limiter is not None:
                    await llm.rate_limiter.async_acquire()
                answer = await method(llm, *args, **kwargs)
            if isinstance(answer, AsyncGenerator):
                return await astart_generator(_observe_astream(observer, answer))
            observer.on_end(answer)
            return answer

    return call


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
    """A function from a call's arguments to the question and the options beside it."""
    signature = inspect.signature(method)

    def get_inputs(*args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        given = signature.bind(*args, **kwargs).arguments
        return given[kind.input_field], hide_headers(given.get("kwargs", {}))

    return get_inputs
