"""Error responses of a model server."""

from dataclasses import dataclass

from mdstream_core.emulator._response_plan import ResponsePlan, json_plan
from mdstream_core.emulator.model_server._flavours import ServerFlavour


class ModelServerError(Exception):
    """The model server rejects the request."""

    def __init__(
        self,
        status: int,
        message: str,
        kind: str = "BadRequestError",
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.kind, self.param, self.code = status, message, kind, param, code

    def build_response(self, flavour: ServerFlavour) -> ResponsePlan:
        """Build the error response in the format of the server."""
        body = flavour.error(self.status, self.message, self.kind, self.param)
        if flavour.has_error_codes:
            body["error"]["code"] = self.code
        return json_plan(self.status, body)


class ModelServerUnreachable(Exception):
    """The upstream does not respond; each service reports it as 503 in its own format."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Limits of the model server.

    Attributes:
        models: Names of the models that exist; empty accepts every name.
        context: Context window in tokens; `None` for no limit.
        embedding_size: Dimensions of an embedding.
        max_batch_size: Texts of one request; `None` for no limit.
    """

    models: tuple[str, ...] = ()
    context: int | None = None
    embedding_size: int = 256
    max_batch_size: int | None = None


def no_tools_error() -> ModelServerError:
    """Build the error of vLLM without a tool parser."""
    text = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
    return ModelServerError(400, text)


def too_many_texts_error(count: int, limit: int) -> ModelServerError:
    """Build TEI's error for too many texts."""
    return ModelServerError(422, f"batch size {count} > maximum allowed batch size {limit}", "Validation")


def unknown_model_error(name: str, known: tuple[str, ...]) -> ModelServerError:
    """Build vLLM 0.32's error for an unknown model."""
    text = f"The model `{name}` does not exist. Valid aliases: {', '.join(known)}."
    return ModelServerError(404, text, "NotFoundError", "model")


def prompt_too_long_error(prompt: int, context: int) -> ModelServerError:
    """Build vLLM's error for a prompt that exceeds the context window."""
    text = (
        f"This model's maximum context length is {context} tokens. However, your request has {prompt} input tokens. "
        "Please reduce the length of the input messages."
    )
    return ModelServerError(400, text, "BadRequestError", "input_tokens")


def too_many_tokens_error(requested: int, context: int) -> ModelServerError:
    """Build vLLM 0.32's error for more output than the context window."""
    text = (
        f"max_tokens={requested} cannot be greater than max_model_len={context}. Please request fewer output tokens. "
        f"(parameter=max_tokens, value={requested})"
    )
    return ModelServerError(400, text, "BadRequestError", "max_tokens")
