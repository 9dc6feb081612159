"""Base class of the rules for LLMs: the model under test, its features, and how its responses are read."""

from typing import Any

import pytest
from llama_index.core.llms import LLM

from llamaindex_mdstream.testing._conformance import CapturedError, Conformance
from llamaindex_mdstream.testing._methods import CallMethod, Response, sum_deltas
from llamaindex_mdstream.testing._services import OUTPUT, PROMPT
from mdstream_core.emulator import Emulator


class LLMRules(Conformance):
    """The model under test and its features.

    Attributes:
        supports_async: Whether the four async methods exist.
        supports_completions: Whether `complete` and its variants exist.
        supports_tools: Whether `chat_with_tools` and its variants exist (`metadata.is_function_calling_model`).
        supports_tool_choice: Whether a tool call can be required.
        supports_tool_call_deltas: Whether the arguments of a call are text that is streamed in parts.
        supports_reasoning: Whether reasoning is returned as `ThinkingBlock`s.
        supports_usage: Whether streams return the server's token counts.
        supports_retries: Whether `max_retries` has an effect.
        beyond_llama_index: Whether to run the rules that LlamaIndex's own decorators do not follow: errors have the
            partial response, closing a stream early is no failure, and the connection is closed at once.
    """

    supports_async: bool = True
    supports_completions: bool = True
    supports_tools: bool = True
    supports_tool_choice: bool = True
    supports_tool_call_deltas: bool = True
    supports_reasoning: bool = True
    supports_usage: bool = True
    supports_retries: bool = True
    beyond_llama_index: bool = True

    def llm(self, url: str, max_retries: int) -> LLM:
        """Create the model under test. Subclasses implement this method.

        Args:
            url: URL of the service.
            max_retries: Maximum number of retries of a request.
        """
        raise NotImplementedError(f"{type(self).__name__}.llm(url, max_retries) must return the model under test")

    def partial(self, error: Exception) -> str | None:
        """Return the text received before an error. Default: the text of its `partial_response`."""
        response: Any = getattr(error, "partial_response", None)
        return None if response is None else getattr(response, "text", None) or response.message.content or ""

    @pytest.fixture
    def model(self, emulator: Emulator) -> LLM:
        """The model under test, without retries."""
        return self.create_model(emulator)

    def create_model(self, emulator: Emulator, max_retries: int = 0) -> LLM:
        """Create a model that sends its requests to this emulator."""
        return self.llm(self.service_under_test.address(emulator), max_retries)

    def read_responses(self, method: CallMethod, model: LLM, prompt: str = PROMPT) -> list[Response]:
        """Call a method and return its responses."""
        self.require(*method.needs)
        responses: list[Response] = []
        method.read(model, prompt, responses)
        assert responses, "no response was returned"
        return responses

    def read_failure(self, method: CallMethod, model: LLM) -> tuple[list[Response], Exception]:
        """Call a method and return the responses before its error, and the error."""
        self.require(*method.needs)
        responses: list[Response] = []
        with CapturedError() as captured:
            method.read(model, PROMPT, responses)
        if captured.error is None:
            pytest.fail(f"the call succeeded, with {sum_deltas(responses)!r} of {OUTPUT!r}")
        return responses, captured.error
