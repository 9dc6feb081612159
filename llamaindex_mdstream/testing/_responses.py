"""Rules of successful responses: methods, deltas, blocks, token counts, finish reasons."""

import asyncio
import copy
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, TextBlock, ThinkingBlock
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms import LLM

from llamaindex_mdstream.testing._conformance import requires
from llamaindex_mdstream.testing._llm_rules import LLMRules
from llamaindex_mdstream.testing._methods import (
    CallMethod,
    each_chat_stream_method,
    each_method,
    each_stream_method,
    finish_reason,
    response_text,
    sum_deltas,
)
from llamaindex_mdstream.testing._services import OUTPUT, PROMPT
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.emulator.model import split_tokens

#: Unusual but complete streams.
ENCODINGS: dict[str, Fault] = {
    "comments": Fault("keepalive_comments"),
    "CRLF": Fault("crlf"),
    "one byte at a time": Fault("bytewise"),
    "all at once": Fault("joined"),
    "no [DONE]": Fault("no_done"),
    "no usage": Fault("usage_missing"),
}

LINES = "one\u2028two\u0085three \U0001f999"
LARGE_CHUNK_COUNT = 1000


class ResponseRules(LLMRules):
    """Rules of successful responses."""

    def test_metadata(self, model: LLM) -> None:
        """
        Metadata describes the model, because LlamaIndex selects agents, programs and prompts by it.
        """
        metadata = model.metadata

        assert model.class_name() not in {"", "base_component", "BaseLLM", "LLM", "custom_llm"}
        assert metadata.model_name
        assert metadata.context_window > 0
        assert self.supports_tools is metadata.is_function_calling_model

    @each_method
    def test_each_method_returns_the_response(self, model: LLM, method: CallMethod) -> None:
        """
        The last response of each method has the complete text, and in chats the role `assistant`.
        """
        last = self.read_responses(method, model)[-1]

        assert OUTPUT == response_text(last)
        assert not isinstance(last, ChatResponse) or last.message.role == "assistant"

    def test_earlier_messages_are_sent(self, model: LLM) -> None:
        """
        The messages before the last one are sent to the model.
        """
        history = [ChatMessage("My name is Ada."), ChatMessage("Nice to meet you, Ada.", role="assistant")]

        assert "Your name is Ada." == model.chat([*history, ChatMessage("What is my name?")]).message.content

    def test_messages_are_not_modified(self, model: LLM) -> None:
        """
        The list of messages and the messages are not changed.
        """
        messages = [ChatMessage("Be brief.", role="system"), ChatMessage(PROMPT)]
        before = copy.deepcopy(messages)
        model.chat(messages)
        list(model.stream_chat(messages))

        assert before == messages

    @each_stream_method
    def test_deltas_add_up_to_the_text(self, model: LLM, method: CallMethod) -> None:
        """
        A delta is the new text, and each response has all text so far.
        """
        text = ""
        responses = self.read_responses(method, model)
        for response in responses:
            text += response.delta or ""
            assert text == response_text(response)
        assert OUTPUT == text
        assert len(responses) > 3, "the response was not streamed"

    @each_stream_method
    def test_deltas_are_strings(self, model: LLM, method: CallMethod) -> None:
        """
        Chunks without text (role, usage, tool call) have the delta `""`, because readers concatenate and print deltas.
        """
        assert {str} == {type(response.delta) for response in self.read_responses(method, model)}

    @each_chat_stream_method
    def test_text_is_in_one_block(self, model: LLM, method: CallMethod) -> None:
        """
        The text is in one block: LlamaIndex joins several with newlines, so that `content` would not equal the deltas.
        """
        for response in self.read_responses(method, model):
            assert isinstance(response, ChatResponse)
            assert sum(isinstance(block, TextBlock) for block in response.message.blocks) <= 1

    @each_stream_method
    def test_responses_share_no_state(self, model: LLM, method: CallMethod) -> None:
        """
        A response does not change with the next one, because agents and chat engines keep and modify responses.
        """
        self.require(*method.needs)
        before: list[Any] = []
        responses = _CopyingList(before)
        method.read(model, PROMPT, responses)

        assert before == [response.model_dump() for response in responses]
        lists = [id(response.message.blocks) for response in responses if isinstance(response, ChatResponse)]
        assert len(lists) == len(set(lists))

    def test_stream_chat_returns_a_generator(self, model: LLM) -> None:
        """
        LlamaIndex recognizes streams by their type; other iterators fail the validation of its events.
        """
        stream = model.stream_chat([ChatMessage(PROMPT)])

        assert isinstance(stream, Generator)
        stream.close()

    @requires("supports_async")
    def test_astream_chat_returns_an_async_generator(self, model: LLM) -> None:
        """
        `astream_chat` is a coroutine that returns an async generator.
        """

        async def check() -> None:
            stream = await model.astream_chat([ChatMessage(PROMPT)])
            assert isinstance(stream, AsyncGenerator)
            await stream.aclose()

        asyncio.run(check())

    @each_method
    @requires("supports_usage")
    def test_token_counts_come_from_the_server(self, model: LLM, method: CallMethod) -> None:
        """
        `TokenCountingHandler` reports the server's counts: `raw` of the last response has usage with OpenAI's names.
        """
        counter = TokenCountingHandler(tokenizer=lambda text: [0] * LARGE_CHUNK_COUNT)
        model.callback_manager = CallbackManager([counter])
        self.read_responses(method, model)

        assert len(split_tokens(OUTPUT)) == counter.completion_llm_token_count
        assert 0 < counter.prompt_llm_token_count < LARGE_CHUNK_COUNT

    @each_method
    def test_last_response_has_the_finish_reason(self, model: LLM, method: CallMethod) -> None:
        """
        The finish reason is in `additional_kwargs` or `raw`, and earlier responses have none.
        """
        *chunks, last = self.read_responses(method, model)
        reasons = [finish_reason(response) for response in [*chunks, last]]

        assert "stop" in {str(reason).lower().replace("complete", "stop") for reason in reasons if reason}
        assert not any(reasons[: len(reasons) // 2])

    @each_chat_stream_method
    @requires("supports_reasoning")
    def test_reasoning_is_in_thinking_blocks(self, emulator: Emulator, model: LLM, method: CallMethod) -> None:
        """
        Reasoning is in a `ThinkingBlock`, each of its deltas in `thinking_delta`, and none of it in the text.
        """
        reasoning = [{"reasoning_content": "Let me"}, {"reasoning_content": " see."}]
        emulator.script(
            self.service_under_test.stream_fault(*reasoning, {"content": "Yes"}, {"content": "."}, finish="stop")
        )
        responses = self.read_responses(method, model)
        last = responses[-1]

        assert isinstance(last, ChatResponse)
        assert ["Let me see."] == [block.content for block in last.message.blocks if isinstance(block, ThinkingBlock)]
        assert "Let me see." == "".join(
            response.additional_kwargs.get("thinking_delta") or "" for response in responses
        )
        assert "Yes." == sum_deltas(responses) == last.message.content

    @each_stream_method
    @pytest.mark.parametrize("fault", ENCODINGS.values(), ids=ENCODINGS)
    def test_unusual_encodings_are_read(self, emulator: Emulator, model: LLM, method: CallMethod, fault: Fault) -> None:
        """
        Comments, other line endings and split characters do not change the response.
        """
        emulator.script(fault)

        assert OUTPUT == sum_deltas(self.read_responses(method, model))

    @each_stream_method
    def test_unicode_line_separators_are_text(self, model: LLM, method: CallMethod) -> None:
        """
        U+2028 and U+0085 end lines for `str.splitlines`, but not in an event stream.
        """
        assert LINES == sum_deltas(self.read_responses(method, model, f"Say: {LINES}"))


class _CopyingList(list[Any]):
    """A list that stores a copy of each response when it is appended."""

    def __init__(self, before: list[Any]) -> None:
        super().__init__()
        self._before = before

    def append(self, response: Any) -> None:
        self._before.append(copy.deepcopy(response.model_dump()))
        super().append(response)
