"""Recordings of real servers are decoded the same for any split of the bytes."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest
from _samples import names, read, sample

from mdstream_core import Dialect, OpenAIChat, OpenAIResponses
from mdstream_core.errors import (
    InvalidRequest,
    MDStreamError,
    NotFound,
    ServerError,
    StreamFailure,
    StreamInterrupted,
)
from mdstream_core.events import Choice


class Expected(NamedTuple):
    """The expected events of a recording."""

    choices: tuple[tuple[Any, ...], ...] = ()
    usage: tuple[int, int] | None = None
    error: type[MDStreamError] | None = None
    code: str | None = None
    begins: str = ""


def content(
    text: str, finish: str | None, *, reasoning: str = "", calls: Iterable[tuple[str, str]] = (), logprobs: int = 0
) -> tuple[Any, ...]:
    return (text, finish, reasoning, list(calls), logprobs)


def responded(
    *choices: tuple[Any, ...], usage: tuple[int, int] | None = None, error: type[MDStreamError] | None = None
) -> Expected:
    return Expected(choices, usage, error)


def refused(status: int, error: type[MDStreamError], code: str | None, begins: str) -> Expected:
    return Expected((content("", None),), None, error, code, begins)


AWKWARD = "line one\nline two\r\nline three\n\nafter a blank line\ndata: [DONE]\n\nevent: error\nid: 7\n: comment\nquotes \" and ' and backslash \\ and slash / and tab\there\nnext line \x85 line sep \u2028 para sep \u2029 form feed \x0c vertical tab \x0b fs \x1c end\nnbsp \xa0 zero width \u200b bom \ufeff combining e\u0301 done"
HELLO = "Hello! I am a tiny model running on this machine. How can I help you today?"
POLYGLOT = "中文：你好，世界。日本語：こんにちは世界。한국어: 안녕하세요. Русский: привет. العربية: مرحبا. हिन्दी: नमस्ते. emoji: 😀👩\u200d"
SETUP = '{"setup": "Why did the cat sit on the computer?", "punchline": "To keep an eye on the mouse."}'
POLYGLOT_TRUNCATED = "中文：你好，世界。日本語：こんにちは世界。한국어: 안녕하세요. Русский: привет. العربية: مرحبا. हिन्दी: नमस्ते. emoji: 😀👩\u200d👩\u200d👧\u200d👦🏳️\u200d🌈🇫🇷 math: 𝔸𝕏∑ end."
CAT = "Why did the cat sit on the computer? To keep an eye on the mouse."

EXPECTED = {
    "llamacpp-awkward": responded(content(AWKWARD, "stop")),
    "llamacpp-bad-field": refused(
        500,
        ServerError,
        "internal_server_error",
        "500 internal_server_error: 1 validation error:\n  {'type': 'list_type',",
    ),
    "llamacpp-bad-json": refused(500, ServerError, None, "500: Internal Server Error"),
    "llamacpp-bad-model": responded(content(HELLO, "stop")),
    "llamacpp-bad-route": refused(404, NotFound, None, "404: Not Found"),
    "llamacpp-bad-temperature": responded(content(HELLO, "stop")),
    "llamacpp-chat": responded(content("The capital of France is Paris.", "stop"), usage=(19, 7)),
    "llamacpp-chat-stream": responded(content("The capital of France is Paris.", "stop")),
    "llamacpp-chat-stream-usage": responded(content("The capital of France is Paris.", "stop")),
    "llamacpp-chat-stream-usage-each": responded(content("The capital of France is Paris.", "stop")),
    "llamacpp-completions": responded(content(POLYGLOT, "length")),
    "llamacpp-completions-two-prompts": refused(
        500,
        ServerError,
        "internal_server_error",
        "500 internal_server_error: {'message': '', 'type': 'internal_server_er",
    ),
    "llamacpp-empty": responded(content("", "stop")),
    "llamacpp-interrupted": responded(content("1 2 3 4 5 6 7 8 9", None), error=StreamInterrupted),
    "llamacpp-json-object": responded(content(SETUP, "stop"), usage=(19, 26)),
    "llamacpp-json-schema": refused(
        500,
        ServerError,
        "internal_server_error",
        "500 internal_server_error: 1 validation error:\n  {'type': 'literal_err",
    ),
    "llamacpp-length": responded(content("1 2 3 4 5 6 7", "length")),
    "llamacpp-n2-logprobs": responded(content("Yes", "stop", logprobs=2)),
    "llamacpp-responses": refused(404, NotFound, None, "404: Not Found"),
    "llamacpp-responses-tool": refused(404, NotFound, None, "404: Not Found"),
    "llamacpp-stop": responded(content("Hello! I am a ", "stop")),
    "llamacpp-think": responded(
        content("<think>\n17 plus 20 is 37. 37 plus 5 is 42.\n</think>\n\n17 plus 25 is 42.", "stop")
    ),
    "llamacpp-too-long": responded(content(HELLO, "stop")),
    "llamacpp-tool": responded(
        content('<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>', "stop")
    ),
    "llamacpp-tools-named": responded(
        content(
            "",
            "tool_calls",
            calls=[
                (
                    "get_weather",
                    '{"city": "Paris", "note": "arguments viola tulip karst.</tool_call>\n</tool_call>\n</tool_call>\n<tool_call>\n{" }',
                )
            ],
        )
    ),
    "llamacpp-tools-required": responded(content(HELLO, "stop")),
    "llamacpp-tools-text-then-call": responded(
        content(
            'Let me check that for you.\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "東京", "note": "line\\nbreak \\"quoted\\" \\\\ 😀"}}\n</tool_call>',
            "stop",
        )
    ),
    "llamacpp-tools-two": responded(
        content(
            '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Tokyo"}}\n</tool_call>',
            "stop",
        )
    ),
    "llamacpp-unicode": responded(content(POLYGLOT_TRUNCATED, "stop")),
    "transformers-awkward": responded(content(AWKWARD, "stop"), usage=(20, 131)),
    "transformers-bad-field": refused(500, ServerError, None, "500: Internal Server Error"),
    "transformers-bad-json": refused(422, InvalidRequest, None, "422: body.9: JSON decode"),
    "transformers-bad-model": refused(
        400, InvalidRequest, None, "400: Server is pinned to 'odsc-llm'; requested 'nope'."
    ),
    "transformers-bad-route": refused(404, NotFound, None, "404: Not Found"),
    "transformers-bad-temperature": responded(content(HELLO, "stop"), usage=(13, 20)),
    "transformers-chat": responded(content("The capital of France is Paris.", "stop"), usage=(19, 8)),
    "transformers-chat-stream": responded(content("The capital of France is Paris.", "stop"), usage=(19, 8)),
    "transformers-chat-stream-usage": responded(content("The capital of France is Paris.", "stop"), usage=(19, 8)),
    "transformers-chat-stream-usage-each": responded(content("The capital of France is Paris.", "stop"), usage=(19, 8)),
    "transformers-completions": responded(content(POLYGLOT, "length"), usage=(18, 200)),
    "transformers-completions-two-prompts": refused(400, InvalidRequest, None, "400: prompt must be a string."),
    "transformers-empty": responded(content("", "stop"), usage=(16, 1)),
    "transformers-json-object": responded(content(CAT, "stop"), usage=(19, 18)),
    "transformers-json-schema": responded(content(CAT, "stop"), usage=(19, 18)),
    "transformers-length": responded(content("1 2 3 4 5 6 7", "length"), usage=(18, 7)),
    "transformers-n2-logprobs": responded(content("Yes", "stop"), usage=(17, 3)),
    "transformers-responses": responded(content("The capital of France is Paris.", "stop"), usage=(19, 8)),
    "transformers-responses-tool": responded(
        content("", "tool_calls", calls=[("get_weather", '{"city": "Paris"}')]), usage=(29, 23)
    ),
    "transformers-stop": responded(content("Hello! I am a tiny", "stop"), usage=(13, 6)),
    "transformers-think": responded(
        content("\n\n17 plus 25 is 42.", "stop", reasoning="\n17 plus 20 is 37. 37 plus 5 is 42.\n"), usage=(24, 25)
    ),
    "transformers-too-long": responded(content(HELLO, "stop"), usage=(13, 20)),
    "transformers-tool": responded(
        content("", "tool_calls", calls=[("get_weather", '{"city": "Paris"}')]), usage=(29, 23)
    ),
    "transformers-tools-named": responded(
        content("", "tool_calls", calls=[("get_weather", '{"city": "Paris"}')]), usage=(29, 23)
    ),
    "transformers-tools-required": responded(content(HELLO, "stop"), usage=(23, 20)),
    "transformers-tools-text-then-call": responded(
        content(
            "Let me check that for you.",
            "tool_calls",
            calls=[
                ("get_weather", '{"city": "\\u6771\\u4eac", "note": "line\\nbreak \\"quoted\\" \\\\ \\ud83d\\ude00"}')
            ],
        ),
        usage=(39, 63),
    ),
    "transformers-tools-two": responded(
        content("", "tool_calls", calls=[("get_weather", '{"city": "Paris"}'), ("get_weather", '{"city": "Tokyo"}')]),
        usage=(35, 48),
    ),
    "transformers-unicode": responded(content(POLYGLOT_TRUNCATED, "stop"), usage=(18, 255)),
    "vllm-awkward": responded(content(AWKWARD, "stop")),
    "vllm-bad-field": refused(
        400, InvalidRequest, "Bad Request", "400 Bad Request: 1 validation error:\n  {'type': 'list_type', 'loc': 'b"
    ),
    "vllm-bad-json": refused(
        400, InvalidRequest, "Bad Request", "400 Bad Request: 1 validation error:\n  {'type': 'json_invalid', 'loc':"
    ),
    "vllm-bad-model": refused(
        404, NotFound, "NotFoundError", "404 NotFoundError: The model `nope` does not exist. Valid aliases: ods"
    ),
    "vllm-bad-route": refused(404, NotFound, None, "404: Not Found"),
    "vllm-bad-temperature": refused(
        400, InvalidRequest, "BadRequestError", "400 BadRequestError: temperature must be non-negative, got -1.0. (para"
    ),
    "vllm-chat": responded(content("The capital of France is Paris.", "stop"), usage=(19, 8)),
    "vllm-chat-stream": responded(content("The capital of France is Paris.", "stop")),
    "vllm-chat-stream-usage": responded(content("The capital of France is Paris.", "stop"), usage=(19, 8)),
    "vllm-chat-stream-usage-each": responded(content("The capital of France is Paris.", "stop"), usage=(19, 8)),
    "vllm-completions": responded(content(POLYGLOT, "length")),
    "vllm-completions-two-prompts": responded(content("中", "length"), content("中", "length")),
    "vllm-empty": responded(content("", "stop")),
    "vllm-engine-died": responded(
        content(
            "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79 80 81 82 83 84 85 86 87 88 89 90 91 92 93 94 95 96 97 98 99 100 101 102 103 104 105 106 107 108 109 110 111 112 113 114 115 116 117 118 119 120 110 90 92 103 112 112 101 114 118 118 110 110 112 113 112 112 111 114 118 118 110 112 113 112 112 111 114 117 120 1121 52 25 25 51 52 61 52 25 58 59 60 viola viola viola viola viola viola viola end-100 110 117 118 118 110 110 112 112 1121 112 110 117 120 118 120 112 1127 110",
            None,
        ),
        error=StreamFailure,
    ),
    "vllm-json-object": responded(content(SETUP, "stop"), usage=(19, 27)),
    "vllm-json-schema": responded(content(SETUP, "stop")),
    "vllm-length": responded(content("1 2 3 4 5 6 7", "length")),
    "vllm-n2-logprobs": responded(content("Yes", "stop", logprobs=3), content("Yes", "stop", logprobs=3)),
    "vllm-responses": responded(content("The capital of France is Paris.", "stop"), usage=(19, 8)),
    "vllm-responses-tool": responded(
        content("", "tool_calls", calls=[("get_weather", '{"city": "Paris"}')]), usage=(29, 23)
    ),
    "vllm-stop": responded(content("Hello! I am a ", "stop")),
    "vllm-think": responded(
        content("\n\n17 plus 25 is 42.", "stop", reasoning="\n17 plus 20 is 37. 37 plus 5 is 42.\n")
    ),
    "vllm-too-long": refused(
        400, InvalidRequest, "BadRequestError", "400 BadRequestError: max_tokens=50000 cannot be greater than max_model"
    ),
    "vllm-tool": responded(content("", "tool_calls", calls=[("get_weather", '{"city": "Paris"}')])),
    "vllm-tools-named": responded(content("", "tool_calls", calls=[("get_weather", '{"city": "Paris"}')])),
    "vllm-tools-required": responded(content("", "tool_calls", calls=[("get_weather", '{"location": "Paris"}')])),
    "vllm-tools-text-then-call": responded(
        content(
            "Let me check that for you.\n",
            "tool_calls",
            calls=[("get_weather", '{"city": "東京", "note": "line\\nbreak \\"quoted\\" \\\\ 😀"}')],
        )
    ),
    "vllm-tools-two": responded(
        content("", "tool_calls", calls=[("get_weather", '{"city": "Paris"}'), ("get_weather", '{"city": "Tokyo"}')])
    ),
    "vllm-unicode": responded(content(POLYGLOT_TRUNCATED, "stop")),
}


def as_stated(choice: Choice) -> tuple[Any, ...]:
    calls = [(call.name, call.arguments) for call in choice.tool_calls]
    return content(
        choice.text, choice.finish_reason, reasoning=choice.reasoning, calls=calls, logprobs=len(choice.logprobs)
    )


def dialect_of(name: str) -> Dialect:
    """The dialect that a recording was requested with."""
    return OpenAIResponses() if "-responses" in name else OpenAIChat()


def test_every_recording_is_in_the_table() -> None:
    """
    No recording is left out of the table.
    """
    assert names() == sorted(EXPECTED)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000, 1 << 20])
@pytest.mark.parametrize("name", EXPECTED)
def test_a_recording_is_decoded_the_same_for_any_split(name: str, step: int) -> None:
    """Text, calls, finish reason and usage are as expected, wherever the bytes are split."""
    expected = EXPECTED[name]
    head, body = sample(name)

    outcome = read(body, head, step=step, dialect=dialect_of(name))
    usage = outcome.model_response.usage

    assert expected.choices == tuple(map(as_stated, outcome.model_response.choices))
    assert expected.usage == (usage and (usage.input, usage.output))
    assert expected.error is (type(outcome.error) if outcome.error else None)
    if outcome.error and expected.begins:
        assert (expected.code, head.status) == (outcome.error.code, outcome.error.status)
        assert str(outcome.error).startswith(expected.begins)


@pytest.mark.parametrize("name", [name for name, row in EXPECTED.items() if row.error is None and "chat" in name])
def test_a_truncated_recording_is_never_a_success(name: str) -> None:
    """Anything missing before the finish reason is an error, with what was received as partial."""
    head, body = sample(name)
    whole = read(body, head).model_response
    end = body.index(b'"stop"')

    for at in range(0, end, 37):
        outcome = read(body[:at], head)
        assert isinstance(outcome.error, StreamInterrupted)
        assert whole.text.startswith(outcome.model_response.text)
        assert outcome.error.partial is None or outcome.model_response.text == outcome.error.partial.text


def test_call_ids_are_unique_in_a_response() -> None:
    """In every recording."""
    for name in names():
        head, body = sample(name)
        for choice in read(body, head, dialect=dialect_of(name)).model_response.choices:
            ids = [call.id for call in choice.tool_calls]
            assert len(ids) == len(set(ids))
            assert all(ids)
