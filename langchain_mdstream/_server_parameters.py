"""Fields for parameters of model servers that go beyond OpenAI's, under the names of vLLM and of OCI Generative AI."""

from typing import Any

from langchain_mdstream._connection_fields import ConnectionFields
from langchain_mdstream._server_info import ServerInfoMixin

#: Fields of `SamplingParameters` that are sent under their own names.
SAMPLING_PARAMETERS = ("top_k", "min_p", "repetition_penalty", "best_of", "service_tier")

#: Fields of `ChatParameters` that are sent under their own names.
CHAT_PARAMETERS = ("reasoning_effort", "verbosity", "chat_template", "chat_template_kwargs")


class SamplingParameters(ServerInfoMixin):
    """Parameters of chats and completions."""

    top_k: int | None = None
    """Number of most likely tokens that are sampled from; -1 means all (vLLM); also accepted as `k`. `None` uses the
    server's default."""

    min_p: float | None = None
    """Minimum probability of a token, relative to the most likely one, from 0 to 1 (vLLM, SGLang). `None` uses the
    server's default."""

    repetition_penalty: float | None = None
    """Penalty for repeated tokens; values above 1 discourage repetition (vLLM, SGLang, TGI). `None` uses the server's
    default."""

    best_of: int | None = None
    """Number of sequences to generate, of which the best are returned, on servers that support it."""

    service_tier: str | None = None
    """Service tier that processes the request, such as `auto`, `default` or `priority`, on services that have several.
    """


class ChatParameters(ConnectionFields):
    """Parameters of chats."""

    reasoning_effort: str | None = None
    """How much a reasoning model reasons, such as `low`, `medium` or `high`. `None` uses the model's default."""

    verbosity: str | None = None
    """How long the responses are: `low`, `medium` or `high`, for models that support it."""

    chat_template: str | None = None
    """Jinja chat template, in place of the model's own. vLLM accepts one in a request if it was started with
    `--trust-request-chat-template`."""

    chat_template_kwargs: dict[str, Any] | None = None
    """Variables of the chat template (vLLM, SGLang). Example: `{"enable_thinking": False}`."""

    tool_choice: str | bool | dict[str, Any] | None = None
    """Tool choice of requests with tools that set none: `auto`, `none`, `any`, `required` or the name of a tool. It is
    not sent without tools."""
