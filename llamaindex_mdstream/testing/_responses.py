"""Rules of healthy answers: the eight methods, the deltas, the blocks, the count, the end."""

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
    by_all,
    by_chat_stream,
    by_stream,
    finish_reason,
    response_text,
    sum_deltas,
)
from llamaindex_mdstream.testing._services import ANSWER, QUESTION
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.emulator.model import split_tokens

#: Odd, but whole: the answer is there.
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
    """Rules of healthy answers."""

    def test_metadata(self, model: LLM) -> None:
        """
        Metadata says what the model can do, as LlamaIndex chooses agents, programs and prompts by it.
        """
        metadata = model.metadata

        assert model.class_name() not in {"", "base_component", "BaseLLM", "LLM", "custom_llm"}
        assert metadata.model_name
        assert metadata.context_window > 0
        assert self.supports_tools is metadata.is_function_calling_model

    @by_all
    def test_every_way_has_the_answer(self, model: LLM, way: CallMethod) -> None:
        """
        Each of the eight methods ends with the whole answer, and of chats with the assistant's role.
        """
        last = self.read_responses(way, model)[-1]

        assert ANSWER == response_text(last)
        assert not isinstance(last, ChatResponse) or last.message.role == "assistant"

    def test_a_conversation_is_sent(self, model: LLM) -> None:
        """
        The messages before the last one reach the model.
        """
        observer = [ChatMessage("My name is Ada."), ChatMessage("Nice to meet you, Ada.", role="assistant")]

        assert "Your name is Ada." == model.chat([*observer, ChatMessage("What is my name?")]).message.content

    def test_the_callers_messages_stay_as_they_are(self, model: LLM) -> None:
        """
        The list and its messages belong to the caller.
        """
        messages = [ChatMessage("Be brief.", role="system"), ChatMessage(QUESTION)]
        before = copy.deepcopy(messages)
        model.chat(messages)
        list(model.stream_chat(messages))

        assert before == messages

    @by_stream
    def test_deltas_add_up(self, model: LLM, way: CallMethod) -> None:
        """
        A delta is new text alone, and each response has all the text so far.
        """
        text = ""
        responses = self.read_responses(way, model)
        for response in responses:
            text += response.delta or ""
            assert text == response_text(response)
        assert ANSWER == text
        assert len(responses) > 3, "the answer came in one piece"

    @by_stream
    def test_a_delta_is_a_text(self, model: LLM, way: CallMethod) -> None:
        """
        News without text (a role, usage, a tool call) have the delta `""`, as readers add and print deltas.
        """
        assert {str} == {type(response.delta) for response in self.read_responses(way, model)}

    @by_chat_stream
    def test_one_text_block_grows(self, model: LLM, way: CallMethod) -> None:
        """
        The text stands in one block: LlamaIndex joins several by line ends, and `content` would not be the deltas' sum.
        """
        for response in self.read_responses(way, model):
            assert isinstance(response, ChatResponse)
            assert sum(isinstance(block, TextBlock) for block in response.message.blocks) <= 1

    @by_stream
    def test_responses_share_nothing(self, model: LLM, way: CallMethod) -> None:
        """
        A response stays as it was when the next one comes, as agents and chat engines keep and change them.
        """
        self.require(*way.needs)
        before: list[Any] = []
        got = _CopyingList(before)
        way.read(model, QUESTION, got)

        assert before == [response.model_dump() for response in got]
        lists = [id(response.message.blocks) for response in got if isinstance(response, ChatResponse)]
        assert len(lists) == len(set(lists))

    def test_a_stream_is_a_generator(self, model: LLM) -> None:
        """
        LlamaIndex tells streams by their type; another iterator is a validation error in its events.
        """
        stream = model.stream_chat([ChatMessage(QUESTION)])

        assert isinstance(stream, Generator)
        stream.close()

    @requires("supports_async")
    def test_an_async_stream_is_awaited(self, model: LLM) -> None:
        """
        `astream_chat` is a coroutine that returns an asynchronous generator.
        """

        async def check() -> None:
            stream = await model.astream_chat([ChatMessage(QUESTION)])
            assert isinstance(stream, AsyncGenerator)
            await stream.aclose()

        asyncio.run(check())

    @by_all
    @requires("supports_usage")
    def test_tokens_are_the_servers(self, model: LLM, way: CallMethod) -> None:
        """
        TokenCountingHandler counts what the server counted: `raw` of the last response has usage, by OpenAI's names.
        """
        counter = TokenCountingHandler(tokenizer=lambda text: [0] * LARGE_CHUNK_COUNT)
        model.callback_manager = CallbackManager([counter])
        self.read_responses(way, model)

        assert len(split_tokens(ANSWER)) == counter.completion_llm_token_count
        assert 0 < counter.prompt_llm_token_count < LARGE_CHUNK_COUNT

    @by_all
    def test_the_last_response_says_why_it_ended(self, model: LLM, way: CallMethod) -> None:
        """
        The finish reason is in `additional_kwargs` or `raw`, and earlier responses have none.
        """
        *chunks, last = self.read_responses(way, model)
        reasons = [finish_reason(response) for response in [*chunks, last]]

        assert "stop" in {str(reason).lower().replace("complete", "stop") for reason in reasons if reason}
        assert not any(reasons[: len(reasons) // 2])

    @by_chat_stream
    @requires("supports_reasoning")
    def test_thoughts_have_a_block_of_their_own(self, emulator: Emulator, model: LLM, way: CallMethod) -> None:
        """
        Reasoning is a ThinkingBlock, each piece of it a `thinking_delta`, the first one too, and none of it is text.
        """
        thoughts = [{"reasoning_content": "Let me"}, {"reasoning_content": " see."}]
        emulator.script(
            self.service_under_test.stream_fault(*thoughts, {"content": "Yes"}, {"content": "."}, finish="stop")
        )
        responses = self.read_responses(way, model)
        last = responses[-1]

        assert isinstance(last, ChatResponse)
        assert ["Let me see."] == [block.content for block in last.message.blocks if isinstance(block, ThinkingBlock)]
        assert "Let me see." == "".join(one.additional_kwargs.get("thinking_delta") or "" for one in responses)
        assert "Yes." == sum_deltas(responses) == last.message.content

    @by_stream
    @pytest.mark.parametrize("fault", ENCODINGS.values(), ids=ENCODINGS)
    def test_how_it_is_written_makes_no_difference(
        self, emulator: Emulator, model: LLM, way: CallMethod, fault: Fault
    ) -> None:
        """
        Comments, other line ends and split characters are the same answer.
        """
        emulator.script(fault)

        assert ANSWER == sum_deltas(self.read_responses(way, model))

    @by_stream
    def test_other_line_ends_are_text(self, model: LLM, way: CallMethod) -> None:
        """
        U+2028 and U+0085 end lines for `str.splitlines`, and not in an event stream.
        """
        assert LINES == sum_deltas(self.read_responses(way, model, f"Say: {LINES}"))


class _CopyingList(list[Any]):
    """A list that notes what each response was when it came."""

    def __init__(self, before: list[Any]) -> None:
        super().__init__()
        self._before = before

    def append(self, response: Any) -> None:
        self._before.append(copy.deepcopy(response.model_dump()))
        super().append(response)
