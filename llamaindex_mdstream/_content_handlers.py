"""SageMaker content handlers: user code that builds payloads and parses outputs.

Handlers written for LlamaIndex's own SageMaker packages (`serialize_input`, `deserialize_output`) and for LangChain's
(`transform_input`, `transform_output`) work; only their methods are used, not their classes. What they receive of a
stream is what their packages pass: LlamaIndex's each payload part as SageMaker sent it
(llama-index-llms-sagemaker-endpoint, `SageMakerLLM.stream_complete`), LangChain's each line (langchain-aws,
`LineIterator`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mdstream_core import (
    ContentHandlerDialect,
    ContentHandlerEmbeddingDialect,
    ContentHandlerProtocol,
    Event,
    HandlerBody,
    HandlerDecoder,
    ListDialect,
)

#: The methods of each kind of handler.
_LLAMAINDEX = ("serialize_input", "deserialize_output")
_LANGCHAIN = ("transform_input", "transform_output")


def validate_handler(handler: Any) -> None:
    """Raise `ValueError` if an object is no content handler."""
    if isinstance(handler, type):
        raise ValueError("content_handler is a class (hint: pass an instance)")
    missing = [name for name in _LLAMAINDEX if not hasattr(handler, name)]
    if missing and not all(hasattr(handler, name) for name in _LANGCHAIN):
        raise ValueError(
            f"content_handler has no {', '.join(missing)} (hint: a handler has {', '.join(_LLAMAINDEX)}, and for "
            "streams deserialize_streaming_output)"
        )


def media_types(handler: Any) -> dict[str, Any]:
    """Return the media types of payload and output: LlamaIndex's handlers have `accept`, LangChain's `accepts`."""
    types = {
        "content_type": getattr(handler, "content_type", None),
        "accept": getattr(handler, "accept", None) or getattr(handler, "accepts", None),
    }
    return {name: value for name, value in types.items() if value}


def raw_output(handler: Any) -> bool | Literal["parts"]:
    """Return in which pieces a stream is passed to a handler; `False` without a handler."""
    if handler is None:
        return False
    return "parts" if hasattr(handler, "serialize_input") else True


@dataclass(frozen=True, slots=True)
class _Adapter:
    """A handler of LlamaIndex with the methods of LangChain's."""

    handler: Any
    stream: bool

    def transform_input(self, prompt: Any, model_kwargs: dict[str, Any], /) -> Any:
        return self.handler.serialize_input(prompt, model_kwargs)

    def transform_output(self, output: HandlerBody, /) -> Any:
        if self.stream:
            return self.handler.deserialize_streaming_output(bytes(output))
        return self.handler.deserialize_output(output)


def _adapt(handler: Any, *, stream: bool) -> ContentHandlerProtocol:
    return _Adapter(handler, stream) if hasattr(handler, "serialize_input") else handler


class _PromptDecoder(HandlerDecoder):
    """Decoder that removes what the handler calls the prefix of the output, usually the prompt."""

    def __init__(self, dialect: "_PromptDialect") -> None:
        super().__init__(dialect.handler, dialect.stop, stream=dialect.stream)
        handler, prompt = dialect.inner, dialect.prompt
        self._remove_prefix = handler.remove_prefix
        self._prompt = prompt
        self._raw = ""
        self._clean = ""

    def _emit_text(self, text: str) -> list[Event]:
        self._raw += text
        before, self._clean = self._clean, self._remove_prefix(self._raw, self._prompt)
        return super()._emit_text(self._clean[len(before) :])


@dataclass(frozen=True, slots=True)
class _PromptDialect(ContentHandlerDialect):
    """Dialect of a handler with `remove_prefix`."""

    inner: Any
    prompt: str

    def create_decoder(self) -> HandlerDecoder:
        return _PromptDecoder(self)


def handler_dialect(handler: Any, params: Mapping[str, Any], *, stream: bool) -> Any:
    """Return the dialect of a content handler, for one request.

    Args:
        handler: The content handler.
        params: Parameters of the request, with `prompt`.
        stream: Whether the response is streamed.

    Raises:
        ValueError: The request is a stream, and the handler cannot read one.
    """
    is_own = hasattr(handler, "serialize_input")
    if stream and is_own and not hasattr(handler, "deserialize_streaming_output"):
        raise ValueError("content_handler has no deserialize_streaming_output (hint: use complete or chat)")
    stop = params.get("stop") or ()
    stops = (stop,) if isinstance(stop, str) else tuple(stop)
    adapter = _adapt(handler, stream=stream)
    if hasattr(handler, "remove_prefix"):
        return _PromptDialect(adapter, stops, {}, stream, handler, params["prompt"])
    return ContentHandlerDialect(adapter, stops, {}, stream)


def handler_embedding_dialect(handler: Any) -> ListDialect:
    """Return the dialect of a content handler for embeddings."""
    dialect: Any = ContentHandlerEmbeddingDialect(_adapt(handler, stream=False), (), {}, stream=False)
    resolved: ListDialect = dialect
    return resolved
