"""Tool calls as each server spells them; the tables of reference/sse-and-openai-streams.md §3 and §4 as vectors."""

import json
from typing import Any

import pytest
from _samples import Outcome, read

from mdstream_core.errors import IncompleteToolCall
from mdstream_core.events import ToolCallDelta
from mdstream_core.wire.sse import encode

Fragment = dict[str, Any]


def fragment(index: int | None = None, id: Any = None, name: Any = None, arguments: Any = None) -> Fragment:
    """One entry of `tool_calls`, with the keys that are given."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    entry: Fragment = {"function": function}
    if index is not None:
        entry["index"] = index
    if id is not None:
        entry["id"] = id
    return entry


def chunk(delta: dict[str, Any], finish: str | None = None, choice: int = 0) -> bytes:
    return encode(json.dumps({"choices": [{"index": choice, "delta": delta, "finish_reason": finish}]}).encode())


def streamed(*deltas: list[Fragment] | Fragment, finish: str = "tool_calls", legacy: bool = False) -> bytes:
    """A stream in which each delta carries these entries."""
    lists = [delta if isinstance(delta, list) else [delta] for delta in deltas]
    bodies = [{"tool_calls": entries} for entries in lists]
    if legacy:
        bodies = [{"function_call": entries[0]["function"]} for entries in lists]
    return b"".join(map(chunk, bodies)) + chunk({}, finish) + encode(b"[DONE]")


PARIS, TOKYO = '{"city": "Paris"}', '{"city": "Tokyo"}'
ONE = [("f", PARIS)]
TWO = [("f", PARIS), ("g", TOKYO)]
SAME = [("f", PARIS), ("f", TOKYO)]

#: name: (the stream, name and arguments of the calls)
VECTORS: dict[str, tuple[bytes, list[tuple[str, str]]]] = {
    "vLLM: header, then arguments": (
        streamed(fragment(0, "a", "f"), fragment(0, arguments='{"city": '), fragment(0, arguments='"Paris"}')),
        ONE,
    ),
    "vLLM: two calls by index": (
        streamed(
            fragment(0, "a", "f", ""), fragment(0, arguments=PARIS), fragment(1, "b", "g"), fragment(1, arguments=TOKYO)
        ),
        TWO,
    ),
    "vLLM 0.8.5 named choice: name in every delta, no id": (
        streamed(*(fragment(0, name="f", arguments=piece) for piece in ('{"', "city", '": "Paris', '"', "}"))),
        ONE,
    ),
    "vLLM 0.8.5 required: name first, later null": (
        streamed(fragment(0, name="f", arguments="{"), fragment(0, arguments='"city": "Paris"}')),
        ONE,
    ),
    "SGLang: later id and name are null": (
        streamed(
            {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}},
            {"index": 0, "id": None, "function": {"name": None, "arguments": PARIS}},
        ),
        ONE,
    ),
    "TGI: parallel calls of two tools, all index 0 and one id": (
        streamed(
            fragment(0, "0", "f", ""),
            *(fragment(0, "0", arguments=piece) for piece in ("{", '"city": "Paris"', "}")),
            fragment(0, "0", "g", ""),
            *(fragment(0, "0", arguments=piece) for piece in ("{", '"city": "Tokyo"', "}")),
        ),
        TWO,
    ),
    "TGI: the same tool twice, brace with the name": (
        streamed(
            fragment(0, "0", "f", "{"),
            fragment(0, "0", arguments='"city": "Paris"}'),
            fragment(0, "0", "f", "{"),
            fragment(0, "0", arguments='"city": "Tokyo"}'),
        ),
        SAME,
    ),
    "TGI: the same tool twice, name without arguments": (
        streamed(
            fragment(0, "0", "f", ""),
            fragment(0, "0", arguments=PARIS),
            fragment(0, "0", "f", ""),
            fragment(0, "0", arguments="{"),
            fragment(0, "0", arguments='"city": "Tokyo"}'),
        ),
        SAME,
    ),
    "llama-cpp-python: name and id in every fragment": (
        streamed(*(fragment(0, "call__0_f", "f", piece) for piece in ('{"', 'city": "Par', 'is"', "}", ""))),
        ONE,
    ),
    "llama-cpp-python: nested braces in fragments": (
        streamed(*(fragment(0, "x", "f", piece) for piece in ('{"a": {"b": "}', '{"}', ", ", '"c": {}}'))),
        [("f", '{"a": {"b": "}{"}, "c": {}}')],
    ),
    "index reused with a new id": (
        streamed(fragment(0, "a", "f", PARIS), fragment(0, "b", "g", TOKYO)),
        TWO,
    ),
    "index reused with a new id, the same tool": (
        streamed(fragment(0, "a", "f", PARIS), fragment(0, "b", "f", TOKYO)),
        SAME,
    ),
    "no index, by id": (
        streamed(
            fragment(None, "a", "f", '{"city": '),
            fragment(None, "a", arguments='"Paris"}'),
            fragment(None, "b", "g", TOKYO),
        ),
        TWO,
    ),
    "no index, id in the first only": (
        streamed(
            fragment(None, "a", "f"), fragment(arguments=PARIS), fragment(None, "b", "g"), fragment(arguments=TOKYO)
        ),
        TWO,
    ),
    "no index and no id": (streamed(fragment(name="f", arguments=PARIS), fragment(name="g", arguments=TOKYO)), TWO),
    "whole calls in one delta": (streamed([fragment(0, "a", "f", PARIS), fragment(1, "b", "g", TOKYO)]), TWO),
    "whole calls in one delta, no index, no id": (
        streamed([fragment(name="f", arguments=PARIS), fragment(name="f", arguments=TOKYO)]),
        SAME,
    ),
    "arguments as an object": (streamed(fragment(0, "a", "f", {"city": "Paris"})), [("f", '{"city":"Paris"}')]),
    "arguments as an empty object": (streamed(fragment(0, "a", "f", {})), [("f", "{}")]),
    "no arguments": (streamed(fragment(0, "a", "f")), [("f", "")]),
    "interleaved indexes": (
        streamed(
            fragment(0, "a", "f"),
            fragment(1, "b", "g"),
            fragment(0, arguments='{"city": '),
            fragment(1, arguments='{"city": '),
            fragment(0, arguments='"Paris"}'),
            fragment(1, arguments='"Tokyo"}'),
        ),
        TWO,
    ),
    "empty strings are no name and no id": (
        streamed(fragment(0, "a", "f", ""), fragment(0, "", "", '{"city": "Paris'), fragment(0, "", "", '"}')),
        ONE,
    ),
    "the name comes after the id": (
        streamed(fragment(0, "a"), fragment(0, name="f"), fragment(0, arguments=PARIS)),
        ONE,
    ),
    "the name comes after the arguments": (streamed(fragment(0, "a", arguments=PARIS), fragment(0, name="f")), ONE),
    "the legacy field": (
        streamed(
            fragment(name="f", arguments='{"city": '),
            fragment(arguments='"Paris"}'),
            legacy=True,
            finish="function_call",
        ),
        ONE,
    ),
    "indexes that do not begin at 0": (streamed(fragment(3, "a", "f", PARIS), fragment(7, "b", "g", TOKYO)), TWO),
    "an entry with nothing in it": (streamed({"index": 0}, fragment(0, "a", "f", PARIS)), ONE),
    "an id that is a number": (streamed(fragment(0, 7, "f", PARIS)), ONE),
    "stop instead of tool_calls (named choice)": (streamed(fragment(0, "a", "f", PARIS), finish="stop"), ONE),
}


def calls_of(outcome: Outcome) -> list[tuple[str, str]]:
    return [(call.name, call.arguments) for call in outcome.model_response.tool_calls]


@pytest.mark.parametrize("step", [1, 7, 4096])
@pytest.mark.parametrize(("wire", "expected"), VECTORS.values(), ids=VECTORS)
def test_calls_are_complete_and_separate(wire: bytes, expected: list[tuple[str, str]], step: int) -> None:
    """Each call is emitted once, with name and arguments, and the finish reason is `tool_calls`."""
    outcome = read(wire, step=step)

    assert outcome.error is None
    assert expected == calls_of(outcome)
    assert "tool_calls" == outcome.model_response.finish_reason


@pytest.mark.parametrize("wire", [wire for wire, _ in VECTORS.values()], ids=VECTORS)
def test_only_the_first_delta_of_a_call_has_id_and_name(wire: bytes) -> None:
    """
    Frameworks concatenate names and ids: they come once, first, and no two calls share an id or an index.
    """
    deltas = [event for event in read(wire).events if isinstance(event, ToolCallDelta)]
    first = {delta.index: delta for delta in reversed(deltas)}

    assert all((delta.name is not None) == (delta is first[delta.index]) for delta in deltas)
    assert all((delta.id is not None) == (delta is first[delta.index]) for delta in deltas)
    assert len(first) == len({delta.id for delta in first.values()})
    assert list(range(len(first))) == sorted(first)


TRUNCATED: dict[str, bytes] = {
    "length": streamed(fragment(0, "a", "f", '{"city": "Par'), finish="length"),
    "vLLM 0.10.0 says tool_calls all the same": streamed(fragment(0, "a", "f", '{"city": "Par')),
    "stop": streamed(fragment(0, "a", "f", "{"), finish="stop"),
    "after a raw line break": streamed(fragment(0, "a", "f", '{"sql": "DELETE FROM t\nWHERE id')),
    "after a bad escape": streamed(fragment(0, "a", "f", '{"path": "C:\\dir\\fi')),
    "length, and no JSON": streamed(fragment(0, "a", "f", '{"amount": 5} and'), finish="length"),
    "LENGTH, and single quotes": streamed(fragment(0, "a", "f", "{'city': 'Paris'}"), finish="LENGTH"),
    **{
        f"{word} before the arguments": streamed(fragment(0, "a", "f"), finish=word)
        for word in ("token_limit", "MAX_OUTPUT_TOKENS", "context_length_exceeded", "model_context_window_exceeded")
    },
    "the first of two": streamed(fragment(0, "a", "f", '{"city": '), fragment(1, "b", "g", TOKYO)),
    "length before the arguments": streamed(fragment(0, "a", "f"), finish="length"),
    "no name": streamed(fragment(0, "a", arguments=PARIS)),
    "inside an escape": streamed(fragment(0, "a", "f", '{"city": "\\u00')),
    "inside a number": streamed(fragment(0, "a", "f", '{"a": -')),
}


@pytest.mark.parametrize("wire", TRUNCATED.values(), ids=TRUNCATED)
def test_a_truncated_call_is_an_error(wire: bytes) -> None:
    """
    A call that stops in the middle is never a success, whatever the finish reason claims.
    """
    outcome = read(wire)

    assert isinstance(outcome.error, IncompleteToolCall)
    assert "must not be executed" in str(outcome.error)
    assert outcome.error.retryable is False


INVALID = {
    "single quotes": "{'city': 'Paris'}",
    "no JSON": "Paris",
    "an array": '["Paris"]',
    "a bare word": '{"city": Paris}',
    "a trailing comma": '{"city": "Paris",}',
}


@pytest.mark.parametrize("arguments", INVALID.values(), ids=INVALID)
def test_arguments_that_are_wrong_but_whole_are_delivered(arguments: str) -> None:
    """Invalid JSON that is not truncated is a mistake of the model, which the framework receives unchanged."""
    outcome = read(streamed(fragment(0, "a", "f", arguments)))

    assert outcome.error is None
    assert [("f", arguments)] == calls_of(outcome)


def test_every_prefix_of_a_call_is_truncated() -> None:
    """
    Wherever arguments stop before their last brace, the call is incomplete.
    """
    whole = '{"city": "Pa\\n\\u00e9\\ud83d\\ude00\\"", "n": -1.5e+10, "t": true, "f": false, "z": null, "l": [1, {"a": {}}, []], "s": ""}'
    for at in range(1, len(whole)):
        assert isinstance(read(streamed(fragment(0, "a", "f", whole[:at]))).error, IncompleteToolCall), whole[:at]


def test_calls_of_two_choices_are_kept_apart() -> None:
    """
    With n > 1 each choice has calls of its own, which may share an index.
    """
    entries = [(0, "a", "f", PARIS), (1, "b", "g", TOKYO)]
    wire = b"".join(chunk({"tool_calls": [fragment(0, *rest)]}, choice=choice) for choice, *rest in entries)
    wire += chunk({}, "tool_calls", 0) + chunk({}, "tool_calls", 1)

    choices = read(wire).model_response.choices

    assert [[("f", PARIS)], [("g", TOKYO)]] == [
        [(c.name, c.arguments) for c in choice.tool_calls] for choice in choices
    ]
