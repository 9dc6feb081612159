"""Images that tools return: in every dialect, in both frameworks, and in agents."""

import asyncio
import base64
import copy
from typing import Any

import pytest
from _langchain_platforms import chat_at
from _llamaindex_embeddings import llm_at
from _platforms import PLATFORM_CASES, PlatformCase, emulator, shared_emulator
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock, ToolCallBlock
from llama_index.core.tools import FunctionTool

from mdstream_core.dialects import dialect
from mdstream_core.dialects._tool_media import MOVED_RESULT, move_tool_media
from mdstream_core.emulator import Emulator
from mdstream_core.errors import InvalidRequest

__all__ = ["emulator", "shared_emulator"]  # fixtures

Message = dict[str, Any]

PNG = b"\x89PNG\r\n\x1a\n a chart"
URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
IMAGE = {"type": "image_url", "image_url": {"url": URL}}


def text(value: str) -> Message:
    return {"type": "text", "text": value}


def user(content: Any = "Show the sales.") -> Message:
    return {"role": "user", "content": content}


def calls(*names: str) -> Message:
    wires = [
        {"id": f"call_{at}", "type": "function", "function": {"name": name, "arguments": "{}"}}
        for at, name in enumerate(names)
    ]
    return {"role": "assistant", "content": None, "tool_calls": wires}


def result(at: int, *parts: Any) -> Message:
    return {"role": "tool", "tool_call_id": f"call_{at}", "content": list(parts)}


def sent(at: int, content: str) -> Message:
    return {"role": "tool", "tool_call_id": f"call_{at}", "content": content}


ONE = [user(), calls("chart"), result(0, text("In euros."), IMAGE)]
LABEL = text("Result of the tool chart (call_0):")

#: A conversation, and the messages that are sent instead of those after its first two.
CONVERSATIONS: dict[str, tuple[list[Message], list[Message]]] = {
    "an image with a text": (ONE, [sent(0, "In euros."), user([LABEL, IMAGE])]),
    "an image alone": ([*ONE[:2], result(0, IMAGE)], [sent(0, MOVED_RESULT), user([LABEL, IMAGE])]),
    "several texts": (
        [*ONE[:2], result(0, "In", text("euros."), IMAGE)],
        [sent(0, "In\neuros."), user([LABEL, IMAGE])],
    ),
    "parallel calls": (
        [user(), calls("chart", "table", "chart"), result(0, IMAGE), sent(1, "7"), result(2, IMAGE, IMAGE)],
        [
            sent(0, MOVED_RESULT),
            sent(1, "7"),
            sent(2, MOVED_RESULT),
            user([LABEL, IMAGE, text("Result of the tool chart (call_2):"), IMAGE, IMAGE]),
        ],
    ),
    "before a text of the user": (
        [*ONE, user("And?")],
        [sent(0, "In euros."), user([LABEL, IMAGE, text("And?")])],
    ),
    "before parts of the user": (
        [*ONE, {**user([text("And this?"), IMAGE]), "name": "ann"}],
        [sent(0, "In euros."), {**user([LABEL, IMAGE, text("And this?"), IMAGE]), "name": "ann"}],
    ),
    "before a response": (
        [*ONE, {"role": "assistant", "content": "They rise."}],
        [sent(0, "In euros."), user([LABEL, IMAGE]), {"role": "assistant", "content": "They rise."}],
    ),
    "without a call": (
        [user(), user(), result(3, IMAGE)],
        [sent(3, MOVED_RESULT), user([text("Result of the tool call call_3:"), IMAGE])],
    ),
    "two rounds": (
        [*ONE, calls("table"), result(0, IMAGE)],
        [
            sent(0, "In euros."),
            user([LABEL, IMAGE]),
            calls("table"),
            sent(0, MOVED_RESULT),
            user([text("Result of the tool table (call_0):"), IMAGE]),
        ],
    ),
}


@pytest.mark.parametrize(("messages", "expected"), CONVERSATIONS.values(), ids=CONVERSATIONS)
@pytest.mark.parametrize("name", ["openai-chat", "auto"])
def test_media_follow_the_results(name: str, messages: list[Message], expected: list[Message]) -> None:
    """
    In a user message after the round, each with the name of its call; the conversation is not changed.
    """
    before = copy.deepcopy(messages)

    assert [*messages[:2], *expected] == dialect(name).build_payload({"messages": messages}, stream=False)["messages"]
    assert before == messages


def test_results_without_media_are_not_copied() -> None:
    """
    The same list is returned; parts of text stay parts.
    """
    messages = [user(), calls("chart"), result(0, text("7"))]

    assert messages is move_tool_media(messages)


@pytest.mark.parametrize("part", [{"type": "input_audio", "input_audio": {"data": "QQ=="}}, {"type": "video_url"}])
def test_other_media_follow_the_results(part: Message) -> None:
    """
    Sounds, videos and files too.
    """
    *_, last = move_tool_media([*ONE[:2], result(0, part)])

    assert [LABEL, part] == last["content"]


OCI_IMAGES = {
    "oci-generic": {"type": "IMAGE", "imageUrl": {"url": URL}},
    "oci-generic-google": {"type": "IMAGE", "imageUrl": {"url": URL}},
    "oci-generic-openai": {"type": "IMAGE", "imageUrl": {"url": URL}},
    "oci-cohere-v2": {"type": "IMAGE_URL", "imageUrl": {"url": URL}},
}


@pytest.mark.parametrize(("name", "image"), OCI_IMAGES.items(), ids=OCI_IMAGES)
def test_oci_formats(name: str, image: Message) -> None:
    """
    The same in the formats of OCI Generative AI, with unique ids, and with split calls for Gemini.
    """
    messages = [user(), calls("chart", "chart"), result(0, IMAGE), result(1, IMAGE)]
    wire = dialect(name).build_payload({"messages": messages}, stream=False)["messages"]
    results = [message for message in wire if message["role"] == "TOOL"]

    assert [[{"type": "TEXT", "text": MOVED_RESULT}]] * 2 == [message["content"] for message in results]
    assert "USER" == wire[-1]["role"]
    assert [image, image] == wire[-1]["content"][1::2]
    assert [f"Result of the tool chart ({one['toolCallId']}):" for one in results] == [
        part["text"] for part in wire[-1]["content"][::2]
    ]


def test_the_responses_api_has_images_in_results() -> None:
    """
    There they stay in the result.
    """
    *_, output = dialect("openai-responses").build_payload({"messages": ONE}, stream=False)["input"]

    assert "function_call_output" == output["type"]
    assert ["In euros.", URL] == [part.get("text") or part.get("image_url") for part in output["output"]]


@pytest.mark.parametrize("name", ["oci-cohere", "lmi"])
def test_formats_without_images_reject_them(name: str) -> None:
    """
    The error names the type of the part.
    """
    with pytest.raises(InvalidRequest, match="image_url"):
        dialect(name).build_payload({"messages": ONE}, stream=False)


LANGCHAIN: list[BaseMessage] = [
    HumanMessage("Show the sales."),
    AIMessage("", tool_calls=[{"name": "chart", "args": {}, "id": "call_0"}]),
    ToolMessage([{"type": "text", "text": "In euros."}, {"type": "image", "base64": URL.partition(",")[2], "mime_type": "image/png"}], tool_call_id="call_0"),
]  # fmt: skip
LLAMAINDEX = [
    ChatMessage("Show the sales."),
    ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_call_id="call_0", tool_name="chart", tool_kwargs={})]),
    ChatMessage(
        role="tool",
        blocks=[TextBlock(text="In euros."), ImageBlock(image=PNG, image_mimetype="image/png")],
        additional_kwargs={"tool_call_id": "call_0"},
    ),
]

CASES = {name: platform_case for name, platform_case in PLATFORM_CASES.items() if "Responses" not in name}
each_case = pytest.mark.parametrize("platform_case", CASES.values(), ids=CASES)


def image_of(payload: Any) -> tuple[str, str, str]:
    """Role, label and URL of the last message, in OpenAI's format or in one of OCI's."""
    last = (payload.get("chatRequest") or payload)["messages"][-1]
    label, image = last["content"]
    return last["role"].lower(), label["text"], (image.get("image_url") or image.get("imageUrl"))["url"]


#: Its recorded requests have no body.
WEBSOCKET = "modelarts-websocket"
WANTED = ("user", "Result of the tool chart (call_0):", URL)


@each_case
async def test_langchain_sends_the_image(emulator: Emulator, platform_case: PlatformCase) -> None:
    """
    The model sees the image, sync, async and streamed; Cohere's models get it in format COHEREV2.
    """
    chat = chat_at(platform_case, emulator)
    for message in (chat.invoke(LANGCHAIN), await chat.ainvoke(LANGCHAIN), *list(chat.stream(LANGCHAIN))[:1]):
        assert message.text.startswith("The")
        assert platform_case.kind == WEBSOCKET or WANTED == image_of(emulator.last.json)


@each_case
async def test_llamaindex_sends_the_image(emulator: Emulator, platform_case: PlatformCase) -> None:
    """
    The same from messages of LlamaIndex.
    """
    llm = llm_at(emulator, platform_case)
    for response in (llm.chat(LLAMAINDEX), await llm.achat(LLAMAINDEX), list(llm.stream_chat(LLAMAINDEX))[-1]):
        assert "I see an image" in str(response.message.content)
        assert platform_case.kind == WEBSOCKET or WANTED == image_of(emulator.last.json)


def test_an_agent_of_langchain_sees_the_chart(emulator: Emulator) -> None:
    """
    A tool returns content blocks; the request after it has the image.
    """

    @tool
    def chart(year: int) -> list[dict[str, Any]]:
        """Draw the sales of a year."""
        return [{"type": "text", "text": str(year)}, {"type": "image_url", "image_url": {"url": URL}}]

    agent = create_agent(chat_at(PLATFORM_CASES["OCI model deployment"], emulator), [chart])
    output = agent.invoke({"messages": [HumanMessage("chart(2026)")]})

    assert "I see an image" in output["messages"][-1].text
    assert "2026" == emulator.last.json["messages"][-2]["content"]
    assert URL == image_of(emulator.last.json)[2]


def test_an_agent_of_llamaindex_sees_the_chart(emulator: Emulator) -> None:
    """
    A tool returns blocks; the request after it has the image.
    """

    def chart(year: int) -> list[Any]:
        """Draw the sales of a year."""
        return [TextBlock(text=str(year)), ImageBlock(image=PNG, image_mimetype="image/png")]

    async def run() -> Any:
        llm = llm_at(emulator, PLATFORM_CASES["OCI model deployment"])
        return await FunctionAgent(llm=llm, tools=[FunctionTool.from_defaults(chart)]).run("chart(2026)")

    assert "I see an image" in str(asyncio.run(run()))
    assert "2026" == emulator.last.json["messages"][-2]["content"]
    assert URL == image_of(emulator.last.json)[2]
