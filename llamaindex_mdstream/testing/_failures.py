"""Rules of failures: failed streams raise, text is not repeated, received text is kept."""

import pytest
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
from llamaindex_mdstream.testing._services import OUTPUT
from mdstream_core.emulator import Emulator, Fault

EMPTY_STREAMS = {"no event": Fault("empty"), "HTML page": Fault("html"), "no response": Fault("drop")}


class FailureRules(LLMRules):
    """Rules of failures."""

    @each_stream_method
    def test_interrupted_stream_raises(self, emulator: Emulator, model: LLM, method: CallMethod, ending: Fault) -> None:
        """
        The reader gets the text received before the failure, and then an exception, for each kind of failure.
        """
        emulator.script(ending)
        responses, _ = self.read_failure(method, model)

        assert sum_deltas(responses)
        assert OUTPUT.startswith(sum_deltas(responses))

    @each_stream_method
    @requires("beyond_llama_index")
    def test_error_has_the_partial_response(
        self, emulator: Emulator, model: LLM, method: CallMethod, ending: Fault
    ) -> None:
        """
        The exception holds the text that was returned before, because LlamaIndex's events and engines lose it.
        """
        emulator.script(ending)
        responses, error = self.read_failure(method, model)

        assert sum_deltas(responses)
        assert sum_deltas(responses) == self.partial(error)

    @each_stream_method
    @pytest.mark.parametrize("fault", EMPTY_STREAMS.values(), ids=EMPTY_STREAMS)
    def test_empty_stream_raises(self, emulator: Emulator, model: LLM, method: CallMethod, fault: Fault) -> None:
        """
        A response with status 200 and without readable content raises.
        """
        emulator.always(fault)
        responses, _ = self.read_failure(method, model)

        assert not sum_deltas(responses)

    @each_blocking_method
    def test_truncated_response_raises(self, emulator: Emulator, model: LLM, method: CallMethod) -> None:
        """
        A truncated body is not returned as a complete response.
        """
        emulator.script(Fault("cut"))

        self.read_failure(method, model)

    @each_method
    @requires("supports_retries")
    def test_error_response_raises(self, emulator: Emulator, model: LLM, method: CallMethod) -> None:
        """
        With `max_retries=0` exactly one request is sent.
        """
        emulator.always(self.service_under_test.transient_error)
        self.read_failure(method, model)

        assert 1 == len(emulator.requests)

    @each_method
    @requires("supports_retries")
    def test_retry_before_the_first_token(self, emulator: Emulator, method: CallMethod) -> None:
        """
        After a temporary error response the request is retried, and the caller sees no error.
        """
        emulator.script(self.service_under_test.transient_error)
        last = self.read_responses(method, self.create_model(emulator, max_retries=1))[-1]

        assert OUTPUT == response_text(last)
        assert 2 == len(emulator.requests)

    @each_stream_method
    @pytest.mark.parametrize("name", ["cut", "reset"])
    def test_no_retry_after_the_first_token(self, emulator: Emulator, method: CallMethod, name: str) -> None:
        """
        After the first token the request is not retried, even if retries are allowed.
        """
        emulator.script(self.service_under_test.endings[name])
        responses, _ = self.read_failure(method, self.create_model(emulator, max_retries=2))

        assert 1 == len(emulator.requests)
        assert OUTPUT.startswith(sum_deltas(responses))
