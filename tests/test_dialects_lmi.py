"""LMI's formats and JumpStart's: rolling batch, dynamic batch, error lines, dialogues."""

from typing import Any

import pytest

from mdstream_core.dialects import LMI, Decoder, JumpStartLlama, OpenAIChat
from mdstream_core.errors import MalformedStream, StreamFailure, StreamInterrupted
from mdstream_core.events import Event, Finish, TextDelta, Usage

STATES = {"role": "user", "content": "Hi"}


def read(decoder: Decoder, *payloads: bytes) -> list[Event]:
    events = [event for payload in payloads for event in decoder.feed(payload)]
    return events + decoder.finish()


def test_the_request_uses_lmis_names() -> None:
    """LMI's name for stop sequences; a response format is passed through."""
    requested = LMI().build_payload({"messages": [STATES], "stop": ["END"], "max_completion_tokens": 5, "response_format": {"type": "json_object"}}, stream=True)  # fmt: skip

    assert "Hi" == requested["inputs"]
    assert requested["stream"]
    assert {"details": True, "stop_sequences": ["END"], "max_new_tokens": 5, "response_format": {"type": "json_object"}} == requested["parameters"]  # fmt: skip


FAILED = b'{"token":{"id":-1,"text":"","log_prob":-1,"special_token":true,"error_msg":"CUDA OOM"},"generated_text":"","details":{"finish_reason":"error","generated_tokens":0}}'

#: name: (payloads, events)
RESPONSES: dict[str, tuple[list[bytes], list[Event]]] = {
    "rolling batch": (
        [
            b'{"token":{"id":304,"text":"Deep ","log_prob":-0.05}}',
            b'{"token":{"id":5,"text":"end","log_prob":-0.1},"generated_text":"Deep end","details":{"finish_reason":"length","generated_tokens":2,"inputs":"x"}}',
        ],
        [TextDelta("Deep "), TextDelta("end"), Usage(0, 2, 2), Finish("length")],
    ),
    "the new handler": (
        [
            b'{"index":0,"token":{"id":1,"text":"a","logprob":-0.1},"generated_text":null,"details":null}',
            b'{"index":1,"token":{"id":2,"text":"b","logprob":-0.1},"generated_text":"ab","details":null}',
        ],
        [TextDelta("a"), TextDelta("b"), Finish("stop")],
    ),
    "dynamic batch": (
        [b'{"outputs":["This"]}', b'{"outputs":[" is"]}'],
        [TextDelta("This"), TextDelta(" is"), Finish("stop")],
    ),
    "dynamic batch of two": (
        [b'{"outputs":["a","b"]}'],
        [TextDelta("a", 0), TextDelta("b", 1), Finish("stop", 0), Finish("stop", 1)],
    ),
    "whole": ([b'{"generated_text":"Hi"}'], [TextDelta("Hi"), Finish("stop")]),
}  # fmt: skip


@pytest.mark.parametrize(("payloads", "events"), RESPONSES.values(), ids=RESPONSES)
def test_responses_of_each_batching_mode_are_decoded(payloads: list[bytes], events: list[Event]) -> None:
    """Dynamic batch has no end marker: the response ends with the body."""
    assert events == read(LMI().create_decoder(), *payloads)


#: name: (payloads, the error, some words)
BROKEN: dict[str, tuple[list[bytes], type[Exception], str]] = {
    "an error line": ([FAILED], StreamFailure, "CUDA OOM"),
    "an error before inference": ([b'{"error":"prediction failure","code":424}'], StreamFailure, "prediction failure"),
    "vLLM's error line": ([b'{"error":{"message":"bad","type":"BadRequestError","code":400}}'], StreamFailure, "bad"),
    "no end": ([b'{"token":{"id":304,"text":"Deep ","log_prob":-0.05}}'], StreamInterrupted, "before"),
    "another dialect": ([b'{"choices":[]}'], MalformedStream, "set dialect='openai-chat'"),
}


@pytest.mark.parametrize(("payloads", "kind", "words"), BROKEN.values(), ids=BROKEN)
def test_an_incomplete_response_is_an_error(payloads: list[bytes], kind: type[Exception], words: str) -> None:
    """The class of the error, and the server's message."""
    with pytest.raises(kind, match=words):
        read(LMI().create_decoder(), *payloads)


def test_chunks_without_done_end_with_their_finish_reason() -> None:
    """
    LMI's chat is OpenAI's, a JSON document to a line: the end of the body is enough if every choice has finished.
    """
    chunk = b'{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":%b}]}'

    assert Finish("stop") == read(OpenAIChat().create_decoder(), chunk % b"null", chunk % b'"stop"')[-1]
    with pytest.raises(StreamInterrupted):
        read(OpenAIChat().create_decoder(), chunk % b"null")


def test_jumpstarts_llama_accepts_a_dialog_and_does_not_stream() -> None:
    """Messages are unchanged; `generation` may be an object or a string."""
    requested: dict[str, Any] = JumpStartLlama().build_payload({"messages": [STATES], "max_tokens": 9, "temperature": 0.1}, stream=True)  # fmt: skip

    assert {
        "inputs": [[STATES]],
        "parameters": {"max_new_tokens": 9, "do_sample": True, "temperature": 0.1},
    } == requested
    for data in (b'[{"generation":{"role":"assistant","content":"Yo"}}]', b'{"generation":"Yo"}'):
        assert [TextDelta("Yo"), Finish("stop")] == read(JumpStartLlama().create_decoder(), data)
