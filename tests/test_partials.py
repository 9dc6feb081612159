"""A partial response can always be built, whatever the deltas contained."""

import json
import pickle
import random
from typing import Any

import pytest
from _framework_methods import METHODS, PLATFORM, Method
from _fuzz_inputs import mutate
from _fuzz_targets import check_translation, mutate_events
from _raw_server import respond_with, serving
from _samples import read

from langchain_mdstream import ChatOCIModelDeployment
from mdstream_core import MDStreamError, ModelResponse
from mdstream_core.errors import MalformedStream, StreamTimeout
from mdstream_core.events import Finish, TextDelta, ToolCallDelta, Usage

TRAILER = (("StreamFailure", "ModelResponseTimeExceeded"),)
RIFF = "UklGRgAA"  # RIFF\0\0


def sse(*deltas: dict[str, Any]) -> bytes:
    payloads = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    return b"".join(b"data: " + json.dumps(payload).encode() + b"\n\n" for payload in payloads)


#: Pieces of audio, and the audio of the partial response.
SOUNDS: dict[str, tuple[list[Any], Any]] = {
    "one text that is whole": ([{"data": RIFF}], {"data": RIFF}),
    "one text, split anywhere": ([{"data": RIFF[:3]}, {"data": RIFF[3:]}], {"data": RIFF}),
    "one text, split into characters": ([{"data": one} for one in RIFF], {"data": RIFF}),
    "pieces with padding of their own": ([{"data": "UQ=="}, {"data": "UQ=="}], {"data": "UVE="}),
    "a text whose end is missing": ([{"id": "a", "data": "UklGR"}], {"id": "a", "data": "UklGR"}),
    "a text outside of ASCII": ([{"data": "é"}], {"data": "é"}),
    "data that are null": ([{"id": "a", "data": None}], {"id": "a", "data": ""}),
    "null between pieces": ([{"data": "Uklm"}, {"data": None}, {"data": "Uklm"}], {"data": "UklmUklm"}),
    "data that are an object": ([{"data": {"b": 1}}], {"data": {"b": 1}}),
    "data that are a list": ([{"data": ["UklG"]}, {"data": 5}], {"data": [["UklG"], 5]}),
    "a transcript that is an object": ([{"transcript": {"text": "hi"}}], {"transcript": {"text": "hi"}}),
    "a transcript in pieces and null": ([{"transcript": "The "}, {"transcript": None}], {"transcript": "The "}),
    "sound that is a text": ([RIFF], {"data": RIFF}),
    "sound that is a list": ([[1, 2]], {"data": [1, 2]}),
}


@pytest.mark.parametrize(("pieces", "expected"), SOUNDS.values(), ids=SOUNDS)
def test_a_failure_after_audio_keeps_the_audio(pieces: list[Any], expected: Any) -> None:
    """The trailer's error has the text and the audio; invalid audio is kept as received."""
    body = sse({"content": "Hi"}, *({"audio": piece} for piece in pieces))
    error = read(body, trailers=TRAILER).error

    assert isinstance(error, StreamTimeout)
    assert error.partial is not None
    assert (error.partial.text, error.partial.first.provider_data["audio"]) == ("Hi", expected)
    assert pickle.loads(pickle.dumps(error)).partial == error.partial
    check_translation(error.partial, error)


def test_audio_after_the_finish_reason_is_not_lost() -> None:
    """It is delivered at the end."""
    body = sse({"content": "Hi"}) + b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    outcome = read(body + sse({"audio": {"data": RIFF}}) + b"data: [DONE]\n\n")

    assert outcome.error is None
    assert outcome.model_response.first.provider_data["audio"] == {"data": RIFF}


DELTAS: dict[str, dict[str, Any]] = {
    "truncated audio": {"audio": {"data": "UklGR"}},
    "transcript object": {"audio": {"transcript": {"text": "hi"}}},
    "pictures and citations of other types": {"images": [5, None, {"url": 7}], "citations": [{"url": ["x"]}, 3]},
}


@pytest.mark.parametrize("call_method", METHODS, ids=lambda call_method: call_method.__name__)
@pytest.mark.parametrize("delta", DELTAS.values(), ids=DELTAS)
def test_both_frameworks_raise_the_error_with_the_partial(call_method: Method, delta: dict[str, Any]) -> None:
    """Sync and async, over a socket whose trailer reports a failure."""
    body = sse({"content": "Hi", **delta})
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    wire = b"%x\r\n%s\r\n0\r\nStreamFailure: ModelResponseTimeExceeded\r\n\r\n" % (len(body), body)
    with serving(respond_with(head, wire)) as server, pytest.raises(StreamTimeout) as caught:
        call_method(f"{server.url}/ocid1.datasciencemodeldeployment.oc1.iad.x")

    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hi"
    assert pickle.loads(pickle.dumps(caught.value)).partial.text == "Hi"


def test_on_llm_error_gets_the_partial_of_invalid_deltas() -> None:
    """The callback's response has the text, and a message whose content blocks can be read."""
    from langchain_core.callbacks import BaseCallbackHandler  # noqa: PLC0415

    class ErrorRecorder(BaseCallbackHandler):
        response: Any = None

        def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
            self.response = kwargs.get("response")

    recorder, body = (
        ErrorRecorder(),
        sse({"content": "Hi", "audio": {"data": {"a": 1}}, "annotations": [{"url_citation": 5}]}),
    )
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(body)
    with serving(respond_with(head, body)) as server, pytest.raises(MDStreamError):
        url = f"{server.url}/ocid1.datasciencemodeldeployment.oc1.iad.x"
        list(ChatOCIModelDeployment(endpoint=url, **PLATFORM).stream("x", config={"callbacks": [recorder]}))

    message = recorder.response.generations[0][0].message
    assert message.content == "Hi"
    assert isinstance(message.content_blocks, list)


@pytest.mark.parametrize("seed", range(12))
def test_events_with_wrong_types_are_accumulated(seed: int) -> None:
    """Any value in any field: the response, its dictionary, its pickle and both frameworks' messages can be built."""
    chance = random.Random(seed)
    for _ in range(10):
        model_response = ModelResponse.from_events(mutate_events(chance, chance.randint(1, 12)))
        pickle.dumps(model_response)
        json.dumps(model_response.to_dict()["text"])
        [getattr(model_response, name) for name in ("text", "reasoning", "refusal", "tool_calls", "finish_reason")]
        check_translation(model_response, MalformedStream("x"))


def test_other_values_are_kept_as_json() -> None:
    """Invalid token counts are ignored, and an empty response has all properties."""
    events: list[Any] = [
        *(TextDelta("Hi "), TextDelta({"text": "x"}), TextDelta(None)),
        *(ToolCallDelta(0, 5, ["f"], {"a": 1}), Usage("3", -1, 10**400, "x"), Finish({"type": "stop"})),
    ]
    model_response = ModelResponse.from_events(events)

    assert model_response.text == 'Hi {"text":"x"}'
    assert [(call.id, call.name, call.arguments) for call in model_response.tool_calls] == [("5", '["f"]', '{"a":1}')]
    assert model_response.usage == Usage(3, 0, 0)
    assert model_response.finish_reason == '{"type":"stop"}'
    assert ModelResponse.from_events([TextDelta("Hi", [])]).text == "Hi"
    assert ModelResponse(choices=()).text == ModelResponse(choices=()).to_dict()["text"] == ""


@pytest.mark.parametrize("seed", range(10))
def test_a_failure_after_invalid_deltas_has_a_partial(seed: int) -> None:
    """The error is mdstream's, with the text received before."""
    chance = random.Random(seed)
    delta = {
        "audio": {"id": "a", "data": "UklGR", "transcript": "x"}, "images": [{"image_url": {"url": "u"}}],
        "tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}],
        "annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}], "reasoning_content": "hm",
    }  # fmt: skip
    for _ in range(10):
        body = sse({"content": "Hi"}) + mutate(sse(delta, delta), chance, [])
        outcome = read(body, trailers=TRAILER, step=chance.choice([1, 50, 4096]))

        assert isinstance(outcome.error, MDStreamError)
        assert outcome.error.partial is not None
        assert outcome.error.partial.text.startswith("Hi")
        check_translation(outcome.error.partial, outcome.error)
