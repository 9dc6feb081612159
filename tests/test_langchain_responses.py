"""OpenAI's Responses API with LangChain: content blocks, tools, structured output, and conversations that are stored."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from _langchain_responses import chat_on, gather, serving, whole, with_refusals, without_index
from _responses_events import (
    OUTPUTS,
    Json,
    call,
    created,
    failed,
    message,
    reasoning,
    response,
    text_delta,
)
from _scripted_server import scripted
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_mdstream import ChatModelArts, ChatOCIGenAI, ChatOCIOpenAI, ChatSagemakerEndpoint
from mdstream_core.errors import InvalidRequest, MalformedStream, StreamFailure, StreamInterrupted

RECORDED = json.loads((Path(__file__).parent / "samples" / "responses-content-blocks.json").read_text(encoding="utf-8"))

SEARCH = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "rivers"},
}
LOOP = [reasoning("Hm.", encrypted_content="gAAA"), SEARCH, message("Wait."), call('{"city": "Rome"}')]
COMPARTMENT = "ocid1.compartment.oc1..aaaa"


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"20 degrees in {city}"


class City(BaseModel):
    """A city."""

    name: str


@pytest.mark.parametrize("name", OUTPUTS)
def test_content_blocks_are_those_of_langchain_openai(name: str) -> None:
    """Streamed or not, sync or async; `content` is the text."""
    with serving(*OUTPUTS[name]) as server:
        chat = chat_on(server)
        messages = [
            chat.invoke("Hi"),
            asyncio.run(chat.ainvoke("Hi")),
            whole(chat.stream("Hi")),
            whole(asyncio.run(gather(chat.astream("Hi")))),
        ]

    for found in messages:
        assert without_index(found.content_blocks) == with_refusals(RECORDED[name])
        assert isinstance(found.content, str)
        assert found.response_metadata["id"] == "resp_1"
        assert found.usage_metadata["input_token_details"]["cache_read"] == 4
        assert found.usage_metadata["output_token_details"]["reasoning"] == 3


def test_a_tool_loop_sends_the_items_back() -> None:
    """Reasoning, calls of the service's tools, text and calls, with their ids; then the result."""
    with serving(*LOOP) as server:
        chat = chat_on(server).bind_tools([weather, {"type": "web_search"}], strict=True)
        for received in (chat.invoke("Hi"), whole(chat.stream("Hi"))):
            assert received.tool_calls[0]["args"] == {"city": "Rome"}
            result = weather.invoke(received.tool_calls[0])
            chat.invoke([HumanMessage("Hi"), received, result])

            sent = server.bodies[-1]["input"]
            kinds = ["message", "reasoning", "web_search_call", "message", "function_call", "function_call_output"]
            assert [item["type"] for item in sent] == kinds
            assert [item.get("id") for item in sent] == [None, "rs_1", "ws_1", "msg_1", "fc_1", None]
            assert sent[1]["encrypted_content"] == "gAAA"
            assert sent[3]["content"][0]["text"] == "Wait."
            assert sent[4]["arguments"] == '{"city": "Rome"}'
            assert (sent[5]["call_id"], sent[5]["output"]) == ("call_1", "20 degrees in Rome")

    function, search = server.bodies[0]["tools"]
    assert (function["type"], function["name"], function["strict"]) == ("function", "weather", True)
    assert function["parameters"]["additionalProperties"] is False
    assert search == {"type": "web_search"}


def test_reasoning_is_not_sent_back_if_it_must_not_be() -> None:
    """`send_reasoning="never"`."""
    with serving(*LOOP) as server:
        chat = chat_on(server, send_reasoning="never")
        chat.invoke([HumanMessage("Hi"), chat.invoke("Hi"), ToolMessage("20", tool_call_id="call_1")])

    assert "reasoning" not in [item["type"] for item in server.bodies[-1]["input"]]


def test_a_changed_message_is_sent_as_it_is() -> None:
    """A text that was redacted does not come back by its item; its blocks are those of the new text."""
    with serving(*LOOP) as server:
        chat = chat_on(server)
        redacted = chat.invoke("Hi").model_copy(update={"content": "[redacted]", "tool_calls": []})
        chat.invoke([HumanMessage("Hi"), redacted])

    body = json.dumps(server.bodies[-1])
    assert "[redacted]" in body
    assert "Wait." not in body
    assert "Rome" not in body
    assert "[redacted]" in [block.get("text") for block in redacted.content_blocks]


def test_other_dialects_get_no_items() -> None:
    """A conversation can be continued with chat completions, and one of another provider with this API."""
    with serving(*LOOP) as server:
        received = chat_on(server).invoke("Hi")
        with pytest.raises(MalformedStream, match="does not fit"):
            chat_on(server, use_responses_api=None).invoke([HumanMessage("Hi"), received])
        foreign = AIMessage(
            "Hm.", response_metadata={"model_provider": "openai"}, additional_kwargs=received.additional_kwargs
        )
        chat_on(server).invoke([HumanMessage("Hi"), foreign])

    assert "output_items" not in json.dumps(server.bodies[1])
    assert "gAAA" not in json.dumps(server.bodies[2])


def test_tools_of_the_service_are_forced_by_their_type() -> None:
    """And rejected by name for other dialects."""
    with serving(message("Hello")) as server:
        chat = chat_on(server)
        chat.bind_tools(
            [weather, {"type": "file_search", "vector_store_ids": ["vs_1"]}], tool_choice="file_search"
        ).invoke("Hi")
        chat.bind_tools([weather], tool_choice="weather").invoke("Hi")
        chat.bind_tools([weather], tool_choice="any", parallel_tool_calls=False).invoke("Hi")
        with pytest.raises(InvalidRequest, match="'web_search'"):
            chat_on(server, use_responses_api=None).bind_tools([{"type": "web_search"}])

    choices = [body["tool_choice"] for body in server.bodies]
    assert choices == [{"type": "file_search"}, {"type": "function", "name": "weather"}, "required"]
    assert server.bodies[2]["parallel_tool_calls"] is False


@pytest.mark.parametrize("strict", [None, True])
def test_structured_output_is_a_text_format(strict: bool | None) -> None:
    """By the schema, by JSON mode, and by a forced call."""
    with serving(message('{"name": "Rome"}')) as server:
        chat = chat_on(server, model_kwargs={"verbosity": "low"})
        assert chat.with_structured_output(City, strict=strict).invoke("Hi") == City(name="Rome")
        assert chat.with_structured_output(City, method="json_mode").invoke("Hi") == City(name="Rome")

    text = server.bodies[0]["text"]
    assert (text["verbosity"], text["format"]["type"], text["format"]["name"]) == ("low", "json_schema", "City")
    assert text["format"].get("strict") is strict
    assert server.bodies[1]["text"] == {"verbosity": "low", "format": {"type": "json_object"}}
    with serving(call('{"name": "Rome"}', name="City")) as server:
        assert chat_on(server).with_structured_output(City, method="function_calling").invoke("Hi") == City(name="Rome")
    assert server.bodies[0]["tool_choice"] == {"type": "function", "name": "City"}


def test_the_fields_of_the_api() -> None:
    """In the constructor, and bound to a call."""
    fields: dict[str, Any] = {
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low", "summary": "auto"},
        "truncation": "auto",
    }
    with serving(message("Hello")) as server:
        chat = chat_on(server, max_tokens=5, model_kwargs={"metadata": {"a": "b"}}, **fields)
        chat.bind(conversation="conv_1", instructions="Be brief.").invoke("Hi", store=True)

    sent = server.bodies[0]
    assert {**fields, "store": True, "max_output_tokens": 5} == {
        name: sent[name] for name in (*fields, "max_output_tokens")
    }
    assert (sent["conversation"], sent["instructions"], sent["metadata"]) == ("conv_1", "Be brief.", {"a": "b"})
    assert chat._identifying_params["store"] is False


def test_the_last_response_stands_for_the_conversation() -> None:
    """Its id is sent, and the messages after it; a message without such an id is none."""
    with serving(message("Hello")) as server:
        chat = chat_on(server, use_previous_response_id=True)
        first = chat.invoke("I am Bob.")
        other = AIMessage("Hm.", response_metadata={"id": "chatcmpl-1"})
        chat.invoke([HumanMessage("I am Bob."), first, HumanMessage("Who am I?")])
        chat.invoke([HumanMessage("I am Bob."), other, HumanMessage("Who am I?")])

    bodies = server.bodies
    assert "previous_response_id" not in bodies[0]
    assert bodies[1]["previous_response_id"] == "resp_1"
    assert [item["content"] for item in bodies[1]["input"]] == ["Who am I?"]
    assert "previous_response_id" not in bodies[2]
    assert len(bodies[2]["input"]) == 3


class Errors(BaseCallbackHandler):
    """Keeps the partial text of `on_llm_error`."""

    def __init__(self) -> None:
        self.partials: list[str] = []

    def on_llm_error(self, error: BaseException, *, response: Any = None, **kwargs: Any) -> None:
        self.partials.append(error.partial.text)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("end", "kind"), [([failed()], StreamFailure), ([], StreamInterrupted)], ids=["failed", "interrupted"]
)
def test_a_stream_that_fails_raises(end: list[Json], kind: type[Exception]) -> None:
    """With the output so far, on every path; `[DONE]` is no success."""
    events = [created(), text_delta("Hel"), text_delta("lo"), *end]
    with scripted(lambda _: events) as server:
        chat, errors = chat_on(server), Errors()
        config: Any = {"callbacks": [errors]}
        for run in (
            lambda: list(chat.stream("Hi", config)),
            lambda: asyncio.run(gather(chat.astream("Hi", config))),
            lambda: chat.invoke("Hi", config, stream=True),
            lambda: list(chat.stream_events("Hi", config, version="v3")),
        ):
            with pytest.raises(kind) as caught:
                run()
            assert caught.value.partial.text == "Hello"  # type: ignore[attr-defined]

    assert set(errors.partials) == {"Hello"}


@pytest.mark.parametrize("status", ["failed", "queued", "in_progress", "cancelled"])
def test_a_document_that_is_not_complete_raises(status: str) -> None:
    """Whatever output it has."""
    with (
        scripted(lambda _: (200, response(status, [message("Hello")]))) as server,
        pytest.raises((StreamFailure, StreamInterrupted)),
    ):
        chat_on(server).invoke("Hi")


def test_every_platform_has_the_api() -> None:
    """The same request on each; on OCI Generative AI the model is in it."""
    signed: dict[str, Any] = {"auth_type": "none", "max_retries": 0, "use_responses_api": True, "model": "m"}
    with serving(message("Hello")) as server:
        chats = [
            ChatOCIGenAI(service_endpoint=server.url, compartment_id=COMPARTMENT, **signed),
            ChatOCIOpenAI(service_endpoint=server.url, compartment_id=COMPARTMENT, model="m", auth_type="none"),
            ChatSagemakerEndpoint(endpoint_name="e", region_name="us-east-1", endpoint_url=server.url, **signed),
            ChatModelArts(endpoint=server.url, **signed),
            chat_on(server, model="m"),
        ]
        assert [chat.invoke("Hi").text for chat in chats] == ["Hello"] * len(chats)

    user = {"type": "message", "role": "user", "content": "Hi"}
    assert server.bodies == [{"model": "m", "input": [user]}] * len(chats)


#: name: (options of `ChatOCIOpenAI`, the URL, the header of the store)
MOVED: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "a region": (
        {"region": "us-chicago-1", "conversation_store_id": "store_1"},
        "https://inference.generativeai.us-chicago-1.oci.oraclecloud.com/openai/v1/responses",
        "store_1",
    ),
    "an endpoint": ({"service_endpoint": "https://x.example"}, "https://x.example/openai/v1/responses", None),
    "a base URL": ({"base_url": "https://x.example/openai/v1"}, "https://x.example/openai/v1/responses", None),
    "the older base URL": (
        {"base_url": "https://x.example/20231130/actions/v1/"},
        "https://x.example/20231130/actions/v1/responses",
        None,
    ),
    "chat completions": (
        {"region": "us-chicago-1", "use_responses_api": False, "conversation_store_id": "store_1", "store": True},
        "https://inference.generativeai.us-chicago-1.oci.oraclecloud.com/openai/v1/chat/completions",
        None,
    ),
}


@pytest.mark.parametrize(("options", "url", "store"), MOVED.values(), ids=MOVED)
def test_the_class_of_langchain_oci(options: dict[str, Any], url: str, store: str | None) -> None:
    """Its constructor: the URL, the headers, and the transport."""
    chat = ChatOCIOpenAI(model="openai.gpt-4.1", compartment_id=COMPARTMENT, auth_type="none", **options)
    route = chat._resolve_dialect({"messages": []}, stream=True).route
    request = chat.service.platform.build_request(route, b"{}", stream=True, headers={})

    assert request.url == url
    assert request.headers.get("opc-conversation-store-id") == store
    assert request.headers["opc-compartment-id"] == COMPARTMENT
    assert chat.store is None
