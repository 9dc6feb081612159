"""Every failure of a stream in every method: an error with the partial response, reported to all handlers."""

import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from _llamaindex_platforms import ACCOUNTS, ALL, BROKEN, FEW, PLATFORM_CASES, STREAMS, WHOLE, PlatformCase, Read
from _stream_endings import NOTHING, OUTPUT, REQUEST, Ending
from llama_index.core.callbacks import (
    CallbackManager,
    CBEventType,
    EventPayload,
    LlamaDebugHandler,
    TokenCountingHandler,
)
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index.core.llms import ChatMessage, ChatResponse, CompletionResponse
from pydantic import Field

from llamaindex_mdstream import MDStreamLLM
from mdstream_core import MDStreamError, errors
from mdstream_core.emulator import ERROR_RESPONSES, Emulator, Fault
from mdstream_core.emulator.faults._frames import AWS_ERROR_RESPONSES
from mdstream_core.emulator.services.modelarts import MODELARTS_ERROR_RESPONSES


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator(**ACCOUNTS) as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The emulator, reset."""
    shared_emulator.reset()
    return shared_emulator


class CallbackRecorder(BaseCallbackHandler):
    """Records the events of the callback manager."""

    def __init__(self) -> None:
        super().__init__([], [])
        self.starts: list[CBEventType] = []
        self.requested: list[dict[str, Any]] = []
        self.ends: list[dict[str, Any]] = []

    def on_event_start(self, event_type: CBEventType, payload: Any = None, event_id: str = "", **_: Any) -> str:
        """Collect."""
        self.starts.append(event_type)
        self.requested.append(payload)
        return event_id

    def on_event_end(self, event_type: CBEventType, payload: Any = None, event_id: str = "", **_: Any) -> None:
        """Collect."""
        self.ends.append(payload)

    def start_trace(self, trace_id: str | None = None) -> None:
        """Nothing."""

    def end_trace(self, trace_id: str | None = None, trace_map: Any = None) -> None:
        """Nothing."""


class EventRecorder(BaseEventHandler):
    """Records the events of the dispatcher."""

    events: list[BaseEvent] = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        """A name."""
        return "Listener"

    def handle(self, event: BaseEvent, **_: Any) -> None:
        """Collect."""
        self.events.append(event)

    def names(self) -> list[str]:
        """The events without the chunks."""
        return [event.class_name() for event in self.events if "InProgress" not in event.class_name()]


@pytest.fixture
def listener() -> Iterator[EventRecorder]:
    """A recorder on the root dispatcher."""
    handler, root = EventRecorder(), get_dispatcher()
    root.event_handlers.append(handler)
    yield handler
    root.event_handlers.remove(handler)


@pytest.fixture
def callbacks() -> CallbackRecorder:
    """A callback handler."""
    return CallbackRecorder()


@pytest.fixture
def platform_case() -> PlatformCase:
    """The platform of tests that do not parametrize it."""
    return PLATFORM_CASES["deployment"]


@pytest.fixture
def llm(emulator: Emulator, callbacks: CallbackRecorder, platform_case: PlatformCase) -> Iterator[MDStreamLLM]:
    """A model without retries."""
    with platform_case.build(emulator, max_retries=0, callback_manager=CallbackManager([callbacks])) as model:
        yield model


each_platform = pytest.mark.parametrize("platform_case", PLATFORM_CASES.values(), ids=PLATFORM_CASES)
each_stream_method = pytest.mark.parametrize("read", STREAMS.values(), ids=STREAMS)
each_blocking_method = pytest.mark.parametrize("read", WHOLE.values(), ids=WHOLE)
each_method = pytest.mark.parametrize("read", ALL.values(), ids=ALL)
few = pytest.mark.parametrize(("platform_case", "ending"), FEW.values(), ids=FEW)


def _response_text(response: ChatResponse | CompletionResponse) -> str:
    return response.text if isinstance(response, CompletionResponse) else response.message.content or ""


@each_stream_method
@pytest.mark.parametrize(("platform_case", "ending"), BROKEN.values(), ids=BROKEN)
def test_failed_streams_raise_with_the_partial_response(
    emulator: Emulator,
    llm: MDStreamLLM,
    callbacks: CallbackRecorder,
    listener: EventRecorder,
    ending: Ending,
    read: Read,
) -> None:
    """
    The error has class, code, request id and partial response; callbacks and dispatcher get both and no success.
    """
    emulator.script(ending.fault)
    got: list[Any] = []

    with pytest.raises(MDStreamError) as caught:
        read(llm, got)

    error = caught.value
    partial: Any = vars(error)["partial_response"]
    assert ending.error is type(error)
    assert ending.code in {error.code, None}
    assert error.request_id
    assert ending.text == _response_text(partial) == error.partial.text  # type: ignore[union-attr]
    assert ending.text == "".join(response.delta for response in got)
    assert "error" == partial.additional_kwargs["finish_reason"]
    assert not any(response.additional_kwargs.get("finish_reason") for response in got)
    (payload,) = callbacks.ends
    assert error is payload[EventPayload.EXCEPTION]
    assert partial is (payload.get(EventPayload.RESPONSE) or payload.get(EventPayload.COMPLETION))
    assert [CBEventType.LLM] == callbacks.starts
    assert ["Start", "ExceptionEvent"] == [
        name.replace("LLMChat", "").replace("LLMCompletion", "").replace("StartEvent", "Start")
        for name in listener.names()
    ]
    assert error is listener.events[-1].exception  # type: ignore[attr-defined]
    assert len(got) == len(listener.events) - 2


REFUSED = {
    **{
        f"deployment: {spelling}": (PLATFORM_CASES["deployment"], Fault("refuse", spelling))
        for spelling in ERROR_RESPONSES
    },
    **{
        f"sagemaker: {spelling}": (PLATFORM_CASES["sagemaker"], Fault("refuse_aws", spelling))
        for spelling in AWS_ERROR_RESPONSES
    },
    **{
        f"modelarts: {spelling}": (PLATFORM_CASES["modelarts"], Fault("refuse", spelling))
        for spelling in MODELARTS_ERROR_RESPONSES
    },
    **{
        f"{name}: its own": (platform_case, platform_case.permanent_error)
        for name, platform_case in PLATFORM_CASES.items()
    },
}


@each_method
@pytest.mark.parametrize(("platform_case", "fault"), REFUSED.values(), ids=REFUSED)
def test_error_responses_are_raised_by_the_call(
    emulator: Emulator, llm: MDStreamLLM, callbacks: CallbackRecorder, listener: EventRecorder, fault: Fault, read: Read
) -> None:
    """
    An error status ends span and callback event with the error, and no response was returned.
    """
    emulator.script(fault)
    got: list[Any] = []

    with pytest.raises(errors.ServiceError) as caught:
        read(llm, got)

    assert [] == got
    assert caught.value.status
    assert [{EventPayload.EXCEPTION: caught.value}] == callbacks.ends
    assert "SpanDropEvent" == listener.names()[-1]
    assert "ExceptionEvent" not in listener.names()
    assert 1 == len(emulator.requests)


@each_platform
def test_error_responses_are_raised_before_the_first_chunk(
    emulator: Emulator, llm: MDStreamLLM, platform_case: PlatformCase
) -> None:
    """
    The status is checked when `stream_chat` is called, not when it is read.
    """
    emulator.script(platform_case.permanent_error)

    with pytest.raises(errors.NotFound):
        llm.stream_chat([ChatMessage(REQUEST)])


@each_blocking_method
@each_platform
def test_truncated_responses_raise(
    emulator: Emulator, llm: MDStreamLLM, callbacks: CallbackRecorder, read: Read
) -> None:
    """
    A truncated body raises; over a WebSocket it is a message with half a document.
    """
    emulator.script(Fault("cut", after=0))
    got: list[Any] = []

    with pytest.raises((errors.StreamInterrupted, errors.MalformedStream)) as caught:
        read(llm, got)

    assert [] == got
    assert caught.value is callbacks.ends[0][EventPayload.EXCEPTION]


EMPTY = {
    f"{name}: {ending}": (platform_case, NOTHING[ending])
    for name, platform_case in PLATFORM_CASES.items()
    for ending in NOTHING
    if name == "deployment" or "trailer" not in ending
}


@each_stream_method
@pytest.mark.parametrize(("platform_case", "ending"), EMPTY.values(), ids=EMPTY)
def test_empty_streams_raise(
    emulator: Emulator, llm: MDStreamLLM, callbacks: CallbackRecorder, ending: Ending, read: Read
) -> None:
    """
    An empty response with status 200 raises, and so does an unreadable one.
    """
    emulator.script(ending.fault)
    got: list[Any] = []

    with pytest.raises(MDStreamError) as caught:
        read(llm, got)

    assert [] == got
    assert ending.error is type(caught.value)
    assert [caught.value] == [end[EventPayload.EXCEPTION] for end in callbacks.ends]


@each_stream_method
@few
def test_no_retry_after_the_first_token(
    emulator: Emulator, platform_case: PlatformCase, ending: Ending, read: Read
) -> None:
    """
    After the first token the request is not retried, even if retries are allowed.
    """
    emulator.script(ending.fault)
    llm = platform_case.build(emulator, max_retries=5)
    got: list[Any] = []

    with pytest.raises(MDStreamError):
        read(llm, got)

    assert 1 == len(emulator.requests)
    assert ending.text == "".join(response.delta for response in got)


@each_method
@each_platform
def test_retry_before_the_first_token(
    emulator: Emulator, callbacks: CallbackRecorder, platform_case: PlatformCase, read: Read
) -> None:
    """
    A temporary error response is retried without an error; the call is reported once.
    """
    emulator.script(platform_case.transient_error)
    llm = platform_case.build(emulator, max_retries=1, callback_manager=CallbackManager([callbacks]))
    got: list[Any] = []

    read(llm, got)

    assert OUTPUT == _response_text(got[-1])
    assert 2 == len(emulator.requests)
    assert [CBEventType.LLM] == callbacks.starts


@each_stream_method
def test_tokens_of_a_failed_stream_are_counted(emulator: Emulator, llm: MDStreamLLM, read: Read) -> None:
    """
    Tokens are counted by the server's usage if received, else by the received text.
    """
    counter = TokenCountingHandler(tokenizer=str.split)
    llm.callback_manager = CallbackManager([counter])
    emulator.script(Fault("trailer"), Fault("trailer", after=3))
    counts = []
    for _ in range(2):
        counter.reset_counts()
        with pytest.raises(errors.StreamTimeout):
            read(llm, [])
        counts.append(counter.completion_llm_token_count)

    assert 9 == counts[0]  # the server's tokens
    assert 0 < counts[1] < 9


@each_stream_method
@each_platform
def test_tokens_of_a_truncated_stream_are_counted(emulator: Emulator, llm: MDStreamLLM, read: Read) -> None:
    """
    Tokens are counted by the received text, because the usage was not received.
    """
    counter = TokenCountingHandler(tokenizer=str.split)
    llm.callback_manager = CallbackManager([counter])
    emulator.script(Fault("cut", after=3))
    with pytest.raises(errors.StreamInterrupted):
        read(llm, [])

    assert counter.completion_llm_token_count in {2, 3}  # of a chat the word "assistant:" too


def test_the_debug_handler_pairs_requests_and_responses(emulator: Emulator, llm: MDStreamLLM) -> None:
    """
    Each call has one pair of events, failed ones too; the span is complete.
    """
    debug, spans, root = LlamaDebugHandler(print_trace_on_end=False), SimpleSpanHandler(), get_dispatcher()
    root.span_handlers.append(spans)
    llm.callback_manager = CallbackManager([debug])
    emulator.script(Fault("trailer"), None)
    with pytest.raises(errors.StreamTimeout):
        list(llm.stream_chat([ChatMessage(REQUEST)]))
    list(llm.stream_chat([ChatMessage(REQUEST)]))
    root.span_handlers.remove(spans)

    ends = [end.payload or {} for _, end in debug.get_event_pairs(CBEventType.LLM)]
    assert [OUTPUT, OUTPUT] == [end[EventPayload.RESPONSE].message.content for end in ends]
    assert [True, False] == [EventPayload.EXCEPTION in end for end in ends]
    assert (2, 0, 0) == (len(spans.completed_spans), len(spans.open_spans), len(spans.dropped_spans))


@few
def test_an_error_survives_pickling_and_rebuilding_from_its_message(
    emulator: Emulator, llm: MDStreamLLM, ending: Ending
) -> None:
    """
    A pickled error keeps its attributes; LlamaIndex workflows rebuild it from its message.
    """
    emulator.script(ending.fault)

    with pytest.raises(MDStreamError) as caught:
        STREAMS["stream_chat"](llm, [])

    error, copy = caught.value, pickle.loads(pickle.dumps(caught.value))
    assert vars(error)["partial_response"] == vars(copy)["partial_response"]
    assert (type(error), error.code, error.request_id) == (type(copy), copy.code, copy.request_id)
    assert str(error) == str(type(error)(str(error)))
