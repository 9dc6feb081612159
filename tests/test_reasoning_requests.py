"""Reasoning sent back by the models of both frameworks: agents, every way of asking, and whose reasoning it is."""

import asyncio
import json
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from _scripted_server import ScriptedServer, chat_response, scripted
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, TextBlock, ThinkingBlock, ToolCallBlock
from llama_index.core.memory import ChatMemoryBuffer, Memory

from langchain_mdstream import ChatOCIModelDeployment
from llamaindex_mdstream import OCIDataScience

Json = dict[str, Any]

CALL = {"id": "t1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2, "b": 3}'}}
DEMAND = "The `reasoning_content` in the thinking mode must be passed back to the API."


def demanding(body: Json) -> Any:
    """A server of a thinking model in a tool loop; it rejects a request without the earlier reasoning."""
    messages, stream = body["messages"], bool(body.get("stream"))
    if any(one["role"] == "assistant" and not one.get("reasoning_content") for one in messages):
        return 400, {"error": {"message": DEMAND, "type": "invalid_request_error"}}
    if messages[-1]["role"] == "tool":
        return chat_response({"content": "5", "reasoning_content": "Five."}, stream=stream)
    return chat_response({"reasoning_content": "I add.", "tool_calls": [CALL]}, stream=stream)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def lc(server: ScriptedServer, **options: Any) -> ChatOCIModelDeployment:
    return ChatOCIModelDeployment(endpoint=server.endpoint, auth_type="none", max_retries=0, **options)


def li(server: ScriptedServer, **options: Any) -> OCIDataScience:
    return OCIDataScience(endpoint=server.endpoint, auth_type="none", max_retries=0, **options)


def of_assistants(body: Json) -> list[str | None]:
    return [one.get("reasoning_content") for one in body["messages"] if one["role"] == "assistant"]


METHODS: dict[str, Json] = {
    "whole": {},
    "streamed": {"streaming": True},
    "v1": {"output_version": "v1"},
    "v1 streamed": {"output_version": "v1", "streaming": True},
}


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("options", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize(("model", "refused"), [("odsc-llm", 1), ("deepseek-v4-pro", 0), ("kimi-k2.5", 0)])
def test_a_langchain_agent_continues(model: str, refused: int, options: Json, asynchronous: bool) -> None:
    """
    Over two requests; a model of an unknown name costs one rejected request, and no more.
    """
    with scripted(demanding) as server:
        agent = create_agent(lc(server, model=model, **options), [tool(add)])

        def send_request(messages: list[Any]) -> Json:
            if asynchronous:
                return dict(asyncio.run(agent.ainvoke({"messages": messages})))
            return dict(agent.invoke({"messages": messages}))

        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            first = send_request([HumanMessage("2+3?")])
            second = send_request([*first["messages"], HumanMessage("And again?")])

        assert "5" == first["messages"][-1].text == second["messages"][-1].text
        assert 4 + refused == len(server.bodies)
        assert ["I add.", "Five.", "I add."] == of_assistants(server.bodies[-1])
        assert server.bodies[-1]["messages"][1]["reasoning"] == "I add."


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("memory", [None, Memory, ChatMemoryBuffer])
@pytest.mark.parametrize(("model", "refused"), [("odsc-llm", 1), ("deepseek-v4-pro", 0)])
def test_a_llamaindex_agent_continues(model: str, refused: int, memory: Any, streaming: bool) -> None:
    """
    Its memory keeps thoughts.
    """
    with scripted(demanding) as server:
        agent = FunctionAgent(llm=li(server, model=model), tools=[add], streaming=streaming)

        async def go() -> tuple[str | None, str | None]:
            kept = memory.from_defaults() if memory else None
            first = await agent.run("2+3?", memory=kept)
            second = await agent.run("And again?", memory=kept)
            return first.response.content, second.response.content

        assert ("5", "5") == asyncio.run(go())
        assert 4 + refused == len(server.bodies)
        wanted = ["I add.", "Five.", "I add."] if memory else ["I add."]
        assert wanted == of_assistants(server.bodies[-1])


@pytest.mark.parametrize("call_method", ["chat", "achat", "stream_chat", "astream_chat"])
def test_llamaindex_in_every_method(call_method: str) -> None:
    """
    Sync and async, whole and streamed.
    """
    history = [
        ChatMessage("2+3?"),
        ChatMessage(
            role="assistant",
            blocks=[
                ThinkingBlock(content="I add."),
                ToolCallBlock(tool_call_id="t1", tool_name="add", tool_kwargs={"a": 2, "b": 3}),
            ],
        ),
        ChatMessage(role="tool", content="5", additional_kwargs={"tool_call_id": "t1"}),
    ]

    async def last(model: OCIDataScience) -> Any:
        if call_method == "achat":
            return await model.achat(history)
        return [one async for one in await model.astream_chat(history)][-1]

    with scripted(demanding) as server:
        model = li(server)
        if call_method.startswith("a"):
            response = asyncio.run(last(model))
        else:
            response = model.chat(history) if call_method == "chat" else list(model.stream_chat(history))[-1]

        assert "5" == response.message.content
        assert ["I add."] == of_assistants(server.bodies[-1])
        assert [None] == of_assistants(server.bodies[0])


SIGNED = [{"type": "thinking", "thinking": "secret", "signature": "sig"}, {"type": "text", "text": "Hi"}]
DIALECT: dict[str, tuple[BaseMessage, str | None]] = {
    "ours": (
        AIMessage("Hi", additional_kwargs={"reasoning_content": "Hm."}, response_metadata={"model_provider": "modelarts"}),
        "Hm.",
    ),
    "ours in blocks": (
        AIMessage(
            [{"type": "reasoning", "reasoning": "Hm."}, {"type": "text", "text": "Hi"}],
            response_metadata={"model_provider": "oci_genai"},
        ),
        "Hm.",
    ),
    "nobody's": (AIMessage("Hi", additional_kwargs={"reasoning_content": "Hm."}), "Hm."),
    "DeepSeek's own": (
        AIMessage("Hi", additional_kwargs={"reasoning_content": "Hm."}, response_metadata={"model_provider": "deepseek"}),
        None,
    ),
    "Anthropic's": (AIMessage(SIGNED, response_metadata={"model_provider": "anthropic"}), None),
    "OpenAI's": (
        AIMessage(
            [{"type": "reasoning", "id": "rs_1", "encrypted_content": "…"}, {"type": "text", "text": "Hi"}],
            response_metadata={"model_provider": "openai"},
        ),
        None,
    ),
    "a block of nobody's": (AIMessage([{"type": "reasoning", "reasoning": "Hm."}, {"type": "text", "text": "Hi"}]), None),
}  # fmt: skip


def respond_with_text(body: Json) -> Any:
    return chat_response({"content": "Fine."}, stream=bool(body.get("stream")))


@pytest.mark.parametrize(("message", "wanted"), DIALECT.values(), ids=DIALECT)
def test_langchain_sends_reasoning_of_assistant_messages(message: BaseMessage, wanted: str | None) -> None:
    """Reasoning of mdstream or without a provider; that of other providers is not sent."""
    with scripted(respond_with_text) as server:
        lc(server, send_reasoning="always").invoke([HumanMessage("Hi"), message, HumanMessage("And?")])

        assert [wanted] == of_assistants(server.bodies[-1])
        assert "secret" not in json.dumps(server.bodies)


THOUGHTS: dict[str, tuple[ChatMessage, str | None]] = {
    "ours": (ChatMessage(role="assistant", blocks=[ThinkingBlock(content="Hm."), TextBlock(text="Hi")]), "Hm."),
    "in the message's kwargs": (ChatMessage(role="assistant", content="Hi", additional_kwargs={"reasoning_content": "Hm."}), "Hm."),
    "signed": (
        ChatMessage(
            role="assistant",
            blocks=[ThinkingBlock(content="secret", additional_information={"signature": "sig"}), TextBlock(text="Hi")],
        ),
        None,
    ),
    "empty": (ChatMessage(role="assistant", blocks=[ThinkingBlock(content=None), TextBlock(text="Hi")]), None),
    "of a chatbot": (ChatMessage(role="chatbot", blocks=[ThinkingBlock(content="Hm."), TextBlock(text="Hi")]), "Hm."),
}  # fmt: skip


@pytest.mark.parametrize(("message", "wanted"), THOUGHTS.values(), ids=THOUGHTS)
def test_llamaindex_sends_reasoning_of_assistant_messages(message: ChatMessage, wanted: str | None) -> None:
    """
    Blocks without a signature.
    """
    with scripted(respond_with_text) as server:
        li(server, send_reasoning="always").chat([ChatMessage("Hi"), message, ChatMessage("And?")])

        assert [wanted] == of_assistants(server.bodies[-1])
        assert "secret" not in json.dumps(server.bodies)


@pytest.mark.parametrize("mode", ["never", "tool_turns", "always"])
@pytest.mark.parametrize("build", [lc, li])
def test_the_field_of_both_frameworks(build: Callable[..., Any], mode: str) -> None:
    """
    It counts more than the family.
    """
    call = {"name": "add", "args": {"a": 2, "b": 3}, "id": "t1"}
    thought = {"reasoning_content": "I add."}
    of_langchain = [
        *[
            HumanMessage("2+3?"),
            AIMessage("5", additional_kwargs={"reasoning_content": "Five."}),
            HumanMessage("Again"),
        ],
        *[AIMessage("", tool_calls=[call], additional_kwargs=thought), ToolMessage("5", tool_call_id="t1")],
    ]
    of_llamaindex = [
        *[ChatMessage("2+3?"), ChatMessage(role="assistant", blocks=[ThinkingBlock(content="Five."), TextBlock(text="5")])],
        ChatMessage("Again"),
        ChatMessage(role="assistant", blocks=[ThinkingBlock(content="I add."), ToolCallBlock(tool_call_id="t1", tool_name="add")]),
        ChatMessage(role="tool", content="5", additional_kwargs={"tool_call_id": "t1"}),
    ]  # fmt: skip
    wanted = {"never": [None, None], "tool_turns": [None, "I add."], "always": ["Five.", "I add."]}
    with scripted(respond_with_text) as server:
        model = build(server, model="deepseek-v4-pro", send_reasoning=mode)
        if build is lc:
            model.invoke(of_langchain)
        else:
            model.chat(of_llamaindex)

        assert wanted[mode] == of_assistants(server.bodies[-1])


def test_a_copy_has_its_own_memory() -> None:
    """Rules belong to the model object and the model name."""
    messages = [
        HumanMessage("2+3?"),
        AIMessage("5", additional_kwargs={"reasoning_content": "Five."}),
        HumanMessage("So?"),
    ]
    with scripted(demanding) as server:
        chat = lc(server)
        chat.invoke(messages)
        chat.invoke(messages)
        chat.bind(model="other").invoke(messages)
        chat.model_copy(update={"temperature": 0.1}).invoke(messages)

        assert [False, True, True, False, True, False, True] == [bool(of_assistants(one)[0]) for one in server.bodies]
