"""Rules of failures: a stream that failed is never a success, nothing is said twice, and nothing received is lost."""

import pytest
from llama_index.core.llms import LLM

from llamaindex_mdstream.testing._conformance import requires
from llamaindex_mdstream.testing._llm_rules import LLMRules
from llamaindex_mdstream.testing._methods import CallMethod, by_all, by_stream, by_whole, response_text, sum_deltas
from llamaindex_mdstream.testing._services import ANSWER
from mdstream_core.emulator import Emulator, Fault

EMPTY_STREAMS = {"no event": Fault("empty"), "a page": Fault("html"), "no answer": Fault("drop")}


class FailureRules(LLMRules):
    """Rules of failures."""

    @by_stream
    def test_a_broken_stream_is_an_error(self, emulator: Emulator, model: LLM, way: CallMethod, ending: Fault) -> None:
        """
        However it breaks, the reader gets the words that came before, and then an exception.
        """
        emulator.script(ending)
        got, _ = self.read_failure(way, model)

        assert sum_deltas(got)
        assert ANSWER.startswith(sum_deltas(got))

    @by_stream
    @requires("beyond_llama_index")
    def test_an_error_keeps_what_was_received(
        self, emulator: Emulator, model: LLM, way: CallMethod, ending: Fault
    ) -> None:
        """
        The exception carries the words that were handed out, as LlamaIndex's events and engines lose them.
        """
        emulator.script(ending)
        got, error = self.read_failure(way, model)

        assert sum_deltas(got)
        assert sum_deltas(got) == self.partial(error)

    @by_stream
    @pytest.mark.parametrize("fault", EMPTY_STREAMS.values(), ids=EMPTY_STREAMS)
    def test_a_stream_that_brings_nothing_is_an_error(
        self, emulator: Emulator, model: LLM, way: CallMethod, fault: Fault
    ) -> None:
        """
        200 and nothing that can be read is no answer.
        """
        emulator.always(fault)
        got, _ = self.read_failure(way, model)

        assert not sum_deltas(got)

    @by_whole
    def test_half_a_whole_answer_is_an_error(self, emulator: Emulator, model: LLM, way: CallMethod) -> None:
        """
        A body that is cut is not read as far as it goes.
        """
        emulator.script(Fault("cut"))

        self.read_failure(way, model)

    @by_all
    @requires("supports_retries")
    def test_a_refusal_is_an_error(self, emulator: Emulator, model: LLM, way: CallMethod) -> None:
        """
        And with `max_retries=0` one request is one request.
        """
        emulator.always(self.service_under_test.transient_error)
        self.read_failure(way, model)

        assert 1 == len(emulator.requests)

    @by_all
    @requires("supports_retries")
    def test_before_the_first_token_it_is_asked_again(self, emulator: Emulator, way: CallMethod) -> None:
        """
        A refusal that passes is not seen by anybody.
        """
        emulator.script(self.service_under_test.transient_error)
        last = self.read_responses(way, self.create_model(emulator, max_retries=1))[-1]

        assert ANSWER == response_text(last)
        assert 2 == len(emulator.requests)

    @by_stream
    @pytest.mark.parametrize("name", ["cut", "reset"])
    def test_nothing_is_said_twice(self, emulator: Emulator, way: CallMethod, name: str) -> None:
        """
        After the first token nothing is asked again, however many retries are allowed.
        """
        emulator.script(self.service_under_test.endings[name])
        got, _ = self.read_failure(way, self.create_model(emulator, max_retries=2))

        assert 1 == len(emulator.requests)
        assert ANSWER.startswith(sum_deltas(got))
