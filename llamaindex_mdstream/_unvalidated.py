"""Fast construction of LlamaIndex's response objects without validation.

The public constructors validate values that were just created here, and take three times as long. The results are
compared at import for the installed versions; if they differ, the public constructors are used.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)

_new = object.__new__
_PARTS = ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
_set_values, _set_fields_set, _set_extra, _set_private = (BaseModel.__dict__[part].__set__ for part in _PARTS)


def _fill(cls: type[M], fields_set: set[str], values: dict[str, Any]) -> M:
    model = _new(cls)
    _set_values(model, values)
    _set_fields_set(model, fields_set.copy())
    _set_extra(model, None)
    _set_private(model, None)
    return model


_TEXT = {"text"}
_THINKING = {"content"}
_CALL = {"tool_call_id", "tool_name", "tool_kwargs"}
_MESSAGE = {"role", "blocks", "additional_kwargs"}
_CHAT = {"message", "raw", "delta", "additional_kwargs"}
_COMPLETION = {"text", "raw", "delta", "additional_kwargs"}


def _text(text: str) -> TextBlock:
    return _fill(TextBlock, _TEXT, {"block_type": "text", "text": text})


def _thinking(content: str) -> ThinkingBlock:
    values: dict[str, Any] = {
        "block_type": "thinking",
        "content": content,
        "num_tokens": None,
        "additional_information": {},
    }
    return _fill(ThinkingBlock, _THINKING, values)


def _call(id: str, name: str, arguments: dict[str, Any] | str) -> ToolCallBlock:
    values = {"block_type": "tool_call", "tool_call_id": id, "tool_name": name, "tool_kwargs": arguments}
    return _fill(ToolCallBlock, _CALL, values)


def _message(blocks: list[Any], additional: dict[str, Any]) -> ChatMessage:
    values = {"role": MessageRole.ASSISTANT, "additional_kwargs": additional, "blocks": blocks}
    return _fill(ChatMessage, _MESSAGE, values)


def _chat(message: ChatMessage, raw: dict[str, Any], delta: str | None, additional: dict[str, Any]) -> ChatResponse:
    values = {"message": message, "raw": raw, "delta": delta, "logprobs": None, "additional_kwargs": additional}
    return _fill(ChatResponse, _CHAT, values)


def _completion(text: str, raw: dict[str, Any], delta: str | None, additional: dict[str, Any]) -> CompletionResponse:
    values = {"text": text, "additional_kwargs": additional, "raw": raw, "logprobs": None, "delta": delta}
    return _fill(CompletionResponse, _COMPLETION, values)


def _is_equal(one: BaseModel, other: BaseModel) -> bool:
    """Return whether two instances are equal in all that pydantic stores."""
    return one == other and all(getattr(one, part) == getattr(other, part) for part in _PARTS)


def _fastest(fill: Callable[..., M], construct: Callable[..., M], *sample: Any) -> Callable[..., M]:
    """Return `fill`, or `construct` if their results differ for the sample values."""
    return fill if _is_equal(fill(*sample), construct(*sample)) else construct


_ARGUMENTS = {"a": [1]}
_RAW = {"choices": [{"index": 0}]}

text_block = _fastest(_text, lambda text: TextBlock(text=text), "Par")
thinking_block = _fastest(_thinking, lambda content: ThinkingBlock(content=content), "Hm.")
tool_call_block = _fastest(
    _call,
    lambda call, name, arguments: ToolCallBlock(tool_call_id=call, tool_name=name, tool_kwargs=arguments),
    *("call_1", "add", _ARGUMENTS),
)
chat_message = _fastest(
    _message,
    lambda blocks, additional: ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks, additional_kwargs=additional),
    *([text_block("Par")], {"tool_calls": [_ARGUMENTS]}),
)
chat_response = _fastest(
    _chat,
    lambda message, raw, delta, additional: ChatResponse(
        message=message, raw=raw, delta=delta, additional_kwargs=additional
    ),
    *(chat_message([], {}), _RAW, "Par", _ARGUMENTS),
)
completion_response = _fastest(
    _completion,
    lambda text, raw, delta, additional: CompletionResponse(
        text=text, raw=raw, delta=delta, additional_kwargs=additional
    ),
    *("Par", _RAW, None, _ARGUMENTS),
)
