"""Build the chunks of a token and of the end without pydantic's validation.

`ChatGenerationChunk(message=AIMessageChunk(content=…))` costs 6 µs, mostly for validation of values that are known to
be valid. Filling both objects directly takes a quarter of the time. An import-time check compares every field with the
public constructors; if the installed langchain-core builds its objects differently, the constructors are used.
"""

from typing import Any

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
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


def construct_last_chunk(
    extra: dict[str, Any], metadata: dict[str, Any], usage: UsageMetadata | None, info: dict[str, Any]
) -> ChatGenerationChunk:
    """Build the chunk that ends a response with the public constructors.

    Args:
        extra: Value of `additional_kwargs`.
        metadata: Value of `response_metadata`.
        usage: Value of `usage_metadata`.
        info: Value of `generation_info`.
    """
    message = AIMessageChunk(
        content="", additional_kwargs=extra, response_metadata=metadata, usage_metadata=usage, chunk_position="last"
    )
    return ChatGenerationChunk(message=message, generation_info=info)


def fill_last_chunk(
    extra: dict[str, Any], metadata: dict[str, Any], usage: UsageMetadata | None, info: dict[str, Any]
) -> ChatGenerationChunk:
    """Build the same chunk by filling its fields directly."""
    chunk = fill_chunk("", extra, metadata)
    message = chunk.message
    message.__dict__.update(usage_metadata=usage, chunk_position="last")
    message.__pydantic_fields_set__.update(("usage_metadata", "chunk_position"))
    chunk.__dict__["generation_info"] = info
    chunk.__pydantic_fields_set__.add("generation_info")
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
    last: tuple[Any, ...] = (
        {"citations": []},
        {"model_provider": "z"},
        UsageMetadata(input_tokens=1, output_tokens=2, total_tokens=3),
        {"finish_reason": "stop"},
    )
    return _state(construct_chunk(*arguments)) == _state(fill_chunk(*arguments)) and (
        _state(construct_last_chunk(*last)) == _state(fill_last_chunk(*last))
    )


_is_equivalent = is_equivalent()
text_chunk = fill_chunk if _is_equivalent else construct_chunk
last_chunk = fill_last_chunk if _is_equivalent else construct_last_chunk
