"""Callback and instrumentation events of a call.

The events and their order are those of LlamaIndex's own decorators, with these differences:

| event | LlamaIndex | mdstream |
|---|---|---|
| a call or stream fails | the error only | the error and the partial response |
| the consumer stops early | an exception, `GeneratorExit` | the end event with the partial response |
| the inner stream of a closed stream | closed by garbage collection | closed at once |
| a call without listeners | event objects and spans are built | none is built |
| no credential | a `ValueError`, which engines turn into an empty response | `RequestNotSent`, which they raise |

Decorate public methods only: each decorated method on the call path sends events of its own.
"""

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractContextManager, aclosing, closing
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
from llama_index_instrumentation.span_handlers import NullSpanHandler

from llamaindex_mdstream._errors import map_value_errors
from llamaindex_mdstream._requests import hide_headers
from llamaindex_mdstream._streams import astart_generator, start_generator

P = ParamSpec("P")
T = TypeVar("T")

#: The dispatcher of LlamaIndex's own decorators, so that handlers on any of its parents receive these events.
_dispatcher = get_dispatcher("llama_index.core.llms.callbacks")

#: The dispatcher of the spans of calls: the one that LlamaIndex creates for the module of the base class.
_span_dispatcher = get_dispatcher("llamaindex_mdstream._base")

#: LlamaIndex's initial handlers, which do nothing.
_null_handlers = frozenset({NullEventHandler, NullSpanHandler})


def _with_parents(dispatcher: Any) -> tuple[Any, ...]:
    """Return a dispatcher and its parents, which never change, up to the root, which has none."""
    parents = [dispatcher]
    while dispatcher.manager is not None:
        dispatcher = dispatcher.parent
        parents.append(dispatcher)
    return tuple(parents)


_dispatchers = _with_parents(_dispatcher)
_span_dispatchers = _with_parents(_span_dispatcher)


class _CallKind:
    """Names and event classes of chats or of completions."""

    trace: str
    input_field: str
    input_key: str
    output_key: str
    start: Any
    progress: Any
    end: Any

    @staticmethod
    def empty_response() -> Any:
        """The response of the end event of a call that has none."""


class _Chat(_CallKind):
    trace = "chat"
    input_field = "messages"
    input_key = EventPayload.MESSAGES
    output_key = EventPayload.RESPONSE
    start = LLMChatStartEvent
    progress = LLMChatInProgressEvent
    end = LLMChatEndEvent


class _Completion(_CallKind):
    trace = "completion"
    input_field = "prompt"
    input_key = EventPayload.PROMPT
    output_key = EventPayload.COMPLETION
    start = LLMCompletionStartEvent
    progress = LLMCompletionInProgressEvent
    end = LLMCompletionEndEvent

    @staticmethod
    def empty_response() -> CompletionResponse:
        return CompletionResponse(text="")  # LLMCompletionEndEvent requires a response


_CHAT, _COMPLETION = _Chat(), _Completion()


class _SilentTrace:
    """The trace of a callback manager without handlers, whose `as_trace` takes as long as the rest of a call."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, Exception) and not hasattr(error, "event_added"):
            vars(error)["event_added"] = True  # as `as_trace` does, so that outer traces report no error twice


_silent_trace = _SilentTrace()


class _CallObserver:
    """Sends the events of one call. As a context it lasts until the call's method returns.

    An error in it sends no `ExceptionEvent`: in LlamaIndex's decorators only errors of a stream do.
    """

    __slots__ = ("_event_id", "_llm", "_options", "_reports", "inputs", "kind", "last", "manager", "span_id")

    def __init__(self, kind: _CallKind, llm: Any, inputs: Any, options: dict[str, Any]) -> None:
        manager = llm.callback_manager
        if type(manager) is not CallbackManager and not isinstance(manager, CallbackManager):
            manager = llm.callback_manager = CallbackManager()
        self.manager: CallbackManager = manager
        self.kind = kind
        self.inputs = inputs
        self.span_id = active_span_id.get()
        self.last: Any = None
        self._llm = llm
        self._options = options
        self._event_id = ""
        #: Whether anybody sees what is sent to the manager. A subclass of the manager may have a method of its own.
        self._reports = type(manager) is not CallbackManager or bool(manager.handlers)

    def trace(self) -> AbstractContextManager[None]:
        """The trace of the call."""
        return self.manager.as_trace(self.kind.trace) if self._reports else _silent_trace

    def __enter__(self) -> None:
        """Send the start events, before the request."""
        if not (listens := has_listeners()) and not self._reports:
            return
        model, options = self._llm.to_payload(), self._options
        if listens:
            _dispatcher.event(
                self.kind.start(**self._input_kwargs, model_dict=model, additional_kwargs=options, span_id=self.span_id)
            )
        if self._reports:
            payload = {
                self.kind.input_key: self.inputs,
                EventPayload.ADDITIONAL_KWARGS: options,
                EventPayload.SERIALIZED: model,
            }
            self._event_id = self.manager.on_event_start(CBEventType.LLM, payload=payload)

    def __exit__(self, _: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self.on_error(error)

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
        self._report_end({self.kind.input_key: self.inputs, self.kind.output_key: response})
        if has_listeners():
            response = self.kind.empty_response() if response is None else response
            _dispatcher.event(self.kind.end(**self._input_kwargs, response=response, span_id=self.span_id))

    def on_error(self, error: BaseException) -> None:
        """Send the end event of a failed call, with the partial response."""
        payload: dict[str, Any] = {EventPayload.EXCEPTION: error}
        partial = getattr(error, "partial_response", None) or self.last
        if partial is not None:
            payload |= {self.kind.input_key: self.inputs, self.kind.output_key: partial}
        self._report_end(payload)

    def _report_end(self, payload: dict[str, Any]) -> None:
        """Send the end event to the callback manager, also to handlers that were added during the call."""
        if self._reports or self.manager.handlers:
            self.manager.on_event_end(CBEventType.LLM, payload=payload, event_id=self._event_id)


class _StreamScope:
    """Context of a stream until it ends, fails or is closed."""

    __slots__ = ("_observer",)

    def __init__(self, observer: _CallObserver) -> None:
        self._observer = observer

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None or isinstance(error, GeneratorExit):
            self._observer.on_end(self._observer.last)
            return
        self._observer.on_error(error)
        _dispatcher.event(ExceptionEvent(exception=error, span_id=self._observer.span_id))


def has_listeners() -> bool:
    """Return whether the dispatcher has an event handler other than LlamaIndex's initial one, which does nothing."""
    for dispatcher in _dispatchers:
        fields = vars(dispatcher)  # reading attributes of a pydantic model takes ten times as long
        if not _null_handlers.issuperset(map(type, fields["event_handlers"])):
            return True
        if not fields["propagate"]:
            break
    return False


def has_span_observers() -> bool:
    """Return whether anything receives the span of a call, or an event with its id."""
    for dispatcher in _span_dispatchers:
        fields = vars(dispatcher)
        if not _null_handlers.issuperset(map(type, fields["span_handlers"])):
            return True
        if not _null_handlers.issuperset(map(type, fields["event_handlers"])):
            return True
        if not fields["propagate"]:
            break
    return has_listeners()


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
    signature = inspect.signature(method)
    get_inputs = _input_getter(kind, signature)

    @functools.wraps(method)
    def observed(llm: Any, *args: Any, **kwargs: Any) -> Any:
        observer = _CallObserver(kind, llm, *get_inputs(llm, *args, **kwargs))
        with observer.trace():
            with observer, map_value_errors:
                result = method(llm, *args, **kwargs)
            if isinstance(result, Generator):
                return start_generator(_observe_stream(observer, result))
            observer.on_end(result)
            return result

    vars(observed)["__signature__"] = signature  # LlamaIndex's dispatcher reads it in each call
    spanned: Any = _span_dispatcher.span(observed)

    @functools.wraps(spanned)
    def call(llm: Any, *args: Any, **kwargs: Any) -> Any:
        if has_span_observers():
            return spanned.__get__(llm, type(llm))(*args, **kwargs)
        return observed(llm, *args, **kwargs)

    return call


def _observe_async(kind: _CallKind, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    signature = inspect.signature(method)
    get_inputs = _input_getter(kind, signature)

    @functools.wraps(method)
    async def observed(llm: Any, *args: Any, **kwargs: Any) -> Any:
        observer = _CallObserver(kind, llm, *get_inputs(llm, *args, **kwargs))
        with observer.trace():
            with observer, map_value_errors:
                result = await method(llm, *args, **kwargs)
            if isinstance(result, AsyncGenerator):
                return await astart_generator(_observe_astream(observer, result))
            observer.on_end(result)
            return result

    vars(observed)["__signature__"] = signature  # LlamaIndex's dispatcher reads it in each call
    spanned: Any = _span_dispatcher.span(observed)

    @functools.wraps(spanned)
    async def call(llm: Any, *args: Any, **kwargs: Any) -> Any:
        if has_span_observers():
            return await spanned.__get__(llm, type(llm))(*args, **kwargs)
        return await observed(llm, *args, **kwargs)

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


def _input_getter(kind: _CallKind, signature: inspect.Signature) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """Create a function that returns the inputs (messages or prompt) and the options of a call."""
    named = signature.parameters.keys() - {"kwargs"}

    def get_inputs(*args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        if len(args) == 2 and named.isdisjoint(kwargs):  # the LLM and the input, as in almost all calls
            return args[1], hide_headers(kwargs)
        arguments = signature.bind(*args, **kwargs).arguments
        return arguments[kind.input_field], hide_headers(arguments.get("kwargs", {}))

    return get_inputs
