"""A chunk of one token is decoded the same on the fast paths of the OpenAI decoder and without them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdstream_core import _json
from mdstream_core.dialects._choice_decoder import ChoiceDecoder
from mdstream_core.dialects._openai_decoder import OpenAIDecoder
from mdstream_core.dialects._text_template import find_template
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, TextDelta

#: Changes of a chunk of one token that the fast path of `OpenAIDecoder.feed` must leave to the other path.
CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "none": lambda chunk: chunk,
    "no choices": lambda chunk: {**chunk, "choices": []},
    "two choices": lambda chunk: {**chunk, "choices": [*chunk["choices"], {**chunk["choices"][0], "index": 1}]},
    "another index": lambda chunk: {**chunk, "choices": [{**chunk["choices"][0], "index": 3}]},
    "no index": lambda chunk: {**chunk, "choices": [{"delta": chunk["choices"][0]["delta"]}]},
    "an index of another type": lambda chunk: {**chunk, "choices": [{**chunk["choices"][0], "index": [0]}]},
    "a choice of another type": lambda chunk: {**chunk, "choices": ["text"]},
    "an object of choices": lambda chunk: {**chunk, "choices": {"0": chunk["choices"][0]}},
    "no delta": lambda chunk: {**chunk, "choices": [{"index": 0, "text": "x"}]},
    "an empty text": lambda chunk: {**chunk, "choices": [{"index": 0, "delta": {"content": ""}}]},
    "a text of another type": lambda chunk: {**chunk, "choices": [{"index": 0, "delta": {"content": [1]}}]},
    "a role": lambda chunk: {**chunk, "choices": [{"index": 0, "delta": {"content": "x", "role": "assistant"}}]},
    "a usage": lambda chunk: {**chunk, "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}},
    "an error": lambda chunk: {**chunk, "error": {"message": "out of memory"}},
    **{
        f"a choice with {name}": lambda chunk, name=name, value=value: {
            **chunk,
            "choices": [{**chunk["choices"][0], name: value}],
        }
        for name, value in (
            ("finish_reason", "stop"),
            ("logprobs", {"content": [{"token": "x", "logprob": -0.5}]}),
            ("message", {"content": "whole"}),
            ("error", {"message": "failed"}),
        )
    },
    "a list": lambda chunk: [chunk],
    "a text": lambda chunk: "text",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("event", ["", "message", "error"])
def test_the_fast_path_returns_what_the_other_path_returns(change: str, finished: bool, event: str) -> None:
    """A chunk is decoded the same by `OpenAIDecoder.feed` and without its fast path."""

    def chunk(text: str, reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
        return {"id": "x", "model": "m", "choices": [choice]}

    def outcome(feed: Callable[[OpenAIDecoder, bytes, str], list[Event]]) -> Any:
        decoder = OpenAIDecoder()
        events = [feed(decoder, _json.dumps(chunk(text)), "") for text in ("a", "b", "c")]  # the form is known now
        try:
            events += [feed(decoder, _json.dumps(chunk("b", "stop")), "")] if finished else []
            events.append(feed(decoder, _json.dumps(CHANGES[change](chunk("c"))), event))
            events.append(feed(decoder, _json.dumps(chunk("d")), ""))
        except MDStreamError as error:
            return events, type(error), str(error), error.raw
        return events, decoder.is_finished, decoder.is_complete, str(decoder.error)

    assert outcome(ChoiceDecoder.feed) == outcome(OpenAIDecoder.feed)


#: Texts that must not be taken for the end of the text, or are no strict JSON.
TEXTS = [
    '"',
    "\\",
    '\\"',
    '"}',
    '"},"finish_reason":null}]}',
    '","role":"x',
    "\n",
    "\u2028",
    "\ud83d",
    "\ude00",
    "😀",
    "",
    " ",
]


@given(st.lists(st.sampled_from(TEXTS) | st.text(max_size=5), max_size=8), st.booleans())
def test_texts_between_the_same_bytes(texts: list[str], is_ascii: bool) -> None:
    """Quotation marks, escapes and halves of emojis are read as they are without the form of the chunks."""

    def chunk(text: str) -> bytes:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        document = json.dumps({"id": "x", "model": "m", "choices": [choice]}, ensure_ascii=is_ascii)
        return document.encode("utf-8", "surrogatepass")

    chunks = [chunk(text) for text in ("a", "b", *texts, "c")]
    fast, slow = OpenAIDecoder(), OpenAIDecoder()

    assert [ChoiceDecoder.feed(slow, data) for data in chunks] == [fast.feed(data) for data in chunks]
    assert slow.flush() == fast.flush()


#: Chunks that start and end like the one before them, with something else than a text between.
OTHERS = {
    "two fields": b'{"choices":[{"index":0,"delta":{"content":"a","content":"b"}}]}',
    "a role": b'{"choices":[{"index":0,"delta":{"content":"a","role":"assistant","x":"b"}}]}',
    "no text": b'{"choices":[{"index":0,"delta":{"content":"}}]}',
    "an open escape": b'{"choices":[{"index":0,"delta":{"content":"a\\"}}]}',
    "a line break": b'{"choices":[{"index":0,"delta":{"content":"a\nb"}}]}',
    "no UTF-8": b'{"choices":[{"index":0,"delta":{"content":"a\xff"}}]}',
}


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS)
def test_another_document_between_the_same_bytes(data: bytes) -> None:
    """It is decoded as a whole."""

    def outcome(feed: Callable[[OpenAIDecoder, bytes], list[Event]]) -> Any:
        decoder = OpenAIDecoder()
        for text in (b"a", b"b"):
            feed(decoder, b'{"choices":[{"index":0,"delta":{"content":"%b"}}]}' % text)
        try:
            return feed(decoder, data)
        except MDStreamError as error:
            return type(error), str(error), error.raw

    assert outcome(ChoiceDecoder.feed) == outcome(OpenAIDecoder.feed)


def test_the_form_is_not_read_forever() -> None:
    """A server whose chunks all differ costs a few attempts only, and memory for one chunk."""
    decoder = OpenAIDecoder()
    for at in range(50):
        assert TextDelta("a") in decoder.feed(b'{"id":"%d","choices":[{"index":0,"delta":{"content":"a"}}]}' % at)

    assert 0 == decoder._templates
    assert find_template(b'{"content":"%b"}' % (b"a" * 5000), "a" * 5000, b'"content"') is None
