"""OpenAI's Responses API in LlamaIndex: on each platform, with reasoning and built-in tools sent back."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from _llamaindex_platforms import ACCOUNTS, RESPONSES_CASES, PlatformCase
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ImageBlock, TextBlock, ThinkingBlock
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from llamaindex_mdstream import MDStreamLLM, OCIGenAI
from mdstream_core import MDStreamError, errors
from mdstream_core.emulator import Emulator, Fault, ModelOutput, ToolCall

OUTPUT = "The Nile, the Amazon and the Danube."
MESSAGES = [ChatMessage("Name three rivers.")]
REASONING = {"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")  # fmt: skip

each_platform = pytest.mark.parametrize("platform_case", RESPONSES_CASES.values(), ids=RESPONSES_CASES)


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator(**ACCOUNTS) as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The emulator, reset."""
    shared_emulator.reset()
    return shared_emulator


@pytest.fixture
def llm(emulator: Emulator, platform_case: PlatformCase) -> Iterator[MDStreamLLM]:
    """A model without retries."""
    with platform_case.build(emulator, max_retries=0) as model:
        yield model


@pytest.fixture
def genai(emulator: Emulator) -> Iterator[MDStreamLLM]:
    """OCI Generative AI, which has all of the API."""
    with RESPONSES_CASES["genai"].build(emulator, max_retries=0) as model:
        yield model


def sent_payload(emulator: Emulator) -> dict[str, Any] | None:
    """The payload of the last request; `None` for one on a WebSocket, which is recorded without its messages."""
    return emulator.last.json if emulator.last.body else None


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def get_weather(city: str) -> str:
    """Get the weather in a city."""
    return f"17 degrees in {city}"


@each_platform
async def test_deltas_add_up(emulator: Emulator, llm: MDStreamLLM) -> None:
    """
    All methods return the same text, usage and id of a response.
    """
    streamed = list(llm.stream_chat(MESSAGES))
    awaited = [response async for response in await llm.astream_chat(MESSAGES)]
    whole = [llm.chat(MESSAGES), await llm.achat(MESSAGES)]

    assert "input" in (sent_payload(emulator) or {"input": None})
    assert [response.delta for response in streamed] == [response.delta for response in awaited]
    assert OUTPUT == "".join(response.delta or "" for response in streamed)
    for response in (streamed[-1], awaited[-1], *whole):
        assert (OUTPUT, "stop") == (response.message.content, response.additional_kwargs["finish_reason"])
        assert response.raw["id"].startswith("resp_")
        assert response.raw["usage"]["total_tokens"] == whole[0].raw["usage"]["total_tokens"] > 0
        assert ["message"] == [item["type"] for item in response.message.additional_kwargs["output_items"]]
    assert OUTPUT == llm.complete("Name three rivers.").text
    assert OUTPUT == [*llm.stream_complete("Name three rivers.")][-1].text
    await llm.aclose()


@each_platform
def test_parallel_calls(llm: MDStreamLLM) -> None:
    """
    Two calls, streamed and not, also where their deltas alternate; their results are sent back.
    """
    tool = FunctionTool.from_defaults(get_weather)
    question = ChatMessage("What is the weather in Paris and in Tokyo?")
    options: dict[str, Any] = {"chat_history": [question], "allow_parallel_tool_calls": True}
    *_, streamed = llm.stream_chat_with_tools([tool], **options)
    for response in (streamed, llm.chat_with_tools([tool], **options)):
        calls = llm.get_tool_calls_from_response(response)
        assert [{"city": "Paris"}, {"city": "Tokyo"}] == [call.tool_kwargs for call in calls]
        results = [
            ChatMessage(
                role="tool", content=get_weather(**call.tool_kwargs), additional_kwargs={"tool_call_id": call.tool_id}
            )
            for call in calls
        ]
        answer = llm.chat_with_tools([tool], chat_history=[question, response.message, *results])
        assert "The tool says: 17 degrees in Paris; 17 degrees in Tokyo" == answer.message.content


@each_platform
@pytest.mark.parametrize("streaming", [True, False])
async def test_agents_use_tools_in_two_turns(emulator: Emulator, llm: MDStreamLLM, streaming: bool) -> None:
    """
    Calls and their results are sent back with their ids, in the second turn too.
    """
    agent = FunctionAgent(llm=llm, tools=[add], streaming=streaming)
    memory = ChatMemoryBuffer.from_defaults(token_limit=10_000)
    first = await agent.run("add(2, 3)", memory=memory)
    second = await agent.run("add(4, 5)", memory=memory)

    assert ("The tool says: 5", "The tool says: 9") == (first.response.content, second.response.content)
    if payload := sent_payload(emulator):
        kinds = [item["type"] for item in payload["input"] if item["type"] != "message"]
        assert ["function_call", "function_call_output"] * 2 == kinds
    await llm.aclose()


class River(BaseModel):
    """A river."""

    name: str
    length: int


@each_platform
async def test_structured_output(emulator: Emulator, llm: MDStreamLLM) -> None:
    """
    By a tool call, and by `text.format`.
    """
    prompt = PromptTemplate("The Nile is 6650 km long.")
    for should_use in (False, True):
        llm.should_use_structured_outputs = should_use
        assert 6650 == llm.structured_predict(River, prompt).length
        assert 6650 == (await llm.astructured_predict(River, prompt)).length
        if payload := sent_payload(emulator):
            assert should_use == ("json_schema" == payload.get("text", {}).get("format", {}).get("type"))
    await llm.aclose()


@each_platform
def test_tokens_are_counted(llm: MDStreamLLM) -> None:
    """
    By LlamaIndex's callback handler, from the usage of the last event.
    """
    counter = TokenCountingHandler()
    llm.callback_manager = CallbackManager([counter])
    *_, last = llm.stream_chat(MESSAGES)

    assert last.raw["usage"]["total_tokens"] == counter.total_llm_token_count > 0


@each_platform
def test_images(emulator: Emulator, llm: MDStreamLLM) -> None:
    """
    In user messages and in results of tools.
    """
    message = ChatMessage(role="user", blocks=[TextBlock(text="What is this?"), ImageBlock(image=PIXEL)])
    assert "I see an image" in str(llm.chat([message]).message.content)
    result = ChatMessage(role="tool", blocks=[ImageBlock(image=PIXEL)], additional_kwargs={"tool_call_id": "call_1"})
    call = {"id": "call_1", "type": "function", "function": {"name": "show", "arguments": "{}"}}
    request = ChatMessage(role="assistant", content="", additional_kwargs={"tool_calls": [call]})
    llm.chat([*MESSAGES, request, result])

    if payload := sent_payload(emulator):
        assert "input_image" == payload["input"][-1]["output"][0]["type"]


@each_platform
async def test_no_half_call_is_executed(llm: MDStreamLLM) -> None:
    """
    Of a response that reached its limit in the arguments, also where it ends with `response.completed`.
    """
    tool = FunctionTool.from_defaults(get_weather)
    messages = [ChatMessage("What is the weather in Paris?")]
    for call in (
        lambda: llm.chat_with_tools([tool], chat_history=messages, max_tokens=6),
        lambda: [*llm.stream_chat_with_tools([tool], chat_history=messages, max_tokens=6)],
    ):
        with pytest.raises(errors.IncompleteToolCall):
            call()


# Reasoning


def test_reasoning_is_a_block_that_is_sent_back(emulator: Emulator, genai: MDStreamLLM) -> None:
    """
    With its id and encrypted content; the service verifies both, and that nothing was left out.
    """
    tool = FunctionTool.from_defaults(get_weather)
    question = ChatMessage("What is the weather in Paris?")
    for store in (True, False):
        options = {**REASONING, "store": store}
        for stream in (True, False):
            params: dict[str, Any] = {"chat_history": [question], **options}
            response = [*genai.stream_chat_with_tools([tool], **params)][-1] if stream else genai.chat_with_tools([tool], **params)  # fmt: skip
            thinking = response.message.blocks[0]
            assert isinstance(thinking, ThinkingBlock)
            assert thinking.content is not None
            assert thinking.content.startswith("The user says: What is the weather in Paris?")
            assert {"id", "encrypted_content"} <= thinking.additional_information.keys()
            (call,) = genai.get_tool_calls_from_response(response)
            result = ChatMessage(role="tool", content="17", additional_kwargs={"tool_call_id": call.tool_id})
            history = [question, response.message, result]
            assert "The tool says: 17" == genai.chat_with_tools([tool], chat_history=history, **options).message.content
            reasoning = emulator.last.json["input"][1]
            assert "reasoning" == reasoning["type"]
            assert thinking.additional_information["encrypted_content"] == reasoning["encrypted_content"]


def test_messages_survive_serialization(genai: MDStreamLLM) -> None:
    """
    A conversation that was stored as JSON continues with its items.
    """
    response = genai.chat(MESSAGES, store=False, **REASONING)
    restored = ChatMessage.model_validate_json(response.message.model_dump_json())
    history = [*MESSAGES, restored, ChatMessage("What is the capital of France?")]

    assert "The capital of France is Paris." == genai.chat(history, store=False, **REASONING).message.content


def test_reasoning_of_llamaindexs_own_class(emulator: Emulator, genai: MDStreamLLM) -> None:
    """
    `OpenAIResponses` has the id and the encrypted content in the block only.
    """
    response = genai.chat(MESSAGES, store=False, **REASONING)
    block = response.message.blocks[0]
    message = ChatMessage(role="assistant", blocks=[block, TextBlock(text=OUTPUT)])
    genai.chat([*MESSAGES, message, ChatMessage("Hello")], store=False, **REASONING)

    kinds = [item["type"] for item in emulator.last.json["input"]]
    assert ["message", "reasoning", "message", "message"] == kinds


def test_reasoning_is_not_sent_if_not_wanted(emulator: Emulator) -> None:
    """
    `send_reasoning="never"`.
    """
    with RESPONSES_CASES["genai"].build(emulator, max_retries=0, send_reasoning="never") as llm:
        response = llm.chat(MESSAGES, store=False, **REASONING)
        llm.chat([*MESSAGES, response.message, ChatMessage("Hello")], store=False)

    assert ["message"] * 3 == [item["type"] for item in emulator.last.json["input"]]


def test_reasoning_text_of_vllm(emulator: Emulator) -> None:
    """
    Streamed as `thinking_delta`, and a block at the end.
    """
    with RESPONSES_CASES["deployment"].build(emulator, max_retries=0) as llm:
        responses = list(llm.stream_chat(MESSAGES, reasoning={"effort": "low"}))
    deltas = "".join(response.additional_kwargs.get("thinking_delta", "") for response in responses)

    (block,) = [block for block in responses[-1].message.blocks if isinstance(block, ThinkingBlock)]
    assert deltas == block.content
    assert deltas.startswith("The user says")


# Built-in tools, stored responses


def test_built_in_tools(emulator: Emulator, genai: MDStreamLLM) -> None:
    """
    Are passed through; their items are in the message, streamed and not, and sent back.
    """
    tools: list[Any] = [{"type": "web_search"}, {"type": "code_interpreter", "container": {"type": "auto"}}]
    *_, streamed = genai.stream_chat(MESSAGES, tools=tools)
    whole = genai.chat(MESSAGES, tools=tools)
    assert tools == emulator.last.json["tools"]
    for response in (streamed, whole):
        kwargs = response.message.additional_kwargs
        kinds = ["web_search_call", "code_interpreter_call"]
        assert kinds == [item["type"] for item in kwargs["built_in_tool_calls"]]
        (annotation,) = kwargs["output_items"][-1]["content"][0]["annotations"]
        assert "url_citation" == annotation["type"]
        genai.chat([*MESSAGES, response.message, ChatMessage("Hello")])
        sent = [item["type"] for item in emulator.last.json["input"]]
        assert ["message", *kinds, "message", "message"] == sent


def test_previous_response_id(emulator: Emulator, genai: MDStreamLLM) -> None:
    """
    A stored response is continued by its id, in a call and by `additional_kwargs`.
    """
    id = genai.chat([ChatMessage("My name is Ada.")]).raw["id"]
    question = [ChatMessage("What is my name?")]
    assert "Your name is Ada." == genai.chat(question, previous_response_id=id).message.content
    genai.additional_kwargs = {"previous_response_id": id}
    assert "Your name is Ada." == [*genai.stream_chat(question)][-1].message.content
    genai.additional_kwargs = {"previous_response_id": "resp_unknown"}
    with pytest.raises(errors.InvalidRequest, match="not found"):
        genai.chat(question)


def test_the_conversation_store_is_sent(emulator: Emulator) -> None:
    """
    Without it the service rejects requests that are to be stored.
    """
    address = emulator.oci_genai
    fields: dict[str, Any] = {
        "model": "openai.gpt-5",
        "service_endpoint": address.endpoint,
        "compartment_id": address.compartment_id,
        "auth_type": "none",
        "dialect": "openai-responses",
        "temperature": None,
    }
    with OCIGenAI(**fields) as llm:
        with pytest.raises(errors.InvalidRequest, match="opc-conversation-store-id"):
            llm.chat(MESSAGES)
        assert OUTPUT == llm.chat(MESSAGES, store=False).message.content
    with OCIGenAI(**fields, conversation_store_id=address.conversation_store_id) as llm:
        assert OUTPUT == llm.chat(MESSAGES).message.content
    assert address.conversation_store_id == emulator.last.headers["opc-conversation-store-id"]


# Endings


@pytest.mark.parametrize("fault", [None, Fault("responses_events", "only_ends"), Fault("responses_events", "no_done")])
def test_nothing_is_lost(emulator: Emulator, genai: MDStreamLLM, fault: Fault | None) -> None:
    """
    Text, reasoning, calls and refusals, whatever the server repeats.
    """
    calls = (ToolCall("call_1", "add", ('{"a": 2, ', '"b": 3}')), ToolCall("call_2", "add", ("{}",)))
    model = lambda request: ModelOutput(("One", " two"), ("Hm", "m"), calls, "tool_calls")  # noqa: E731
    with Emulator(model=model) as own, RESPONSES_CASES["deployment"].build(own, max_retries=0) as llm:
        own.script(fault)
        *_, last = llm.stream_chat(MESSAGES, tools=[FunctionTool.from_defaults(add)], allow_parallel_tool_calls=True)
    emulator.script(fault)
    *_, refused = genai.stream_chat([ChatMessage("Please refuse this.")])

    assert "One two" == last.message.content
    assert "Hmm" == last.message.blocks[0].content
    assert ["call_1", "call_2"] == [call["id"] for call in last.message.additional_kwargs["tool_calls"]]
    assert refused.message.additional_kwargs["refusal"].startswith("I'm sorry")


@pytest.mark.parametrize(
    ("reason", "expected"), [("length", "length"), ("content_filter", "content_filter"), ("stop", "stop")]
)
def test_finish_reasons(emulator: Emulator, genai: MDStreamLLM, reason: str, expected: str) -> None:
    """
    Of incomplete responses.
    """
    emulator.script(Fault("finish_reason", reason), Fault("finish_reason", reason))
    *_, streamed = genai.stream_chat(MESSAGES)

    for response in (streamed, genai.chat(MESSAGES)):
        assert expected == response.additional_kwargs["finish_reason"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("choice_error"), Fault("choice_error", "later_stop", after=6), Fault("choice_error", "with_stop"),
        Fault("finish_reason", "error"), Fault("finish_reason", "abort"), Fault("responses_events", "still_running"),
        Fault("responses_events", "other_text"),
    ],
    ids=lambda fault: f"{fault.kind} {fault.spelling}",
)  # fmt: skip
async def test_failures_are_no_success(emulator: Emulator, genai: MDStreamLLM, fault: Fault) -> None:
    """
    Whatever says that the response failed, or contradicts itself; the partial response has what was received.
    """
    emulator.always(fault)
    with pytest.raises(MDStreamError) as caught:
        list(genai.stream_chat(MESSAGES))
    with pytest.raises(type(caught.value)):
        _ = [response async for response in await genai.astream_chat(MESSAGES)]

    assert isinstance(caught.value, errors.StreamError)
    assert caught.value.partial_response is not None
    await genai.aclose()


@pytest.mark.parametrize("spelling", ["", "two_objects", "list"])
def test_invalid_arguments_are_no_call(emulator: Emulator, genai: MDStreamLLM, spelling: str) -> None:
    """
    Arguments that are not one JSON object, streamed and not.
    """
    options: dict[str, Any] = {"user_msg": "add(2, 3)", "tools": [FunctionTool.from_defaults(add)]}
    emulator.always(Fault("tool_arguments", spelling))
    for read in (genai.chat_with_tools, lambda **options: [*genai.stream_chat_with_tools(**options)][-1]):
        with pytest.raises(errors.MalformedStream):
            genai.get_tool_calls_from_response(read(**options))
