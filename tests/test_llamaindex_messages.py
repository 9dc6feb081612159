"""Conversion of LlamaIndex messages and tools to the OpenAI format."""

import base64
import copy
import io
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    ChatResponse,
    CitableBlock,
    CitationBlock,
    CompletionResponse,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from llamaindex_mdstream import OCIDataScience, _unvalidated
from llamaindex_mdstream._messages import openai_messages
from mdstream_core.emulator import Emulator

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PNG_URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
CALL = ToolCallBlock(tool_call_id="call_1", tool_name="add", tool_kwargs={"a": 1})
WIRE_CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
IMAGE = {"type": "image_url", "image_url": {"url": PNG_URL}}

MESSAGES: dict[str, tuple[ChatMessage, dict[str, Any]]] = {
    "text": (ChatMessage("Hi"), {"role": "user", "content": "Hi"}),
    "nothing": (ChatMessage(role="assistant", blocks=[]), {"role": "assistant", "content": ""}),
    "several texts": (
        ChatMessage(role="user", blocks=[TextBlock(text="a"), TextBlock(text="b")]),
        {"role": "user", "content": "a\nb"},
    ),
    "a model by another name": (ChatMessage("Hi", role="chatbot"), {"role": "assistant", "content": "Hi"}),
    "an image": (
        ChatMessage(role="user", blocks=[TextBlock(text="What?"), ImageBlock(image=PNG, detail="low")]),
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What?"},
                {"type": "image_url", "image_url": {"url": PNG_URL, "detail": "low"}},
            ],
        },
    ),
    "an image in an open file": (
        ChatMessage(role="user", blocks=[ImageBlock(image=io.BytesIO(PNG), image_mimetype="image/png")]),
        {"role": "user", "content": [IMAGE]},
    ),
    "an image elsewhere": (
        ChatMessage(role="user", blocks=[ImageBlock(url="https://example.org/a.png")]),
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]},
    ),
    "a sound": (
        ChatMessage(role="user", blocks=[AudioBlock(audio=b"RIFF\x00\x00\x00\x00WAVEfmt \xff", format="wav")]),
        {
            "role": "user",
            "content": [
                {
                    "type": "input_audio",
                    "input_audio": {
                        "data": base64.b64encode(b"RIFF\x00\x00\x00\x00WAVEfmt \xff").decode(),
                        "format": "wav",
                    },
                }
            ],
        },
    ),
    "a film": (
        ChatMessage(role="user", blocks=[VideoBlock(url="https://example.org/a.mp4")]),
        {"role": "user", "content": [{"type": "video_url", "video_url": {"url": "https://example.org/a.mp4"}}]},
    ),
    "a document": (
        ChatMessage(role="user", blocks=[DocumentBlock(data=b"%PDF-1.4 \xff", title="a.pdf")]),
        {
            "role": "user",
            "content": [
                {
                    "type": "file",
                    "file": {
                        "filename": "a.pdf",
                        "file_data": f"data:application/pdf;base64,{base64.b64encode(b'%PDF-1.4 ' + bytes([255])).decode()}",
                    },
                }
            ],
        },
    ),
    "a source": (
        ChatMessage(role="user", blocks=[CitableBlock(title="T", source="S", content=[TextBlock(text="said")])]),
        {"role": "user", "content": "said"},
    ),
    "thoughts are not told again": (
        ChatMessage(role="assistant", blocks=[ThinkingBlock(content="Hm."), TextBlock(text="Yes.")]),
        {"role": "assistant", "content": "Yes."},
    ),
    "only a call": (
        ChatMessage(role="assistant", blocks=[TextBlock(text=""), CALL]),
        {"role": "assistant", "content": None, "tool_calls": [WIRE_CALL]},
    ),
    "a call in the old place too": (
        ChatMessage(role="assistant", blocks=[CALL], additional_kwargs={"tool_calls": [WIRE_CALL]}),
        {"role": "assistant", "content": None, "tool_calls": [WIRE_CALL]},
    ),
    "a call in the old place only": (
        ChatMessage(role="assistant", content="Wait.", additional_kwargs={"tool_calls": [WIRE_CALL]}),
        {"role": "assistant", "content": "Wait.", "tool_calls": [WIRE_CALL]},
    ),
    "no calls": (
        ChatMessage(role="assistant", content="Hi", additional_kwargs={"tool_calls": []}),
        {"role": "assistant", "content": "Hi"},
    ),
    "a call without id or arguments": (
        ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_name="now", tool_kwargs="")]),
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_0", "type": "function", "function": {"name": "now", "arguments": "{}"}}],
        },
    ),
    "a result": (
        ChatMessage(role="tool", content="3", additional_kwargs={"tool_call_id": "call_1"}),
        {"role": "tool", "content": "3", "tool_call_id": "call_1"},
    ),
    "a function's result": (
        ChatMessage(role="function", content="3", additional_kwargs={"name": "add"}),
        {"role": "function", "content": "3", "name": "add"},
    ),
}


@pytest.mark.parametrize(("message", "wire"), MESSAGES.values(), ids=MESSAGES)
def test_messages_in_the_openai_format(message: ChatMessage, wire: dict[str, Any]) -> None:
    """
    Each kind of message and block is converted, and the message is not changed.
    """
    before = message.model_dump()

    assert [wire] == openai_messages([message])
    assert before == message.model_dump()


def test_image_files(tmp_path: Path) -> None:
    """
    An image is read from its path.
    """
    path = tmp_path / "a.png"
    path.write_bytes(PNG)

    assert [IMAGE] == openai_messages([ChatMessage(role="user", blocks=[ImageBlock(path=path)])])[0]["content"]


def test_images_of_tools_are_parts_of_the_results() -> None:
    """
    The dialect sends them where its servers accept them (`test_tool_media`); a result without media is a string.
    """

    def result(*blocks: Any) -> ChatMessage:
        return ChatMessage(role="tool", blocks=list(blocks), additional_kwargs={"tool_call_id": "1"})

    wire = openai_messages([result(TextBlock(text="a chart"), ImageBlock(image=PNG)), result(TextBlock(text="7"))])

    assert [[{"type": "text", "text": "a chart"}, IMAGE], "7"] == [message["content"] for message in wire]


REFUSED: dict[str, tuple[ChatMessage, str]] = {
    "a cache point": (
        ChatMessage(role="user", blocks=[CachePoint(cache_control=CacheControl(type="ephemeral"))]),
        "CachePoint",
    ),
    "a citation": (
        ChatMessage(
            role="user",
            blocks=[CitationBlock(cited_content="x", source="s", title="t", additional_location_info={})],
        ),
        "CitationBlock",
    ),
    "an image from the system": (ChatMessage(role="system", blocks=[ImageBlock(image=PNG)]), "ImageBlock"),
    "a result without its call": (ChatMessage("3", role="tool"), "tool_call_id"),
}


@pytest.mark.parametrize(("message", "word"), REFUSED.values(), ids=REFUSED)
def test_unsupported_blocks_are_rejected_by_name(message: ChatMessage, word: str) -> None:
    """
    Blocks of user, system and tool messages are never left out; for assistant messages see `test_llamaindex_histories`.
    """
    with pytest.raises(ValueError, match=word):
        openai_messages([message])


def test_a_refusal_is_sent_back_as_content() -> None:
    """
    The model receives its refusal as content.
    """
    refusal = ChatMessage(role="assistant", blocks=[], additional_kwargs={"refusal": "I cannot pay."})

    assert [{"role": "assistant", "content": "I cannot pay."}] == openai_messages([refusal])


def test_an_image_reaches_the_server() -> None:
    """
    The server receives the bytes of the user's image.
    """
    with Emulator() as emulator:
        llm = OCIDataScience(endpoint=emulator.endpoint, auth_type="none")
        llm.chat([ChatMessage(role="user", blocks=[TextBlock(text="What?"), ImageBlock(image=PNG)])])

        assert IMAGE == emulator.last.json["messages"][0]["content"][1]


CASES: dict[str, tuple[Any, Any]] = {
    "text": (_unvalidated.text_block("Par"), TextBlock(text="Par")),
    "thinking": (_unvalidated.thinking_block("Hm."), ThinkingBlock(content="Hm.")),
    "call": (
        _unvalidated.tool_call_block("call_1", "add", '{"a": 1'),
        ToolCallBlock(tool_call_id="call_1", tool_name="add", tool_kwargs='{"a": 1'),
    ),
    "message": (
        _unvalidated.chat_message([_unvalidated.text_block("Par"), CALL], {"tool_calls": [WIRE_CALL]}),
        ChatMessage(
            role=MessageRole.ASSISTANT,
            blocks=[TextBlock(text="Par"), CALL],
            additional_kwargs={"tool_calls": [WIRE_CALL]},
        ),
    ),
    "chat": (
        _unvalidated.chat_response(_unvalidated.chat_message([], {}), {"choices": []}, "Par", {"a": 1}),
        ChatResponse(
            message=ChatMessage(role="assistant", blocks=[], additional_kwargs={}),
            raw={"choices": []},
            delta="Par",
            additional_kwargs={"a": 1},
        ),
    ),
    "completion": (
        _unvalidated.completion_response("Paris", {"choices": []}, None, {}),
        CompletionResponse(text="Paris", raw={"choices": []}, delta=None, additional_kwargs={}),
    ),
}


@pytest.mark.parametrize(("fast", "public"), CASES.values(), ids=CASES)
def test_filled_objects_equal_constructed_ones(fast: Any, public: Any) -> None:
    """
    The objects have equal fields, dumps, copies and pickles, and can be changed.
    """
    assert public == fast
    assert public.model_fields_set == fast.model_fields_set
    assert public.model_dump() == fast.model_dump()
    assert public.model_dump_json(exclude_unset=True) == fast.model_dump_json(exclude_unset=True)
    assert public.__getstate__() == fast.__getstate__()
    assert public == copy.deepcopy(fast) == fast.model_copy()
    assert repr(public) == repr(fast)


def test_the_installed_versions_use_the_fast_path() -> None:
    """
    The tested versions do not fall back to the public constructors.
    """
    made = (
        _unvalidated.text_block,
        _unvalidated.thinking_block,
        _unvalidated.tool_call_block,
        _unvalidated.chat_message,
        _unvalidated.chat_response,
    )

    assert not [make for make in (*made, _unvalidated.completion_response) if make.__name__ == "<lambda>"]


@pytest.mark.parametrize("calls", [["x"], [5], [["f", "{}"]], "x", 5, {"x"}, [None], [{"id": "a", "function": "f"}]])
def test_a_stored_call_of_another_type_is_rejected(calls: Any) -> None:
    """The error names the type of an invalid call."""
    message = ChatMessage(role="assistant", content="t", additional_kwargs={"tool_calls": calls})

    with pytest.raises(ValueError, match="a tool call must be a dictionary or a model, not "):
        openai_messages([message])


@pytest.mark.parametrize("role", MessageRole)
@pytest.mark.parametrize("text", ["Hi", "", "a\nb", " "])
def test_a_message_with_one_text_has_the_content_of_others(role: MessageRole, text: str) -> None:
    """
    One text is converted without its parts: the content is that of a message with a block that is no part.
    """
    kwargs = {"tool_call_id": "call_1", "name": "add"}
    alone = ChatMessage(role=role, blocks=[TextBlock(text=text)], additional_kwargs=kwargs)
    with_other = ChatMessage(role=role, blocks=[ThinkingBlock(content=None), TextBlock(text=text)])
    with_other.additional_kwargs = kwargs

    assert openai_messages([with_other]) == openai_messages([alone])


@pytest.mark.parametrize("role", MessageRole)
def test_only_assistant_messages_have_reasoning(role: MessageRole) -> None:
    """
    Reasoning in the blocks of other messages is left out.
    """
    blocks = [ThinkingBlock(content="Hm."), TextBlock(text="Hi")]
    message = ChatMessage(role=role, blocks=blocks, additional_kwargs={"tool_call_id": "call_1"})
    (converted,) = openai_messages([message], reasoning=True)

    assert ("reasoning_content" in converted) == (converted["role"] == "assistant")
