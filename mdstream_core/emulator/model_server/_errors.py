"""Refusals of a model server."""

from dataclasses import dataclass

from mdstream_core.emulator._response_plan import ResponsePlan, json_plan
from mdstream_core.emulator.model_server._flavours import ServerFlavour


class ModelServerError(Exception):
    """The server does not do what was asked."""

    def __init__(self, status: int, message: str, kind: str = "BadRequestError", param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.kind, self.param = status, message, kind, param

    def build_response(self, flavour: ServerFlavour) -> ResponsePlan:
        """The refusal as this server writes it."""
        return json_plan(self.status, flavour.error(self.status, self.message, self.kind, self.param))


class ModelServerUnreachable(Exception):
    """No model server answers behind a service: each service reports it as 503 in an envelope of its own."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What the server accepts.

    Attributes:
        models: Names it knows; empty accepts every name.
        context: The context window in tokens, `None` without end.
        embedding_size: Length of an embedding.
        max_batch_size: Texts of one request, `None` without end.
    """

    models: tuple[str, ...] = ()
    context: int | None = None
    embedding_size: int = 256
    max_batch_size: int | None = None


def no_tools_error() -> ModelServerError:
    """vLLM without a tool parser."""
    text = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
    return ModelServerError(400, text)


def too_many_texts_error(count: int, limit: int) -> ModelServerError:
    """TEI's words."""
    return ModelServerError(422, f"batch size {count} > maximum allowed batch size {limit}", "Validation")


def unknown_model_error(name: str, known: tuple[str, ...]) -> ModelServerError:
    """vLLM 0.32's words."""
    text = f"The model `{name}` does not exist. Valid aliases: {', '.join(known)}."
    return ModelServerError(404, text, "NotFoundError", "model")


def prompt_too_long_error(prompt: int, context: int) -> ModelServerError:
    """vLLM's words for a prompt longer than the context."""
    text = (
        f"This model's maximum context length is {context} tokens. However, your request has {prompt} input tokens. "
        "Please reduce the length of the input messages."
    )
    return ModelServerError(400, text, "BadRequestError", "input_tokens")


def too_many_tokens_error(requested: int, context: int) -> ModelServerError:
    """vLLM 0.32's words for more output than the context holds."""
    text = (
        f"max_tokens={requested} cannot be greater than max_model_len={context}. Please request fewer output tokens. "
        f"(parameter=max_tokens, value={requested})"
    )
    return ModelServerError(400, text, "BadRequestError", "max_tokens")
