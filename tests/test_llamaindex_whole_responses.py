"""Complete responses: equal to what LlamaIndex's constructors validate, in every combination of content."""

import itertools
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from llamaindex_mdstream._responses import ChatResponseBuilder, CompletionResponseBuilder
from llamaindex_mdstream._unvalidated import _is_equal
from mdstream_core import Choice, ModelResponse, ResponseMetadata, StreamResumed, ToolCall, Usage

CALLS = (ToolCall("call_1", "add", '{"a": 1}'), ToolCall("call_2", "add", '{"a": '))
WIRE_CALLS = [
    {"id": call.id, "type": "function", "function": {"name": "add", "arguments": call.arguments}} for call in CALLS
]
USAGE = Usage(1, 2, 3, cached=0, reasoning=5, input_audio=6)
WIRE_USAGE = {
    "prompt_tokens": 1,
    "completion_tokens": 2,
    "total_tokens": 3,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 6},
    "completion_tokens_details": {"reasoning_tokens": 5},
}
TOTALS = {name: count for name, count in WIRE_USAGE.items() if isinstance(count, int)}
METADATA = ResponseMetadata("m", "id", "fp", {"ContentType": "json"})

#: Contents of a response, each present or missing.
CONTENTS = list(itertools.product(["Hi", ""], ["Hm.", ""], ["No.", ""], [CALLS, CALLS[:1], ()], [USAGE, None]))

each_content = pytest.mark.parametrize(("text", "reasoning", "refusal", "calls", "usage"), CONTENTS)


def _expected_raw(text: str, reasoning: str, refusal: str, calls: tuple[ToolCall, ...], usage: Usage | None) -> Any:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    message |= {"reasoning_content": reasoning} if reasoning else {}
    message |= {"tool_calls": WIRE_CALLS[: len(calls)]} if calls else {}
    message |= {"refusal": refusal} if refusal else {}
    return {
        "id": "id",
        "object": "chat.completion",
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "system_fingerprint": "fp",
        "ContentType": "json",
        **({"usage": WIRE_USAGE} if usage else {}),
    }


def _expected_kwargs(usage: Usage | None) -> dict[str, Any]:
    return {"guard": 1, "ContentType": "json", "finish_reason": "stop", **(TOTALS if usage else {})}


def _build(text: str, reasoning: str, refusal: str, calls: tuple[ToolCall, ...], usage: Usage | None) -> ModelResponse:
    choice = Choice(text, reasoning, refusal, calls, (), "stop", {"guard": 1})
    return ModelResponse((choice,), usage, METADATA)


@each_content
def test_a_chat_response_is_equal_to_a_validated_one(
    text: str, reasoning: str, refusal: str, calls: tuple[ToolCall, ...], usage: Usage | None
) -> None:
    """
    The response, its message and each block have what LlamaIndex's constructors store.
    """
    response = ChatResponseBuilder("other").complete_response(_build(text, reasoning, refusal, calls, usage))
    arguments: list[Any] = [{"a": 1}, '{"a": ']
    blocks: list[Any] = [ThinkingBlock(content=reasoning)] if reasoning else []
    blocks += [TextBlock(text=text)]
    blocks += [
        ToolCallBlock(tool_call_id=call.id, tool_name=call.name, tool_kwargs=value)
        for call, value in zip(calls, arguments, strict=False)
    ]
    kwargs: dict[str, Any] = {"tool_calls": WIRE_CALLS[: len(calls)]} if calls else {}
    kwargs |= {"refusal": refusal} if refusal else {}
    message = ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks, additional_kwargs=kwargs)
    expected = ChatResponse(
        message=message,
        raw=_expected_raw(text, reasoning, refusal, calls, usage),
        delta=None,
        additional_kwargs=_expected_kwargs(usage),
    )

    assert _is_equal(expected, response)
    assert _is_equal(message, response.message)
    assert all(map(_is_equal, blocks, response.message.blocks))
    assert list(expected.raw) == list(response.raw or {})
    assert list(expected.additional_kwargs) == list(response.additional_kwargs)


@each_content
def test_a_completion_response_is_equal_to_a_validated_one(
    text: str, reasoning: str, refusal: str, calls: tuple[ToolCall, ...], usage: Usage | None
) -> None:
    """
    The response has what LlamaIndex's constructor stores.
    """
    response = CompletionResponseBuilder("other").complete_response(_build(text, reasoning, refusal, calls, usage))
    expected = CompletionResponse(
        text=text,
        raw=_expected_raw(text, reasoning, refusal, calls, usage),
        delta=None,
        additional_kwargs=_expected_kwargs(usage),
    )

    assert _is_equal(expected, response)


def test_what_the_server_does_not_report() -> None:
    """
    The name of the requested model is used; fields without a value are left out.
    """
    response = ChatResponseBuilder("m").complete_response(ModelResponse((Choice("Hi"),)))

    assert {
        "id": None,
        "object": "chat.completion",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": None}],
    } == response.raw
    assert {"finish_reason": None} == response.additional_kwargs


def test_one_call_if_parallel_calls_are_not_allowed() -> None:
    """
    Further calls are neither in the blocks nor in the dictionaries.
    """
    response = ChatResponseBuilder("m", parallel=False).complete_response(_build("Hi", "", "", CALLS, None))

    assert 2 == len(response.message.blocks)
    assert WIRE_CALLS[:1] == response.message.additional_kwargs["tool_calls"]
    assert WIRE_CALLS[:1] == (response.raw or {})["choices"][0]["message"]["tool_calls"]


def test_resume_points_are_reported() -> None:
    """
    A response that was resumed has the resume points as dictionaries.
    """
    point = StreamResumed(3, "cut")
    response = ChatResponseBuilder("m").complete_response(ModelResponse((Choice("Hi"),), resumptions=(point,)))

    assert [{"at": 3, "error": "cut", "code": None, "request_id": None}] == response.additional_kwargs["resumed"]
