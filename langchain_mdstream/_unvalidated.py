"""Build the chunk of a token without pydantic's validation.

`ChatGenerationChunk(message=AIMessageChunk(content=…))` costs 6 µs, mostly for validation of values that are known to
be valid. Filling both objects directly takes a quarter of the time. An import-time check compares every field with the
public constructors; if the installed langchain-core builds its objects differently, the constructors are used.
"""

from collections.abc import Callable
from typing import Any

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from pydantic import BaseModel

_new = object.__new__
_set_dict, _set_fields, _set_extra, _set_private = (
    vars(BaseModel)[name].__set__
    for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)


def construct_chunk(text: str, extra: dict[str, Any], metadata: dict[str, Any]) -> ChatGenerationChunk:
    """Build a chunk of text with the public constructors.

    Args:
        text: The piece of text.
        extra: Value of `additional_kwargs`.
        metadata: Value of `response_metadata`.
    """
    message = AIMessageChunk(content=text, additional_kwargs=extra, response_metadata=metadata)
    return ChatGenerationChunk(message=message)


def fill_chunk(text: str, extra: dict[str, Any], metadata: dict[str, Any]) -> ChatGenerationChunk:
    """Build the same chunk by filling its fields directly."""
    message = _new(AIMessageChunk)
    _set_dict(
        message,
        {
            "content": text,
            "additional_kwargs": extra,
            "response_metadata": metadata,
            "type": "AIMessageChunk",
            "name": None,
            "id": None,
            "tool_calls": [],
            "invalid_tool_calls": [],
            "usage_metadata": None,
            "tool_call_chunks": [],
            "chunk_position": None,
        },
    )
    _set_fields(message, {"content", "additional_kwargs", "response_metadata"})
    _set_extra(message, {})
    _set_private(message, None)
    chunk = _new(ChatGenerationChunk)
    _set_dict(chunk, {"text": text, "generation_info": None, "type": "ChatGenerationChunk", "message": message})
    _set_fields(chunk, {"message", "text"})
    _set_extra(chunk, None)
    _set_private(chunk, None)
    return chunk


def _state(chunk: ChatGenerationChunk) -> list[Any]:
    names = ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
    message = chunk.message
    return [
        *(getattr(message, name) for name in names),
        *(getattr(chunk, name) for name in names),
        list(message.__dict__),
        list(chunk.__dict__),
    ]


def is_equivalent() -> bool:
    """Whether both functions build equal objects with the installed langchain-core."""
    arguments = ("x", {"reasoning_content": "y"}, {"model_provider": "z"})
    return _state(construct_chunk(*arguments)) == _state(fill_chunk(*arguments))


text_chunk: Callable[[str, dict[str, Any], dict[str, Any]], ChatGenerationChunk] = (
    fill_chunk if is_equivalent() else construct_chunk
)
