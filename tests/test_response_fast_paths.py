"""The fast paths of decoding and accumulating a response have the results of the slow ones."""

import re
import tracemalloc
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdstream_core import _json
from mdstream_core.dialects._finish_reasons import read_finish_reason
from mdstream_core.dialects._limits import MAX_TOKENS, read_count
from mdstream_core.dialects._openai_decoder import OpenAIDecoder
from mdstream_core.events import (
    BlockStart,
    Event,
    Finish,
    Logprobs,
    ModelResponse,
    ProviderData,
    ReasoningDelta,
    RefusalDelta,
    ResponseAccumulator,
    ResponseMetadata,
    TextDelta,
    ToolCallDelta,
    Usage,
    _fields,
)
from mdstream_core.http import Timeout
from mdstream_core.platforms.oci_model_deployment import _letters_only
from mdstream_core.transport.timeouts import TimeoutBudget, _known

COUNTS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([_json.MAX_COUNT - 1, _json.MAX_COUNT, 10**30]),
    st.sampled_from(["7", "x", "", 2.0, 2.5, float("nan"), [1], {}]),
)


def same(first: Any, second: Any) -> bool:
    """Equal, with the same type: `True` equals 1."""
    return type(first) is type(second) and first == second


@given(st.tuples(*[COUNTS] * 7))
def test_counts_are_converted_one_by_one(values: tuple[Any, ...]) -> None:
    """Each like `to_count`; a usage without anything to convert stays the same object."""
    usage = Usage(*values)
    counts = [_json.to_count(value) for value in values]
    expected = [count or 0 for count in counts[:3]] + counts[3:]

    converted = _fields.coerce_usage(usage)

    fields = [getattr(converted, name) for name in _fields._COUNTS]
    assert all(map(same, expected, fields))
    assert (converted is usage) == all(map(same, fields, values))


@given(
    st.tuples(*[st.sampled_from([None, "", "a", "é", "a\ud83d", 5, ["a"]])] * 3),
    st.sampled_from([{}, {"a": 1}, None, 3]),
)
def test_texts_of_metadata_are_converted_one_by_one(values: tuple[Any, ...], service: Any) -> None:
    """Each like `to_optional_text`; metadata without anything to convert stay the same object."""
    metadata = ResponseMetadata(*values, service)
    expected = [*map(_fields.to_optional_text, values), service if isinstance(service, dict) else {}]

    converted = _fields.coerce_metadata(metadata)

    fields = [converted.model, converted.id, converted.fingerprint, converted.service]
    assert expected == fields
    assert (converted is metadata) == all(map(same, fields, (*values, service)))


@given(st.one_of(st.integers(-3, 3), st.sampled_from([MAX_TOKENS, MAX_TOKENS + 1, -MAX_TOKENS - 1])))
def test_a_number_of_tokens_is_read_like_its_digits(value: int) -> None:
    """Also at the limits."""
    try:
        expected: Any = read_count(str(value))
    except ValueError as error:
        expected = str(error)
    try:
        result: Any = read_count(value)
    except ValueError as error:
        result = str(error)

    assert same(expected, result)


@pytest.mark.parametrize(
    "reason", ["stop", "STOP", " stop", "eos_token", "length", "null", "", "abort", "Repetition", "safety"]
)
def test_a_finish_reason_is_read_like_one_in_a_list(reason: str) -> None:
    """The known names are looked up as they are."""
    assert read_finish_reason([reason]) == read_finish_reason(reason)


@given(st.text())
def test_the_letters_of_a_name(name: str) -> None:
    """Only a to z, in lower case."""
    assert re.sub(r"[^a-z]+", "", name.lower()) == _letters_only(name)


@pytest.mark.parametrize(
    "name", ["StreamFailure", "stream-failure", "X_Stream_Failure", "S-T-R-E-A-M-Failure", "\u212aStreamFailure"]
)
def test_any_spelling_of_stream_failure_is_found(name: str) -> None:
    """Separators and other characters do not matter."""
    assert _letters_only(name).endswith("streamfailure")


@dataclass(frozen=True, slots=True)
class Token(TextDelta):
    """An event of a user's dialect."""

    id: int = 0


EVENTS: list[tuple[Event, str, Any]] = [
    (TextDelta("a"), "text", "a"),
    (Token("a", 0, 7), "text", "a"),
    (ReasoningDelta("a"), "reasoning", "a"),
    (RefusalDelta("a"), "refusal", "a"),
    (Finish("stop"), "finish_reason", "stop"),
    (Logprobs([{"token": "a"}]), "logprobs", ({"token": "a"},)),
    (ProviderData("a", 1), "provider_data", {"a": 1}),
]


@pytest.mark.parametrize(("event", "field", "expected"), EVENTS, ids=[type(event).__name__ for event, *_ in EVENTS])
def test_each_event_is_added_to_its_field(event: Event, field: str, expected: Any) -> None:
    """And to no other one; an event of a subclass too."""
    (choice,) = ModelResponse.from_events([event]).choices
    others = {"text", "reasoning", "refusal", "tool_calls", "logprobs", "finish_reason", "provider_data"} - {field}

    assert expected == getattr(choice, field)
    assert not any(getattr(choice, name) for name in others)


def test_events_that_a_response_does_not_have_are_ignored() -> None:
    """Those without a field, and objects that are no events."""
    assert ModelResponse() == ModelResponse.from_events([BlockStart("text", 0), object()])  # type: ignore[list-item]


def test_choices_are_in_the_order_of_their_indices() -> None:
    """Also if their first events are not."""
    events = [TextDelta("b", 1), ToolCallDelta(0, "id", "name", "{}", 0), TextDelta("c", 2)]

    assert ["", "b", "c"] == [choice.text for choice in ModelResponse.from_events(events).choices]


def test_empty_responses_do_not_share_their_metadata() -> None:
    """A user may change the mapping of one."""
    first, second = ModelResponse.from_events([]), ModelResponse.from_events([])

    assert first.metadata.service is not second.metadata.service


SECONDS = st.one_of(st.none(), st.sampled_from([0.01, 5.0, 65.0, 330.0]))


@given(SECONDS, SECONDS, SECONDS, st.booleans(), SECONDS)
def test_the_limit_of_a_read_is_the_first_deadline(
    read: float | None, first_token: float | None, total: float | None, progress: bool, drain: float | None
) -> None:
    """Rounded to milliseconds."""
    budget = TimeoutBudget(Timeout(read=read, first_token=first_token, total=total, connect=None, write=None, pool=3.0))
    budget.start()
    budget.record_read(progress=progress, drain_timeout=drain)

    seconds = [read, total, drain, None if progress else first_token]
    shortest = min([value for value in seconds if value is not None], default=inf)
    limit, deadline = budget.limits["read"], budget.limits["deadline"]
    if shortest == inf:
        assert limit is deadline is None
    else:
        assert limit is not None
        assert 0.001 <= limit <= shortest
        assert shortest - limit < 2
        assert round(limit, 3) == limit
        assert deadline == budget._read_deadline


def test_the_limits_of_a_budget_are_its_own() -> None:
    """Two calls with the same timeout do not share them."""
    timeout = Timeout(connect=5)
    first, second = TimeoutBudget(timeout), TimeoutBudget(timeout)
    first.limits["connect"] = 1.0

    assert 5 == second.limits["connect"] == TimeoutBudget(replace(timeout)).limits["connect"]


def test_timeouts_are_found_by_identity_and_not_kept_forever() -> None:
    """Another timeout never has the limits of one that is gone."""
    for seconds in range(1, 1000):
        assert seconds == TimeoutBudget(Timeout(connect=seconds)).limits["connect"]

    assert len(_known) <= 256


PIECES = st.lists(st.tuples(st.sampled_from([TextDelta, ReasoningDelta]), st.text(max_size=3), st.integers(0, 1)))


@given(PIECES)
def test_pieces_are_added_at_once_or_one_by_one(pieces: list[tuple[Any, str, int]]) -> None:
    """With the same result; texts and reasoning of the first choice are joined first."""
    events = [kind(text, choice) for kind, text, choice in pieces]
    at_once, one_by_one = ResponseAccumulator(), ResponseAccumulator()
    at_once.extend(events)
    for event in events:
        one_by_one.add(event)

    assert one_by_one.response() == at_once.response()


@pytest.mark.parametrize("field", ["content", "reasoning_content"])
def test_a_long_stream_keeps_its_characters_only(field: str) -> None:
    """At 4 bytes each in the decoder, and not each piece as a string with 49 bytes more."""
    decoder, accumulator, count = OpenAIDecoder(), ResponseAccumulator(), 20_000
    chunks = [b'{"choices": [{"index": 0, "delta": {"%b": "tok%d "}}]}' % (field.encode(), i) for i in range(count)]
    tracemalloc.start()
    for at in range(0, count, 1000):
        accumulator.extend([event for chunk in chunks[at : at + 1000] for event in decoder.feed(chunk)])
        if at == 1000:
            before = tracemalloc.get_traced_memory()[0]
    growth = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert growth / (count - 2000) < 60
