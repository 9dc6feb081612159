"""TGI's own format: requests translated, answers read, endings judged."""

from typing import Any

import pytest

from mdstream_core import ModelResponse
from mdstream_core.dialects import TGI, Decoder
from mdstream_core.errors import InvalidRequest, MalformedStream, StreamFailure, StreamInterrupted, StreamTimeout
from mdstream_core.events import Event, Finish, TextDelta, Usage

WEATHER = {"type": "function", "function": {"name": "get_weather"}}
STATES = {"role": "user", "content": "Hi"}
DETAILS = {"details": True, "return_full_text": False}


def token(text: str, more: str = '"generated_text":null,"details":null', special: str = "false") -> bytes:
    return b'{"index":1,"token":{"id":5,"text":"%b","logprob":-0.1,"special":%b},%b}' % (text.encode(), special.encode(), more.encode())  # fmt: skip


LAST = '"generated_text":"Hi there","details":{"finish_reason":"eos_token","generated_tokens":2,"seed":null,"input_length":4}'  # fmt: skip


def read(*payloads: bytes, decoder: Decoder | None = None) -> list[Event]:
    decoder = decoder or TGI().create_decoder()
    events = [event for payload in payloads for event in decoder.feed(payload)]
    return events + decoder.finish()


#: name: (the request in the OpenAI shape, `inputs`, `parameters`)
REQUESTS: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "a prompt": ({"prompt": "Once"}, "Once", {}),
    "a list of one prompt": ({"prompt": ["Once"]}, "Once", {}),
    "inputs": ({"inputs": "<s>Once"}, "<s>Once", {}),
    "one message": ({"messages": [STATES], "model": "m"}, "Hi", {}),
    "parts of text": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]},
        "ab",
        {},
    ),
    "a conversation": (
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                STATES,
                {"role": "assistant", "content": "Yes?"},
                {"role": "user", "content": "Bye"},
            ]
        },
        "Be brief.\n\nUser: Hi\n\nAssistant: Yes?\n\nUser: Bye\n\nAssistant:",
        {},
    ),
    "options": (
        {"prompt": "x", "max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "stop": "END", "seed": 1, "top_k": 3},
        "x",
        {"max_new_tokens": 7, "do_sample": True, "temperature": 0.5, "top_p": 0.9, "stop": ["END"], "seed": 1, "top_k": 3},
    ),
    "no chance": ({"prompt": "x", "temperature": 0, "top_p": 1, "n": 1, "stop": []}, "x", {"do_sample": False}),
    "a schema": (
        {"prompt": "x", "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}},
        "x",
        {"grammar": {"type": "json", "value": {"type": "object"}}},
    ),
    "a picture": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://h/a(1).png"}}, {"type": "text", "text": "What is it?"}]}]},
        "![](https://h/a%281%29.png)What is it?",
        {},
    ),
    "a picture that a tool returned": (
        {"messages": [STATES, {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "A chart: "}, {"type": "image_url", "image_url": "data:image/png;base64,QQ=="}]}]},
        f"User: {STATES['content']}\n\nTool: A chart: ![](data:image/png;base64,QQ==)\n\nAssistant:",
        {},
    ),
    "any JSON": (
        {"prompt": "x", "response_format": {"type": "json_object"}},
        "x",
        {"grammar": {"type": "json", "value": {"type": "object"}}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("params", "inputs", "parameters"), REQUESTS.values(), ids=REQUESTS)
def test_requests_are_translated(params: dict[str, Any], inputs: str, parameters: dict[str, Any], stream: bool) -> None:
    """Options get TGI's names; values that equal the default and that TGI rejects are dropped."""
    assert {"inputs": inputs, "parameters": {**DETAILS, **parameters}, "stream": stream} == TGI().build_payload(params, stream=stream)  # fmt: skip


IMPOSSIBLE: dict[str, dict[str, Any]] = {
    "tools": {"messages": [STATES], "tools": [WEATHER]},
    "choices": {"messages": [STATES], "n": 2},
    "sounds": {"messages": [{"role": "user", "content": [{"type": "audio_url", "audio_url": {"url": "x"}}]}]},
    "prompts": {"prompt": ["a", "b"]},
    "nothing": {},
}


@pytest.mark.parametrize("params", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_unsupported_options_are_rejected(params: dict[str, Any]) -> None:
    """They are not dropped silently: the response would be another one."""
    with pytest.raises(InvalidRequest):
        TGI().build_payload(params, stream=True)


#: name: (payloads, events)
RESPONSES: dict[str, tuple[list[bytes], list[Event]]] = {
    "a stream": (
        [token("Hi"), token(" there", LAST)],
        [TextDelta("Hi"), TextDelta(" there"), Usage(4, 2, 6), Finish("stop")],
    ),
    "special tokens are not text": (
        [token("Hi"), token("</s>", LAST.replace(" there", ""), "true")],
        [TextDelta("Hi"), Usage(4, 2, 6), Finish("stop")],
    ),
    "without details": ([token("Hi", '"generated_text":"Hi"')], [TextDelta("Hi"), Finish("stop")]),
    "cut by length": (
        [token("Hi", '"generated_text":"Hi","details":{"finish_reason":"length","generated_tokens":1}')],
        [TextDelta("Hi"), Usage(0, 1, 1), Finish("length")],
    ),
    "nothing was said": ([token("</s>", '"generated_text":""', "true")], [Finish("stop")]),
    "a list": ([b'[{"generated_text":"Hi"}]'], [TextDelta("Hi"), Finish("stop")]),
    "a list with details": (
        [b'[{"generated_text":"Hi","details":{"finish_reason":"stop_sequence","generated_tokens":1}}]'],
        [TextDelta("Hi"), Usage(0, 1, 1), Finish("stop")],
    ),
    "a bare object": ([b'{"generated_text":"great thing"}'], [TextDelta("great thing"), Finish("stop")]),
    "several": (
        [b'[{"generated_text":"a"},{"generated_text":"b"}]'],
        [TextDelta("a", 0), TextDelta("b", 1), Finish("stop", 0), Finish("stop", 1)],
    ),
    "the whole text only": ([token("", '"generated_text":"Hi"')], [TextDelta("Hi"), Finish("stop")]),
    "blank payloads and [DONE] say nothing": (
        [b"", b"  ", token("Hi", '"generated_text":"Hi"'), b"[DONE]"],
        [TextDelta("Hi"), Finish("stop")],
    ),
    "the whole text grows": (
        [b'{"generated_text":"Hel"}', b'{"generated_text":"Hello"}', b'{"generated_text":"Hello"}'],
        [TextDelta("Hel"), TextDelta("lo"), Finish("stop")],
    ),
    "the whole text is longer than the tokens": (
        [token(" Hi"), b'{"generated_text":"Hi there"}'],
        [TextDelta(" Hi"), TextDelta(" there"), Finish("stop")],
    ),
    "the whole text has the prompt before it": (
        [token(" Hi"), token(".", '"generated_text":"Say hi: Hi."')],
        [TextDelta(" Hi"), TextDelta("."), Finish("stop")],
    ),
    "the whole text lacks the stop sequence": (
        [token("Hi"), token("END", '"generated_text":"Hi"')],
        [TextDelta("Hi"), TextDelta("END"), Finish("stop")],
    ),
    "a reason in capitals": (
        [token("Hi", '"generated_text":"Hi","details":{"finish_reason":"LENGTH"}')],
        [TextDelta("Hi"), Finish("length")],
    ),
    "a stream of generations": (
        [b'[{"generation":"Hel"}]', b'[{"generation":"lo"}]'],
        [TextDelta("Hel"), TextDelta("lo"), Finish("stop")],
    ),
}


@pytest.mark.parametrize(("payloads", "events"), RESPONSES.values(), ids=RESPONSES)
def test_responses_are_decoded(payloads: list[bytes], events: list[Event]) -> None:
    """Streamed or whole, each piece and each character once."""
    assert events == read(*payloads)


#: name: (payloads, the error, some words)
BROKEN: dict[str, tuple[list[bytes], type[Exception], str]] = {
    "no end": ([token("Hi")], StreamInterrupted, "before generated_text"),
    "nothing": ([], StreamInterrupted, "no token was received"),
    "an error": ([token("Hi"), b'{"error":"Request failed during generation","error_type":"generation"}'], StreamFailure, "during generation"),
    "an error of the chat": ([b'{"error":{"message":"no","http_status_code":408}}'], StreamTimeout, "no"),
    "gave up": ([b'{"token":{"id":-1,"text":""},"details":{"finish_reason":"error"}}'], StreamFailure, "the model server failed"),
    "gave up in a whole answer": ([b'{"generated_text":"a","details":{"finish_reason":"Timeout"}}'], StreamFailure, "the model server failed"),
    "another whole text": ([b'{"generated_text":"Hel"}', b'{"generated_text":"lo"}'], MalformedStream, "'Hel', then 'lo'"),
    "infinitely many tokens": (
        [b'{"token":{"text":""},"details":{"finish_reason":"stop","generated_tokens":Infinity}}'],
        MalformedStream,
        "unexpected shape",
    ),
    "a generation without content": ([b'[{"generation":{"role":"a"}}]'], MalformedStream, "(another|unexpected) shape"),
    "no JSON": ([b'{"token":'], MalformedStream, "not JSON"),
    "a number for a token": ([b'{"token":7}'], MalformedStream, "(another|unexpected) shape"),
    "a number for a text": ([b'{"token":{"text":7}}'], MalformedStream, "(another|unexpected) shape"),
    "OpenAI's chat": ([b'{"choices":[{"delta":{"content":"Hi"}}]}'], MalformedStream, "'choices': .*set dialect='openai-chat'"),
    "OpenAI's completions": ([b'{"choices":[{"text":"Hi"}]}'], MalformedStream, "set dialect='openai-completions'"),
    "vectors": ([b"[[0.1,0.2]]"], MalformedStream, "vectors of numbers, which an embedding model returns: .*no known dialect"),
    "something else": ([b'{"predictions":[1]}'], MalformedStream, "an object with 'predictions': .*no known dialect"),
}  # fmt: skip


@pytest.mark.parametrize(("payloads", "kind", "words"), BROKEN.values(), ids=BROKEN)
def test_an_incomplete_response_is_an_error(payloads: list[bytes], kind: type[Exception], words: str) -> None:
    """The class of the error, and a part of its message."""
    with pytest.raises(kind, match=words):
        read(*payloads)


@pytest.mark.parametrize(
    "data", [b"", b"[DONE]", b'{"message":"no"}', b'"no"', b'{"token":{"text":"no"}}', b"<p>no</p>"]
)
def test_an_event_named_error_is_a_failure(data: bytes) -> None:
    """Its data, if any, is the message."""
    decoder = TGI().create_decoder()
    decoder.feed(token("Hi", '"generated_text":"Hi"'))

    with pytest.raises(StreamFailure, match=r"no|DONE"):
        decoder.feed(data, "error")


def test_whole_texts_end_with_the_body() -> None:
    """A container may send one on each line, so reading continues."""
    decoder = TGI().create_decoder()
    decoder.feed(b'{"generated_text":"Hel"}')

    assert not decoder.is_complete


def test_events_before_an_error_are_returned() -> None:
    """
    In one payload too: the first choice's text comes, then the error.
    """
    decoder = TGI().create_decoder()

    assert [TextDelta("a")] == decoder.feed(b'[{"generated_text":"a"},{"error":"no"}]')
    assert isinstance(decoder.error, StreamFailure)
    assert not decoder.is_complete
    with pytest.raises(StreamFailure):
        decoder.finish()


def test_the_sum_of_a_stream() -> None:
    """
    Text, reason and usage in one reply.
    """
    model_response = ModelResponse.from_events(read(token("Hi"), token(" there", LAST)))

    assert ("Hi there", "stop", Usage(4, 2, 6)) == (
        model_response.text,
        model_response.finish_reason,
        model_response.usage,
    )
