"""Payloads of one read that differ in their text alone are decoded together, and as they are one by one."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pydantic_core
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdstream_core import Call, ModelArts, OCIGenerativeAI, OCIModelDeployment, OpenAIChat, Retry, SageMaker, _json
from mdstream_core.attempt import Attempt
from mdstream_core.dialects import dialect
from mdstream_core.dialects._text_template import TextTemplate, find_template, parse_strings
from mdstream_core.dialects.tool_call_recovery import recover_tool_calls
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, TextDelta
from mdstream_core.http import ResponseHead
from mdstream_core.platforms import Platform
from mdstream_core.platforms._sagemaker_payload_parts import PartDecoder, PayloadPartDecoder
from mdstream_core.wire import Payloads
from mdstream_core.wire.eventstream import encode
from mdstream_core.wire.jsonlines import JSONLinesDecoder
from mdstream_core.wire.sse import SSEDecoder
from mdstream_core.wire.websocket import BINARY, CLOSE, TEXT, close_data, encode_frame
from mdstream_core.wire.websocket_messages import CONTENT_TYPE, MessageDecoder

#: Contents of strings that must not be taken for their end, or are no JSON.
CONTENTS = (
    *(
        b"a",
        b"",
        b" ",
        b"\\",
        b"\\\\",
        b'\\"',
        b'"',
        b'"}',
        b'","',
        b'",["',
        b'"],"',
        b'",0,"',
        b'"]',
        b'["',
        b",",
        b"\\u00e4",
    ),
    *(
        b"\n",
        b"\r",
        b"\x01",
        b"\xff",
        b"\\ud83d",
        b"\\ude00",
        "é😀".encode(),
        b'\\",',
        b'a\\","',
        b'"]},"pad":"',
        b"\\x",
        b"\\",
    ),
)
contents = st.lists(st.sampled_from(CONTENTS) | st.text(max_size=3).map(str.encode), min_size=1, max_size=6).map(
    b"".join
)

PARSERS = pytest.mark.parametrize("parse", [_json.parse, pydantic_core.from_json], ids=["fastest", "pydantic"])


@PARSERS
@settings(deadline=None)
@given(st.lists(contents, max_size=5))
def test_strings_are_parsed_together_as_one_by_one(parse: Callable[[bytes], Any], values: list[bytes]) -> None:
    """Whatever is between quotation marks is either the content of one string, or nothing is returned."""
    expected: list[str] = []
    try:
        expected = [parse(b'"%b"' % value) for value in values]
    except _json.PARSE_ERRORS:
        expected = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_json, "parse", parse)
        parsed = parse_strings(values)

    assert expected == parsed


@pytest.mark.parametrize(
    "values",
    [
        [b'a","b'],
        [b"a\\\\\\", b"b"],
        [b"a\\", b"b"],
        [b"a\\", b',"b'],
        [b"a", b"b\\"],
        [b'a",["b', b"c", b'd"],"e'],
        [b'a",5,"b', b"c"],
        [b"a\nb"],
        [b"a\xff"],
        [b"\\ud83d"],
        [],
    ],
)
def test_what_is_not_the_content_of_one_string(values: list[bytes]) -> None:
    """It is never returned, even if the document of all contents is a list of the same length."""
    assert [] == parse_strings(values)


# A template with four values: number, text, word, number

CHUNK = b'{"index": 1, "text": "a", "pad": "xx", "id": 7, "end": null}'
NAMES = (b'"index"', b'"pad"', b'"id"', b'"log_prob"')


def _template() -> TextTemplate:
    template = find_template(CHUNK, "a", b'"text"', NAMES)
    assert template is not None
    return template


def _chunk(index: bytes = b"1", text: bytes = b"a", pad: bytes = b"xx", id: bytes = b"7") -> bytes:
    return b'{"index": %b, "text": "%b", "pad": "%b", "id": %b, "end": null}' % (index, text, pad, id)


def test_values_without_meaning_may_differ() -> None:
    """Numbers, padding and texts with escapes are read together."""
    chunks = [
        _chunk(),
        _chunk(b"22", rb"\u00e4\n\\ ", b"", b"-1.5e3"),
        _chunk(text='é"'.encode().replace(b'"', b'\\"')),
    ]

    assert ["a", "ä\n\\ ", 'é"'] == _template().read_run(chunks, 0)
    assert ["ä\n\\ ", 'é"'] == _template().read_run(chunks, 1)


#: Chunks that start and end like the others, and are no such document.
OTHERS = {
    "two numbers": _chunk(index=b"1, 2"),
    "a number with a comma": _chunk(index=b"1,2"),
    "no number": _chunk(index=b""),
    "a number with a zero": _chunk(index=b"01"),
    "a list for a number": _chunk(index=b"[1]"),
    "a string for a number": _chunk(index=b'"1"'),
    "a quotation mark in the padding": _chunk(pad=b'x"x'),
    "an escape in the padding": _chunk(pad=b"x\\"),
    "another field": _chunk(pad=b'x", "error": "x'),
    "a text with a field": _chunk(text=b'a", "error": "b'),
    "a text with a field of the form": _chunk(text=b'a", "pad": "b'),
    "a missing field": b'{"index": 1, "text": "a", "id": 7, "end": null}',
    "fields in another order": b'{"index": 1, "pad": "xx", "text": "a", "id": 7, "end": null}',
    "an empty text": _chunk(text=b""),
    "a line break": _chunk(text=b"a\nb"),
    "a line break for a field": b'{"index": 1\na", "pad": "xx", "id": 7, "end": null}',
    **{
        f"the control character {mark} for a field": b'{"index": 1%ba", "pad": "xx", "id": 7, "end": null}'
        % bytes([mark])
        for mark in range(8)
    },
    "control characters for all fields": b'{"index": 1\1a\2xx\x037, "end": null}',
    "a control character in the text": _chunk(text=b"a\1"),
    "the bytes between fields in another order": b'{"index": 1", "pad": "xx, "text": "a", "id": 7, "end": null}',
    "line breaks for the fields of two chunks": _chunk(text=b"a\nxx\n7\n1\nb"),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_another_document_between_the_same_bytes(other: bytes) -> None:
    """It is not read, wherever it is; half of the chunks before it may be."""
    good = _chunk()
    for chunks in ([other], [other, good], [other, good, good, good]):
        assert [] == _template().read_run(chunks, 0)
    assert ["a"] == _template().read_run([good, other], 0)
    assert ["a"] * 2 == _template().read_run([good, good, good, good, other], 0)


def test_errors_of_two_chunks_do_not_cancel_out() -> None:
    """What one chunk has too much, another one must not have too little."""
    more, less = (
        _chunk(pad=b'x", "id": 7, "end": null}\n{"index": 1, "text": "a", "pad": "x'),
        b'{"index": 1, "end": null}',
    )

    assert [] == _template().read_run([_chunk(index=b"1,2"), _chunk(index=b"")], 0)
    assert [] == _template().read_run([more, less], 0)

    marked, twice = b'{"index": 1\1a", "pad": "xx", "id": 7, "end": null}', _chunk(index=b'1, "text": "')
    assert [] == _template().read_run([marked, twice], 0)
    assert [] == _template().read_run([twice, marked], 0)


def test_a_chunk_of_another_form_ends_the_run() -> None:
    """A chunk that starts or ends otherwise, or in which start and end would overlap."""
    simple = TextTemplate([b'{"a":"', b'"}'])
    for other in (b'{"b":"x"}', b'{"a":"x"]', b'{"a":"}', b'"}', b"", b"[DONE]"):
        assert ["x"] == simple.read_run([b'{"a":"x"}', other, b'{"a":"y"}'], 0)
        assert ["x"] * 3 == simple.read_run([b'{"a":"x"}'] * 3 + [other], 0)
        assert [] == simple.read_run([other, b'{"a":"y"}'], 0)


@pytest.mark.parametrize(
    "chunk",
    [
        b'{"text": "a", "text": "a"}',
        b'{"text": "b", "x": "a"}',
        rb'{"text": "a", "x": "\n"}',
        b'{"text": "a",\n"pad": "b"}',
        b'{"text": "a", "x": "%b"}' % (b"x" * 2048),
    ],
)
def test_the_position_of_the_text_must_be_certain(chunk: bytes) -> None:
    """Otherwise there is no template."""
    assert find_template(chunk, "a", b'"text"', NAMES) is None


@pytest.mark.parametrize(
    ("rest", "other"),
    [
        (b'"id": null', b'"id": 1'),
        (b'"id": [1, 2]', b'"id": [1, 3]'),
        (b'"id": 1, "x": {"id": 2}', b'"id": 1, "x": {"id": 3}'),
        (b'"id": 1, "x": {"id": 2}', b'"id": 3, "x": {"id": 2}'),
    ],
)
def test_fields_of_other_types_are_part_of_the_form(rest: bytes, other: bytes) -> None:
    """As are fields whose name occurs twice."""
    template = find_template(b'{"text": "a", %b}' % rest, "a", b'"text"', NAMES)

    assert template is not None
    assert ["b"] == template.read_run([b'{"text": "b", %b}' % rest], 0)
    assert [] == template.read_run([b'{"text": "b", %b}' % other], 0)


# Whole responses, with payloads that are decoded together and without


def _sse(payload: bytes) -> bytes:
    return b"data: %b\n\n" % payload


def _part(payload: bytes) -> bytes:
    headers = {":event-type": "PayloadPart", ":content-type": "application/octet-stream", ":message-type": "event"}
    return encode(headers, payload)


OCI = OCIModelDeployment("http://127.0.0.1:1/ocid1.datasciencemodeldeployment.oc1.iad.abc")
GENAI = OCIGenerativeAI("ocid1.compartment.oc1..aaaa", "m", region="us-chicago-1")
AWS = SageMaker("emulated", "us-east-1")
HUAWEI = ModelArts("https://127.0.0.1:1/v1/infers/x")
EVENTS, EVENT_STREAM, LINES = "text/event-stream", "application/vnd.amazon.eventstream", "application/jsonlines"


def _openai(text: str, **others: Any) -> Any:
    return {
        "id": "x",
        "model": "m",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None, **others}],
    }


def _generic(text: str, **others: Any) -> Any:
    message = {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": text}]}
    return {"index": 0, "message": message, "pad": "aaaa"[: len(text) % 5], **others}


def _cohere(text: str, **others: Any) -> Any:
    return {"apiFormat": "COHERE", "text": text, "pad": "aaaa"[: len(text) % 5], **others}


def _cohere_v2(text: str, **others: Any) -> Any:
    return {
        "apiFormat": "COHEREV2",
        "message": {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": text}]},
        **others,
    }


def _tgi(text: str, **others: Any) -> Any:
    token = {"id": len(text), "text": text, "logprob": -0.5 * len(text), "special": False}
    return {"index": len(text), "token": token, "generated_text": None, "details": None, **others}


def _lmi(text: str, **others: Any) -> Any:
    return {"token": {"id": [len(text)], "text": text, "log_prob": -0.5}, **others}


#: Platform, dialect, content type, chunk of a text, its frame, and fields that finish the response.
FORMATS: dict[str, tuple[Platform, str, str, Callable[..., Any], Callable[[bytes], bytes], dict[str, Any]]] = {
    "openai": (OCI, "openai-chat", EVENTS, _openai, _sse, {"finish_reason": "stop"}),
    "openai lines": (OCI, "openai-chat", LINES, _openai, lambda payload: payload + b"\n", {"finish_reason": "stop"}),
    "generic": (GENAI, "oci-generic", EVENTS, _generic, _sse, {"finishReason": "stop"}),
    "cohere": (GENAI, "oci-cohere", EVENTS, _cohere, _sse, {"finishReason": "COMPLETE"}),
    "cohere v2": (GENAI, "oci-cohere-v2", EVENTS, _cohere_v2, _sse, {"finishReason": "COMPLETE"}),
    "sagemaker": (AWS, "auto", EVENT_STREAM, _openai, lambda payload: _part(_sse(payload)), {"finish_reason": "stop"}),
    "sagemaker lines": (AWS, "auto", EVENT_STREAM, _openai, lambda payload: _part(payload + b"\n"), {"finish_reason": "stop"}),
    "tgi": (AWS, "auto", EVENT_STREAM, _tgi, lambda payload: _part(_sse(payload)), {"details": {"finish_reason": "length"}}),
    "lmi": (AWS, "lmi", EVENT_STREAM, _lmi, lambda payload: _part(payload + b"\n"), {"details": {"finish_reason": "length"}}),
    "websocket": (HUAWEI, "openai-chat", CONTENT_TYPE, _openai, lambda payload: encode_frame(TEXT, payload), {"finish_reason": "stop"}),
}  # fmt: skip

#: What a stream may have instead of a chunk with a text, as fields of such a chunk, or as a whole payload.
ODD: tuple[Any, ...] = (
    *({"error": {"message": "failed"}}, {"finish_reason": "stop"}, {"finishReason": "unknown"}, {"index": 1}),
    *(
        {"usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}},
        {"message": None},
        {"citations": [1]},
    ),
    *(
        {"toolCalls": [{"name": "f", "parameters": {}}]},
        {"details": {"finish_reason": "error"}},
        {"generated_text": "a"},
    ),
    *(b"[DONE]", b"{}", b"[]", b"null", b'"text"', b'{"choices":[]}', b"{", b"NaN", b'{"error":"x"}'),
)
pieces = (
    st.text(max_size=4)
    | st.sampled_from(["a", "b", '"', "\\", "\n", "\u2028", "😀", "é", "\ud83d", "\ude00"])
    | st.sampled_from(ODD)
)


def _payloads(chunk: Callable[..., Any], stream: list[Any], *, is_ascii: bool) -> Iterator[bytes]:
    for piece in stream:
        if isinstance(piece, bytes):
            yield piece
        else:
            document = chunk(piece) if isinstance(piece, str) else chunk("x", **piece)
            yield json.dumps(document, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")


def _attempt(platform: Platform, name: str, content_type: str) -> Attempt:
    attempt = Call(platform, dialect(name), {"messages": [{"role": "user", "content": "x"}], "prompt": "x"}, retry=Retry(0)).create_attempt()  # fmt: skip
    attempt.start(ResponseHead(200, {"content-type": content_type}))
    return attempt


def _decode(attempt: Attempt, reads: list[bytes]) -> Any:
    """Return all events of a response, its error, and the partial response of that error."""
    events: list[Event] = []
    try:
        for data in reads:
            events += attempt.feed(data)
            while attempt.has_pending_frames:
                events += attempt.feed(b"")
        events += attempt.flush()
        events += attempt.finish()
    except MDStreamError as error:
        enriched = attempt.enrich_error(error)
        return _normalize(events, type(enriched), str(enriched), enriched.raw, enriched.partial)
    return _normalize(events, attempt.response())


def _normalize(*outcome: Any) -> str:
    """Return the representation without the random ids of tool calls."""
    return re.sub("call_[0-9a-f]+", "call_", repr(outcome))


def _reads(frames: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    body = b"".join(frames)
    yield "one read", [body]
    half = len(body) // 2
    yield "two halves", [body[:half], body[half:]]
    yield "in the middle of each event", [body[at : at + 150] for at in range(0, len(body), 150)]


@pytest.mark.parametrize("format", FORMATS)
@settings(deadline=None)
@given(stream=st.lists(pieces, max_size=12), is_ascii=st.booleans(), is_finished=st.booleans())
def test_payloads_are_decoded_together_as_one_by_one(
    format: str, stream: list[Any], is_ascii: bool, is_finished: bool
) -> None:
    """Events and errors of payloads that are decoded together are those of payloads that are decoded one by one."""
    platform, name, content_type, chunk, frame, finish = FORMATS[format]
    stream = ["a", "b", *stream, *([finish] if is_finished else [])]
    frames = [frame(payload) for payload in _payloads(chunk, stream, is_ascii=is_ascii)]
    for title, reads in _reads(frames):
        fast, slow = (_attempt(platform, name, content_type) for _ in range(2))
        slow._decode_uniform = lambda payloads, events: iter(Payloads(payloads))  # type: ignore[method-assign]

        assert _decode(slow, reads) == _decode(fast, reads), title


@pytest.mark.parametrize("format", FORMATS)
def test_the_chunks_of_a_read_are_decoded_together(format: str) -> None:
    """Every format has a fast path: few payloads of a long read are decoded one by one."""
    platform, name, content_type, chunk, frame, finish = FORMATS[format]
    texts = [f"t{number} " for number in range(100)]
    attempt = _attempt(platform, name, content_type)
    frames = [frame(payload) for payload in _payloads(chunk, [*texts, finish], is_ascii=True)]
    runs: list[int] = []
    decoder: Any = getattr(attempt._decoder, "_inner", None) or attempt._decoder
    if format in {"sagemaker", "sagemaker lines", "tgi"}:  # the dialect is known after the first payload
        attempt.feed(frames[0])
        decoder = attempt._decoder._inner
        del frames[0]
    feed_uniform = decoder.feed_uniform

    def observe(payloads: list[bytes], at: int) -> Any:
        decoded = feed_uniform(payloads, at)
        runs.append(len(decoded or ()))
        return decoded

    decoder.feed_uniform = observe
    attempt.feed(b"".join(frames))

    assert sum(runs) >= 85, runs


def test_a_response_of_two_choices() -> None:
    """Pieces of two choices are decoded in their order."""
    texts = [
        json.dumps({"index": number % 2, "message": {"content": [{"type": "TEXT", "text": f"{number}"}]}})
        for number in range(20)
    ]
    attempt = _attempt(GENAI, "oci-generic", EVENTS)

    assert [TextDelta(f"{number}", number % 2) for number in range(20)] == attempt.feed(
        b"".join(_sse(text.encode()) for text in texts)
    )


@pytest.mark.parametrize("change", ["reason", "joiner", "error", "choices"])
def test_the_state_of_an_oci_decoder_decides(change: str) -> None:
    """Payloads are decoded one by one if a payload with a text has another effect."""
    decoder: Any = dialect("oci-generic").create_decoder()
    chunk = json.dumps(_generic("abcde")).encode()
    decoder.feed(chunk)
    assert [TextDelta("abcde")] == decoder.feed_uniform([chunk], 0)
    match change:
        case "reason":
            decoder.feed(b'{"index":0,"finishReason":"unknown"}')
        case "joiner":
            decoder.feed(rb'{"index":0,"message":{"content":[{"type":"TEXT","text":"\ud83d"}]}}')
        case "error":
            decoder.feed(json.dumps(_generic("x", error={"message": "failed"})).encode())
        case "choices":
            decoder.feed(b'{"index":1,"message":{"content":[{"type":"TEXT","text":"x"}]}}')

    assert decoder.feed_uniform([chunk], 0) is None


@pytest.mark.parametrize("change", ["joiner", "error"])
def test_the_state_of_a_hugging_face_decoder_decides(change: str) -> None:
    """Payloads are decoded one by one if a token has another effect."""
    decoder: Any = dialect("tgi").create_decoder()
    chunk = json.dumps(_tgi("abcde")).encode()
    decoder.feed(chunk)
    assert [TextDelta("abcde")] == decoder.feed_uniform([chunk], 0)
    if change == "joiner":
        decoder.feed(chunk.replace(b"abcde", rb"\ud83d"))
    else:
        with pytest.raises(MDStreamError):
            decoder.feed(b'{"error":"failed"}')

    assert decoder.feed_uniform([chunk], 0) is None


#: Fields that may change the meaning of a text, by dialect.
EFFECTS: dict[str, tuple[Callable[..., Any], tuple[dict[str, Any], ...]]] = {
    "oci-generic": (_generic, ({"serviceTier": "x"}, {"usage": {"promptTokens": 1}}, {"modelId": "m"}, {"unknown": 1})),
    "oci-cohere": (_cohere, ({"citations": [1]}, {"finishReason": "unknown"}, {"toolCalls": []}, {"unknown": 1})),
    "oci-cohere-v2": (_cohere_v2, ({"id": "x"}, {"logProbabilities": []}, {"unknown": 1})),
    "tgi": (
        _tgi,
        ({"details": {"x": 1}}, {"generated_text": "x"}, {"unknown": 1}, {"token": {"text": "abcde", "unknown": 1}}),
    ),
}


@pytest.mark.parametrize("name", EFFECTS)
def test_chunks_with_other_fields_have_no_template(name: str) -> None:
    """Only fields that are known to have no effect are allowed beside the text, unless they are empty."""
    chunk, effects = EFFECTS[name]
    for effect in ({}, *effects):
        decoder: Any = dialect(name).create_decoder()
        decoder.feed(json.dumps(chunk("abcde")).encode())
        data = json.dumps(chunk("abcde", **effect)).encode()
        decoder.feed(data)
        decoder._last_text = data, TextDelta("abcde")  # as if it had no other event

        expected = None if any(effect.values()) else [TextDelta("abcde")]
        assert expected == decoder.feed_uniform([data], 0)


def test_only_one_part_of_text_is_a_piece() -> None:
    """A message with two parts, or a part or message with other fields, is decoded as a whole."""
    part = {"type": "TEXT", "text": "a"}
    for message in (
        {"content": [part, {"type": "TEXT", "text": "b"}]},
        {"content": [{**part, "x": 1}]},
        {"content": [{**part, "type": "text"}]},
        {"content": [part], "refusal": "no"},
    ):
        decoder: Any = dialect("oci-generic").create_decoder()

        assert not decoder.has_only_text({"index": 0, "message": message})
    assert decoder.has_only_text({"index": 0, "message": {"role": "ASSISTANT", "content": [part]}, "error": None})


def test_text_that_may_be_a_tool_call_is_held_back() -> None:
    """A decoder that changes events is not skipped."""
    params = {"messages": [], "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}
    call = Call(OCI, recover_tool_calls(OpenAIChat(), params), params, retry=Retry(0))
    attempt = call.create_attempt()
    attempt.start(ResponseHead(200, {"content-type": EVENTS}))
    text = '<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>'
    body = b"".join(_sse(json.dumps(_openai(character)).encode()) for character in text)

    assert not any(isinstance(event, TextDelta) for event in attempt.feed(body))

    attempt = call.create_attempt()
    attempt.start(ResponseHead(200, {"content-type": EVENTS}))
    texts = [event.text for event in attempt.feed(body.replace(b"<", b"(")) if isinstance(event, TextDelta)]

    assert text.replace("<", "(") == "".join(texts)


@pytest.mark.parametrize("size", [1, 4, 8])
def test_text_of_two_choices_keeps_its_order(size: int) -> None:
    """Once text was returned, no text of another choice is held back, however the chunks are distributed to reads."""
    params = {"messages": [], "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}], "n": 2}
    attempt = Call(OCI, recover_tool_calls(OpenAIChat(), params), params, retry=Retry(0)).create_attempt()
    attempt.start(ResponseHead(200, {"content-type": EVENTS}))
    texts = [("Hello", 0), ("<tool", 1), ("_call", 1), (">{", 1), ("}", 1), ("x", 1), ("y", 0), ("z", 1)]
    chunks = [_sse(json.dumps(_openai(text, index=choice)).encode()) for text, choice in texts]
    events = [event for at in range(0, len(chunks), size) for event in attempt.feed(b"".join(chunks[at : at + size]))]
    events += attempt.flush()

    assert [TextDelta(*text) for text in texts] == [event for event in events if isinstance(event, TextDelta)]


def test_a_read_of_many_chunks_is_decoded_in_parts() -> None:
    """Other tasks run after 128 chunks; further bytes may be fed before the rest is decoded."""
    attempt = _attempt(OCI, "openai-chat", EVENTS)
    body = b"".join(_sse(json.dumps(_openai(f"{number} ")).encode()) for number in range(300))
    events = attempt.feed(body)

    assert 128 + 1 == len(events)  # and the metadata
    assert attempt.has_pending_frames
    events += attempt.feed(_sse(json.dumps(_openai("300 ")).encode()))
    while attempt.has_pending_frames:
        events += attempt.feed(b"")

    assert [f"{number} " for number in range(301)] == [event.text for event in events if isinstance(event, TextDelta)]


def test_another_form_is_read_again() -> None:
    """A form that has changed is read from the next chunk: few chunks are decoded one by one."""
    attempt = _attempt(GENAI, "oci-generic", EVENTS)
    decoder: Any = attempt._decoder
    decode_payload, decoded = decoder.decode_payload, []

    def observe(data: bytes, event: str) -> Any:
        decoded.append(data)
        return decode_payload(data, event)

    decoder.decode_payload = observe
    for form in range(20):
        chunk = json.dumps(_generic("abcde", extra=None, index=0, **{f"x{form}": None})).encode()
        assert [TextDelta("abcde")] * 50 == attempt.feed(_sse(chunk) * 50)

    assert len(decoded) <= 40


def test_more_tokens_after_a_finish_reason() -> None:
    """Tokens that are decoded together reopen the choice as one token does."""
    decoder: Any = dialect("tgi").create_decoder()
    token = json.dumps(_tgi("abcde")).encode()
    decoder.feed(token)
    decoder.feed(json.dumps(_tgi("x", details={"finish_reason": "length"})).encode())
    assert decoder.is_complete
    assert [] == decoder.feed_uniform([b"[DONE]"], 0)
    assert decoder.is_complete
    decoder.feed(token)
    decoder.feed(json.dumps(_tgi("x", details={"finish_reason": "length"})).encode())
    assert [TextDelta("abcde")] == decoder.feed_uniform([token], 0)
    assert not decoder.is_complete


def test_chunks_of_alternating_forms_cost_a_few_attempts() -> None:
    """Each attempt reads the rest of the read, so that their number is bounded."""
    attempt = _attempt(OCI, "openai-chat", EVENTS)
    attempts: list[int] = []
    decoder: Any = attempt._decoder
    feed_uniform = decoder.feed_uniform

    def observe(payloads: list[bytes], at: int) -> Any:
        decoded = feed_uniform(payloads, at)
        attempts.append(at) if decoded is not None else None
        return decoded

    decoder.feed_uniform = observe
    attempt.feed(b"".join(_sse(json.dumps(_openai("x", x=number % 2)).encode()) for number in range(128)))

    assert len(attempts) <= 3


# Frames


class LineByLine(SSEDecoder):
    """Decoder without the fast path for reads of several events."""

    def _split_events(self, data: bytes) -> Payloads | None:
        return None


class Eager(SSEDecoder):
    """Decoder with the fast path for reads of any number of events."""

    min_payloads = 1


LINES_OF_EVENTS = (
    *(
        b"data: a\n\n",
        b"data: b\n\n",
        b"data: \n\n",
        b"data:c\n\n",
        b"data: a\ndata: b\n\n",
        b": ping\n\n",
        b"\n",
        b"\r",
        b"\r\n",
    ),
    *(
        b"data: \rx\n\n",
        b"event: x\n",
        b"event: error\n\n",
        b"data",
        b": ",
        b"\xef\xbb\xbf",
        b"{bare}\n",
        b"x\n",
        b"data:  a\n\n",
    ),
    *(b"id: 1\n", b"data: a", b"data: a\n", b"data: 0123456789012345678901234567890123456789\n\n"),
)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(LINES_OF_EVENTS), max_size=8).map(b"".join), max_size=4),
    st.sampled_from([30, 60, 10_000]),
)
def test_events_of_a_read_are_split_as_line_by_line(reads: list[bytes], max_size: int) -> None:
    """Whatever the lines are, and wherever a read ends."""

    def frames(decoder: SSEDecoder) -> Any:
        received: list[Any] = []
        try:
            for data in reads:
                for frame in decoder.feed(data):
                    received.append(frame)  # noqa: PERF402  # an error comes after frames
            received += decoder.finish()
        except MDStreamError as error:
            return received, str(error)
        return received

    assert frames(LineByLine(max_size)) == frames(Eager(max_size))


#: Reads of which one has only such events, and another one or the state of the decoder does not.
READS: dict[str, list[bytes]] = {
    "a byte order mark later": [b"data: a\n\ndata: b\n\n", b"\xef\xbb\xbfdata: c\n\n"],
    "data before": [b"data: x\n", b"data: a\n\ndata: b\n\n"],
    "a name before": [b"event: x\n", b"data: a\n\ndata: b\n\n"],
    "a carriage return in a value": [b"data: a\n\ndata: b\rc\n\n"],
    "a carriage return at the end": [b"data: a\n\ndata: b\n\ndata: c\r", b"\n\r\n"],
    "a line at the end": [b"data: a\n\ndata: b\n\ndata: c\n", b"\n"],
    "a comment": [b"data: a\n\n: ping\n\ndata: b\n\n"],
    "two lines": [b"data: a\ndata: b\n\ndata: c\n\n"],
    "an event that is too long": [b"data: %b\n\nda" % (b"x" * 19)],
    "other fields of the same length": [b"data: a\n\nfoto: b\n\n"],
}


@pytest.mark.parametrize("reads", READS.values(), ids=READS)
def test_other_lines_are_decoded_line_by_line(reads: list[bytes]) -> None:
    """Whether they are in the same read or in another one."""
    fast, slow = Eager(30), LineByLine(30)
    for data in reads:
        outcomes = []
        for decoder in (fast, slow):
            try:
                outcomes.append(repr([*decoder.feed(data)]))
            except MDStreamError as error:
                outcomes.append(str(error))

        assert outcomes[0] == outcomes[1]


def test_events_of_one_line_are_split_together() -> None:
    """With an incomplete line at the end, which the next read completes."""
    decoder = Eager()

    assert isinstance(first := decoder.feed(b"data: a\n\ndata: b\n\nda"), Payloads)
    assert [b"a", b"b"] == first.payloads
    assert isinstance(second := decoder.feed(b"ta: c\n\ndata: d\n\n"), Payloads)
    assert [b"c", b"d"] == second.payloads
    assert [(b"a", ""), (b"b", "")] == first
    assert first[1:] == [(b"b", "")]
    assert "[Frame(data=b'b', event='')]" == repr(first[1:])


def test_a_read_of_few_events_is_decoded_line_by_line() -> None:
    """Passing their payloads on together would cost more."""
    assert type(SSEDecoder().feed(b"data: a\n\n" * 4)) is list
    assert type(SSEDecoder().feed(b"data: a\n\n" * 5)) is Payloads
    assert type(JSONLinesDecoder().feed(b"{}\n" * 4)) is list
    assert type(JSONLinesDecoder().feed(b"{}\n" * 5)) is Payloads
    assert type(MessageDecoder().feed(encode_frame(TEXT, b"{}") * 4)) is list
    assert type(MessageDecoder().feed(encode_frame(TEXT, b"{}") * 5)) is Payloads


MESSAGE = encode_frame(TEXT, b'{"a":1}')

#: Reads of WebSocket messages, of which a part may be passed on together.
MESSAGES: dict[str, list[bytes]] = {
    "a failure at the end": [MESSAGE * 5 + encode_frame(CLOSE, close_data(1011, "failed"))],
    "an incomplete message at the end": [MESSAGE * 5 + MESSAGE[:4]],
    "a binary message at the end": [MESSAGE * 5 + encode_frame(BINARY, b'{"b":1}')],
    "the start of an event before": [encode_frame(TEXT, b'data: {"a":'), MESSAGE * 5],
    "events": [MESSAGE * 5 + encode_frame(TEXT, b'data: {"a":1}\n\n'), MESSAGE * 5],
    "an event first": [encode_frame(TEXT, b"data: a\n\n") + MESSAGE * 5],
    "one more document": [MESSAGE * 5, MESSAGE + encode_frame(CLOSE, close_data(1000))],
}


@pytest.mark.parametrize("reads", MESSAGES.values(), ids=MESSAGES)
def test_messages_of_a_read_are_decoded_as_byte_by_byte(reads: list[bytes]) -> None:
    """With the error of the close frame, and the same number of documents."""

    def decode(reads: list[bytes]) -> Any:
        decoder = MessageDecoder()
        outcome: list[Any] = []
        try:
            for data in reads:
                outcome += decoder.feed(data)
            for frame in decoder.finish():
                outcome.append(frame)  # an error comes after frames
        except MDStreamError as error:
            outcome.append(str(error))
        return outcome, decoder.is_document

    body = b"".join(reads)

    assert decode([body[at : at + 1] for at in range(len(body))]) == decode(reads)


def test_payload_parts_around_another_message() -> None:
    """The frames of the parts before it are passed on, too."""
    other = encode({":message-type": "event", ":event-type": "Other"}, b"x")
    part = _part(_sse(b"a") * 5)

    assert [(b"a", "")] * 10 == [*PayloadPartDecoder(SSEDecoder()).feed(part + other + part)]
    assert [(b"a", "")] * 10 == [*PayloadPartDecoder(SSEDecoder()).feed(part + part)]


def test_payload_parts_that_are_kept() -> None:
    """Each part is a frame, also if a read has several."""
    assert [(b"a", ""), (b"b", "")] == [*PayloadPartDecoder(PartDecoder()).feed(_part(b"a") + _part(b"b"))]


def test_a_bad_message_after_payload_parts() -> None:
    """The frames of the parts before it are passed on, and then its error is raised."""
    frames = iter(PayloadPartDecoder(SSEDecoder()).feed(_part(_sse(b"a") * 5) * 2 + bytes(20)))

    assert [(b"a", "")] * 10 == [next(frames) for _ in range(10)]
    with pytest.raises(MDStreamError, match="checksum"):
        next(frames)


def test_the_first_of_two_exceptions_is_raised() -> None:
    """Messages with equal headers come together; the first of them has ended the stream."""
    headers = {":message-type": "exception", ":exception-type": "ModelStreamError"}
    messages = b"".join(encode(headers, b'{"Message": "%b"}' % text) for text in (b"first", b"second"))
    frames = iter(PayloadPartDecoder(SSEDecoder()).feed(_part(_sse(b"a")) + messages))

    assert (b"a", "") == next(frames)
    with pytest.raises(MDStreamError, match="first"):
        next(frames)
