"""A chunk of one token is decoded the same on the fast path of the OpenAI decoder and without it."""

from collections.abc import Callable
from typing import Any

import pytest

from mdstream_core import _json
from mdstream_core.dialects._choice_decoder import ChoiceDecoder
from mdstream_core.dialects._openai_decoder import OpenAIDecoder
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event

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
        events = [feed(decoder, _json.dumps(chunk("a")), "")]
        try:
            events += [feed(decoder, _json.dumps(chunk("b", "stop")), "")] if finished else []
            events.append(feed(decoder, _json.dumps(CHANGES[change](chunk("c"))), event))
            events.append(feed(decoder, _json.dumps(chunk("d")), ""))
        except MDStreamError as error:
            return events, type(error), str(error), error.raw
        return events, decoder.is_finished, decoder.is_complete, str(decoder.error)

    assert outcome(ChoiceDecoder.feed) == outcome(OpenAIDecoder.feed)
