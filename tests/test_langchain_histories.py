"""Conversations that began with another provider: text and calls are sent, blocks for that provider are not."""

import asyncio
import json
import warnings
from typing import Any

import pytest
from _langchain_platforms import chat_at, each_platform, emulator, shared_emulator
from _platforms import PlatformCase
from langchain_core.load import dumpd, load
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ChatMessage, HumanMessage, ToolMessage

from langchain_mdstream._messages import openai_messages
from mdstream_core.emulator import Emulator

__all__ = ["emulator", "shared_emulator"]

TEXT = {"type": "text", "text": "It is 20 degrees."}

#: Blocks that integrations put into a model's content besides text and calls.
FOREIGN: dict[str, list[dict[str, Any]]] = {
    "OpenAI web search": [
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}}
    ],
    "OpenAI file search": [{"type": "file_search_call", "id": "fs_1", "queries": ["x"], "results": []}],
    "OpenAI code interpreter": [{"type": "code_interpreter_call", "id": "ci_1", "code": "1", "outputs": []}],
    "OpenAI computer": [{"type": "computer_call", "call_id": "cc_1", "action": {"type": "click"}}],
    "OpenAI MCP": [
        {"type": "mcp_list_tools", "id": "mcpl_1", "tools": []},
        {"type": "mcp_approval_request", "id": "mcpr_1", "name": "x", "arguments": "{}"},
        {"type": "mcp_call", "id": "mcp_1", "name": "x", "arguments": "{}", "output": "y"},
    ],
    "OpenAI tool search": [{"type": "tool_search_call", "id": "1"}, {"type": "tool_search_output", "tools": []}],
    "OpenAI compaction": [{"type": "compaction", "encrypted_content": "…"}],
    "OpenAI reasoning": [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "…"}],
    "Anthropic server tool": [
        {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": [{"type": "web_search_result"}]},
    ],
    "Anthropic code execution": [
        {"type": "server_tool_use", "id": "srv_1", "name": "code_execution", "input": {"code": "1"}},
        {"type": "bash_code_execution_tool_result", "tool_use_id": "srv_1", "content": {"stdout": "1"}},
        {"type": "container_upload", "file_id": "f_1"},
    ],
    "Anthropic MCP": [
        {"type": "mcp_tool_use", "id": "m_1", "name": "x", "server_name": "y", "input": {}},
        {"type": "mcp_tool_result", "tool_use_id": "m_1", "content": []},
    ],
    "Anthropic thinking": [
        {"type": "thinking", "thinking": "hm", "signature": "…"},
        {"type": "redacted_thinking", "data": "…"},
    ],
    "Google code execution": [
        {"type": "executable_code", "executable_code": "print(1)", "language": 1},
        {"type": "code_execution_result", "code_execution_result": "1", "outcome": 1},
    ],
    "Google thought signature": [{"type": "function_call_signature", "index": 0, "signature": "…"}],
    "Bedrock reasoning": [{"type": "reasoning_content", "reasoning_content": {"text": "hm", "signature": "…"}}],
    "Bedrock guard": [{"type": "guard_content", "guard_content": {"text": {"text": "x"}}}],
    "Bedrock cache point": [{"cachePoint": {"type": "default"}}, {"type": "cache_point"}],
    "standard server tool": [
        {"type": "server_tool_call", "id": "ws_1", "name": "web_search", "args": {"query": "x"}},
        {"type": "server_tool_call_chunk", "id": "ws_1", "name": "web_search", "args": "{}"},
        {"type": "server_tool_result", "tool_call_id": "ws_1", "status": "success"},
    ],
    "standard reasoning": [{"type": "reasoning", "reasoning": "hm"}],
    "non-standard": [
        {"type": "non_standard", "value": {"type": "computer_call", "id": "c"}},
        {"type": "non_standard", "value": {"type": "non_standard", "value": {"type": "hologram"}}},
        {"type": "non_standard", "value": "…"},
        {"type": "non_standard"},
    ],
    "a citation": [{"type": "citation", "url": "https://x"}],
    "plain text elsewhere": [{"type": "text-plain", "url": "https://x/y.txt"}],
    "a text that is none": [{"type": "text", "text": None}, {"type": "text"}],
    "unknown": [{"type": "hologram", "text": ["x"]}, {"type": None}, {}],
}


@pytest.mark.parametrize("blocks", FOREIGN.values(), ids=FOREIGN)
def test_blocks_for_another_provider_are_omitted(blocks: list[dict[str, Any]]) -> None:
    """Before the text, behind it, and alone, without a warning; and the message is not changed."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for content in ([*blocks, TEXT], [TEXT, *blocks], [*blocks, {"type": "output_text", "text": TEXT["text"]}]):
            message = AIMessage(content)  # type: ignore[arg-type]
            before = message.model_dump()
            assert [{"role": "assistant", "content": "It is 20 degrees."}] == openai_messages([message])
            assert before == message.model_dump()
        assert [{"role": "assistant", "content": ""}] == openai_messages([AIMessage(blocks)])  # type: ignore[arg-type]
        message = ChatMessage([*blocks, TEXT], role="assistant")  # type: ignore[arg-type]
        assert [{"role": "assistant", "content": "It is 20 degrees."}] == openai_messages([message])


@pytest.mark.parametrize("blocks", FOREIGN.values(), ids=FOREIGN)
def test_calls_beside_such_blocks_are_kept(blocks: list[dict[str, Any]]) -> None:
    """Calls in `tool_calls`, with text and without."""
    call = {"name": "get_weather", "args": {"city": "Rome"}, "id": "call_9", "type": "tool_call"}
    for content in ([*blocks, TEXT], blocks):
        (converted,) = openai_messages([AIMessage(content, tool_calls=[call])])  # type: ignore[arg-type]
        assert ["call_9"] == [one["id"] for one in converted["tool_calls"]]
        assert (TEXT["text"] if TEXT in content else None) == converted["content"]


STRICT: dict[str, BaseMessage] = {
    "a person": HumanMessage([TEXT, {"type": "web_search_call"}]),
    "a tool": ToolMessage([TEXT, {"type": "hologram"}], tool_call_id="1"),
    "another role": ChatMessage([TEXT, {"type": "hologram"}], role="critic"),
    "a person, wrapped": HumanMessage([TEXT, {"type": "non_standard", "value": {"type": "hologram"}}]),
}


@pytest.mark.parametrize("message", STRICT.values(), ids=STRICT)
def test_blocks_of_other_roles_are_sent_or_rejected(message: BaseMessage) -> None:
    """Blocks of users, the system and tools are sent, or rejected."""
    with pytest.raises(ValueError, match="cannot be sent"):
        openai_messages([message])


PIXEL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}}

MEDIA: dict[str, dict[str, Any]] = {
    "an image of OpenAI's": {"type": "image_generation_call", "id": "ig_1", "result": "QQ=="},
    "an image by its id": {"type": "image", "file_id": "f_1"},
    "an image of Bedrock's": {"type": "image", "image": {"format": "png", "source": {"bytes": b"A"}}},
    "a sound by its id": {"type": "audio", "id": "audio_1"},
    "a file by its address": {"type": "file", "url": "https://x/y.pdf"},
    "a file of Google's": {"type": "media", "file_uri": "gs://x", "mime_type": "video/mp4"},
    "wrapped": {"type": "non_standard", "value": {"type": "image_generation_call"}},
}


@pytest.mark.parametrize("block", MEDIA.values(), ids=MEDIA)
def test_media_that_cannot_be_sent_are_omitted_with_a_warning(block: dict[str, Any]) -> None:
    """Media that a model generated are omitted with a warning."""
    with pytest.warns(RuntimeWarning, match="cannot be sent and is omitted"):
        assert [{"role": "assistant", "content": "It is 20 degrees."}] == openai_messages([AIMessage([TEXT, block])])


def test_media_that_can_be_sent_are_sent() -> None:
    """An image that a model generated is sent by its data."""
    block = {"type": "image", "base64": "QQ==", "mime_type": "image/png"}

    assert [{"role": "assistant", "content": [TEXT, PIXEL]}] == openai_messages([AIMessage([TEXT, block])])


ARGUMENTS = {"city": "東京"}
ARGUMENTS_JSON = json.dumps(ARGUMENTS, ensure_ascii=False)

#: A call in the formats of content blocks; its id is call_9.
CALLS: dict[str, dict[str, Any]] = {
    "LangChain": {"type": "tool_call", "id": "call_9", "name": "get_weather", "args": ARGUMENTS},
    "LangChain, a piece": {"type": "tool_call_chunk", "id": "call_9", "name": "get_weather", "args": ARGUMENTS_JSON},
    "Anthropic": {"type": "tool_use", "id": "call_9", "name": "get_weather", "input": ARGUMENTS},
    "Anthropic, streamed": {
        "type": "tool_use", "id": "call_9", "name": "get_weather", "input": {}, "partial_json": ARGUMENTS_JSON,
    },
    "OpenAI": {"type": "function_call", "id": "fc", "call_id": "call_9", "name": "get_weather", "arguments": ARGUMENTS_JSON},
    "Google": {"type": "function_call", "id": "call_9", "name": "get_weather", "args": ARGUMENTS},
    "Bedrock": {"toolUse": {"toolUseId": "call_9", "name": "get_weather", "input": ARGUMENTS}},
    "wrapped": {
        "type": "non_standard",
        "value": {"type": "tool_use", "id": "call_9", "name": "get_weather", "input": ARGUMENTS},
    },
}  # fmt: skip

CONVERTED = {"id": "call_9", "type": "function", "function": {"name": "get_weather", "arguments": ARGUMENTS_JSON}}

RESULTS: dict[str, BaseMessage] = {
    "LangChain": ToolMessage("20", tool_call_id="call_9"),
    "Anthropic": HumanMessage([{"type": "tool_result", "tool_use_id": "call_9", "content": "20"}]),
}


@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
@pytest.mark.parametrize("block", CALLS.values(), ids=CALLS)
def test_calls_in_the_content_are_sent(block: dict[str, Any], result: BaseMessage) -> None:
    """Stored conversations may have calls in the content only; their results need them."""
    message = AIMessage([TEXT, block])
    stored = load(dumpd(message), allowed_objects="all")
    for one in (message, stored):
        assistant, tool_message, _ = openai_messages([one, result, HumanMessage("and now?")])
        assert {"role": "assistant", "content": TEXT["text"], "tool_calls": [CONVERTED]} == assistant
        assert {"role": "tool", "tool_call_id": "call_9", "content": "20"} == tool_message


@pytest.mark.parametrize("block", CALLS.values(), ids=CALLS)
def test_a_call_is_sent_once(block: dict[str, Any]) -> None:
    """Even if it is in `tool_calls` too, or twice in the content."""
    call = {"name": "get_weather", "args": ARGUMENTS, "id": "call_9", "type": "tool_call"}
    for message in (
        AIMessage([TEXT, block], tool_calls=[call]),
        AIMessage([TEXT, block, CALLS["Anthropic"]]),
        AIMessageChunk([TEXT, block, block]),
    ):
        assert [CONVERTED] == openai_messages([message, RESULTS["LangChain"]])[0]["tool_calls"]


def _results(kind: str, *texts: str) -> list[BaseMessage]:
    if kind == "LangChain":
        return [ToolMessage(text, tool_call_id="call_9") for text in texts]
    return [HumanMessage([{"type": "tool_result", "tool_use_id": "call_9", "content": text} for text in texts])]


@pytest.mark.parametrize("kind", RESULTS)
@pytest.mark.parametrize("block", CALLS.values(), ids=CALLS)
def test_two_calls_of_one_id_are_both_sent(block: dict[str, Any], kind: str) -> None:
    """As many as there are results, even if the calls are equal."""
    lima = {"type": "tool_use", "id": "call_9", "name": "get_weather", "input": {"city": "Lima"}}
    converted_lima = {**CONVERTED, "function": {"name": "get_weather", "arguments": '{"city": "Lima"}'}}
    for other, converted in ((lima, converted_lima), (block, CONVERTED)):
        assistant, *responses = openai_messages([AIMessage([TEXT, block, other]), *_results(kind, "20", "12")])
        assert [CONVERTED, converted] == assistant["tool_calls"]
        assert ["20", "12"] == [tool_message["content"] for tool_message in responses]
        assert [CONVERTED] == openai_messages([AIMessage([block, other]), *_results(kind, "20")])[0]["tool_calls"]


#: Malformed content that LangChain's messages accept.
ODD: dict[str, dict[str, Any]] = {
    "a list as the type": {"type": ["x"], "text": "q"},
    "an object as the type": {"type": {"x": 1}},
    "a list as the id": {"type": "tool_use", "id": ["x"], "name": "f", "input": {}},
    "a number instead of the extras": {"type": "file", "base64": "QQ==", "extras": 5},
    "a text that is a number": {"type": "text", "text": 5},
}


@pytest.mark.parametrize("block", ODD.values(), ids=ODD)
def test_malformed_blocks(block: dict[str, Any]) -> None:
    """Malformed blocks of a model are omitted, media with a warning; those of a user raise `ValueError`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        assert [{"role": "assistant", "content": TEXT["text"]}] == openai_messages([AIMessage([TEXT, block])])
    if block["type"] != "tool_use":
        with pytest.raises(ValueError, match="a content block of type"):
            openai_messages([HumanMessage([TEXT, block])])


def test_a_result_without_an_id_is_sent() -> None:
    """It belongs to the next open call, and both get an id."""
    result, _ = openai_messages([HumanMessage([{"type": "tool_result", "content": "20"}, TEXT])])

    assert {"role": "tool", "tool_call_id": None, "content": "20"} == result


@pytest.mark.parametrize("block", CALLS.values(), ids=CALLS)
def test_a_call_without_a_result_is_omitted(block: dict[str, Any]) -> None:
    """Servers reject a call without a result; a result behind the model's next message belongs to another call."""
    later: list[BaseMessage] = [HumanMessage("?"), AIMessage("hm"), RESULTS["LangChain"]]
    for following in ([], later):
        assert "tool_calls" not in openai_messages([AIMessage([TEXT, block]), *following])[0]


def test_a_custom_call_is_kept() -> None:
    """Its input is a text, which LangChain names `__arg1`."""
    block = {"type": "custom_tool_call", "id": "ctc", "call_id": "c", "name": "run", "input": "print(1)"}
    converted = openai_messages([AIMessage([block]), ToolMessage("1", tool_call_id="c")])[0]

    assert {"name": "run", "arguments": '{"__arg1": "print(1)"}'} == converted["tool_calls"][0]["function"]


HISTORY: list[BaseMessage] = [
    HumanMessage("weather?"),
    AIMessage(
        [*FOREIGN["standard server tool"], *FOREIGN["Bedrock reasoning"], TEXT, PIXEL, CALLS["Anthropic"]],  # type: ignore[arg-type]
    ),
    ToolMessage("20", tool_call_id="call_9"),
    AIMessage([*FOREIGN["OpenAI web search"]]),  # type: ignore[arg-type]
    HumanMessage("and now?"),
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@each_platform
def test_such_a_conversation_on_every_platform(emulator: Emulator, platform_case: PlatformCase) -> None:
    """Whole and streamed, sync and async, in each format; text and call are in the request."""
    chat = chat_at(platform_case, emulator)

    async def main() -> list[str]:
        return [(await chat.ainvoke(HISTORY)).text, "".join([chunk.text async for chunk in chat.astream(HISTORY)])]

    output = [chat.invoke(HISTORY).text, "".join(chunk.text for chunk in chat.stream(HISTORY)), *asyncio.run(main())]
    assert all(output)
    if "websocket" not in platform_case.kind:  # the emulator does not record its messages
        sent = json.dumps(emulator.last.json, ensure_ascii=False)
        assert (True, True, False) == (TEXT["text"] in sent, "get_weather" in sent, "web_search" in sent)
