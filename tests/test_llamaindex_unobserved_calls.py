"""Calls that nothing observes: they skip spans and events, and a call that anything observes skips none."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from _llamaindex_platforms import ALL, WHOLE, Read
from _stream_endings import REQUEST
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload, LlamaDebugHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index.core.llms import ChatMessage
from llama_index_instrumentation.event_handlers import NullEventHandler
from llama_index_instrumentation.span import active_span_id
from llama_index_instrumentation.span_handlers import NullSpanHandler

from llamaindex_mdstream import OCIDataScience, _callbacks
from mdstream_core import errors
from mdstream_core.emulator import Emulator, Fault
from tests.test_llamaindex_failures import EventRecorder

MESSAGES = [ChatMessage(REQUEST)]

#: The dispatchers of a call: of its spans, of its events, and the root of both.
DISPATCHERS = ("llamaindex_mdstream._base", "llama_index.core.llms.callbacks", "root")

each_method = pytest.mark.parametrize("read", ALL.values(), ids=ALL)


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The emulator, reset."""
    shared_emulator.reset()
    return shared_emulator


@pytest.fixture
def span_ids() -> list[Any]:
    """The span in which each event of the calls happened."""
    return []


@pytest.fixture
def llm(emulator: Emulator, span_ids: list[Any]) -> Iterator[OCIDataScience]:
    """A model whose hook notes the active span."""
    hooks = (lambda _: span_ids.append(active_span_id.get()),)
    with OCIDataScience(endpoint=emulator.endpoint, auth_type="none", max_retries=0, hooks=hooks) as model:
        yield model


@contextmanager
def attached(handlers: list[Any], handler: Any) -> Iterator[None]:
    """Append a handler to a list of handlers for a while."""
    handlers.append(handler)
    try:
        yield
    finally:
        handlers.remove(handler)


def _comparable(responses: list[Any]) -> list[Any]:
    """The responses without the id, which is another one for each request."""
    found = [response.model_dump() for response in responses]
    for response in found:
        response["raw"]["id"] = None
    return found


@each_method
def test_the_responses_are_those_of_observed_calls(llm: OCIDataScience, span_ids: list[Any], read: Read) -> None:
    """
    With a span handler, an event handler and a callback handler the responses are the same.
    """
    root, alone, observed = get_dispatcher(), [], []  # type: ignore[var-annotated]
    read(llm, alone)
    assert {None} == set(span_ids)

    debug = LlamaDebugHandler(print_trace_on_end=False)
    llm.callback_manager = CallbackManager([debug])
    with attached(root.span_handlers, SimpleSpanHandler()), attached(root.event_handlers, EventRecorder()):
        read(llm, observed)

    assert _comparable(alone) == _comparable(observed)
    assert span_ids[len(span_ids) // 2]  # a stream is read after its span
    assert 1 == len(debug.get_event_pairs(CBEventType.LLM))


@each_method
@pytest.mark.parametrize("name", ["llamaindex_mdstream._base", "root"])
def test_a_span_handler_gets_the_span(llm: OCIDataScience, read: Read, name: str) -> None:
    """
    A span handler on the dispatcher of the spans, or on the root, gets one span per call.
    """
    handler = SimpleSpanHandler()
    with attached(get_dispatcher(name).span_handlers, handler):
        read(llm, [])

    assert 1 == len(handler.completed_spans)


@each_method
@pytest.mark.parametrize("name", DISPATCHERS)
def test_an_event_handler_gets_the_id_of_the_span(
    emulator: Emulator, llm: OCIDataScience, span_ids: list[Any], read: Read, name: str
) -> None:
    """
    Events have the id of the call's span, also that of a failed one.
    """
    handler = EventRecorder()
    emulator.script(Fault("refuse", status=400))
    with attached(get_dispatcher(name).event_handlers, handler), pytest.raises(Exception, match="400"):
        read(llm, [])

    assert None not in span_ids
    assert set(span_ids) == {event.span_id for event in handler.events}
    assert ("SpanDropEvent" in [type(event).__name__ for event in handler.events]) == (name != DISPATCHERS[1])


def test_null_handlers_observe_nothing() -> None:
    """
    The handlers that LlamaIndex has initially do nothing.
    """
    root = get_dispatcher()

    assert not _callbacks.has_span_observers()
    with attached(root.span_handlers, NullSpanHandler()), attached(root.event_handlers, NullEventHandler()):
        assert not _callbacks.has_span_observers()


def test_handlers_of_parents_observe_only_what_is_propagated() -> None:
    """
    A dispatcher that does not propagate hides the handlers of its parents.
    """
    own, of_events, root = map(get_dispatcher, DISPATCHERS)
    with attached(root.span_handlers, SimpleSpanHandler()), attached(root.event_handlers, EventRecorder()):
        assert _callbacks.has_span_observers()
        assert _callbacks.has_listeners()
        own.propagate = of_events.propagate = False
        try:
            assert not _callbacks.has_span_observers()
            assert not _callbacks.has_listeners()
        finally:
            own.propagate = of_events.propagate = True


class RecordingManager(CallbackManager):
    """A callback manager of the user's own, without handlers."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def start_trace(self, trace_id: str | None = None) -> None:
        """Record the start of a trace."""
        self.calls.append("start_trace")
        super().start_trace(trace_id)

    def on_event_start(self, *args: Any, **kwargs: Any) -> str:
        """Record the start of an event."""
        self.calls.append("on_event_start")
        return super().on_event_start(*args, **kwargs)

    def on_event_end(self, *args: Any, **kwargs: Any) -> None:
        """Record the end of an event."""
        self.calls.append("on_event_end")
        super().on_event_end(*args, **kwargs)


@each_method
def test_a_manager_of_the_users_own_gets_the_events(llm: OCIDataScience, read: Read) -> None:
    """
    A subclass of the callback manager is called although it has no handlers.
    """
    manager = llm.callback_manager = RecordingManager()
    read(llm, [])

    assert ["start_trace", "on_event_start", "on_event_end"] == manager.calls


@pytest.mark.parametrize("fault", [None, Fault("cut", after=3)], ids=["complete", "failed"])
@pytest.mark.parametrize("name", ["stream_chat", "stream_complete"])
def test_a_handler_that_is_added_during_a_stream_gets_its_end(
    emulator: Emulator, llm: OCIDataScience, name: str, fault: Fault | None
) -> None:
    """
    The end event has the response, or the error.
    """
    emulator.script(fault)
    handler = LlamaDebugHandler(print_trace_on_end=False)
    llm.callback_manager = CallbackManager()
    llm.callback_manager.set_handlers([])  # a new manager shares the list of the global one
    stream = getattr(llm, name)(MESSAGES if name == "stream_chat" else REQUEST)
    next(stream)
    llm.callback_manager.add_handler(handler)
    try:
        for _ in stream:
            pass
    except errors.StreamInterrupted as error:
        assert fault
        expected: Any = error
    else:
        expected = None
    (end,) = handler.event_pairs_by_type[CBEventType.LLM]

    assert expected is (end.payload or {}).get(EventPayload.EXCEPTION)


@pytest.mark.parametrize("read", WHOLE.values(), ids=WHOLE)
def test_an_outer_trace_reports_an_error_once(emulator: Emulator, llm: OCIDataScience, read: Read) -> None:
    """
    The trace of a call marks its error, as LlamaIndex's do, so that the traces around it do not report it again.
    """
    handler = LlamaDebugHandler(print_trace_on_end=False)
    outer = CallbackManager([handler])
    emulator.script(Fault("refuse", status=400), Fault("refuse", status=400))
    kinds = []
    for manager in (CallbackManager(), RecordingManager()):
        llm.callback_manager = manager
        with pytest.raises(Exception, match="400") as caught, outer.as_trace("query"):
            read(llm, [])
        kinds.append((vars(caught.value)["event_added"], handler.get_event_pairs(CBEventType.EXCEPTION)))

    assert [(True, [])] * 2 == kinds


@pytest.mark.parametrize(
    "call",
    [
        lambda llm: llm.chat(),
        lambda llm: llm.chat(MESSAGES, messages=MESSAGES),
        lambda llm: llm.chat(MESSAGES, MESSAGES),
        lambda llm: llm.complete("a", False, "b"),
        lambda llm: llm.complete(formatted=True),
    ],
)
def test_wrong_arguments_are_type_errors(llm: OCIDataScience, call: Callable[[Any], Any]) -> None:
    """
    A call that the signature does not allow is the programmer's error, and not one of the request.
    """
    with pytest.raises(TypeError):
        call(llm)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda llm: llm.complete(REQUEST, seed=1), {"seed": 1}),
        (lambda llm: llm.complete(REQUEST, True, seed=1), {"seed": 1}),
        (lambda llm: llm.complete(REQUEST, formatted=True, seed=1), {"seed": 1}),
        (lambda llm: llm.complete(prompt=REQUEST), {}),
        (lambda llm: llm.chat(messages=MESSAGES, seed=1), {"seed": 1}),
        (lambda llm: llm.chat(MESSAGES, seed=1), {"seed": 1}),
    ],
)
def test_events_have_the_options_of_every_form_of_a_call(
    llm: OCIDataScience, call: Callable[[Any], Any], expected: dict[str, Any]
) -> None:
    """
    Arguments may be positional or named: the events have the same input and options.
    """
    handler = EventRecorder()
    with attached(get_dispatcher().event_handlers, handler):
        call(llm)
    start: Any = handler.events[0]

    assert expected == start.additional_kwargs
    assert (MESSAGES if hasattr(start, "messages") else REQUEST) == (getattr(start, "messages", None) or start.prompt)
