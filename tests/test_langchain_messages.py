"""Conversion of LangChain messages to OpenAI messages: each block is converted, omitted, or rejected by name."""

import json
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_mdstream._messages import openai_messages

CALL = {"name": "get_weather", "args": {"city": "東京"}, "id": "c1", "type": "tool_call"}
WIRE_CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": json.dumps({"city": "東京"}, ensure_ascii=False)},
}

MESSAGES: dict[str, tuple[BaseMessage, list[dict[str, Any]]]] = {
    "human": (HumanMessage("hi"), [{"role": "user", "content": "hi"}]),
    "human with a name": (HumanMessage("hi", name="Ann"), [{"role": "user", "content": "hi", "name": "Ann"}]),
    "human in blocks of text": (
        HumanMessage([{"type": "text", "text": "a"}, "b"]),
        [{"role": "user", "content": "a\nb"}],
    ),
    "system": (SystemMessage("be kind"), [{"role": "system", "content": "be kind"}]),
    "developer": (
        SystemMessage("be kind", additional_kwargs={"__openai_role__": "developer"}),
        [{"role": "developer", "content": "be kind"}],
    ),
    "assistant": (AIMessage("yes"), [{"role": "assistant", "content": "yes"}]),
    "assistant in pieces": (
        AIMessage([{"type": "text", "text": "y"}, {"type": "text", "text": "es"}]),
        [{"role": "assistant", "content": "yes"}],
    ),
    "assistant that says nothing": (AIMessage(""), [{"role": "assistant", "content": ""}]),
    "tool call alone": (
        AIMessage("", tool_calls=[CALL]),
        [{"role": "assistant", "content": None, "tool_calls": [WIRE_CALL]}],
    ),
    "text and a tool call": (
        AIMessage("Let me see.", tool_calls=[CALL]),
        [{"role": "assistant", "content": "Let me see.", "tool_calls": [WIRE_CALL]}],
    ),
    "standard blocks with reasoning and a call": (
        AIMessage(
            [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "ok"}, {**CALL}],
            tool_calls=[CALL],
        ),
        [{"role": "assistant", "content": "ok", "tool_calls": [WIRE_CALL]}],
    ),
    "a call that was written wrongly": (
        AIMessage(
            "",
            invalid_tool_calls=[
                {"name": "f", "args": "{oops", "id": "c2", "error": "no JSON", "type": "invalid_tool_call"}
            ],
        ),
        [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c2", "type": "function", "function": {"name": "f", "arguments": "{oops"}}],
            }
        ],
    ),
    "tool result": (
        ToolMessage("sunny", tool_call_id="c1"),
        [{"role": "tool", "tool_call_id": "c1", "content": "sunny"}],
    ),
    "tool result with a picture": (
        ToolMessage([{"type": "image", "base64": "QQ==", "mime_type": "image/jpeg"}], tool_call_id="c1"),
        [
            {
                "role": "tool",
                "tool_call_id": "c1",
                "content": [{"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,QQ=="}}],
            }
        ],
    ),
    "function result": (
        FunctionMessage("sunny", name="get_weather"),
        [{"role": "function", "name": "get_weather", "content": "sunny"}],
    ),
    "any role": (ChatMessage("hm", role="critic"), [{"role": "critic", "content": "hm"}]),
    "Anthropic's tool result": (
        HumanMessage(
            [
                {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "green"}]},
                {"type": "text", "text": "and now?"},
            ]
        ),
        [
            {"role": "tool", "tool_call_id": "c1", "content": "green"},
            {"role": "user", "content": "and now?"},
        ],
    ),
}

BLOCKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "OpenAI image": (
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}, "cache_control": {}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
    ),
    "standard image": (
        {"type": "image", "base64": "QQ==", "mime_type": "image/webp"},
        {"type": "image_url", "image_url": {"url": "data:image/webp;base64,QQ=="}},
    ),
    "standard image by address": (
        {"type": "image", "url": "https://x/y.png", "detail": "low"},
        {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
    ),
    "older image": (
        {"type": "image", "source_type": "base64", "data": "QQ==", "mime_type": "image/png"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}},
    ),
    "Anthropic image": (
        {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "QQ=="}},
        {"type": "image_url", "image_url": {"url": "data:image/gif;base64,QQ=="}},
    ),
    "Anthropic image by address": (
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
    ),
    "standard audio": (
        {"type": "audio", "base64": "QQ==", "mime_type": "audio/mpeg"},
        {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "mp3"}},
    ),
    "audio by address": (
        {"type": "audio", "url": "https://x/y.wav"},
        {"type": "audio_url", "audio_url": {"url": "https://x/y.wav"}},
    ),
    "standard video": (
        {"type": "video", "base64": "QQ==", "mime_type": "video/webm"},
        {"type": "video_url", "video_url": {"url": "data:video/webm;base64,QQ=="}},
    ),
    "standard file": (
        {"type": "file", "base64": "QQ==", "mime_type": "application/pdf", "extras": {"filename": "a.pdf"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="}},
    ),
    "OpenAI file": (
        {"type": "file", "file": {"file_id": "f-1"}},
        {"type": "file", "file": {"file_id": "f-1"}},
    ),
}


@pytest.mark.parametrize(("message", "expected"), MESSAGES.values(), ids=MESSAGES)
def test_messages(message: BaseMessage, expected: list[dict[str, Any]]) -> None:
    """Each type of message."""
    before = message.model_dump()

    assert expected == openai_messages([message])
    assert before == message.model_dump()


@pytest.mark.parametrize(("block", "expected"), BLOCKS.values(), ids=BLOCKS)
def test_blocks(block: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each type of content block; the message itself is not changed."""
    before = json.dumps(block)

    (message,) = openai_messages([HumanMessage([{"type": "text", "text": "see"}, block])])

    assert [{"type": "text", "text": "see"}, expected] == message["content"]
    assert before == json.dumps(block)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"type": "hologram"}, "'hologram' cannot be sent"),
    "incomplete": ({"type": "image"}, "'image' lacks 'url'"),
    "a file by address": ({"type": "file", "url": "https://x/y.pdf"}, "do not fetch files"),
}


@pytest.mark.parametrize(("block", "message"), BAD.values(), ids=BAD)
def test_unsupported_blocks_are_rejected_by_name(block: dict[str, Any], message: str) -> None:
    """No block is dropped silently."""
    with pytest.raises(ValueError, match=message):
        openai_messages([HumanMessage([block])])
