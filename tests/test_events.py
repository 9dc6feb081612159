"""Events, and the accumulation of a response."""

import copy
import dataclasses
import inspect
import pickle
import random
from typing import Any, get_type_hints

import pytest

from mdstream_core import ModelResponse, ToolCall, describe_incomplete
from mdstream_core.dialects._finish_reasons import _LIMITS, is_known, read_finish_reason
from mdstream_core.events import (
    BlockStart,
    Choice,
    Event,
    Finish,
    Logprobs,
    ReasoningDelta,
    RefusalDelta,
    ResponseAccumulator,
    ResponseMetadata,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from mdstream_core.events.event import text_deltas

EVERY: list[Event] = [
    ResponseMetadata("m", "c1", None),
    ReasoningDelta("hm"),
    TextDelta("Hi"),
    TextDelta("Ho", 1),
    RefusalDelta("no", 1),
    ToolCallDelta(0, "a", "f", '{"x":'),
    Logprobs([{"token": "Hi", "logprob": -0.5}]),
    ToolCallDelta(0, arguments="1}"),
    TextDelta(" there"),
    Usage(1, 1, 2),
    Usage(1, 2, 3),
    Finish("tool_calls"),
    Finish("stop", 1),
    ResponseMetadata("m", "c1", "fp"),
]


def test_a_response_accumulates_its_events() -> None:
    """All output, separately for each choice; the last usage wins."""
    model_response = ModelResponse.from_events(EVERY)

    assert model_response == ModelResponse(
        choices=(
            Choice("Hi there", "hm", "", (ToolCall("a", "f", '{"x":1}'),), ({"token": "Hi", "logprob": -0.5},), "tool_calls"),
            Choice("Ho", refusal="no", finish_reason="stop"),
        ),
        usage=Usage(1, 2, 3),
        metadata=ResponseMetadata("m", "c1", "fp"),
    )  # fmt: skip
    assert ("Hi there", "hm", "", "tool_calls") == (
        model_response.text,
        model_response.reasoning,
        model_response.refusal,
        model_response.finish_reason,
    )


@pytest.mark.parametrize("seed", range(10))
def test_a_partial_response_can_be_read_at_any_time(seed: int) -> None:
    """Reading it changes nothing."""
    looks = random.Random(seed)
    total = ResponseAccumulator()
    for at, event in enumerate(EVERY):
        total.add(event)
        if looks.random() < 0.5:
            assert ModelResponse.from_events(EVERY[: at + 1]) == total.response()

    assert ModelResponse.from_events(EVERY) == total.response()


def test_no_events_are_an_empty_response() -> None:
    """It has one empty choice, so that its properties can be read."""
    assert ("", "", "", (), None) == (
        ModelResponse().text,
        ModelResponse().reasoning,
        ModelResponse().refusal,
        ModelResponse().tool_calls,
        ModelResponse().finish_reason,
    )
    assert ModelResponse() == ModelResponse.from_events([])
    assert not ResponseAccumulator()


def test_a_response_converts_to_plain_json() -> None:
    """For the response of an error."""
    expected = {
        "text": "Hi there",
        "reasoning": "hm",
        "refusal": "",
        "tool_calls": [{"id": "a", "name": "f", "arguments": '{"x":1}'}],
        "extras": {},
        "finish_reason": "tool_calls",
        "usage": dataclasses.asdict(Usage(1, 2, 3)),
    }
    assert expected == ModelResponse.from_events(EVERY).to_dict()
    assert ModelResponse().to_dict()["usage"] is None


@pytest.mark.parametrize("event", EVERY, ids=lambda event: type(event).__name__)
def test_events_are_values(event: Event) -> None:
    """They are immutable, and can be pickled."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(event, dataclasses.fields(event)[0].name, 5)
    assert event == pickle.loads(pickle.dumps(event))
    assert TextDelta("a") != ReasoningDelta("a")


def test_arguments_of_a_call() -> None:
    """They are parsed on demand: no arguments are an empty object, and other values than objects are rejected."""
    assert {} == ToolCall("a", "f", " ").parse_arguments()
    assert {"x": 1} == ToolCall("a", "f", '{"x":1}').parse_arguments()
    for wrong in ("[1]", "7", "{x}"):
        with pytest.raises(ValueError, match=r"."):
            ToolCall("a", "f", wrong).parse_arguments()
    assert [True, False, False] == [ToolCall("a", "f", text).is_truncated for text in ('{"x":', '{"x":1}', "")]


@pytest.mark.parametrize("word", _LIMITS)
def test_a_truncated_response_is_incomplete(word: str) -> None:
    """All names of the limit are a known finish reason, OpenAI's `length`, and incomplete."""
    for spelling in (word, word.upper(), word.title()):
        assert "length" == read_finish_reason(spelling)
        assert describe_incomplete(spelling).startswith("cut off")
    assert is_known(read_finish_reason(word))


@pytest.mark.parametrize("delta_class", [TextDelta, ReasoningDelta, RefusalDelta])
def test_deltas_are_frozen_dataclasses(delta_class: Any) -> None:
    """Deltas of a text have an `__init__` of their own, and behave like all other events."""
    delta = delta_class("Hi", 1)

    assert f"{delta_class.__name__}(text='Hi', choice=1)" == repr(delta)
    assert delta == delta_class(text="Hi", choice=1) != delta_class("Hi")
    assert hash(delta) == hash(delta_class("Hi", 1))
    for copied in (pickle.loads(pickle.dumps(delta)), copy.copy(delta), copy.deepcopy(delta)):
        assert delta == copied
    assert delta_class("Ho", 1) == dataclasses.replace(delta, text="Ho")
    assert ("Hi", 1) == dataclasses.astuple(delta)
    match delta:
        case delta_class(text, choice):
            assert ("Hi", 1) == (text, choice)
    with pytest.raises(dataclasses.FrozenInstanceError):
        delta.text = "x"
    with pytest.raises(dataclasses.FrozenInstanceError):
        del delta.choice
    with pytest.raises(TypeError):
        delta_class()
    with pytest.raises(TypeError):
        delta_class("Hi", 1, 2)
    assert "(text: str, choice: int = 0) -> None" == str(inspect.signature(delta_class))
    assert {"text": str, "choice": int, "return": type(None)} == get_type_hints(delta_class.__init__)


def test_deltas_that_are_created_together() -> None:
    """They are those that are created one by one."""
    deltas = text_deltas(["a", "", "\ud83d"], 2)

    assert [TextDelta("a", 2), TextDelta("", 2), TextDelta("\ud83d", 2)] == deltas
    assert deltas == pickle.loads(pickle.dumps(deltas))
    assert hash(deltas[0]) == hash(TextDelta("a", 2))
    assert [] == text_deltas([], 0)


class _Text(TextDelta):
    """An event of a subclass."""


#: Events that are written together, with half a surrogate pair and values that are no strings.
TEXTS: tuple[Any, ...] = (
    *(
        TextDelta("a"),
        ReasoningDelta("b"),
        TextDelta(5),  # type: ignore[arg-type]
        ReasoningDelta({"i": 1}),  # type: ignore[arg-type]
        RefusalDelta("c"),
        RefusalDelta("d"),
    ),
    *(TextDelta("e", 1), ReasoningDelta("f", 1), ReasoningDelta("g", 1), BlockStart("text", 0)),
    *(TextDelta("\ud83d"), ReasoningDelta("\ud83d"), RefusalDelta("\ud83d")),
)


@pytest.mark.parametrize("together", [True, False])
def test_texts_are_accumulated_whole(together: bool) -> None:
    """Nothing is lost, together or one by one."""
    accumulator = ResponseAccumulator()
    if together:
        accumulator.extend(TEXTS)
    else:
        for event in TEXTS:
            accumulator.add(event)

    assert (
        Choice("a5\ufffd", 'b{"i":1}\ufffd', "cd\ufffd"),
        Choice("e", "fg"),
    ) == accumulator.response().choices


def test_events_of_other_types_are_accumulated() -> None:
    """Events of a subclass, and choices of other types."""
    accumulator = ResponseAccumulator()
    for event in (_Text("a"), TextDelta("b", []), object()):  # type: ignore[arg-type]
        accumulator.add(event)  # type: ignore[arg-type]

    assert "ab" == accumulator.response().text


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(None, 2, 3), Usage(0, 2, 3)),  # type: ignore[arg-type]
        (Usage(-1, 10**40, 3), Usage(0, 0, 3)),
        (Usage("12", 2, 3.0), Usage(12, 2, 3)),  # type: ignore[arg-type]
        (Usage(1, 2, 3, True), Usage(1, 2, 3)),
    ],
)
def test_counts_are_plain_integers(usage: Usage, expected: Usage) -> None:
    """Those of a response, whatever the event has."""
    assert repr(expected) == repr(ModelResponse.from_events([usage]).usage)


def test_metadata_is_plain_text() -> None:
    """That of a response, whatever the event has."""
    metadata = ModelResponse.from_events([ResponseMetadata("\ud83d", 5, "é", None)]).metadata  # type: ignore[arg-type]

    assert ResponseMetadata("\ufffd", "5", "é", {}) == metadata
    metadata = ModelResponse.from_events([ResponseMetadata("m", None, None, None)]).metadata  # type: ignore[arg-type]
    assert ResponseMetadata("m", None, None, {}) == metadata
