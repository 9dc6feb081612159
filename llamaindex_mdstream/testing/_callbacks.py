"""Rules of callbacks and events: each call is reported once, with its end and its failure."""

from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.llms import LLM

from llamaindex_mdstream.testing._conformance import requires
from llamaindex_mdstream.testing._llm_rules import LLMRules
from llamaindex_mdstream.testing._methods import (
    CallMethod,
    each_blocking_method,
    each_method,
    each_stream_method,
    response_text,
    sum_deltas,
)
from llamaindex_mdstream.testing._observers import CountingRateLimiter, RecordingCallbackHandler, record_events
from llamaindex_mdstream.testing._services import OUTPUT, PROMPT
from mdstream_core.emulator import Emulator


class CallbackRules(LLMRules):
    """Rules of callbacks and events."""

    @each_method
    def test_callback_manager_gets_one_start_and_one_end(self, model: LLM, method: CallMethod) -> None:
        """
        The callback manager gets one start event, and one end event with the response.
        """
        observer = self._observe(model)
        self.read_responses(method, model)
        end = observer.ends[-1]

        assert (1, 1) == (len(observer.starts), len(observer.ends))
        assert OUTPUT == response_text(_response(end))

    @each_method
    def test_dispatcher_gets_one_start_and_one_end(self, model: LLM, method: CallMethod) -> None:
        """
        The dispatcher gets one start event, one event per chunk, and one end event.
        """
        with record_events() as listener:
            responses = self.read_responses(method, model)
        kinds = ("StartEvent", "InProgressEvent", "EndEvent", "ExceptionEvent")

        assert [1, len(responses) if len(responses) > 1 else 0, 1, 0] == [listener.count(kind) for kind in kinds]

    @each_method
    def test_rate_limiter_is_acquired_once(self, model: LLM, method: CallMethod) -> None:
        """
        The rate limiter is acquired once per call.
        """
        limiter = model.rate_limiter = CountingRateLimiter()
        self.read_responses(method, model)

        assert 1 == limiter.count

    @each_stream_method
    def test_failed_stream_is_reported(self, emulator: Emulator, model: LLM, method: CallMethod) -> None:
        """
        The only end event has the exception, and the dispatcher gets an `ExceptionEvent` and no end event.
        """
        observer = self._observe(model)
        emulator.script(self.service_under_test.endings["cut"])
        with record_events() as listener:
            _, error = self.read_failure(method, model)
        end = observer.ends[-1]

        assert (1, 1) == (len(observer.starts), len(observer.ends))
        assert error is end[EventPayload.EXCEPTION]
        assert (1, 0) == (listener.count("ExceptionEvent"), listener.count("EndEvent"))

    @each_blocking_method
    @requires("supports_retries")
    def test_error_response_is_reported(self, emulator: Emulator, model: LLM, method: CallMethod) -> None:
        """
        The only end event has the exception.
        """
        observer = self._observe(model)
        emulator.always(self.service_under_test.transient_error)
        _, error = self.read_failure(method, model)
        end = observer.ends[-1]

        assert (1, 1) == (len(observer.starts), len(observer.ends))
        assert error is end[EventPayload.EXCEPTION]

    @each_stream_method
    @requires("beyond_llama_index")
    def test_failure_events_have_the_partial_response(self, emulator: Emulator, model: LLM, method: CallMethod) -> None:
        """
        The end event has the partial response beside the exception, so that traces show what was received.
        """
        observer = self._observe(model)
        emulator.script(self.service_under_test.endings["cut"])
        responses, _ = self.read_failure(method, model)

        assert sum_deltas(responses) == response_text(_response(observer.ends[0]))

    @requires("beyond_llama_index")
    def test_closing_a_stream_early_is_no_failure(self, model: LLM) -> None:
        """
        Closing a stream ends the call with the responses read so far, without an exception event.
        """
        observer = self._observe(model)
        with record_events() as listener:
            stream = model.stream_chat([ChatMessage(PROMPT)])
            next(stream)
            stream.close()

        assert EventPayload.EXCEPTION not in observer.ends[0]
        assert (0, 1) == (listener.count("ExceptionEvent"), listener.count("EndEvent"))

    def _observe(self, model: LLM) -> RecordingCallbackHandler:
        observer = RecordingCallbackHandler(CBEventType.LLM)
        model.callback_manager = CallbackManager([observer])
        return observer


def _response(end: dict[str, Any]) -> Any:
    return end.get(EventPayload.RESPONSE) or end.get(EventPayload.COMPLETION)
