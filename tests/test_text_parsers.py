"""Tool calls and reasoning that a server passes through as text are parsed for any split, and nothing is lost."""

import asyncio
import json
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from _samples import EVENTS, PLATFORM, REQUEST

from mdstream_core import AsyncClient, Call, Client, OCIModelDeployment, OpenAIChat, Retry, TextParsingDialect
from mdstream_core.attempt import Attempt
from mdstream_core.dialects import LMI, TGI, Auto, Dialect
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import (
    IncompleteToolCall,
    InvalidRequest,
    MalformedStream,
    MDStreamError,
    StreamFailure,
    StreamInterrupted,
    StreamTimeout,
)
from mdstream_core.events import Choice, Event, Finish, ModelResponse, ReasoningDelta, TextDelta, ToolCallDelta
from mdstream_core.wire.sse import encode

Options = dict[str, Any]

HERMES, MISTRAL, LLAMA, PYTHONIC = ({"tool_calls": name} for name in ("hermes", "mistral", "llama3_json", "pythonic"))
THINK, OPEN = {"reasoning": "think"}, {"reasoning": "open"}

PARIS, TOKYO = '{"city": "Paris"}', '{"city": "Tokyo"}'
F = '{"name": "f", "arguments": {"city": "Paris"}}'
G = '{"name": "g", "arguments": {"city": "Tokyo"}}'
FIRST, SECOND = ("f", PARIS), ("g", TOKYO)
TRICKY = r'{"a": "}{][\"\\", "b": [{"c": {}}, "\u00e9</tool_call>"], "d": "[TOOL_CALLS];<|python_tag|>"}'


def payload(delta: dict[str, Any], reason: str | None = None, choice: int = 0) -> bytes:
    return json.dumps({"choices": [{"index": choice, "delta": delta, "finish_reason": reason}]}).encode()


def texts(*pieces: str, choice: int = 0) -> list[bytes]:
    """A payload for each piece of the response."""
    return [payload({"content": piece}, choice=choice) for piece in pieces]


def requesting(dialect: Dialect) -> Attempt:
    requested = Call(PLATFORM, dialect, REQUEST, retry=Retry(0)).create_attempt()
    requested.start(EVENTS)
    return requested


class Outcome(NamedTuple):
    """The events, the error at the end, and the accumulated response, which is the partial of an error."""

    events: list[Event]
    error: MDStreamError | None
    model_response: ModelResponse


def read(dialect: Dialect, payloads: list[bytes]) -> Outcome:
    """Hand a response to an exchange, as a client would."""
    requested = requesting(dialect)
    events: list[Event] = []
    try:
        for data in payloads:
            events += requested.feed(encode(data))
            if requested.should_stop_reading:
                break
        events += requested.flush()
        events += requested.finish()
    except MDStreamError as error:
        return Outcome(events, requested.enrich_error(error), requested.response())
    return Outcome(events, None, requested.response())


def decode(options: Options, *pieces: str, reason: str = "stop") -> Outcome:
    return read(TextParsingDialect(OpenAIChat(), **options), [*texts(*pieces), payload({}, reason)])


def calls(choice: Choice | ModelResponse) -> list[tuple[str, str]]:
    return [(call.name, call.arguments) for call in choice.tool_calls]


def summed(outcome: Outcome) -> tuple[str, str, list[tuple[str, str]], str | None, type[MDStreamError] | None]:
    """All of it but the ids, which are made up."""
    model_response, error = outcome.model_response, outcome.error
    return (
        model_response.text,
        model_response.reasoning,
        calls(model_response),
        model_response.finish_reason,
        type(error) if error else None,
    )


def cuts(text: str) -> Iterator[list[str]]:
    """Split the text in two at each character, into characters, and at random."""
    yield from ([text[:at], text[at:]] for at in range(len(text) + 1))
    yield list(text)
    dice = random.Random(text)
    for _ in range(20):
        ends = sorted(dice.choices(range(len(text) + 1), k=6))
        yield [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]


Stated = tuple[str, str, list[tuple[str, str]]]

#: name: (the options, what the model says, the text, the reasoning and the calls in it)
VECTORS: dict[str, tuple[Options, str, Stated]] = {
    "hermes: a call": (HERMES, f"<tool_call>\n{F}\n</tool_call>", ("", "", [FIRST])),
    "hermes: two calls": (
        HERMES,
        f"<tool_call>\n{F}\n</tool_call>\n<tool_call>\n{G}\n</tool_call>",
        ("\n", "", [FIRST, SECOND]),
    ),
    "hermes: text before, between and behind": (
        HERMES,
        f"Let me see.\n<tool_call>{F}</tool_call> and <tool_call>{G}</tool_call> done",
        ("Let me see.\n and  done", "", [FIRST, SECOND]),
    ),
    "hermes: the same call twice": (
        HERMES,
        f"<tool_call>{F}</tool_call><tool_call>{F}</tool_call>",
        ("", "", [FIRST, FIRST]),
    ),
    "hermes: no blanks": (HERMES, '<tool_call>{"name":"f","arguments":{}}</tool_call>', ("", "", [("f", "{}")])),
    "hermes: many blanks": (
        HERMES,
        '<tool_call> \n { "name" :\t"f" , "arguments" :\n{ } \n} \n </tool_call>',
        ("", "", [("f", "{ }")]),
    ),
    "hermes: brackets, quotes and markers in strings": (
        HERMES,
        f'<tool_call>{{"name": "f", "arguments": {TRICKY}}}</tool_call>!',
        ("!", "", [("f", TRICKY)]),
    ),
    "hermes: the arguments stand before the name": (
        HERMES,
        '<tool_call>{"arguments": {"city": "</tool_call>"}, "name": "f"}</tool_call>',
        ("", "", [("f", '{"city":"</tool_call>"}')]),
    ),
    "hermes: parameters": (HERMES, '<tool_call>{"name": "f", "parameters": {"a": 1}}</tool_call>', ("", "", [("f", '{"a": 1}')])),
    "hermes: a type before, an id behind": (
        HERMES,
        '<tool_call>{"type": "function", "name": "f", "arguments": {"a": 1}, "id": "x"}</tool_call>',
        ("", "", [("f", '{"a": 1}')]),
    ),
    "hermes: a function in the call": (
        HERMES,
        '<tool_call>{"type": "function", "function": {"name": "f", "arguments": {"a": 1}}}</tool_call>',
        ("", "", [("f", '{"a":1}')]),
    ),
    "hermes: arguments as a string": (
        HERMES,
        '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>',
        ("", "", [("f", '{"a": 1}')]),
    ),
    "hermes: no arguments": (HERMES, '<tool_call>{"name": "f"}</tool_call>', ("", "", [("f", "{}")])),
    "hermes: a name with escapes": (HERMES, r'<tool_call>{"name": "\u0066", "arguments": {}}</tool_call>', ("", "", [("f", "{}")])),
    "hermes: without the last marker": (HERMES, f"<tool_call>{F}", ("", "", [FIRST])),
    "hermes: text in place of the last marker": (HERMES, f"<tool_call>{F} </tool", ("</tool", "", [FIRST])),
    "hermes: almost a marker": (
        HERMES,
        "a < b, <<tool_cal> <tool_ <tool_call",
        ("a < b, <<tool_cal> <tool_ <tool_call", "", []),
    ),
    "hermes: a marker and no object": (HERMES, "Write <tool_call> \nfirst", ("Write <tool_call> \nfirst", "", [])),
    "hermes: another parser's call": (
        HERMES,
        "<tool_call>\n<function=f>\n<parameter=city>Paris</parameter></function>\n</tool_call>",
        ("<tool_call>\n<function=f>\n<parameter=city>Paris</parameter></function>\n</tool_call>", "", []),
    ),
    "hermes: a marker behind one": (HERMES, f"<tool_call><tool_call>{F}</tool_call>", ("<tool_call>", "", [FIRST])),
    "hermes: an object that is no call": (HERMES, '<tool_call>{"a": 1}</tool_call>.', ('<tool_call>{"a": 1}</tool_call>.', "", [])),
    "hermes: wrong arguments": (
        HERMES,
        '<tool_call>{"name": "f", "arguments": {"city": Paris}}</tool_call>.',
        (".", "", [("f", '{"city": Paris}')]),
    ),
    "hermes: wrong JSON with a name": (
        HERMES,
        "<tool_call>\n{'a': 1, \"name\": \"f\"}</tool_call>.",
        (".", "", [("f", "<tool_call>{'a': 1, \"name\": \"f\"}")]),
    ),
    "hermes: wrong JSON without one": (HERMES, "<tool_call>{a: 1}</tool_call>.", ("<tool_call>{a: 1}</tool_call>.", "", [])),
    "mistral: a list": (MISTRAL, f"[TOOL_CALLS] [{F}]", ("", "", [FIRST])),
    "mistral: a list of two, and text": (MISTRAL, f"Well.[TOOL_CALLS][{F}, {G}] Done", ("Well. Done", "", [FIRST, SECOND])),
    "mistral: a list without its end": (MISTRAL, f"[TOOL_CALLS][{F}", ("", "", [FIRST])),
    "mistral: brackets, quotes and markers in strings": (
        MISTRAL,
        f'[TOOL_CALLS][{{"name": "f", "arguments": {TRICKY}}}]',
        ("", "", [("f", TRICKY)]),
    ),
    "mistral: a name": (MISTRAL, f"[TOOL_CALLS]f{PARIS}", ("", "", [FIRST])),
    "mistral: names, and text": (MISTRAL, f"Well.[TOOL_CALLS]f{PARIS}[TOOL_CALLS]g {TOKYO} Done", ("Well. Done", "", [FIRST, SECOND])),
    "mistral: a name with marks": (MISTRAL, f"[TOOL_CALLS]f[CALL_ID]abc12345[ARGS]{PARIS}[TOOL_CALLS]g[ARGS]{TOKYO}", ("", "", [FIRST, SECOND])),
    "mistral: a name and wrong arguments": (MISTRAL, "[TOOL_CALLS]f{city: Paris}", ("", "", [("f", "{city: Paris}")])),
    "mistral: a marker in prose": (MISTRAL, "The token [TOOL_CALLS] is [TOOL_, a [list]", ("The token [TOOL_CALLS] is [TOOL_, a [list]", "", [])),
    "mistral: an empty list": (MISTRAL, "[TOOL_CALLS] [ ].", ("[TOOL_CALLS] [ ].", "", [])),
    "mistral: a list of something else": (MISTRAL, "[TOOL_CALLS][1, 2]", ("[TOOL_CALLS][1, 2]", "", [])),
    "mistral: a list with another value behind the call": (MISTRAL, f"[TOOL_CALLS][{F}, 2]", (", 2]", "", [FIRST])),
    "llama: a call": (LLAMA, '{"name": "f", "parameters": {"city": "Paris"}}', ("", "", [FIRST])),
    "llama: after the tag": (LLAMA, '<|python_tag|>{"name": "f", "parameters": {"city": "Paris"}}', ("", "", [FIRST])),
    "llama: after words and the tag": (LLAMA, f"Well. <|python_tag|> {F}", ("Well. ", "", [FIRST])),
    "llama: several": (LLAMA, f"{F}; {G};{F}", ("", "", [FIRST, SECOND, FIRST])),
    "llama: several on lines of their own": (LLAMA, f"{F} ;\n{G}\n", ("", "", [FIRST, SECOND])),
    "llama: blanks before": (LLAMA, f"\n\n{F}", ("\n\n", "", [FIRST])),
    "llama: a type before": (LLAMA, '{"type": "function", "name": "f", "parameters": {"city": "Paris"}}', ("", "", [FIRST])),
    "llama: brackets, quotes and markers in strings": (LLAMA, f'{{"name": "f", "parameters": {TRICKY}}}', ("", "", [("f", TRICKY)])),
    "llama: words behind": (LLAMA, f"{F}; so it is", ("; so it is", "", [FIRST])),
    "llama: a word behind": (LLAMA, f"{F} Done", ("Done", "", [FIRST])),
    "llama: an object": (LLAMA, '{"name": "Bob", "age": 3}', ('{"name": "Bob", "age": 3}', "", [])),
    "llama: an object of a name": (LLAMA, '{"name": "Bob"}', ('{"name": "Bob"}', "", [])),
    "llama: an object of another type": (LLAMA, '{"type": "x", "parameters": {}}', ('{"type": "x", "parameters": {}}', "", [])),
    "llama: arguments of another kind": (LLAMA, '{"name": "f", "parameters": [1]}', ('{"name": "f", "parameters": [1]}', "", [])),
    "llama: words with an object": (LLAMA, f"It is {F}, <|python", (f"It is {F}, <|python", "", [])),
    "llama: code behind the tag": (LLAMA, "<|python_tag|> print(1)", ("<|python_tag|> print(1)", "", [])),
    "llama: the tag alone": (LLAMA, "<|python_tag|>", ("<|python_tag|>", "", [])),
    "pythonic: a call": (PYTHONIC, '[f(city="Paris")]', ("", "", [("f", '{"city":"Paris"}')])),
    "pythonic: two calls": (PYTHONIC, "[ f(a='x', b=[1, -2.5], c={'d': None}) ,\n g() ]\n", ("", "", [("f", '{"a":"x","b":[1,-2.5],"c":{"d":null}}'), ("g", "{}")])),
    "pythonic: JSON's names": (PYTHONIC, "[f(a=true, b=False, c=null)]", ("", "", [("f", '{"a":true,"b":false,"c":null}')])),
    "pythonic: brackets and quotes in strings": (PYTHONIC, r"""[f(a=')]\'"', b="[(\"'")]""", ("", "", [("f", r"""{"a":")]'\"","b":"[(\"'"}""")])),
    "pythonic: blanks before": (PYTHONIC, " \n[f(a=1)]", (" \n", "", [("f", '{"a":1}')])),
    "pythonic: a link": (PYTHONIC, "[main()](main.md) isn't (hard", ("[main()](main.md) isn't (hard", "", [])),
    "pythonic: a remark": (PYTHONIC, "[see (above), it's fine", ("[see (above), it's fine", "", [])),
    "pythonic: a list": (PYTHONIC, "[1, 2]", ("[1, 2]", "", [])),
    "pythonic: a list of calls and something else": (PYTHONIC, "[f(a=1), 2]", ("[f(a=1), 2]", "", [])),
    "pythonic: positional": (PYTHONIC, '[f("Paris")]', ('[f("Paris")]', "", [])),
    "pythonic: no literal": (PYTHONIC, "[f(a=g(b=1))]", ("[f(a=g(b=1))]", "", [])),
    "pythonic: no JSON": (PYTHONIC, "[f(a=b'x')]", ("[f(a=b'x')]", "", [])),
    "pythonic: no syntax": (PYTHONIC, "[f(a=1 2)]", ("[f(a=1 2)]", "", [])),
    "pythonic: any dictionary": (PYTHONIC, "[f(**{'a': 1})]", ("[f(**{'a': 1})]", "", [])),
    "pythonic: words": (PYTHONIC, "Call [f(a=1)]", ("Call [f(a=1)]", "", [])),
    "think: a thought": (THINK, "<think>\nHm. 1 < 2\n</think>\n\nParis.", ("\n\nParis.", "\nHm. 1 < 2\n", [])),
    "think: blanks before": (THINK, " \n<think>Hm</think>Paris", (" \nParis", "Hm", [])),
    "think: an empty thought": (THINK, "<think></think>Paris", ("Paris", "", [])),
    "think: no thought": (THINK, "Paris <think>Hm</think>", ("Paris <think>Hm</think>", "", [])),
    "think: almost a thought": (THINK, "<thin", ("<thin", "", [])),
    "think: one thought only": (THINK, "<think>a</think><think>b</think>", ("<think>b</think>", "a", [])),
    "think: a thought without an end": (THINK, "<think>Hm</thin", ("", "Hm</thin", [])),
    "open: a thought": (OPEN, "\nHm <think>.\n</think>\n\nParis.", ("\n\nParis.", "\nHm <think>.\n", [])),
    "open: it begins all the same": (OPEN, "\n<think>Hm</think>Paris", ("Paris", "\nHm", [])),
    "open: nothing but a thought": (OPEN, "<thin", ("", "<thin", [])),
    "think and hermes": (
        THINK | HERMES,
        f"<think>A <tool_call>{F}</tool_call>?</think>\n\n<tool_call>{G}</tool_call>",
        ("\n\n", f"A <tool_call>{F}</tool_call>?", [SECOND]),
    ),
    "think and llama": (THINK | LLAMA, f"<think>Hm</think>\n\n{F}", ("\n\n", "Hm", [FIRST])),
    "think, no thought, and pythonic": (THINK | PYTHONIC, "[f(a=1)]", ("", "", [("f", '{"a":1}')])),
    "open and mistral": (OPEN | MISTRAL, f"Hm</think>[TOOL_CALLS]f{PARIS}", ("", "Hm", [FIRST])),
}  # fmt: skip


@pytest.mark.parametrize(("options", "text", "content"), VECTORS.values(), ids=VECTORS)
def test_tool_calls_and_reasoning_are_parsed(options: Options, text: str, content: Stated) -> None:
    """Text, reasoning and calls are separated; a response with calls has the finish reason `tool_calls`."""
    outcome = decode(options, text)

    assert (*content, "tool_calls" if content[2] else "stop", None) == summed(outcome)


@pytest.mark.parametrize(("options", "text"), [vector[:2] for vector in VECTORS.values()], ids=VECTORS)
def test_any_split_is_parsed_the_same(options: Options, text: str) -> None:
    """The split of the text into deltas makes no difference."""
    expected = summed(decode(options, text))

    for pieces in cuts(text):
        assert expected == summed(decode(options, *pieces)), pieces


@pytest.mark.parametrize(("options", "text"), [vector[:2] for vector in VECTORS.values()], ids=VECTORS)
def test_only_the_first_delta_of_a_call_has_id_and_name(options: Options, text: str) -> None:
    """
    Names and ids come once, first; no two calls share an id or an index.
    """
    deltas = [event for event in decode(options, *text).events if isinstance(event, ToolCallDelta)]
    first = {delta.index: delta for delta in reversed(deltas)}

    assert all((delta.name is not None) == (delta is first[delta.index]) for delta in deltas)
    assert all((delta.id is not None) == (delta is first[delta.index]) for delta in deltas)
    assert len(first) == len({delta.id for delta in first.values()})
    assert list(range(len(first))) == sorted(first)


def test_mistrals_call_id_is_kept() -> None:
    """
    The newest of its formats has one; other ids are made up.
    """
    (call,) = decode(MISTRAL, f"[TOOL_CALLS]f[CALL_ID]abc12345[ARGS]{PARIS}").model_response.tool_calls

    assert "abc12345" == call.id


MARKERS = {"hermes": "<tool_call>", "mistral": "[TOOL_CALLS]", "llama3_json": "<|python_tag|>"}


@pytest.mark.parametrize(("name", "marker"), MARKERS.items())
def test_only_the_start_of_a_marker_is_buffered(name: str, marker: str) -> None:
    """All other text is emitted at once; a token is passed through unchanged."""
    text = f"a < b [0] {marker[:-1]}x {marker[0] * 3} {marker[:4]}"
    decoder = TextParsingDialect(OpenAIChat(), tool_calls=name).create_decoder()
    received = ""
    for at, data in enumerate(texts(*text), 1):
        received += "".join(event.text for event in decoder.feed(data) if isinstance(event, TextDelta))
        assert marker.startswith(text[len(received) : at])

    assert [TextDelta("Paris")] == TextParsingDialect(OpenAIChat(), tool_calls=name).create_decoder().feed(
        texts("Paris")[0]
    )[1:]


def test_arguments_are_emitted_as_they_are_received() -> None:
    """
    Once the name is known nothing of a call waits: a stream that breaks has all of it in its partial.
    """
    requested = requesting(TextParsingDialect(OpenAIChat(), tool_calls="hermes"))
    for data in texts('Yes. <tool_call>{"name": "f", "arguments": {"a": "', "Par", "is"):
        requested.feed(encode(data))

    partial = requested.enrich_error(StreamInterrupted("the cable was cut")).partial

    assert ("Yes. ", [("f", '{"a": "Paris')]) == (partial.text, calls(partial))
    assert partial.tool_calls[0].is_truncated


#: name: (the options, what the model says, the text, the reasoning and the calls that were received)
TRUNCATED: dict[str, tuple[Options, str, Stated]] = {
    "hermes: after the marker": (HERMES, "Yes. <tool_call>\n", ("Yes. <tool_call>\n", "", [])),
    "hermes: in the name": (HERMES, 'Yes. <tool_call>{"name": "get', ('Yes. <tool_call>{"name": "get', "", [])),
    "hermes: in the arguments": (HERMES, 'Yes. <tool_call>{"name": "f", "arguments": {"a": "b', ("Yes. ", "", [("f", '{"a": "b')])),
    "hermes: in arguments before the name": (HERMES, '<tool_call>{"arguments": {"a": 1}', ('<tool_call>{"arguments": {"a": 1}', "", [])),
    "hermes: in the last brace": (HERMES, f"<tool_call>{F[:-1]}\n", ("\n", "", [FIRST])),
    "hermes: closed before its last brace": (HERMES, f"<tool_call>{F[:-1]}</tool_call>.", (".", "", [FIRST])),
    "hermes: closed in the arguments": (HERMES, f"<tool_call>{F[:-2]}</tool_call>.", (".", "", [("f", PARIS[:-1])])),
    "hermes: closed in wrong JSON": (HERMES, '<tool_call>{"a": 1, "name": "f"</tool_call>.', (".", "", [("f", '<tool_call>{"a": 1, "name": "f"')])),
    "hermes: the second": (HERMES, f"<tool_call>{F}</tool_call><tool_call>{G[:-3]}", ("", "", [FIRST, ("g", TOKYO[:-2])])),
    "mistral: after the marker": (MISTRAL, "[TOOL_CALLS]", ("[TOOL_CALLS]", "", [])),
    "mistral: in the list": (MISTRAL, "[TOOL_CALLS][", ("[TOOL_CALLS][", "", [])),
    "mistral: behind a comma": (MISTRAL, f"[TOOL_CALLS][{F}, ", (", ", "", [FIRST])),
    "mistral: in the name": (MISTRAL, "[TOOL_CALLS]get_", ("[TOOL_CALLS]get_", "", [])),
    "mistral: in the arguments": (MISTRAL, f"[TOOL_CALLS]f{PARIS[:-1]}", ("", "", [("f", PARIS[:-1])])),
    "llama: in the name": (LLAMA, '{"name": "get', ('{"name": "get', "", [])),
    "llama: in the arguments": (LLAMA, F[:-5], ("", "", [("f", PARIS[:-4])])),
    "pythonic: in the arguments": (PYTHONIC, '[f(a=1), g(b="', ('[f(a=1), g(b="', "", [])),
    "pythonic: before the arguments": (PYTHONIC, "[f(", ("[f(", "", [])),
    "think and hermes": (THINK | HERMES, "<think>Hm</think><tool_call>{", ("<tool_call>{", "Hm", [])),
}  # fmt: skip


@pytest.mark.parametrize("reason", ["stop", "length"])
@pytest.mark.parametrize(("options", "text", "content"), TRUNCATED.values(), ids=TRUNCATED)
def test_a_truncated_call_is_an_error(options: Options, text: str, content: Stated, reason: str) -> None:
    """
    Never a success, whatever the finish reason; and what was received of it is in the partial.
    """
    outcome = decode(options, text, reason=reason)

    finished = "tool_calls" if reason == "stop" and content[2] else reason
    assert (*content, finished, IncompleteToolCall) == summed(outcome)
    assert outcome.model_response == outcome.error.partial
    assert "must not be executed" in str(outcome.error)
    assert outcome.error.retryable is False


@pytest.mark.parametrize(("options", "text"), [truncated[:2] for truncated in TRUNCATED.values()], ids=TRUNCATED)
def test_any_split_of_a_truncated_call_is_parsed_the_same(options: Options, text: str) -> None:
    """
    The same error, with the same partial.
    """
    expected = summed(decode(options, text))

    for pieces in cuts(text):
        assert expected == summed(decode(options, *pieces)), pieces


WHOLE_AT = {"hermes": f"<tool_call>{F}", "mistral": f"[TOOL_CALLS]f{PARIS}", "llama3_json": F}


@pytest.mark.parametrize(("name", "text"), WHOLE_AT.items())
def test_no_prefix_of_a_call_is_a_success(name: str, text: str) -> None:
    """From the marker to the last character: an error, and no call with complete arguments."""
    begins = {"hermes": 11, "mistral": 12, "llama3_json": 7}[name]
    for at in range(begins, len(text)):
        outcome = decode({"tool_calls": name}, text[:at], reason="length")
        assert isinstance(outcome.error, IncompleteToolCall), text[:at]

    assert decode({"tool_calls": name}, text, reason="length").error is None


def test_a_complete_call_before_a_truncated_one_is_kept() -> None:
    """The finish reason of the server is kept."""
    outcome = decode(HERMES, f"<tool_call>{F}</tool_call> And", reason="length")

    assert (" And", "", [FIRST], "length", None) == summed(outcome)


#: name: (what comes behind an unfinished call, the error)
BROKEN: dict[str, tuple[list[bytes], type[MDStreamError]]] = {
    "an error": ([b'{"error": {"message": "engine died", "code": 500}}'], StreamFailure),
    "an error beside the last words": ([b'{"choices": [{"delta": {"content": "c"}}], "error": {"message": "no"}}'], StreamFailure),
    "no JSON": ([b"<html>"], MalformedStream),
}  # fmt: skip


@pytest.mark.parametrize(("payloads", "kind"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize(
    ("options", "text"),
    [
        (HERMES, 'Hi <tool_call>{"na'),
        (HERMES, "Hi <tool_"),
        (HERMES, "Hi"),
        (PYTHONIC, "[f(a=1"),
        (THINK, "<thi"),
        (OPEN, "Hm</th"),
    ],
)
def test_buffered_text_is_returned_before_the_error(
    options: Options, text: str, payloads: list[bytes], kind: type[MDStreamError]
) -> None:
    """
    Whatever a payload spells: nothing that was received is lost.
    """
    outcome = read(TextParsingDialect(OpenAIChat(), **options), [*texts(text), *payloads])

    assert kind is type(outcome.error)
    partial = outcome.error.partial
    assert text == (partial.reasoning + partial.text).removesuffix("c")


def test_a_failed_decoder_does_not_finish() -> None:
    """
    Its error is raised once more.
    """
    decoder = TextParsingDialect(OpenAIChat(), **HERMES).create_decoder()
    decoder.feed(texts("<tool_")[0])
    decoder.feed(b"<html>")

    assert isinstance(decoder.error, MalformedStream)
    assert not decoder.is_complete
    assert not decoder.is_finished
    with pytest.raises(MalformedStream, match="not JSON"):
        decoder.finish()


def test_a_response_without_a_finish_reason_is_an_interruption() -> None:
    """A complete call does not end a response."""
    outcome = read(TextParsingDialect(OpenAIChat(), **HERMES), texts(f"<tool_call>{F}</tool_call>"))

    assert ("", "", [FIRST], None, StreamInterrupted) == summed(outcome)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (HERMES, '<tool_call>{"arguments": {"a": "' + 2**20 * "x"),
        (HERMES, "<tool_call>" + (2**20 + 1) * " "),
        (HERMES, f"<tool_call>{F[:-1]}" + (2**20 + 1) * " "),
        (PYTHONIC, "[f(a='" + 2**17 * "x"),
    ],
    ids=["arguments before the name", "blanks", "blanks behind the arguments", "Python"],
)
def test_the_buffer_is_limited(options: Options, text: str) -> None:
    """A call that is not complete within the limit is an error with all of its text in the partial."""
    outcome = decode(options, *(text[at : at + 4096] for at in range(0, len(text), 4096)), "never read")

    assert type(outcome.error) is MalformedStream
    assert "characters" in str(outcome.error)
    assert text.endswith(outcome.model_response.text)
    assert len(text) == len(outcome.model_response.text) + sum(
        len(a) + len(b) for a, b in calls(outcome.model_response)
    ) + (len('<tool_call>{"name": "", "arguments": ') if outcome.model_response.tool_calls else 0)


def test_arguments_of_any_length_are_emitted() -> None:
    """
    They are not held back, so they have no bound; streamed or in one piece.
    """
    text = f'<tool_call>{{"name": "f", "arguments": {{"a": "{2**21 * "x"}"}}}}</tool_call>'

    assert 2**21 < len(decode(HERMES, text).model_response.tool_calls[0].arguments)


def test_buffering_emits_progress() -> None:
    """Empty text deltas show that the stream is not stalled."""
    outcome = decode(PYTHONIC, "[f(a='", *(1000 * ["word "]), "')]")

    assert 4 <= outcome.events.count(TextDelta("")) <= 6
    assert ["f"] == [call.name for call in outcome.model_response.tool_calls]


def test_choices_are_kept_apart() -> None:
    """
    With n > 1 each choice has a thought, calls and indexes of its own.
    """
    first = f"<think>a</think>x<tool_call>{F}</tool_call>"
    second = f"y<tool_call>{G}</tool_call><tool_call>{F}</tool_call>"
    payloads = []
    for at in range(0, len(second), 5):
        payloads += texts(first[at : at + 5], choice=0) + texts(second[at : at + 5], choice=1)
    outcome = read(
        TextParsingDialect(OpenAIChat(), **THINK, **HERMES), [*payloads, payload({}, "stop", 0), payload({}, "stop", 1)]
    )

    assert outcome.error is None
    assert [("x", "a", [FIRST]), ("y", "", [SECOND, FIRST])] == [
        (choice.text, choice.reasoning, calls(choice)) for choice in outcome.model_response.choices
    ]
    assert [Finish("tool_calls", 0), Finish("tool_calls", 1)] == outcome.events[-2:]


def test_a_truncated_choice_is_an_error() -> None:
    """
    Though the other one is whole.
    """
    payloads = texts(f"<tool_call>{F}</tool_call>") + texts("<tool_call>{", choice=1)
    outcome = read(
        TextParsingDialect(OpenAIChat(), **HERMES), [*payloads, payload({}, "stop"), payload({}, "length", 1)]
    )

    assert isinstance(outcome.error, IncompleteToolCall)
    assert "<tool_call>{" == outcome.error.partial.choices[1].text


def test_events_of_a_server_with_parsers_are_kept() -> None:
    """
    Its reasoning and its calls are passed on; a call in the text gets an index of its own.
    """
    entry = {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"city": '}}
    more = {"index": 0, "function": {"arguments": '"Paris"}'}}
    payloads = [
        payload({"reasoning_content": "Hm"}),
        *texts(f"Yes. <tool_call>{G}</tool_call>"),
        payload({"tool_calls": [entry]}),
        payload({"tool_calls": [more]}),
        payload({}, "stop"),
    ]
    outcome = read(TextParsingDialect(OpenAIChat(), reasoning="open", tool_calls="hermes"), payloads)

    assert ("Yes. ", "Hm", [SECOND, FIRST], "tool_calls", None) == summed(outcome)
    assert "a" == outcome.model_response.tool_calls[1].id


def test_other_dialects_can_be_wrapped() -> None:
    """
    What is around the text is the inner dialect's own.
    """
    line = b'{"token": {"text": "<tool_call>"}}', json.dumps({"generated_text": f"<tool_call>{F}"}).encode()

    for inner in (TGI(), LMI(), Auto()):
        assert ("", "", [FIRST], "tool_calls", None) == summed(read(TextParsingDialect(inner, **HERMES), list(line)))


def test_requests_are_those_of_the_inner_dialect() -> None:
    """
    The same name, route and body, and the same second request.
    """
    inner, create_call = OpenAIChat(), {"messages": [{"role": "user", "content": "Hi"}]}
    markup = TextParsingDialect(inner, tool_calls="hermes")
    refused = InvalidRequest("stream_options is not supported")
    body = markup.build_payload(create_call, stream=True)

    assert (inner.name, inner.route) == (markup.name, markup.route)
    assert inner.build_payload(create_call, stream=True) == body
    assert inner.relax_payload(body, refused) == markup.relax_payload(body, refused) != None  # noqa: E711  # one that is simpler


GOES_ON: dict[str, tuple[Options, bool]] = {
    "hermes": (HERMES, True),
    "think and mistral": (THINK | MISTRAL, True),
    "open: the second half would be taken for a thought": (OPEN, False),
    "llama: the second half would be taken for a start": (LLAMA, False),
    "pythonic: the same": (PYTHONIC, False),
}


@pytest.mark.parametrize(("options", "goes_on"), GOES_ON.values(), ids=GOES_ON)
def test_a_response_is_resumed_if_its_continuation_can_be_parsed(options: Options, goes_on: bool) -> None:
    """
    As the inner dialect does, or not at all.
    """
    inner, content = OpenAIChat(), ModelResponse.from_events([TextDelta("Let me look.")])

    assert (inner.build_continuation(REQUEST, content) if goes_on else None) == TextParsingDialect(
        inner, **options
    ).build_continuation(REQUEST, content)


def test_without_parsers_the_inner_decoder_is_returned() -> None:
    """
    Without a parser the decoder is the inner one.
    """
    assert type(OpenAIChat().create_decoder()) is type(TextParsingDialect(OpenAIChat()).create_decoder())


def test_unknown_names_are_rejected() -> None:
    """
    The message names those that exist.
    """
    with pytest.raises(
        ValueError, match=r"tool_calls='xml' is unknown .hint: use one of hermes, mistral, llama3_json, pythonic"
    ):
        TextParsingDialect(OpenAIChat(), tool_calls="xml")
    with pytest.raises(ValueError, match=r"reasoning='deepseek_r1' is unknown .hint: use one of think, open"):
        TextParsingDialect(OpenAIChat(), reasoning="deepseek_r1")  # type: ignore[arg-type]


HOSTILE: dict[str, tuple[Options, str]] = {
    "nested": (HERMES, "<tool_call>" + 100_000 * '{"a":'),
    "nested in arguments": (HERMES, '<tool_call>{"name": "f", "arguments": ' + 100_000 * '{"a":'),
    "nested as deep as can be read": (
        HERMES,
        '<tool_call>{"arguments": ' + 1_000 * '{"a":' + "1" + 1_000 * "}" + ', "name": "f"}',
    ),
    "nested and closed": (HERMES, "<tool_call>" + 100_000 * '{"a":' + "1" + 100_000 * "}"),
    "markers": (HERMES, 50_000 * "<tool_call>"),
    "markers and braces": (HERMES, 50_000 * "<tool_call>{}"),
    "commas": (MISTRAL, "[TOOL_CALLS][" + 200_000 * ","),
    "objects": (MISTRAL, "[TOOL_CALLS][" + 5_000 * '{"name":"f"},'),
    "names": (MISTRAL, 50_000 * "[TOOL_CALLS]f"),
    "semicolons": (LLAMA, F + 100_000 * ";"),
    "signs": (PYTHONIC, "[f(a=" + 100_000 * "-" + "1)]"),
    "sums": (PYTHONIC, "[f(a=" + 20_000 * "1+" + "1)]"),
    "brackets": (PYTHONIC, "[f(a=" + 300 * "[" + 300 * "]" + ")]"),
    "a number": (PYTHONIC, "[f(a=" + 5_000 * "9" + ")]"),
    "a number to the base 16": (PYTHONIC, "[f(a=0x" + 5_000 * "f" + ")]"),
    "half a character": (PYTHONIC, "[f(a='\\ud800')]"),
    "no character": (PYTHONIC, "[f(a='\0')]"),
}


@pytest.mark.parametrize(("options", "text"), HOSTILE.values(), ids=HOSTILE)
def test_no_output_breaks_the_parser(options: Options, text: str) -> None:
    """Any output gives events or an mdstream error, in linear time."""
    outcome = decode(options, text)

    assert outcome.error is None or isinstance(outcome.error, IncompleteToolCall | MalformedStream)


STATES = f"<think>\nThe weather: a tool.\n</think>\n\nLet me look.\n<tool_call>\n{F}\n</tool_call>"
CONTENT = ("\n\nLet me look.\n", "\nThe weather: a tool.\n", [FIRST], "tool_calls")


def create_call(emulator: Emulator, *, stream: bool = True, resume: int = 0) -> Call:
    dialect = TextParsingDialect(OpenAIChat(), tool_calls="hermes", reasoning="think")
    return Call(OCIModelDeployment(emulator.endpoint), dialect, REQUEST, stream=stream, retry=Retry(0), resume=resume)


def complete(call: Call) -> ModelResponse:
    client = Client(trust_env=False)
    try:
        return client.complete(call)
    finally:
        client.close()


def acomplete(call: Call) -> ModelResponse:
    async def main() -> ModelResponse:
        client = AsyncClient(trust_env=False)
        try:
            return await client.complete(call)
        finally:
            await client.aclose()

    return asyncio.run(main())


@pytest.mark.parametrize("send_request", [complete, acomplete])
def test_from_end_to_end(send_request: Any) -> None:
    """
    A real client, a server without parsers: streamed and whole, and a stream that breaks inside the call.
    """
    with Emulator(model=lambda request: STATES) as emulator:
        responses = [send_request(create_call(emulator, stream=stream)) for stream in (True, False)]
        emulator.script(Fault("trailer", after=-1, reason="ModelResponseTimeExceeded"))
        with pytest.raises(StreamTimeout) as caught:
            send_request(create_call(emulator))

    for model_response in responses:
        assert (
            model_response.text,
            model_response.reasoning,
            calls(model_response),
            model_response.finish_reason,
        ) == CONTENT
        assert {"city": "Paris"} == model_response.tool_calls[0].parse_arguments()
    assert CONTENT[:3] == (caught.value.partial.text, caught.value.partial.reasoning, calls(caught.value.partial))


@pytest.mark.parametrize("after", range(4, 14))
@pytest.mark.parametrize("send_request", [complete, acomplete])
def test_buffered_text_is_resumed(send_request: Any, after: int) -> None:
    """Before the arguments: the text once, and one call. A call that has started is not resumed."""
    with Emulator(model=lambda request: f"Let me look.\n<tool_call>\n{F}\n</tool_call>") as emulator:
        emulator.script(Fault("cut", after=after), None)
        model_response = send_request(create_call(emulator, resume=1))

    assert ("Let me look.\n", [FIRST], 1) == (
        model_response.text,
        calls(model_response),
        len(model_response.resumptions),
    )


@pytest.mark.parametrize("after", range(4, 30))
@pytest.mark.parametrize("send_request", [complete, acomplete])
def test_an_interrupted_connection_loses_nothing(send_request: Any, after: int) -> None:
    """Buffered text is in the partial as text; the arguments of a call that has started are in the call."""
    content = f"Let me look.\n<tool_call>\n{F}\n</tool_call>"
    with Emulator(model=lambda request: content) as emulator:
        emulator.always(Fault("cut", after=after))
        with pytest.raises(StreamInterrupted) as caught:
            send_request(create_call(emulator))

    partial = caught.value.partial
    sent = partial.text + "".join(f"{call.name} {call.arguments}" for call in partial.tool_calls)
    assert partial.tool_calls or content.startswith(partial.text)
    assert len(sent) > 4
    if after > 8 and not partial.tool_calls:
        assert "<tool_call>" in partial.text


def test_reasoning_is_emitted_as_it_is_received() -> None:
    """Delta by delta, in order."""
    events = decode(THINK, "<think>", "A", "B", "</think>", "C").events[1:]

    assert [ReasoningDelta("A"), ReasoningDelta("B"), TextDelta("C"), Finish("stop")] == events


SURPLUS = {
    "hermes": '<tool_call>{"name": "pay", "arguments": {"to": "Ann"}}{"name": "pay", "arguments": {"to": "Bob"}}</tool_call>',
    "hermes, with a blank": '<tool_call>{"name": "pay", "arguments": {"to": "Ann"}}\n{"to": "Bob"}</tool_call>',
    "mistral": '[TOOL_CALLS]pay{"to": "Ann"} {"to": "Bob"}',
    "llama3_json": '{"name": "pay", "parameters": {"to": "Ann"}}{"name": "pay", "parameters": {"to": "Bob"}}',
}


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("name", SURPLUS)
def test_an_object_after_a_call_is_an_error(name: str, size: int) -> None:
    """Neither of the two may be executed."""
    text = SURPLUS[name]
    decoder = TextParsingDialect(OpenAIChat(), tool_calls=name.split(",", maxsplit=1)[0]).create_decoder()
    for at in range(0, len(text), size):
        decoder.feed(json.dumps({"choices": [{"index": 0, "delta": {"content": text[at : at + size]}}]}).encode())
    decoder.feed(b'{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}')

    with pytest.raises(MalformedStream, match="must not be executed"):
        decoder.finish()
