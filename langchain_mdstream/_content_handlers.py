"""SageMaker content handlers: user code that builds payloads and parses outputs.

Handlers written for langchain-aws and langchain-community work too; only their methods are used, not their classes.
"""

from typing import Any, Generic, TypeVar

from langchain_core.messages import BaseMessage

from mdstream_core import ContentHandlerProtocol

InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")


class ContentHandlerBase(Generic[InputT, OutputT]):
    """Base class of the content handlers, which translate between a model and the API of its container."""

    content_type: str | None = "text/plain"
    """Media type of the payload, such as `application/json`."""

    accepts: str | None = "text/plain"
    """Media type of the output, sent as `Accept`."""

    def transform_input(self, prompt: InputT, model_kwargs: dict[str, Any]) -> bytes:
        """Build the payload.

        Args:
            prompt: The prompt, the messages, or the texts.
            model_kwargs: The model's `model_kwargs` and options such as `temperature`, overridden by those of the call.
        """
        raise NotImplementedError

    def transform_output(self, output: Any) -> OutputT:
        """Parse the output.

        Args:
            output: The body, or one line of a stream without its line break: `bytes` that also have `read()`.
        """
        raise NotImplementedError


class LLMContentHandler(ContentHandlerBase[str, str]):
    """Content handler of `SagemakerEndpoint`: a prompt in, text out.

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
    """Content handler of `ChatSagemakerEndpoint`: OpenAI messages in, an `AIMessage` or `AIMessageChunk` out."""


class EmbeddingsContentHandler(ContentHandlerBase[list[str], list[list[float]]]):
    """Content handler of `SagemakerEndpointEmbeddings`: texts in, one vector for each out."""


def validate_handler(handler: Any) -> ContentHandlerProtocol:
    """Return the handler, or raise `ValueError` if it lacks an attribute or method."""
    names = ("content_type", "accepts", "transform_input", "transform_output")
    if isinstance(handler, type) or (missing := [name for name in names if not hasattr(handler, name)]):
        problem = "is a class (hint: pass an instance)" if isinstance(handler, type) else f"has no {', '.join(missing)}"
        raise ValueError(f"content_handler {problem}")
    valid: ContentHandlerProtocol = handler
    return valid
