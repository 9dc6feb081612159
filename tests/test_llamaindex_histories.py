"""Conversations with other providers: text and tool calls are sent, provider-specific blocks are not."""

import asyncio
import json
import typing
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from _llamaindex_platforms import ACCOUNTS, PLATFORM_CASES, PlatformCase
from llama_index.core.base.llms import types
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from llamaindex_mdstream._messages import openai_messages
from mdstream_core.emulator import Emulator

TEXT = TextBlock(text="It is 20 degrees.")
CALL = ToolCallBlock(tool_call_id="call_9", tool_name="get_weather", tool_kwargs={"city": "東京"})
WIRE = {"id": "call_9", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "東京"}'}}

CACHE = CachePoint(cache_control=CacheControl(type="ephemeral"))
CITATION = CitationBlock(cited_content="x", source="s", title="t", additional_location_info={"start": 1})

#: Every block class but text and calls, and whether a warning reports that it is left out.
BLOCKS: dict[str, tuple[Any, bool]] = {
    "thinking": (ThinkingBlock(content="hm", additional_information={"signature": "…"}), False),
    "cache": (CACHE, False),
    "citation": (CITATION, False),
    "citable": (CitableBlock(title="t", source="s", content=[]), False),
    "image": (ImageBlock(url="https://x/y.png"), True),
    "audio": (AudioBlock(audio=b"RIFF", format="wav"), True),
    "video": (VideoBlock(url="https://x/y.mp4"), True),
    "document": (DocumentBlock(data=b"%PDF-1.4", title="a.pdf"), True),
}


def test_the_table_has_every_block_class() -> None:
    """
    New block classes of LlamaIndex must be added to the table.
    """
    (union, *_) = typing.get_args(types.ContentBlock)
    known = {kind.model_fields["block_type"].default for kind in typing.get_args(union)}

    assert known == {*BLOCKS, "text", "tool_call"}


@pytest.mark.parametrize("role", ["assistant", "chatbot", "model"])
@pytest.mark.parametrize(("block", "warned"), BLOCKS.values(), ids=BLOCKS)
def test_provider_specific_blocks_are_left_out(block: Any, warned: bool, role: str) -> None:
    """
    Such blocks are left out beside text, beside a call and alone, media with a warning; the message is not changed.
    """
    output = {"role": "assistant", "content": TEXT.text}
    cases: list[tuple[list[Any], dict[str, Any]]] = [
        ([block, TEXT], output),
        ([TEXT, block], output),
        ([block], {**output, "content": ""}),
        ([TEXT, block, CALL], {**output, "tool_calls": [WIRE]}),
        ([block, CALL], {**output, "content": None, "tool_calls": [WIRE]}),
    ]
    for blocks, wire in cases:
        message = ChatMessage(role=role, blocks=blocks)
        before = message.model_dump()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert [wire] == openai_messages([message])
        # The garbage of other tests may warn at the same time.
        assert [RuntimeWarning] * warned == [one.category for one in caught if one.category is not ResourceWarning]
        assert before == message.model_dump()


def test_text_in_a_citable_block_is_kept() -> None:
    """
    The text is sent, images beside it are not.
    """
    blocks = [TEXT, ImageBlock(url="https://x/y.png")]
    message = ChatMessage(role="assistant", blocks=[CitableBlock(title="t", source="s", content=blocks)])
    with pytest.warns(RuntimeWarning, match="ImageBlock"):
        assert [{"role": "assistant", "content": TEXT.text}] == openai_messages([message])


@pytest.mark.parametrize("role", ["user", "system", "tool", "developer"])
@pytest.mark.parametrize("block", [CACHE, CITATION], ids=["cache", "citation"])
def test_blocks_of_other_roles_are_converted_or_rejected(block: Any, role: str) -> None:
    """
    Blocks of user, system and tool messages are sent or rejected.
    """
    message = ChatMessage(role=role, blocks=[TEXT, block], additional_kwargs={"tool_call_id": "1"})
    with pytest.raises(ValueError, match=type(block).__name__):
        openai_messages([message])


#: Tool calls as other integrations store them in `additional_kwargs`.
STORED: dict[str, dict[str, Any]] = {
    "OpenAI": WIRE,
    "OpenAI Responses": {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_9",
        "name": "get_weather",
        "arguments": '{"city": "東京"}',
    },
    "Anthropic": {"type": "tool_use", "id": "call_9", "name": "get_weather", "input": {"city": "東京"}},
    "Bedrock": {"toolUseId": "call_9", "name": "get_weather", "input": {"city": "東京"}},
    "Google": {"id": "call_9", "name": "get_weather", "args": {"city": "東京"}},
    "Cohere": {"id": "call_9", "name": "get_weather", "parameters": {"city": "東京"}},
    "a block": CALL.model_dump(),
}


@pytest.mark.parametrize("call", STORED.values(), ids=STORED)
def test_tool_calls_of_other_integrations_are_sent(call: dict[str, Any]) -> None:
    """
    Id and arguments of such calls are sent.
    """
    message = ChatMessage(role="assistant", blocks=[TEXT, CITATION], additional_kwargs={"tool_calls": [call]})
    (wire,) = openai_messages([ChatMessage.model_validate(message.model_dump())])

    assert {"role": "assistant", "content": TEXT.text, "tool_calls": [WIRE]} == wire


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator(**ACCOUNTS) as emulator:
        yield emulator


HISTORY = [
    ChatMessage("weather?"),
    ChatMessage(role="assistant", blocks=[BLOCKS["thinking"][0], CACHE, CITATION, TEXT, BLOCKS["image"][0], CALL]),
    ChatMessage("20", role="tool", additional_kwargs={"tool_call_id": "call_9"}),
    ChatMessage(role="assistant", blocks=[CITATION]),
    ChatMessage("and now?"),
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("platform_case", PLATFORM_CASES.values(), ids=PLATFORM_CASES)
def test_every_platform_accepts_foreign_conversations(emulator: Emulator, platform_case: PlatformCase) -> None:
    """
    By each method and in each format, text and call are in the request.
    """
    with platform_case.build(emulator, max_retries=0) as llm:

        async def main() -> list[Any]:
            stream = await llm.astream_chat(HISTORY)
            return [await llm.achat(HISTORY), [response async for response in stream][-1]]

        output = [llm.chat(HISTORY), list(llm.stream_chat(HISTORY))[-1], *asyncio.run(main())]
        assert all(response.message.content for response in output)
        if emulator.last.body:  # a WebSocket's messages are not kept
            sent = json.dumps(emulator.last.json, ensure_ascii=False)
            assert (True, True) == (TEXT.text in sent, "get_weather" in sent)
