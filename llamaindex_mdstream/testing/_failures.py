"""Rules of failures: a stream that failed is never a success, nothing is said twice, and nothing received is lost."""

import pytest
from llama_index.core.llms import LLM

from llamaindex_mdstream.testing._llm_suite import LLMRules
from llamaindex_mdstream.testing._services import ANSWER
from llamaindex_mdstream.testing._suite import needs
from llamaindex_mdstream.testing._ways import Way, by_all, by_stream, by_whole, heard, said
from mdstream_core.emulator import Emulator, Fault

NOTHING = {"no event": Fault("empty"), "a page": Fault("html"), "no answer": Fault("drop")}


class Failures(LLMRules):
    """Rules of failures."""

    @by_stream
    def test_a_broken_stream_is_an_error(self, cloud: Emulator, model: LLM, way: Way, ending: Fault) -> None:
        """
        However it breaks, the reader gets the words that came before, and then an exception.
        """
        cloud.script(ending)
        got, _ = self.fails(way, model)

        assert heard(got)
        assert ANSWER.startswith(heard(got))

    @by_stream
    @needs("beyond_core")
    def test_an_error_keeps_what_was_received(self, cloud: Emulator, model: LLM, way: Way, ending: Fault) -> None:
        """
        The exception carries the words that were handed out, as LlamaIndex's events and engines lose them.
        """
        cloud.script(ending)
        got, error = self.fails(way, model)

        assert heard(got)
        assert heard(got) == self.partial(error)

    @by_stream
    @pytest.mark.parametrize("fault", NOTHING.values(), ids=NOTHING)
    def test_a_stream_that_brings_nothing_is_an_error(
        self, cloud: Emulator, model: LLM, way: Way, fault: Fault
    ) -> None:
        """
        200 and nothing that can be read is no answer.
        """
        cloud.always(fault)
        got, _ = self.fails(way, model)

        assert not heard(got)

    @by_whole
    def test_half_a_whole_answer_is_an_error(self, cloud: Emulator, model: LLM, way: Way) -> None:
        """
        A body that is cut is not read as far as it goes.
        """
        cloud.script(Fault("cut"))

        self.fails(way, model)

    @by_all
    @needs("supports_retries")
    def test_a_refusal_is_an_error(self, cloud: Emulator, model: LLM, way: Way) -> None:
        """
        And with `max_retries=0` one request is one request.
        """
        cloud.always(self.asked.passing)
        self.fails(way, model)

        assert 1 == len(cloud.requests)

    @by_all
    @needs("supports_retries")
    def test_before_the_first_token_it_is_asked_again(self, cloud: Emulator, way: Way) -> None:
        """
        A refusal that passes is not seen by anybody.
        """
        cloud.script(self.asked.passing)
        last = self.read(way, self.built(cloud, max_retries=1))[-1]

        assert ANSWER == said(last)
        assert 2 == len(cloud.requests)

    @by_stream
    @pytest.mark.parametrize("name", ["cut", "reset"])
    def test_nothing_is_said_twice(self, cloud: Emulator, way: Way, name: str) -> None:
        """
        After the first token nothing is asked again, however many retries are allowed.
        """
        cloud.script(self.asked.endings[name])
        got, _ = self.fails(way, self.built(cloud, max_retries=2))

        assert 1 == len(cloud.requests)
        assert ANSWER.startswith(heard(got))
