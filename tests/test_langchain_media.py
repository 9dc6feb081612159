"""Citations, images and audio in responses: the same in chunks, messages, v0, v1 and v3."""

import base64
import json
from typing import Any, Literal

import pytest
from _langchain import REQUEST, chat_at, emulator, shared_emulator
from langchain_core.messages import AIMessage, HumanMessage
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream
from pydantic import BaseModel

from langchain_mdstream import ChatOCIGenAI
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import StreamInterrupted

__all__ = ["emulator", "shared_emulator"]  # fixtures

AUDIO = b"RIFF of some kind"
FIRST, SECOND = base64.b64encode(AUDIO[:5]).decode(), base64.b64encode(AUDIO[5:]).decode()
ANNOTATION = {
    "type": "url_citation",
    "url_citation": {"url": "https://h/nile", "title": "The Nile", "start_index": 0, "end_index": 8},
}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}}


def body(*deltas: dict[str, Any], finish: str | None = "stop") -> bytes:
    """Stream with these deltas."""
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    if finish:
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    end = "data: [DONE]\n\n" if finish else ""
    return ("".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + end).encode()


TEXT = ({"role": "assistant", "content": "The Nile"}, {"content": " is long."})
CONTENT: dict[str, tuple[bytes, list[dict[str, Any]]]] = {
    "a citation": (
        body(*TEXT, {"annotations": [ANNOTATION]}),
        [
            {
                "type": "text",
                "text": "The Nile is long.",
                "annotations": [
                    {
                        "type": "citation",
                        "start_index": 0,
                        "end_index": 8,
                        "url": "https://h/nile",
                        "title": "The Nile",
                    }
                ],
            }
        ],
    ),
    "pictures": (
        body(*TEXT, {"images": [IMAGE]}, {"images": [{"image_url": {"url": "https://h/x.png"}}]}),
        [
            {"type": "text", "text": "The Nile is long."},
            {"type": "image", "base64": "QQ==", "mime_type": "image/png"},
            {"type": "image", "url": "https://h/x.png"},
        ],
    ),
    "sound in pieces": (
        body(
            {"audio": {"id": "a1", "transcript": "The "}},
            {"audio": {"data": FIRST, "transcript": "Nile"}},
            {"audio": {"data": SECOND, "expires_at": 7}},
        ),
        [
            {
                "type": "audio",
                "base64": base64.b64encode(AUDIO).decode(),
                "mime_type": "audio/wav",
                "extras": {"id": "a1", "transcript": "The Nile", "expires_at": 7},
            }
        ],
    ),
}

each_content = pytest.mark.parametrize(("stream", "blocks"), CONTENT.values(), ids=CONTENT)


def blocks_of(message: AIMessage) -> list[dict[str, Any]]:
    """Blocks without the keys that only merging needs."""
    return [{name: value for name, value in block.items() if name != "index"} for block in message.content_blocks]


@each_content
async def test_blocks_of_streams(emulator: Emulator, stream: bytes, blocks: list[dict[str, Any]]) -> None:
    """Sync and async, in both output versions, and as content-block events."""
    emulator.always(Fault("body", data=stream))
    for version in ("v0", "v1"):
        chat = chat_at(emulator, output_version=version)
        first, *rest = chat.stream(REQUEST)
        afirst, *arest = [chunk async for chunk in chat.astream(REQUEST)]
        for message in (first + rest, afirst + arest, chat.invoke(REQUEST, stream=True)):
            assert blocks == blocks_of(message)  # type: ignore[arg-type]
    events = list(chat_at(emulator)._stream_chat_model_events([HumanMessage(REQUEST)]))
    assert_valid_event_stream(events)
    assert blocks == blocks_of(chat_at(emulator).stream_events(REQUEST, version="v3").output)


@each_content
def test_blocks_of_whole_responses(emulator: Emulator, stream: bytes, blocks: list[dict[str, Any]]) -> None:
    """The same blocks of a response without streaming, where audio comes in one piece."""
    emulator.script(Fault("body", data=stream))
    streamed: Any = chat_at(emulator).invoke(REQUEST, stream=True)
    message = {"role": "assistant", "content": streamed.text, **streamed.additional_kwargs}
    whole = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    emulator.script(Fault("body", data=json.dumps(whole).encode()))

    assert blocks == blocks_of(chat_at(emulator).invoke(REQUEST))


def test_interrupted_audio_is_in_the_partial(emulator: Emulator) -> None:
    """Received audio is not lost, although it is reported at the end only."""
    emulator.script(Fault("body", data=body({"audio": {"data": FIRST, "transcript": "The"}}, finish=None)))
    with pytest.raises(StreamInterrupted) as caught:
        list(chat_at(emulator, max_retries=0).stream(REQUEST))

    assert {"data": FIRST, "transcript": "The"} == caught.value.partial.choices[0].provider_data["audio"]  # type: ignore[union-attr]


def test_citations_of_cohere(emulator: Emulator) -> None:
    """Cohere's fields become the standard block; fields without a standard name are kept."""
    service = emulator.oci_genai
    chat = ChatOCIGenAI(
        model="cohere.command-r-plus-08-2024",
        service_endpoint=service.endpoint,
        compartment_id=service.compartment_id,
        auth_type="none",
        model_kwargs={"documents": [{"id": "d", "text": "The Nile is the longest river."}]},
    )
    first, *rest = chat.stream("Which river is the longest?")
    for message in (first + rest, chat.invoke("Which river is the longest?")):
        (block,) = message.content_blocks  # type: ignore[union-attr]
        (citation,) = block["annotations"]  # type: ignore[typeddict-item]
        assert "citation" == citation["type"]
        assert block["text"][citation["start_index"] : citation["end_index"]] == citation["cited_text"]  # type: ignore[typeddict-item]
        assert ["d"] == citation["extras"]["documentIds"]


class River(BaseModel):
    """A river."""

    name: str


@pytest.mark.parametrize("include_raw", [False, True])
def test_guided_decoding(emulator: Emulator, include_raw: bool) -> None:
    """vLLM's fields, of older and newer versions, hold the schema."""
    model = chat_at(emulator).with_structured_output(River, method="guided_decoding", include_raw=include_raw)
    output: Any = model.invoke("Name a river.")

    assert isinstance(output["parsed"] if include_raw else output, River)
    assert emulator.last.json["structured_outputs"] == {"json": emulator.last.json["guided_json"]}
    assert "response_format" not in emulator.last.json


def test_other_kinds_of_guided_decoding(emulator: Emulator) -> None:
    """Choices, patterns and grammars are sent as fields of the request."""
    model = chat_at(emulator).bind(structured_outputs={"choice": ["yes", "no"]})

    assert model.invoke("Is the Nile long?").text in {"yes", "no"}


@pytest.mark.parametrize(("method", "message"), [("guided_decoding", "strict=False"), ("json_mode", "strict")])
def test_arguments_without_effect_are_rejected(
    emulator: Emulator, method: Literal["guided_decoding"], message: str
) -> None:
    """Arguments without effect raise."""
    with pytest.raises(ValueError, match=message):
        chat_at(emulator).with_structured_output(River, method=method, strict=False)
