"""The fields of LlamaIndex's LLM classes for OpenAI's Responses API: as in LangChain, on each platform."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from _llamaindex_platforms import ACCOUNTS, PLATFORM_CASES, RESPONSES_CASES, PlatformCase
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.tools import FunctionTool

import langchain_mdstream
import llamaindex_mdstream
from langchain_mdstream._responses_fields import ResponsesFields
from llamaindex_mdstream import MDStreamLLM, OCIDataScience
from mdstream_core import errors
from mdstream_core.emulator import Emulator

OUTPUT = "The Nile, the Amazon and the Danube."
MESSAGES = [ChatMessage("Name three rivers.")]
ADA = ChatMessage("My name is Ada.")
NAME = ChatMessage("What is my name?")

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


def create(emulator: Emulator, platform_case: PlatformCase, **fields: Any) -> MDStreamLLM:
    """A model whose dialect is set by `use_responses_api` only."""
    return platform_case.build(emulator, max_retries=0, dialect=None, use_responses_api=True, **fields)


def sent_payloads(emulator: Emulator) -> list[dict[str, Any]]:
    """The payloads of the requests; none of those on a WebSocket, which are recorded without their messages."""
    return [request.json for request in emulator.requests if request.body]


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


#: Each class of an LLM, and LangChain's for the same platform.
SAME_PLATFORM = {
    "OCIDataScience": "ChatOCIModelDeployment",
    "OCIGenAI": "ChatOCIGenAI",
    "SageMakerLLM": "ChatSagemakerEndpoint",
    "ModelArts": "ChatModelArts",
}


@pytest.mark.parametrize(("llm", "chat"), SAME_PLATFORM.items(), ids=SAME_PLATFORM)
def test_fields_are_those_of_langchain(llm: str, chat: str) -> None:
    """
    The same names and defaults; the tools that LangChain binds are a field here.
    """
    ours: dict[str, Any] = getattr(llamaindex_mdstream, llm).model_fields
    theirs: dict[str, Any] = getattr(langchain_mdstream, chat).model_fields
    names = [*inspect.get_annotations(ResponsesFields), *({"conversation_store_id"} & theirs.keys())]

    assert {name: theirs[name].default for name in names} == {name: ours[name].default for name in names}
    assert {"use_responses_api", "store"} <= set(names)
    assert ours["built_in_tools"].default is None


@each_platform
def test_the_dialect_is_chosen(emulator: Emulator, platform_case: PlatformCase) -> None:
    """
    As by `dialect`, for all methods, and after serialization.
    """
    with create(emulator, platform_case) as llm:
        restored = type(llm).from_dict(llm.to_dict())
        assert "openai-responses" == llm.dialect == restored.dialect
        assert OUTPUT == llm.chat(MESSAGES).message.content
        assert OUTPUT == [*llm.stream_complete("Name three rivers.")][-1].text
    assert all("input" in payload and "messages" not in payload for payload in sent_payloads(emulator))


@pytest.mark.parametrize("platform_case", PLATFORM_CASES.values(), ids=PLATFORM_CASES)
@pytest.mark.parametrize("value", [None, False])
def test_the_dialect_stays(emulator: Emulator, platform_case: PlatformCase, value: bool | None) -> None:
    """
    `None` and `False` change nothing.
    """
    with platform_case.build(emulator, use_responses_api=value) as llm:
        assert llm.dialect != "openai-responses"
        assert OUTPUT == llm.chat(MESSAGES).message.content


def test_two_dialects_are_an_error() -> None:
    """
    And the peer's field whose state this class does not keep names the other one.
    """
    with pytest.raises(ValueError, match="use_responses_api and dialect both"):
        OCIDataScience(endpoint="http://127.0.0.1:1/ocid1.x", use_responses_api=True, dialect="openai-chat")
    with pytest.raises(ValueError, match="did you mean 'use_previous_response_id'"):
        OCIDataScience(endpoint="http://127.0.0.1:1/ocid1.x", track_previous_responses=True)  # type: ignore[call-arg]


@each_platform
def test_fields_are_sent(emulator: Emulator, platform_case: PlatformCase) -> None:
    """
    Under their own names, streamed and not; a call and `additional_kwargs` override them.
    """
    fields: dict[str, Any] = {
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low", "summary": "auto"},
        "truncation": "auto",
    }
    with create(emulator, platform_case, **fields) as llm:
        llm.chat(MESSAGES)
        list(llm.stream_chat(MESSAGES))
        llm.complete("Name three rivers.")
        llm.chat(MESSAGES, store=True)
    *first, overridden = sent_payloads(emulator) or [fields, {**fields, "store": True}]

    for payload in first:
        assert fields == {name: payload[name] for name in fields}
    assert {**fields, "store": True} == {name: overridden[name] for name in fields}


def test_names_of_openai_responses(emulator: Emulator) -> None:
    """
    `reasoning_options` and `max_output_tokens` of LlamaIndex's class, as fields and as attributes.
    """
    with create(emulator, RESPONSES_CASES["genai"], reasoning_options={"effort": "low"}, max_output_tokens=64) as llm:
        llm.chat(MESSAGES)
        assert ({"effort": "low"}, 64) == (llm.reasoning_options, llm.max_output_tokens)

    assert {"effort": "low"} == emulator.last.json["reasoning"]
    assert 64 == emulator.last.json["max_output_tokens"]


@each_platform
@pytest.mark.parametrize("stream", [True, False])
def test_the_last_response_stands_for_the_conversation(
    emulator: Emulator, platform_case: PlatformCase, stream: bool
) -> None:
    """
    Its id is sent, and the messages after it; also if the conversation was stored as JSON.
    """
    with create(emulator, platform_case, use_previous_response_id=True) as llm:
        first = [*llm.stream_chat([ADA])][-1] if stream else llm.chat([ADA])
        id = first.message.additional_kwargs["response_id"]
        restored = ChatMessage.model_validate_json(first.message.model_dump_json())
        assert "Your name is Ada." == llm.chat([ADA, restored, NAME]).message.content
        assert "Your name is Ada." == [*llm.stream_chat([ADA, restored, NAME])][-1].message.content

    assert id == first.raw["id"]
    for payload in sent_payloads(emulator)[1:]:
        assert (id, ["What is my name?"]) == (
            payload["previous_response_id"],
            [item["content"] for item in payload["input"]],
        )


async def test_an_agent_sends_only_what_is_new(emulator: Emulator) -> None:
    """
    The result of a tool after the response with its call; the next question in a second turn.
    """
    llm = create(emulator, RESPONSES_CASES["genai"], use_previous_response_id=True)
    agent = FunctionAgent(llm=llm, tools=[add])
    memory = ChatMemoryBuffer.from_defaults(token_limit=10_000)
    outputs = [str((await agent.run(text, memory=memory)).response.content) for text in ("add(2, 3)", "add(4, 5)")]
    await llm.aclose()

    assert ["The tool says: 5", "The tool says: 9"] == outputs
    kinds = [[item["type"] for item in payload["input"]] for payload in sent_payloads(emulator)]
    assert [["message"], ["function_call_output"]] * 2 == kinds


def test_an_own_id_is_kept(emulator: Emulator) -> None:
    """
    `previous_response_id` of a call or of `additional_kwargs`: all messages are sent with it.
    """
    other = ChatMessage(role="assistant", content="Hm.", additional_kwargs={"response_id": "resp_other"})
    history = [MESSAGES[0], other, NAME]
    with create(emulator, RESPONSES_CASES["genai"], use_previous_response_id=True) as llm:
        id = llm.chat([ADA]).message.additional_kwargs["response_id"]
        assert "Your name is Ada." == llm.chat(history, previous_response_id=id).message.content
        llm.additional_kwargs = {"previous_response_id": id}
        assert "Your name is Ada." == llm.chat(history).message.content
        llm.additional_kwargs = {"previous_response_id": None}
        assert "Your name is Ada." != llm.chat(history).message.content

    *own, none = sent_payloads(emulator)[1:]
    assert [(id, 3)] * 2 == [(payload["previous_response_id"], len(payload["input"])) for payload in own]
    assert "previous_response_id" not in none
    assert 3 == len(none["input"])


@each_platform
def test_messages_of_other_apis_have_no_id(emulator: Emulator, platform_case: PlatformCase) -> None:
    """
    The whole conversation is sent after a chat completion.
    """
    with PLATFORM_CASES["deployment"].build(emulator) as chat:
        other = chat.chat([ADA]).message
    emulator.reset()
    with create(emulator, platform_case, use_previous_response_id=True) as llm:
        assert "Your name is Ada." == llm.chat([ADA, other, NAME]).message.content

    for payload in sent_payloads(emulator):
        assert "previous_response_id" not in payload
        assert 3 == len(payload["input"])


def test_built_in_tools_of_each_request(emulator: Emulator) -> None:
    """
    Beside the tools of a call, which an agent needs, because it accepts functions only.
    """
    search = {"type": "web_search"}
    with create(emulator, RESPONSES_CASES["genai"], built_in_tools=[search]) as llm:
        plain = llm.chat(MESSAGES)
        llm.chat_with_tools([FunctionTool.from_defaults(add)], user_msg="add(2, 3)")
        llm.additional_kwargs = {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}
        llm.chat(MESSAGES)

    assert ["web_search_call"] == [item["type"] for item in plain.message.additional_kwargs["built_in_tool_calls"]]
    kinds = [[tool["type"] for tool in payload["tools"]] for payload in sent_payloads(emulator)]
    assert [["web_search"], ["web_search", "function"], ["web_search", "code_interpreter"]] == kinds
    with (
        PLATFORM_CASES["deployment"].build(emulator, built_in_tools=[search]) as chat,
        pytest.raises(errors.InvalidRequest, match="'web_search'"),
    ):
        chat.chat(MESSAGES)
