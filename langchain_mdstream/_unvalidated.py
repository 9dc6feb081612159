"""Build chunks, the message of a whole response, and its result, without pydantic's validation.

`ChatGenerationChunk(message=AIMessageChunk(content=…))` costs 6 µs, mostly for validation of values that are known to
be valid. Filling both objects directly takes a quarter of the time. An import-time check compares every field with the
public constructors; if the installed langchain-core builds its objects differently, the constructors are used.
"""

from typing import Any, TypeVar

from langchain_core.messages import AIMessage, AIMessageChunk, ToolCall
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)

_new = object.__new__
_set_dict, _set_fields, _set_extra, _set_private = (
    vars(BaseModel)[name].__set__
    for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)

#: The fields of a chunk's message in their order. Copying them is cheaper than building them for each chunk.
_CHUNK_FIELDS: dict[str, Any] = {
    "content": "",
    "additional_kwargs": None,
    "response_metadata": None,
    "type": "AIMessageChunk",
    "name": None,
    "id": None,
    "tool_calls": None,
    "invalid_tool_calls": None,
    "usage_metadata": None,
    "tool_call_chunks": None,
    "chunk_position": None,
}


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
    values = _CHUNK_FIELDS.copy()
    values["content"] = text
    values["additional_kwargs"] = extra
    values["response_metadata"] = metadata
    values["tool_calls"] = []
    values["invalid_tool_calls"] = []
    values["tool_call_chunks"] = []
    message = _new(AIMessageChunk)
    _set_dict(message, values)
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
    values = _CHUNK_FIELDS.copy()
    values["additional_kwargs"] = extra
    values["response_metadata"] = metadata
    values["tool_calls"] = []
    values["invalid_tool_calls"] = []
    values["usage_metadata"] = usage
    values["tool_call_chunks"] = []
    values["chunk_position"] = "last"
    fields_set = {"content", "additional_kwargs", "response_metadata", "usage_metadata", "chunk_position"}
    message = _fill(AIMessageChunk, values, fields_set, {})
    values = {"text": "", "generation_info": info, "type": "ChatGenerationChunk", "message": message}
    return _fill(ChatGenerationChunk, values, {"message", "text", "generation_info"})


def construct_generation(
    text: str,
    *,
    extra: dict[str, Any],
    calls: list[ToolCall],
    usage: UsageMetadata | None,
    metadata: dict[str, Any],
    info: dict[str, Any],
) -> ChatGeneration:
    """Build the generation of a whole response with the public constructors.

    Args:
        text: The text.
        extra: Value of `additional_kwargs`. LangChain would read tool calls in it.
        calls: Value of `tool_calls`.
        usage: Value of `usage_metadata`.
        metadata: Value of `response_metadata`.
        info: Value of `generation_info`.
    """
    message = AIMessage(
        content=text,
        additional_kwargs=extra,
        tool_calls=calls,
        invalid_tool_calls=[],
        usage_metadata=usage,
        response_metadata=metadata,
    )
    return ChatGeneration(message=message, generation_info=info)


def fill_generation(
    text: str,
    *,
    extra: dict[str, Any],
    calls: list[ToolCall],
    usage: UsageMetadata | None,
    metadata: dict[str, Any],
    info: dict[str, Any],
) -> ChatGeneration:
    """Build the same generation by filling its fields directly."""
    message = _fill(
        AIMessage,
        {
            "content": text,
            "additional_kwargs": extra,
            "response_metadata": metadata,
            "type": "ai",
            "name": None,
            "id": None,
            "tool_calls": calls,
            "invalid_tool_calls": [],
            "usage_metadata": usage,
        },
        {
            "content",
            "additional_kwargs",
            "tool_calls",
            "invalid_tool_calls",
            "usage_metadata",
            "response_metadata",
        },
        {},
    )
    values = {"text": message.text, "generation_info": info, "type": "ChatGeneration", "message": message}
    return _fill(ChatGeneration, values, {"message", "generation_info", "text"})


def construct_result(generations: list[ChatGeneration], output: dict[str, Any]) -> ChatResult:
    """Build the result of a call with the public constructor.

    Args:
        generations: The generations.
        output: Value of `llm_output`.
    """
    return ChatResult(generations=generations, llm_output=output)


def fill_result(generations: list[ChatGeneration], output: dict[str, Any]) -> ChatResult:
    """Build the same result by filling its fields directly."""
    return _fill(ChatResult, {"generations": generations, "llm_output": output}, {"generations", "llm_output"})


def _fill(cls: type[M], values: dict[str, Any], fields_set: set[str], extra: dict[str, Any] | None = None) -> M:
    filled = _new(cls)
    _set_dict(filled, values)
    _set_fields(filled, fields_set)
    _set_extra(filled, extra)
    _set_private(filled, None)
    return filled


def _state(built: BaseModel) -> list[Any]:
    """Return everything that an object consists of, with the order of its fields."""
    names = ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
    return [*(getattr(built, name) for name in names), list(built.__dict__)]


def is_equivalent() -> bool:
    """Whether both functions of each pair build equal objects with the installed langchain-core."""
    arguments = ("x", {"reasoning_content": "y"}, {"model_provider": "z"})
    usage = UsageMetadata(input_tokens=1, output_tokens=2, total_tokens=3)
    last: tuple[Any, ...] = ({"citations": []}, {"model_provider": "z"}, usage, {"finish_reason": "stop"})
    call = tool_call(name="add", args={"a": 1}, id="call_1")
    whole: dict[str, Any] = {
        "extra": {"reasoning_content": "y"},
        "calls": [call],
        "usage": usage,
        "metadata": {"model_provider": "z"},
        "info": {"finish_reason": "stop"},
    }
    pairs = (
        (construct_chunk(*arguments), fill_chunk(*arguments)),
        (construct_last_chunk(*last), fill_last_chunk(*last)),
        (construct_generation("x", **whole), fill_generation("x", **whole)),
    )
    result = ([pairs[-1][1]], {"model_name": "z"})
    return _state(construct_result(*result)) == _state(fill_result(*result)) and all(
        _state(one) == _state(other) and _state(one.message) == _state(other.message) for one, other in pairs
    )


_is_equivalent = is_equivalent()
text_chunk = fill_chunk if _is_equivalent else construct_chunk
last_chunk = fill_last_chunk if _is_equivalent else construct_last_chunk
whole_generation = fill_generation if _is_equivalent else construct_generation
chat_result = fill_result if _is_equivalent else construct_result
