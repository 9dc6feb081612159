"""Reasoning of earlier responses: which models get it back, under which name, and what servers say about it."""

import asyncio
import json
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from _scripted import Scripted, chat_response, scripted
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, TextBlock, ThinkingBlock, ToolCallBlock
from llama_index.core.memory import ChatMemoryBuffer, Memory

from langchain_mdstream import ChatOCIModelDeployment
from llamaindex_mdstream import OCIDataScience
from mdstream_core import ReasoningHistory, dialect
from mdstream_core.dialects import ReasoningRule
from mdstream_core.dialects._reasoning_history import default_send_reasoning
from mdstream_core.errors import ContextOverflow, InvalidRequest, MDStreamError, ServerError

Json = dict[str, Any]

CALL = {"id": "t1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2, "b": 3}'}}
ASSISTANT = {"role": "assistant", "content": "5", "reasoning_content": "Five."}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "I add."}
RESULT = {"role": "tool", "tool_call_id": "t1", "content": "5"}
USER = {"role": "user", "content": "2+3?"}

#: user, call, result, answer; user, answer; user, call, result
HISTORY: list[Json] = [USER, CALLING, RESULT, ASSISTANT, USER, ASSISTANT, USER, CALLING, RESULT]

MODES: dict[str, list[int]] = {"never": [], "tool_turns": [7], "always": [1, 3, 5, 7]}

FAMILIES = {
    "always": [
        *("DeepSeek-V3.2", "deepseek-ai/DeepSeek-V3.2-Exp", "deepseek-v3-2", "deepseek-v4-pro", "DeepSeek-V4.1-Flash"),
        *("moonshotai/Kimi-K2-Thinking", "kimi-k2-thinking-turbo", "kimi-k2.5", "Kimi-K2.6", "kimi-k3"),
    ],
    "tool_turns": ["zai-org/GLM-4.5-Air", "glm-4.6", "GLM-5", "MiniMaxAI/MiniMax-M2", "minimax-m2.5", "openai/gpt-oss-20b"],
    "never": [
        *("", "odsc-llm", "deepseek-ai/DeepSeek-R1", "DeepSeek-V3", "deepseek-v3.1", "deepseek-v3-250324"),
        *("kimi-k2-0905-preview", "glm-4-9b-chat", "Qwen/Qwen3-32B", "openai.gpt-oss-120b", "xai.grok-4", "MiniMax-M1"),
    ],
}  # fmt: skip


def body_of(messages: list[Json], mode: Any, name: str = "openai-chat", **question: Any) -> list[Json]:
    asked = {"messages": messages, **question}
    sent: list[Json] = ReasoningHistory(dialect(name), mode).body(asked, stream=False)["messages"]
    return sent


@pytest.mark.parametrize(("mode", "places"), MODES.items(), ids=MODES)
@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("openai-chat", {"reasoning_content", "reasoning"}),
        ("auto", {"reasoning_content", "reasoning"}),
        ("oci-generic", {"reasoningContent"}),
        ("oci-generic-openai", {"reasoningContent"}),
    ],
)
def test_which_messages_have_their_reasoning(mode: Any, places: list[int], name: str, fields: set[str]) -> None:
    """
    Under both names in the OpenAI shape, under its own in OCI's; the question is left alone.
    """
    before = json.dumps(HISTORY)
    sent = body_of(HISTORY, mode, name)
    every = {"reasoning_content", "reasoning", "reasoningContent"}
    found = {at: every & message.keys() for at, message in enumerate(sent) if every & message.keys()}

    assert dict.fromkeys(places, fields) == found
    assert before == json.dumps(HISTORY)


def test_cohere_s_second_format_has_it_as_a_part() -> None:
    """
    The first format has no place for it.
    """
    sent = body_of([USER, ASSISTANT], "always", "oci-cohere-v2")
    first = ReasoningHistory(dialect("oci-cohere"), "always").body({"messages": [USER, ASSISTANT, USER]}, stream=False)

    assert [{"type": "THINKING", "thinking": "Five."}, {"type": "TEXT", "text": "5"}] == sent[1]["content"]
    assert "Five." not in json.dumps(first)


@pytest.mark.parametrize(("model", "mode"), [(model, mode) for mode, models in FAMILIES.items() for model in models])
def test_families(model: str, mode: str) -> None:
    """
    By the model's name, where nothing is said.
    """
    assert mode == default_send_reasoning(model)
    found = [at for at, one in enumerate(body_of(HISTORY, None, model=model)) if "reasoning" in one]
    assert MODES[mode] == found


def test_pictures_of_a_tool_do_not_begin_a_turn() -> None:
    """
    They stand in a message of the user's behind the result.
    """
    shown = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}

    assert "I add." == body_of([USER, CALLING, RESULT, shown], "tool_turns")[1]["reasoning_content"]


def refusal(words: str, status: int = 400, raw: str = "") -> InvalidRequest:
    return InvalidRequest(words, status=status, raw=raw or json.dumps({"error": {"message": words}}))


DEMANDS = {
    "DeepSeek": "The `reasoning_content` in the thinking mode must be passed back to the API.",
    "DeepSeek V3.2": "Missing `reasoning_content` field in the assistant message at message index 2",
    "Kimi": "thinking is enabled but reasoning_content is missing in assistant tool call message at index 2",
    "the other name": "assistant message 1 must include reasoning when thinking is enabled",
    "required": "reasoning_content is required for tool turns",
}

REFUSALS: dict[str, tuple[str, set[str]]] = {
    "Mistral": (
        (
            '{"detail":[{"type":"extra_forbidden","loc":["body","messages",2,"assistant","reasoning_content"],'
            '"msg":"Extra inputs are not permitted","input":"my reasoning"}]}'
        ),
        {"reasoning_content"},
    ),
    "Fireworks": ("Extra inputs are not permitted, field: 'messages[2].reasoning', value: 'Hm.'", {"reasoning"}),
    "in words": ("reasoning_content is not supported in messages", {"reasoning_content"}),
    "both": ("Unrecognized fields in messages: `reasoning_content`, `reasoning`", {"reasoning_content", "reasoning"}),
}

OTHERS: list[MDStreamError] = [
    refusal("temperature is not supported"),
    refusal("Missing `messages`"),
    refusal("reasoning_effort is required"),
    refusal("Unsupported value: 'reasoning_effort' does not support 'minimal'"),
    refusal("bad", raw='{"detail":[{"type":"missing","loc":["body"],"input":{"role":"assistant","reasoning_content":"x"}}]}'),
    ContextOverflow("the prompt is too long; reasoning_content must be shorter", status=400),
    ServerError("reasoning_content must be passed back", status=500),
]  # fmt: skip


@pytest.mark.parametrize("words", DEMANDS.values(), ids=DEMANDS)
@pytest.mark.parametrize("mode", [None, "tool_turns", "always"])
def test_a_server_that_demands_it_gets_all_of_it(words: str, mode: Any) -> None:
    """
    A message without any has a placeholder. What was learnt holds for the next request to the same model, and is
    asked for once.
    """
    learned: dict[str, ReasoningRule] = {}
    question = {"model": "m", "messages": [USER, {"role": "assistant", "content": "Hi"}, *HISTORY]}
    spoken = ReasoningHistory(dialect("openai-chat"), mode, learned)
    body = spoken.body(question, stream=True)
    again = spoken.simpler(body, refusal(words))
    assert again is not None
    texts = [one.get("reasoning_content") for one in again["messages"] if one["role"] == "assistant"]

    assert [" ", "I add.", "Five.", "Five.", "I add."] == texts
    assert {**body, "messages": again["messages"]} == again
    assert again == ReasoningHistory(dialect("openai-chat"), mode, learned).body(question, stream=True)
    other = ReasoningHistory(dialect("openai-chat"), "never", learned).body({**question, "model": "n"}, stream=True)
    assert "reasoning_content" not in json.dumps(other)
    assert spoken.simpler(again, refusal(words)) is None
    assert not learned


@pytest.mark.parametrize(("words", "names"), REFUSALS.values(), ids=REFUSALS)
def test_a_server_that_refuses_a_field_does_not_get_it(words: str, names: set[str]) -> None:
    """
    It is said, and remembered.
    """
    learned: dict[str, ReasoningRule] = {}
    spoken = ReasoningHistory(dialect("openai-chat"), "always", learned)
    body = spoken.body({"model": "m", "messages": HISTORY}, stream=False)
    with pytest.warns(RuntimeWarning, match="refuses"):
        again = spoken.simpler(body, refusal(words, 422))

    assert again is not None
    assert {"reasoning_content", "reasoning"} - names == {"reasoning_content", "reasoning"} & again["messages"][
        1
    ].keys()
    assert names == learned["m"].refused
    assert spoken.simpler(again, refusal(words, 422)) is None


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_other_errors_are_other_errors(error: MDStreamError) -> None:
    """
    The inner dialect has its say.
    """
    spoken = ReasoningHistory(dialect("openai-chat"), None)
    body = spoken.body({"model": "m", "messages": HISTORY}, stream=True)

    assert spoken.simpler(body, error) is None
    with_options = spoken.simpler(body, refusal("stream_options is not supported"))
    assert {name: value for name, value in body.items() if name != "stream_options"} == with_options


def test_never_means_never() -> None:
    """
    Also for a server that demands it.
    """
    spoken = ReasoningHistory(dialect("openai-chat"), "never")
    body = spoken.body({"model": "deepseek-v4", "messages": HISTORY}, stream=False)

    assert spoken.simpler(body, refusal(DEMANDS["DeepSeek"])) is None


def demanding(body: Json) -> Any:
    """A server of a thinking model in a tool loop; it refuses a request without the earlier reasoning."""
    messages, stream = body["messages"], bool(body.get("stream"))
    if any(one["role"] == "assistant" and not one.get("reasoning_content") for one in messages):
        return 400, {"error": {"message": DEMANDS["DeepSeek"], "type": "invalid_request_error"}}
    if messages[-1]["role"] == "tool":
        return chat_response({"content": "5", "reasoning_content": "Five."}, stream=stream)
    return chat_response({"reasoning_content": "I add.", "tool_calls": [CALL]}, stream=stream)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def lc(server: Scripted, **options: Any) -> ChatOCIModelDeployment:
    return ChatOCIModelDeployment(endpoint=server.endpoint, auth_type="none", max_retries=0, **options)


def li(server: Scripted, **options: Any) -> OCIDataScience:
    return OCIDataScience(endpoint=server.endpoint, auth_type="none", max_retries=0, **options)


def of_assistants(body: Json) -> list[str | None]:
    return [one.get("reasoning_content") for one in body["messages"] if one["role"] == "assistant"]


WAYS: dict[str, Json] = {
    "whole": {},
    "streamed": {"streaming": True},
    "v1": {"output_version": "v1"},
    "v1 streamed": {"output_version": "v1", "streaming": True},
}


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(("model", "refused"), [("odsc-llm", 1), ("deepseek-v4-pro", 0), ("kimi-k2.5", 0)])
def test_a_langchain_agent_goes_on(model: str, refused: int, options: Json, asynchronous: bool) -> None:
    """
    Over two questions; a model of an unknown name costs one refused request, and no more.
    """
    with scripted(demanding) as server:
        agent = create_agent(lc(server, model=model, **options), [tool(add)])

        def ask(messages: list[Any]) -> Json:
            if asynchronous:
                return dict(asyncio.run(agent.ainvoke({"messages": messages})))
            return dict(agent.invoke({"messages": messages}))

        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            first = ask([HumanMessage("2+3?")])
            second = ask([*first["messages"], HumanMessage("And again?")])

        assert "5" == first["messages"][-1].text == second["messages"][-1].text
        assert 4 + refused == len(server.bodies)
        assert ["I add.", "Five.", "I add."] == of_assistants(server.bodies[-1])
        assert server.bodies[-1]["messages"][1]["reasoning"] == "I add."


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("memory", [None, Memory, ChatMemoryBuffer])
@pytest.mark.parametrize(("model", "refused"), [("odsc-llm", 1), ("deepseek-v4-pro", 0)])
def test_a_llamaindex_agent_goes_on(model: str, refused: int, memory: Any, streaming: bool) -> None:
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


@pytest.mark.parametrize("way", ["chat", "achat", "stream_chat", "astream_chat"])
def test_llamaindex_in_every_way(way: str) -> None:
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
        if way == "achat":
            return await model.achat(history)
        return [one async for one in await model.astream_chat(history)][-1]

    with scripted(demanding) as server:
        model = li(server)
        if way.startswith("a"):
            response = asyncio.run(last(model))
        else:
            response = model.chat(history) if way == "chat" else list(model.stream_chat(history))[-1]

        assert "5" == response.message.content
        assert ["I add."] == of_assistants(server.bodies[-1])
        assert [None] == of_assistants(server.bodies[0])


SIGNED = [{"type": "thinking", "thinking": "secret", "signature": "sig"}, {"type": "text", "text": "Hi"}]
SPOKEN: dict[str, tuple[BaseMessage, str | None]] = {
    "ours": (
        AIMessage("Hi", additional_kwargs={"reasoning_content": "Hm."}, response_metadata={"model_provider": "modelarts"}),
        "Hm.",
    ),
    "ours in blocks": (
        AIMessage(
            [{"type": "reasoning", "reasoning": "Hm."}, {"type": "text", "text": "Hi"}],
            response_metadata={"model_provider": "oci_generative_ai"},
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


def plain(body: Json) -> Any:
    return chat_response({"content": "Fine."}, stream=bool(body.get("stream")))


@pytest.mark.parametrize(("message", "wanted"), SPOKEN.values(), ids=SPOKEN)
def test_whose_reasoning_langchain_sends(message: BaseMessage, wanted: str | None) -> None:
    """
    Ours, or a plain text of nobody's; what another provider thought is its own.
    """
    with scripted(plain) as server:
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
def test_whose_reasoning_llamaindex_sends(message: ChatMessage, wanted: str | None) -> None:
    """
    Blocks without a signature.
    """
    with scripted(plain) as server:
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
    with scripted(plain) as server:
        model = build(server, model="deepseek-v4-pro", send_reasoning=mode)
        if build is lc:
            model.invoke(of_langchain)
        else:
            model.chat(of_llamaindex)

        assert wanted[mode] == of_assistants(server.bodies[-1])


def test_a_copy_asks_for_itself() -> None:
    """
    What was learnt belongs to the model object and to the name that was asked.
    """
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
