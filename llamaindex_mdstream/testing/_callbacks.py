"""Rules of observers: they are told of each call once, of its end, and of how it failed."""

from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.llms import LLM

from llamaindex_mdstream.testing._listening import Limiter, Told, listening
from llamaindex_mdstream.testing._llm_suite import LLMRules
from llamaindex_mdstream.testing._services import ANSWER, QUESTION
from llamaindex_mdstream.testing._suite import needs
from llamaindex_mdstream.testing._ways import Way, by_all, by_stream, by_whole, heard, said
from mdstream_core.emulator import Emulator


class Callbacks(LLMRules):
    """Rules of observers."""

    @by_all
    def test_a_call_is_told_once(self, model: LLM, way: Way) -> None:
        """
        The callback manager hears one start, and one end with the answer.
        """
        told = self._told(model)
        self.read(way, model)
        end = told.ends[-1]

        assert (1, 1) == (len(told.starts), len(told.ends))
        assert ANSWER == said(_response(end))

    @by_all
    def test_the_dispatcher_is_told_once(self, model: LLM, way: Way) -> None:
        """
        One start event, one end event, and between them one for each chunk.
        """
        with listening() as listener:
            got = self.read(way, model)
        kinds = ("StartEvent", "InProgressEvent", "EndEvent", "ExceptionEvent")

        assert [1, len(got) if len(got) > 1 else 0, 1, 0] == [listener.count(kind) for kind in kinds]

    @by_all
    def test_a_permission_for_each_call(self, model: LLM, way: Way) -> None:
        """
        The rate limiter is asked once for a call.
        """
        limiter = model.rate_limiter = Limiter()
        self.read(way, model)

        assert 1 == limiter.count

    @by_stream
    def test_a_failed_stream_is_told(self, cloud: Emulator, model: LLM, way: Way) -> None:
        """
        Its one end has the exception, and the dispatcher gets an ExceptionEvent and no end.
        """
        told = self._told(model)
        cloud.script(self.asked.endings["cut"])
        with listening() as listener:
            _, error = self.fails(way, model)
        end = told.ends[-1]

        assert (1, 1) == (len(told.starts), len(told.ends))
        assert error is end[EventPayload.EXCEPTION]
        assert (1, 0) == (listener.count("ExceptionEvent"), listener.count("EndEvent"))

    @by_whole
    @needs("supports_retries")
    def test_a_refused_call_is_told(self, cloud: Emulator, model: LLM, way: Way) -> None:
        """
        Its one end has the exception.
        """
        told = self._told(model)
        cloud.always(self.asked.passing)
        _, error = self.fails(way, model)
        end = told.ends[-1]

        assert (1, 1) == (len(told.starts), len(told.ends))
        assert error is end[EventPayload.EXCEPTION]

    @by_stream
    @needs("beyond_core")
    def test_observers_of_a_failure_get_what_was_received(self, cloud: Emulator, model: LLM, way: Way) -> None:
        """
        Beside the exception, so that traces show how far an answer came.
        """
        told = self._told(model)
        cloud.script(self.asked.endings["cut"])
        got, _ = self.fails(way, model)

        assert heard(got) == said(_response(told.ends[0]))

    @needs("beyond_core")
    def test_a_reader_who_leaves_is_no_failure(self, model: LLM) -> None:
        """
        A break ends the call with what was read; no observer is told of an exception.
        """
        told = self._told(model)
        with listening() as listener:
            stream = model.stream_chat([ChatMessage(QUESTION)])
            next(stream)
            stream.close()

        assert EventPayload.EXCEPTION not in told.ends[0]
        assert (0, 1) == (listener.count("ExceptionEvent"), listener.count("EndEvent"))

    def _told(self, model: LLM) -> Told:
        told = Told(CBEventType.LLM)
        model.callback_manager = CallbackManager([told])
        return told


def _response(end: dict[str, Any]) -> Any:
    return end.get(EventPayload.RESPONSE) or end.get(EventPayload.COMPLETION)
