"""What the rules of LLMs have in common: the model, what it offers, and how it is read."""

from typing import Any

import pytest
from llama_index.core.llms import LLM

from llamaindex_mdstream.testing._conformance import CapturedError, Conformance
from llamaindex_mdstream.testing._methods import CallMethod, Response, sum_deltas
from llamaindex_mdstream.testing._services import ANSWER, QUESTION
from mdstream_core.emulator import Emulator


class LLMRules(Conformance):
    """The model under test.

    Attributes:
        supports_async: The four asynchronous methods.
        supports_completions: `complete` and its kind.
        supports_tools: `chat_with_tools` and its kind; `metadata.is_function_calling_model`.
        supports_tool_choice: A call can be required.
        tool_calls_in_pieces: A call's arguments are text that comes piece by piece and can end in the middle.
        supports_reasoning: Thoughts come in a block of their own.
        supports_usage: Streams bring the server's count of tokens.
        supports_retries: `max_retries` is obeyed.
        beyond_llama_index: The rules that LlamaIndex's own decorators do not keep: an error keeps what was received,
        a reader
            who leaves is no failure, and the connection closes at once.
    """

    supports_async: bool = True
    supports_completions: bool = True
    supports_tools: bool = True
    supports_tool_choice: bool = True
    tool_calls_in_pieces: bool = True
    supports_reasoning: bool = True
    supports_usage: bool = True
    supports_retries: bool = True
    beyond_llama_index: bool = True

    def llm(self, url: str, max_retries: int) -> LLM:
        """The model under test; to be written.

        Args:
            url: Where the service listens.
            max_retries: How often it may ask again.
        """
        raise NotImplementedError(f"{type(self).__name__}.llm(url, max_retries) is to return the model under test")

    def partial(self, error: Exception) -> str | None:
        """What was received before an error; by default the text of its `partial_response`."""
        kept: Any = getattr(error, "partial_response", None)
        return None if kept is None else getattr(kept, "text", None) or kept.message.content or ""

    @pytest.fixture
    def model(self, emulator: Emulator) -> LLM:
        """The model, which asks once."""
        return self.create_model(emulator)

    def create_model(self, emulator: Emulator, max_retries: int = 0) -> LLM:
        """A model that asks this server."""
        return self.llm(self.service_under_test.address(emulator), max_retries)

    def read_responses(self, way: CallMethod, model: LLM, question: str = QUESTION) -> list[Response]:
        """What comes."""
        self.require(*way.needs)
        got: list[Response] = []
        way.read(model, question, got)
        assert got, "nothing came"
        return got

    def read_failure(self, way: CallMethod, model: LLM) -> tuple[list[Response], Exception]:
        """What comes before an error, and the error."""
        self.require(*way.needs)
        got: list[Response] = []
        with CapturedError() as ended:
            way.read(model, QUESTION, got)
        if ended.error is None:
            pytest.fail(f"it ended as a success, with {sum_deltas(got)!r} of {ANSWER!r}")
        return got, ended.error
