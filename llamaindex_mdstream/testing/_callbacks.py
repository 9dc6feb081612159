"""Rules of observers: they are told of each call once, of its end, and of how it failed."""

from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.llms import LLM

from llamaindex_mdstream.testing._conformance import requires
from llamaindex_mdstream.testing._llm_rules import LLMRules
from llamaindex_mdstream.testing._methods import CallMethod, by_all, by_stream, by_whole, response_text, sum_deltas
from llamaindex_mdstream.testing._observers import CountingRateLimiter, RecordingCallbackHandler, record_events
from llamaindex_mdstream.testing._services import ANSWER, QUESTION
from mdstream_core.emulator import Emulator


class CallbackRules(LLMRules):
    """Rules of observers."""

    @by_all
    def test_a_call_is_told_once(self, model: LLM, way: CallMethod) -> None:
        """
        The callback manager hears one start, and one end with the answer.
        """
        observer = self._observe(model)
        self.read_responses(way, model)
        end = observer.ends[-1]

        assert (1, 1) == (len(observer.starts), len(observer.ends))
        assert ANSWER == response_text(_response(end))

    @by_all
    def test_the_dispatcher_is_told_once(self, model: LLM, way: CallMethod) -> None:
        """
        One start event, one end event, and between them one for each chunk.
        """
        with record_events() as listener:
            got = self.read_responses(way, model)
        kinds = ("StartEvent", "InProgressEvent", "EndEvent", "ExceptionEvent")

        assert [1, len(got) if len(got) > 1 else 0, 1, 0] == [listener.count(kind) for kind in kinds]

    @by_all
    def test_a_permission_for_each_call(self, model: LLM, way: CallMethod) -> None:
        """
        The rate limiter is asked once for a call.
        """
        limiter = model.rate_limiter = CountingRateLimiter()
        self.read_responses(way, model)

        assert 1 == limiter.count

    @by_stream
    def test_a_failed_stream_is_told(self, emulator: Emulator, model: LLM, way: CallMethod) -> None:
        """
        Its one end has the exception, and the dispatcher gets an ExceptionEvent and no end.
        """
        observer = self._observe(model)
        emulator.script(self.service_under_test.endings["cut"])
        with record_events() as listener:
            _, error = self.read_failure(way, model)
        end = observer.ends[-1]

        assert (1, 1) == (len(observer.starts), len(observer.ends))
        assert error is end[EventPayload.EXCEPTION]
        assert (1, 0) == (listener.count("ExceptionEvent"), listener.count("EndEvent"))

    @by_whole
    @requires("supports_retries")
    def test_a_refused_call_is_told(self, emulator: Emulator, model: LLM, way: CallMethod) -> None:
        """
        Its one end has the exception.
        """
        observer = self._observe(model)
        emulator.always(self.service_under_test.transient_error)
        _, error = self.read_failure(way, model)
        end = observer.ends[-1]

        assert (1, 1) == (len(observer.starts), len(observer.ends))
        assert error is end[EventPayload.EXCEPTION]

    @by_stream
    @requires("beyond_llama_index")
    def test_observers_of_a_failure_get_what_was_received(
        self, emulator: Emulator, model: LLM, way: CallMethod
    ) -> None:
        """
        Beside the exception, so that traces show how far an answer came.
        """
        observer = self._observe(model)
        emulator.script(self.service_under_test.endings["cut"])
        got, _ = self.read_failure(way, model)

        assert sum_deltas(got) == response_text(_response(observer.ends[0]))

    @requires("beyond_llama_index")
    def test_a_reader_who_leaves_is_no_failure(self, model: LLM) -> None:
        """
        A break ends the call with what was read; no observer is told of an exception.
        """
        observer = self._observe(model)
        with record_events() as listener:
            stream = model.stream_chat([ChatMessage(QUESTION)])
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
