"""The OpenAI formats: reasoning, usage, several choices, and the other fields."""

import json
from typing import Any

import pytest
from _openai_events import DONE, HI, STOP, delta, sse
from _samples import read

from mdstream_core import OpenAIChat, OpenAICompletions, dialect
from mdstream_core.errors import (
    InvalidRequest,
    ServerError,
    StreamInterrupted,
)
from mdstream_core.events import (
    Finish,
    Logprobs,
    ReasoningDelta,
    RefusalDelta,
    ResponseMetadata,
    TextDelta,
    Usage,
)
from mdstream_core.http import ResponseHead

REASONING: dict[str, tuple[dict[str, Any], str]] = {
    "vLLM to 0.10, SGLang, llama-server": ({"reasoning_content": "hm"}, "hm"),
    "vLLM 0.33": ({"reasoning": "hm"}, "hm"),
    "vLLM 0.11 to 0.13: both": ({"reasoning": "hm", "reasoning_content": "hm"}, "hm"),
    "both, the other way round": ({"reasoning_content": "hm", "reasoning": "hm"}, "hm"),
    "null": ({"reasoning_content": None, "content": None, "reasoning": None}, ""),
    "empty beside filled": ({"reasoning_content": "", "reasoning": "hm"}, "hm"),
}


@pytest.mark.parametrize(("fields", "expected"), REASONING.values(), ids=REASONING)
def test_reasoning_has_many_names(fields: dict[str, Any], expected: str) -> None:
    """
    Reasoning is read once under each of its names.
    """
    outcome = read(sse(delta(**fields), delta("stop", content="42")))

    assert ReasoningDelta(expected) in outcome.events or not expected
    assert (expected, "42") == (outcome.model_response.reasoning, outcome.model_response.text)


USAGE: dict[str, tuple[dict[str, Any], Usage]] = {
    "plain": ({"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}, Usage(9, 3, 12)),
    "no total": ({"prompt_tokens": 9, "completion_tokens": 3}, Usage(9, 3, 12)),
    "nulls": ({"prompt_tokens": 9, "completion_tokens": None, "total_tokens": None}, Usage(9, 0, 9)),
    "details": (
        {
            "prompt_tokens": 9,
            "completion_tokens": 3,
            "total_tokens": 12,
            "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 0},
        },
        Usage(9, 3, 12, cached=4, reasoning=2, input_audio=1, output_audio=0),
    ),
    "details are null": ({"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": None}, Usage(1, 1, 2)),
    "SGLang": ({"prompt_tokens": 9, "completion_tokens": 3, "reasoning_tokens": 2}, Usage(9, 3, 12, reasoning=2)),
}


@pytest.mark.parametrize(("usage", "expected"), USAGE.values(), ids=USAGE)
def test_usage_is_read_in_every_form(usage: dict[str, Any], expected: Usage) -> None:
    """
    With the finish reason, or in a chunk of its own without choices.
    """
    for wire in (sse(HI, {**STOP, "usage": usage}), sse(HI, STOP, {"choices": [], "usage": usage}) + DONE):
        assert expected == read(wire).model_response.usage


def test_continuous_usage_is_not_added_up() -> None:
    """
    Usage on every chunk is cumulative: the last one counts.
    """
    chunks = [{**HI, "usage": {"prompt_tokens": 5, "completion_tokens": n}} for n in (1, 2, 3)]

    assert Usage(5, 3, 8) == read(sse(*chunks, STOP)).model_response.usage


def test_null_usage_is_none() -> None:
    """
    TGI writes `usage: null` on every chunk.
    """
    assert read(sse({**HI, "usage": None}, {**STOP, "usage": None})).model_response.usage is None


def test_choices_are_distinguished() -> None:
    """
    With n > 1 chunks interleave, and the response is over when each choice has finished.
    """
    wire = sse(
        delta(content="a"), delta(index=1, content="x"), delta("stop", content="b"), delta("length", 1, content="y")
    )
    model_response = read(wire).model_response

    assert [("ab", "stop"), ("xy", "length")] == [
        (choice.text, choice.finish_reason) for choice in model_response.choices
    ]


def test_an_unfinished_choice_is_an_interruption() -> None:
    """Every choice that has started must have a finish reason."""
    assert isinstance(read(sse(delta(content="a"), delta(index=1, content="x"), STOP) + DONE).error, StreamInterrupted)


def test_a_refusal_is_an_event_of_its_own() -> None:
    """
    A refusal comes as its own kind of event.
    """
    outcome = read(sse(delta(refusal="I can"), delta("stop", refusal="not")))

    assert [RefusalDelta("I can"), RefusalDelta("not")] == outcome.events[1:3]
    assert ("", "I cannot") == (outcome.model_response.text, outcome.model_response.refusal)


def test_content_may_be_a_list_of_parts() -> None:
    """
    Some gateways send parts in place of a string.
    """
    parts = [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "no"}, {"type": "text", "text": "b"}]

    assert ("ab", "no") == (
        read(sse(delta("stop", content=parts))).model_response.text,
        read(sse(delta("stop", content=parts))).model_response.refusal,
    )


ENTRY = {"token": "Hi", "logprob": -0.5, "bytes": None, "top_logprobs": []}


LOGPROBS: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "chat": ({"content": [ENTRY]}, [ENTRY]),
    "LMI: a list around it": ([{"content": [ENTRY]}], [ENTRY]),
    "completions": (
        {"tokens": ["Hi", "!"], "token_logprobs": [-0.5, None]},
        [{"token": "Hi", "logprob": -0.5}, {"token": "!", "logprob": None}],
    ),
    "null content": ({"content": None}, []),
}


@pytest.mark.parametrize(("logprobs", "expected"), LOGPROBS.values(), ids=LOGPROBS)
def test_logprobs_in_every_shape(logprobs: Any, expected: list[dict[str, Any]]) -> None:
    """
    Log probabilities come as one flat list of entries.
    """
    outcome = read(
        sse({"choices": [{"index": 0, "delta": {"content": "Hi"}, "logprobs": logprobs, "finish_reason": "stop"}]})
    )

    assert outcome.error is None
    assert tuple(expected) == outcome.model_response.choices[0].logprobs
    assert Logprobs(expected) in outcome.events


FINISH = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "content_filter": "content_filter", "eos_token": "stop", "stop_sequence": "stop", "end_turn": "stop", "function_call": "tool_calls", "other": "other"}  # fmt: skip


@pytest.mark.parametrize(("wire", "expected"), FINISH.items())
def test_finish_reasons_have_openais_spelling(wire: str, expected: str) -> None:
    """Synonyms of different servers are mapped to OpenAI's value."""
    assert Finish(expected) == read(sse(HI, delta(wire))).events[-1]


def test_the_finish_is_reported_once() -> None:
    """
    A gateway that repeats its last chunk does not finish the response twice.
    """
    assert 1 == sum(isinstance(event, Finish) for event in read(sse(HI, STOP, STOP)).events)


def test_invalid_characters_are_replaced() -> None:
    """Invalid UTF-8 and half a surrogate pair become U+FFFD and end nothing: such text could not be printed or stored."""
    body = sse(
        b'{"choices":[{"delta":{"content":"a\xff"}}]}',
        b'{"choices":[{"delta":{"content":"\\ud83d \\ud83d\\ude00 \\\\ud83d"}}]}',
        STOP,
    )

    assert "a\ufffd\ufffd 😀 \\ud83d" == read(body).model_response.text


def test_infinite_numbers_are_accepted() -> None:
    """A log probability of -Infinity is not JSON, but servers send it."""
    body = sse(
        b'{"choices":[{"delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-Infinity}]}}]}', STOP
    )

    assert float("-inf") == read(body).model_response.choices[0].logprobs[0]["logprob"]


def test_metadata_precedes_the_first_output() -> None:
    """A chunk with only a role gives no event; the first output is preceded by model and id."""
    head = {"id": "c1", "model": "m", "system_fingerprint": "fp"}
    outcome = read(sse({**head, **delta(role="assistant", content="")}, {**head, **HI}, {**head, **STOP}))

    assert [ResponseMetadata("m", "c1", "fp"), TextDelta("Hi"), Finish("stop")] == outcome.events


def test_a_fingerprint_beside_the_usage_is_kept() -> None:
    """vLLM sends its fingerprint in the usage chunk only."""
    usage = {"choices": [], "model": "m", "usage": {"prompt_tokens": 1}, "system_fingerprint": "fp"}

    assert "fp" == read(sse({"model": "m", **HI}, STOP, usage)).model_response.metadata.fingerprint


def test_a_whole_response_to_a_streaming_request_is_decoded() -> None:
    """A server that ignores `stream` sends `message` in place of `delta`, with either content type."""
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": "Hi", "reasoning_content": "hm", "tool_calls": [call]}
    body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}, indent=1).encode()

    for label in ("application/json", "text/event-stream", "text/plain", ""):
        model_response = read(body, ResponseHead(200, {"content-type": label})).model_response
        assert ("Hi", "hm", "f") == (model_response.text, model_response.reasoning, model_response.tool_calls[0].name)


def test_completions_have_text() -> None:
    """The completions format has `text` in place of `delta`."""
    body = sse(
        {"choices": [{"index": 0, "text": "Hi"}]}, {"choices": [{"index": 0, "text": "", "finish_reason": "length"}]}
    )

    assert ("Hi", "length") == (read(body).model_response.text, read(body).model_response.finish_reason)


def test_a_streaming_request_includes_usage() -> None:
    """Values of None are dropped, and options of the user are not overwritten."""
    body = OpenAIChat().build_payload({"messages": [], "stop": None}, stream=True)

    assert {"messages": [], "stream": True, "stream_options": {"include_usage": True}} == body
    assert {"messages": []} == OpenAIChat().build_payload({"messages": []}, stream=False)
    own = {"include_usage": False}
    assert own == OpenAIChat().build_payload({"stream_options": own}, stream=True)["stream_options"]


def test_only_an_error_about_stream_options_drops_them() -> None:
    """The usage is optional; nothing else of the request is changed."""
    body = {"messages": [], "stream": True, "stream_options": {}}
    refusal = InvalidRequest("400: extra inputs are not permitted", raw='{"loc": ["body", "stream_options"]}')

    assert {"messages": [], "stream": True} == OpenAIChat().relax_payload(body, refusal)
    assert OpenAIChat().relax_payload({"messages": []}, refusal) is None
    assert OpenAIChat().relax_payload(body, InvalidRequest("400: temperature")) is None
    assert OpenAIChat().relax_payload(body, ServerError("500: stream_options")) is None


def test_dialects_are_found_by_name() -> None:
    """The error for an unknown name lists the known ones."""
    assert isinstance(dialect("openai-completions"), OpenAICompletions)
    with pytest.raises(ValueError, match="openai-chat, openai-completions"):
        dialect("latin")
