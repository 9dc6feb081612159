"""Chunks without their constructors' checks: the hot path of a token.

`ChatGenerationChunk(message=AIMessageChunk(content=…))` costs 6 µs, most of it to validate what is known to be right.
Here the two objects are filled as the constructors would fill them, in a quarter of the time. That this is the same to
the last field is checked once at import; where the installed langchain-core builds its objects otherwise, the
constructors are used.
"""

from collections.abc import Callable
from typing import Any

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

_new = object.__new__
_set = object.__setattr__
_MESSAGE_FIELDS = frozenset({"content", "additional_kwargs", "response_metadata"})
_CHUNK_FIELDS = frozenset({"message", "text"})


def built(text: str, extra: dict[str, Any], metadata: dict[str, Any]) -> ChatGenerationChunk:
    """A chunk of text by the public constructors.

    Args:
        text: The piece of text.
        extra: Becomes `additional_kwargs`.
        metadata: Becomes `response_metadata`.
    """
    message = AIMessageChunk(content=text, additional_kwargs=extra, response_metadata=metadata)
    return ChatGenerationChunk(message=message)


def filled(text: str, extra: dict[str, Any], metadata: dict[str, Any]) -> ChatGenerationChunk:
    """The same chunk, filled field by field."""
    message = _new(AIMessageChunk)
    _set(
        message,
        "__dict__",
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
    _set(message, "__pydantic_fields_set__", set(_MESSAGE_FIELDS))
    _set(message, "__pydantic_extra__", {})
    _set(message, "__pydantic_private__", None)
    chunk = _new(ChatGenerationChunk)
    _set(chunk, "__dict__", {"text": text, "generation_info": None, "type": "ChatGenerationChunk", "message": message})
    _set(chunk, "__pydantic_fields_set__", set(_CHUNK_FIELDS))
    _set(chunk, "__pydantic_extra__", None)
    _set(chunk, "__pydantic_private__", None)
    return chunk


def _inside(chunk: ChatGenerationChunk) -> list[Any]:
    names = ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
    message = chunk.message
    return [
        *(getattr(message, name) for name in names),
        *(getattr(chunk, name) for name in names),
        list(message.__dict__),
        list(chunk.__dict__),
    ]


def same() -> bool:
    """Whether both ways give the same objects with the installed langchain-core."""
    arguments = ("x", {"reasoning_content": "y"}, {"model_provider": "z"})
    return _inside(built(*arguments)) == _inside(filled(*arguments))


text_chunk: Callable[[str, dict[str, Any], dict[str, Any]], ChatGenerationChunk] = filled if same() else built
