"""Streamed content blocks of OpenAI's Responses API: in the order of the output, as langchain-openai has them."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _langchain_responses import chat_on, gather, serving, whole, with_refusals, without_index
from _responses_events import (
    OUTPUTS,
    Json,
    added,
    call,
    completed,
    created,
    done,
    message,
    reasoning,
    summary_delta,
    text_delta,
)
from _scripted_server import scripted
from langchain_core.messages import HumanMessage, ToolMessage

from mdstream_core import BlockStart, OpenAIResponses, TextDelta, recover_tool_calls
from mdstream_core.errors import StreamInterrupted

SAMPLES = Path(__file__).parent / "samples"
WHOLE = json.loads((SAMPLES / "responses-content-blocks.json").read_text(encoding="utf-8"))
STREAMED = json.loads((SAMPLES / "responses-streamed-blocks.json").read_text(encoding="utf-8"))

SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "a"}}
FETCH = {**SEARCH, "id": "ws_2", "action": {"type": "open_page", "url": "https://example.com"}}

#: All kinds of blocks between each other.
MIXED = [
    reasoning("Hm.", encrypted_content="gAAA"),
    SEARCH,
    message("Wait."),
    reasoning("So.", id="rs_2"),
    FETCH,
    call('{"city": "Rome"}'),
    message("Done.", id="msg_2"),
]


def outline(blocks: list[Json]) -> list[tuple[Any, ...]]:
    """The type, the id and the text of each block."""
    inner = [block.get("value", block) for block in blocks]
    return [
        (block["type"], value.get("id") or block.get("tool_call_id"), value.get("text") or value.get("reasoning") or "")
        for block, value in zip(blocks, inner, strict=True)
        if value["type"] != "refusal"  # ChatOpenAI's has no id if it is streamed
    ]


def finished_blocks(events: list[Any]) -> list[Json]:
    """The finished blocks of version 3's events, by their indices."""
    finished = [event for event in events if event.get("event") == "content-block-finish"]
    assert len({event["index"] for event in finished}) == len(finished)
    return without_index(event["content"] for event in sorted(finished, key=lambda event: event["index"]))


@pytest.mark.parametrize("name", OUTPUTS)
def test_merged_chunks_have_the_blocks_of_a_whole_response(name: str) -> None:
    """With `output_version="v1"`, all fields of each block included; in the order of langchain-openai's stream."""
    with serving(*OUTPUTS[name]) as server:
        chat = chat_on(server, output_version="v1")
        merged = [whole(chat.stream("Hi")), whole(asyncio.run(gather(chat.astream("Hi")))), chat.invoke("Hi")]

    for found in merged:
        assert without_index(found.content) == with_refusals(WHOLE[name]) == without_index(found.content_blocks)
        assert outline(without_index(found.content)) == outline(STREAMED[name]["v1"])
        assert found.tool_calls == merged[2].tool_calls
        assert found.text == merged[2].text
        assert found.additional_kwargs == merged[2].additional_kwargs


@pytest.mark.parametrize("name", [name for name in OUTPUTS if name != "a custom tool"])
def test_events_of_version_3_have_the_order_of_the_output(name: str) -> None:
    """That of langchain-openai, also in the events that start the blocks."""
    with serving(*OUTPUTS[name]) as server:
        events = list(chat_on(server).stream_events("Hi", version="v3"))
        awaited = asyncio.run(_events(chat_on(server)))

    assert outline(finished_blocks(events)) == outline(STREAMED[name]["v3"]) == outline(finished_blocks(awaited))
    starts = [event["index"] for event in events if event.get("event") == "content-block-start"]
    assert starts == list(range(len(starts)))


async def _events(chat: Any) -> list[Any]:
    return [event async for event in await chat.astream_events("Hi", version="v3")]


def test_a_call_of_a_custom_tool_is_a_tool_call_in_version_3() -> None:
    """Agents execute it; langchain-openai has a block there that is none."""
    with serving(*OUTPUTS["a custom tool"]) as server:
        (block,) = finished_blocks(list(chat_on(server).stream_events("Hi", version="v3")))

    assert (block["type"], block["name"], block["args"]) == ("tool_call", "shell", {"__arg1": "ls"})


def test_all_kinds_of_blocks() -> None:
    """Each text and each reasoning is a block of its own; the text between them is not merged."""
    kinds = ["reasoning", "server_tool_call", "server_tool_result", "text", "reasoning", "server_tool_call"]
    kinds += ["server_tool_result", "tool_call", "text"]
    with serving(*MIXED) as server:
        chat = chat_on(server, output_version="v1")
        merged = whole(chat.stream("Hi"))
        assert without_index(merged.content) == without_index(chat.invoke("Hi").content)
        events = finished_blocks(list(chat_on(server).stream_events("Hi", version="v3")))
        plain = whole(chat_on(server).stream("Hi"))

    assert [block["type"] for block in merged.content] == kinds == [block["type"] for block in events]
    assert [block["type"] for block in plain.content_blocks] == kinds
    assert (merged.text, plain.content) == ("Wait.Done.",) * 2
    assert merged.additional_kwargs["reasoning_content"] == "Hm.\n\nSo."


def test_a_block_arrives_when_its_item_is_complete() -> None:
    """A search before the text, not after it."""
    with serving(*MIXED) as server:
        types = [
            block["type"] for chunk in chat_on(server, output_version="v1").stream("Hi") for block in chunk.content
        ]

    assert types.index("server_tool_result") < types.index("text") < types.index("tool_call_chunk")


def test_blocks_are_sent_back_as_items() -> None:
    """A merged message of `output_version="v1"` in a conversation, as the service sent it."""
    with serving(*MIXED) as server:
        chat = chat_on(server, output_version="v1")
        for received in (whole(chat.stream("Hi")), chat.invoke("Hi")):
            chat.invoke([HumanMessage("Hi"), received, ToolMessage("20", tool_call_id="call_1")])
            items = server.bodies[-1]["input"][1:-1]
            assert [(item["type"], item["id"]) for item in items] == [(item["type"], item["id"]) for item in MIXED]
            texts = [item["content"][0]["text"] for item in items if item["type"] == "message"]
            assert texts == ["Wait.", "Done."]


def test_the_last_event_alone_has_all_blocks() -> None:
    """A server that sends the items only whole, in `response.completed`."""
    with scripted(lambda _: [created(), completed(*MIXED)]) as server, serving(*MIXED) as other:
        only_end = whole(chat_on(server, output_version="v1").stream("Hi"))
        streamed = whole(chat_on(other, output_version="v1").stream("Hi"))
        events = finished_blocks(list(chat_on(server).stream_events("Hi", version="v3")))

    assert without_index(only_end.content) == without_index(streamed.content)
    assert outline(events) == outline(without_index(streamed.content))


#: name: (the events of a stream that is interrupted, how often the request is sent)
INTERRUPTED: dict[str, tuple[list[Json], int]] = {
    "nothing": ([created()], 2),
    "reasoning without a text": ([created(), added(reasoning()), done(reasoning(encrypted_content="gAAA"))], 2),
    "a call that began": ([created(), added({**SEARCH, "status": "in_progress"})], 2),
    "a tool that was run": ([created(), added(SEARCH), done(SEARCH)], 1),
    "reasoning": ([created(), added(reasoning()), summary_delta("Hm")], 1),
    "text": ([created(), text_delta("Hel")], 1),
}


@pytest.mark.parametrize(("events", "requests"), INTERRUPTED.values(), ids=INTERRUPTED)
@pytest.mark.parametrize("version", ["v0", "v1"])
def test_a_tool_is_not_run_twice(events: list[Json], requests: int, version: str) -> None:
    """A request is retried only before there was output; a tool that the service ran is output."""
    with scripted(lambda _: events) as server:
        chat = chat_on(server, max_retries=1, output_version=version)
        with pytest.raises(StreamInterrupted):
            list(chat.stream("Hi"))

    assert len(server.bodies) == requests


def _decoded(*events: Json) -> Iterator[Any]:
    tools = [{"type": "function", "function": {"name": "weather"}}]
    decoder = recover_tool_calls(OpenAIResponses(), {"tools": tools}).create_decoder()
    for event in events:
        yield from decoder.feed(json.dumps(event).encode())
    yield from decoder.finish()


def test_held_text_stays_in_its_block() -> None:
    """Text that may have been a tool call is released before the next block starts."""
    events = [created(), text_delta("<"), done(message("<")), done(SEARCH, 1), text_delta("b", item="msg_2", at=2)]
    kept = [event for event in _decoded(*events, completed()) if isinstance(event, BlockStart | TextDelta)]

    assert [event.kind if isinstance(event, BlockStart) else event.text for event in kept] == [
        "text",
        "<",
        "web_search_call",
        "text",
        "b",
    ]


def test_a_recovered_call_has_no_empty_block() -> None:
    """A server without a tool call parser: the text is the call, in every version of the output."""
    text = '<tool_call>{"name": "weather", "arguments": {"city": "Rome"}}</tool_call>'
    tool = {"name": "weather", "description": "", "parameters": {"type": "object", "properties": {}}}
    with serving(message(text)) as server:
        merged = whole(chat_on(server, output_version="v1").bind_tools([tool]).stream("Hi"))

    assert [block["type"] for block in merged.content] == ["tool_call"]
    assert merged.tool_calls[0]["args"] == {"city": "Rome"}
