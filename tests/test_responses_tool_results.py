"""Results of a computer and of custom tools in OpenAI's Responses API: items of their own types, in both frameworks."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _langchain_responses import chat_on, serving
from _llamaindex_platforms import ACCOUNTS, RESPONSES_CASES
from _responses_events import Json, message
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock

from langchain_mdstream import ChatOCIGenAI
from llamaindex_mdstream import OCIDataScience
from mdstream_core import OpenAIResponses
from mdstream_core.emulator import Emulator
from mdstream_core.errors import InvalidRequest

RECORDED = json.loads((Path(__file__).parent / "samples" / "responses-tool-outputs.json").read_text(encoding="utf-8"))

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n a screen").decode()
URL = f"data:image/png;base64,{PNG}"
CHECKS = [{"id": "sc_1", "code": "malicious_instructions", "message": "Careful"}]
COMPUTER = {"type": "computer_call", "id": "cu_1", "call_id": "call_1", "status": "completed"}
COMPUTER["action"] = {"type": "screenshot"}  # type: ignore[assignment]
CUSTOM = {"type": "custom_tool_call", "id": "ct_1", "call_id": "call_1", "name": "shell", "input": "ls"}
SCREENSHOT = {"type": "computer_screenshot", "image_url": URL}
USE_COMPUTER: Json = {
    "type": "computer_use_preview",
    "environment": "browser",
    "display_width": 1024,
    "display_height": 768,
}

_BY_TYPE = {"additional_kwargs": {"type": "computer_call_output"}}
_CHECKED = {"additional_kwargs": {"type": "computer_call_output", "acknowledged_safety_checks": CHECKS}}
_ITEM = {"type": "computer_call_output", "call_id": "call_1", "output": {"type": "input_image", "image_url": URL}}
_CUSTOM_ITEM = {"type": "custom_tool_call_output", "call_id": "call_1", "output": "a.txt"}

#: Results whose call only the service knows: the forms that langchain-openai accepts.
LANGCHAIN: dict[str, dict[str, Any]] = {
    "an input image": {"content": [{"type": "input_image", "image_url": URL}], **_BY_TYPE},
    "the URL of an image": {"content": URL, **_BY_TYPE},
    "safety checks": {"content": [{"type": "input_image", "image_url": URL}], **_CHECKED},
    "an item of a computer": {"content": [{"type": "non_standard", "value": _ITEM}]},
    "an item of a custom tool": {"content": [{"type": "non_standard", "value": _CUSTOM_ITEM}]},
    "a block of a custom tool": {"content": [{"type": "custom_tool_call_output", "output": "a.txt"}]},
    "a function": {"content": "a.txt"},
}


@pytest.mark.parametrize("name", LANGCHAIN)
def test_results_are_those_of_langchain_openai(name: str) -> None:
    """
    Its messages give the same items; a screenshot has the type of OpenAI's reference.
    """
    result = ToolMessage(tool_call_id="call_1", **LANGCHAIN[name])
    expected = RECORDED[name]
    if expected["type"] == "computer_call_output":
        expected = {**expected, "output": {**expected["output"], "type": "computer_screenshot"}}
    with serving(message("Hello")) as server:
        chat_on(server).invoke([result], previous_response_id="resp_1")

    assert server.bodies[0]["input"] == [expected]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "base64": PNG, "mime_type": "image/png"},
        {"type": "image_url", "image_url": {"url": URL}},
        {"type": "input_image", "image_url": URL},
        SCREENSHOT,
    ],
    ids=lambda block: str(block["type"]),
)
def test_the_call_decides_in_langchain(block: Json) -> None:
    """
    No option is needed if the conversation has the call; images are standard blocks too.
    """
    with serving(COMPUTER) as server:
        chat = chat_on(server)
        request = chat.invoke("Hi")
        chat.invoke([HumanMessage("Hi"), request, ToolMessage([block], tool_call_id="call_1")])

    assert server.bodies[-1]["input"][1:] == [
        COMPUTER,
        {"type": "computer_call_output", "call_id": "call_1", "output": SCREENSHOT},
    ]


@pytest.mark.parametrize("is_known", [True, False])
def test_results_in_llamaindex(is_known: bool) -> None:
    """
    By the call in the conversation, or by the type in `additional_kwargs`.
    """
    kwargs: dict[str, Any] = {"tool_call_id": "call_1", "acknowledged_safety_checks": CHECKS}
    named = {} if is_known else {"type": "computer_call_output"}
    image = ImageBlock(image=base64.b64decode(PNG), image_mimetype="image/png")
    result = ChatMessage(role="tool", blocks=[image], additional_kwargs={**kwargs, **named})
    custom = ChatMessage(
        role="tool", content="a.txt", additional_kwargs={"tool_call_id": "call_2", "type": "custom_tool_call_output"}
    )
    with serving(COMPUTER) as server:
        llm = OCIDataScience(endpoint=server.endpoint, auth_type="none", max_retries=0, use_responses_api=True)
        known = [llm.chat([ChatMessage("Hi")]).message] if is_known else []
        llm.chat([*known, result, custom])

    assert server.bodies[-1]["input"][-2:] == [
        {
            "type": "computer_call_output",
            "call_id": "call_1",
            "output": SCREENSHOT,
            "acknowledged_safety_checks": CHECKS,
        },
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": "a.txt"},
    ]


def test_a_custom_tools_result_in_llamaindex() -> None:
    """
    By the call in the conversation.
    """
    with serving(CUSTOM) as server:
        llm = OCIDataScience(endpoint=server.endpoint, auth_type="none", max_retries=0, use_responses_api=True)
        request = llm.chat([ChatMessage("Hi")]).message
        result = ChatMessage(role="tool", content="a.txt", additional_kwargs={"tool_call_id": "call_1"})
        llm.chat([ChatMessage("Hi"), request, result])

    assert server.bodies[-1]["input"][1:] == [CUSTOM, _CUSTOM_ITEM]


def test_other_dialects_get_the_content_only() -> None:
    """
    A chat completion has no such types: the result is its text or its image.
    """
    result = ToolMessage(tool_call_id="call_1", **LANGCHAIN["a block of a custom tool"])
    call = {"name": "shell", "args": {}, "id": "call_1", "type": "tool_call"}
    conversation = [HumanMessage("Hi"), AIMessage("", tool_calls=[call]), result]  # type: ignore[list-item]
    with Emulator() as emulator:
        chat_on(emulator, use_responses_api=None).invoke(conversation)  # type: ignore[arg-type]

    assert emulator.last.json["messages"][-1] == {"role": "tool", "tool_call_id": "call_1", "content": "a.txt"}


#: Contents that are no screenshot.
NONE: dict[str, Any] = {
    "text": "it failed",
    "a text part": [{"type": "text", "text": "it failed"}],
    "nothing": "",
    "no parts": [],
}


@pytest.mark.parametrize("content", NONE.values(), ids=NONE)
def test_a_computer_call_without_a_screenshot_is_an_error(content: Any) -> None:
    """
    Before the request is sent.
    """
    result = {"role": "tool", "tool_call_id": "call_1", "type": "computer_call_output", "content": content}
    with pytest.raises(InvalidRequest, match="is a screenshot, and this one has none"):
        OpenAIResponses().build_payload({"messages": [result]}, stream=False)


def test_other_parts_of_a_screenshot_are_left_out_with_a_warning() -> None:
    """
    The API has no place for them.
    """
    content = [{"type": "text", "text": "Here"}, {"type": "image_url", "image_url": {"url": URL}}]
    result = {"role": "tool", "tool_call_id": "call_1", "type": "computer_call_output", "content": content}
    with pytest.warns(RuntimeWarning, match="one screenshot"):
        payload = OpenAIResponses().build_payload({"messages": [result]}, stream=False)

    assert payload["input"][0]["output"] == SCREENSHOT


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator that verifies the order of calls and results."""
    with Emulator(**ACCOUNTS) as emulator:
        yield emulator


def test_the_service_accepts_a_computer_loop(emulator: Emulator) -> None:
    """
    A call, its screenshot, and the response after it; in both frameworks.
    """
    address = emulator.oci_genai
    chat = ChatOCIGenAI(
        model="openai.gpt-5",
        service_endpoint=address.endpoint,
        compartment_id=address.compartment_id,
        conversation_store_id=address.conversation_store_id,
        auth_type="none",
        use_responses_api=True,
    ).bind(tools=[USE_COMPUTER], truncation="auto")
    request = chat.invoke("Look at the screen.")
    (item,) = [item for item in request.additional_kwargs["output_items"] if item["type"] == "computer_call"]
    result = ToolMessage([{"type": "image_url", "image_url": {"url": URL}}], tool_call_id=item["call_id"])
    assert chat.invoke([HumanMessage("Look at the screen."), request, result]).text

    with RESPONSES_CASES["genai"].build(emulator, built_in_tools=[USE_COMPUTER], truncation="auto") as llm:
        prompt = ChatMessage("Look at the screen.")
        response = llm.chat([prompt]).message
        (item,) = response.additional_kwargs["built_in_tool_calls"]
        image = ImageBlock(image=base64.b64decode(PNG), image_mimetype="image/png")
        shot = ChatMessage(role="tool", blocks=[image], additional_kwargs={"tool_call_id": item["call_id"]})
        blocks = [block for block in llm.chat([prompt, response, shot]).message.blocks if isinstance(block, TextBlock)]
    assert blocks[0].text
    assert [item["type"] for item in emulator.last.json["input"]][-2:] == ["computer_call", "computer_call_output"]
