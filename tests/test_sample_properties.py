"""Properties of every recorded stream: splits and values for "not finished" change nothing, a prefix is an error."""

import json
import os
import re
from typing import Any

import pytest
from _samples import Outcome, names, read, sample
from _stream_quirks import NOT_YET
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdstream_core.events import Choice, ModelResponse, ToolCall, ToolCallDelta

EXAMPLES = int(os.environ.get("MDSTREAM_FUZZ_EXAMPLES", "0")) or 12
fuzzed = settings(
    max_examples=EXAMPLES,
    derandomize="MDSTREAM_FUZZ_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

#: Payloads of a stream: the JSON behind `data:`.
_PAYLOAD = re.compile(rb"^data: ?(\{.*\})\r?$", re.MULTILINE)


def _is_whole_stream(name: str) -> bool:
    recorded = sample(name)
    return (
        recorded.head.status == 200
        and recorded.head.content_type == "text/event-stream"
        and "responses" not in name
        and read(recorded.body, recorded.head).error is None
    )


STREAMS = [name for name in names() if _is_whole_stream(name)]


def events(outcome: Outcome) -> list[Any]:
    """The events; ids that we made for calls without one differ from run to run."""
    made = {
        event.id: f"call {event.index}" for event in outcome.events if isinstance(event, ToolCallDelta) and event.id
    }
    return [
        ToolCallDelta(event.index, made.get(event.id or ""), event.name, event.arguments, event.choice)
        if isinstance(event, ToolCallDelta)
        else event
        for event in outcome.events
    ]


@st.composite
def cuts(draw: st.DrawFn, body: bytes) -> list[bytes]:
    """The body in pieces."""
    ends = sorted(draw(st.sets(st.integers(0, len(body)), max_size=12)))
    return [body[start:end] for start, end in zip([0, *ends], [*ends, len(body)], strict=True)]


def with_word(body: bytes, word: Any) -> bytes:
    """The stream with a word for "not yet" in every chunk that has no finish reason."""

    def replaced(match: re.Match[bytes]) -> bytes:
        payload = json.loads(match[1])
        for choice in payload.get("choices") or ():
            choice["finish_reason"] = choice.get("finish_reason") or word
        return b"data: " + json.dumps(payload).encode()

    return _PAYLOAD.sub(replaced, body)


@pytest.mark.parametrize("name", STREAMS)
def test_splits_and_values_for_not_finished_change_nothing(name: str) -> None:
    """The events are those of the recording, for any split and any value for "not finished yet"."""
    recorded = sample(name)
    expected = events(read(recorded.body, recorded.head))

    @fuzzed
    @given(st.data())
    def check(data: st.DataObject) -> None:
        word = data.draw(st.one_of(st.just(None), st.sampled_from(NOT_YET)))
        outcome = read(data.draw(cuts(with_word(recorded.body, word))), recorded.head)

        assert outcome.error is None
        assert expected == events(outcome)

    check()


def _begins(partial: ModelResponse, whole: ModelResponse) -> bool:
    return all(_choice_begins(got, full) for got, full in zip(partial.choices, whole.choices, strict=False))


def _choice_begins(got: Choice, full: Choice) -> bool:
    texts = full.text.startswith(got.text) and full.reasoning.startswith(got.reasoning)
    calls: list[tuple[ToolCall, ToolCall]] = list(zip(got.tool_calls, full.tool_calls, strict=False))
    named = all(whole.name == call.name and whole.arguments.startswith(call.arguments) for call, whole in calls)
    return texts and named and len(got.tool_calls) <= len(full.tool_calls)


@pytest.mark.parametrize("name", STREAMS)
def test_a_prefix_is_an_error_with_a_partial(name: str) -> None:
    """The partial is a prefix of the response, unless only the end marker is missing."""
    recorded = sample(name)
    whole = read(recorded.body, recorded.head).model_response

    @fuzzed
    @given(st.data())
    def check(data: st.DataObject) -> None:
        word = data.draw(st.one_of(st.just(None), st.sampled_from(NOT_YET)))
        body = with_word(recorded.body, word)
        outcome = read(body[: data.draw(st.integers(0, len(body) - 1))], recorded.head)

        if outcome.error is None:
            assert [one.text for one in whole.choices] == [one.text for one in outcome.model_response.choices]
            assert all(choice.finish_reason for choice in outcome.model_response.choices)
        else:
            assert outcome.error.partial is None or _begins(outcome.error.partial, whole)

    check()


def test_the_recordings_are_there() -> None:
    """
    The properties are checked on streams of each server.
    """
    assert {"vllm", "transformers", "llamacpp"} == {name.split("-")[0] for name in STREAMS}
    assert len(STREAMS) > 30
