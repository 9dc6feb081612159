"""SageMaker content handlers: a user's own code between what is asked and what is sent, and back.

Handlers written for langchain-aws and langchain-community are taken too, by their methods: none of their classes is
needed.
"""

from typing import Any, Generic, Protocol, TypeVar

from langchain_core.messages import BaseMessage

InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")


class ContentHandlerBase(Generic[InputT, OutputT]):
    """How a container is asked and how its answers are read; derive from one of the three below."""

    content_type: str | None = "text/plain"
    """Of what `transform_input` gives, such as `application/json`."""

    accepts: str | None = "text/plain"
    """What the container is asked to answer with."""

    def transform_input(self, prompt: InputT, model_kwargs: dict[str, Any]) -> bytes:
        """The request body.

        Args:
            prompt: What is asked.
            model_kwargs: The model's `model_kwargs` and options such as `temperature`, and over them the call's.
        """
        raise NotImplementedError

    def transform_output(self, output: Any) -> OutputT:
        """What an answer says.

        Args:
            output: The body, or of a stream one line without its line break: `bytes` that also have `read()`.
        """
        raise NotImplementedError


class LLMContentHandler(ContentHandlerBase[str, str]):
    r"""Of `SagemakerEndpoint`: a prompt in, text out.

    Example:
        >>> import json
        >>> class Lines(LLMContentHandler):
        ...     content_type = accepts = "application/json"
        ...
        ...     def transform_input(self, prompt, model_kwargs):
        ...         return json.dumps({"inputs": prompt, "parameters": model_kwargs}).encode()
        ...
        ...     def transform_output(self, output):
        ...         return json.loads(output)["outputs"][0]
        >>> Lines().transform_output(b'{"outputs": ["Hi"]}')
        'Hi'
    """


class ChatModelContentHandler(ContentHandlerBase[list[dict[str, Any]], BaseMessage]):
    """Of `ChatSagemakerEndpoint`: messages in OpenAI's shape in, an `AIMessage` or `AIMessageChunk` out."""


class EmbeddingsContentHandler(ContentHandlerBase[list[str], list[list[float]]]):
    """Of `SagemakerEndpointEmbeddings`: texts in, one vector for each out."""


class ContentHandlerProtocol(Protocol):
    """What is used of a handler."""

    content_type: Any
    accepts: Any

    def transform_input(self, prompt: Any, model_kwargs: dict[str, Any], /) -> Any: ...

    def transform_output(self, output: Any, /) -> Any: ...


def validate_handler(handler: Any) -> ContentHandlerProtocol:
    """The handler, if it is one; `ValueError` says what it lacks."""
    names = ("content_type", "accepts", "transform_input", "transform_output")
    if isinstance(handler, type) or (missing := [name for name in names if not hasattr(handler, name)]):
        what = "is a class: give an instance of it" if isinstance(handler, type) else f"has no {', '.join(missing)}"
        raise ValueError(f"content_handler {what}")
    known: ContentHandlerProtocol = handler
    return known


class HandlerBody(bytes):
    """What a handler is given: bytes, which can be read as a file too, as botocore's bodies."""

    _at = 0

    def read(self, amt: int | None = None) -> bytes:
        """The next `amt` bytes, or all that are left."""
        start, end = self._at, len(self) if amt is None else self._at + amt
        self._at = min(end, len(self))
        return bytes(self[start:end])
