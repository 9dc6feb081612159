"""Fields for parameters of model servers that go beyond OpenAI's, under the names of vLLM and of OCI Generative AI."""

from typing import Any

from pydantic import Field

from llamaindex_mdstream._platform_fields import PlatformFields

#: Fields that are sent under their own names.
SAMPLING_PARAMETERS = ("top_k", "min_p", "repetition_penalty", "best_of", "service_tier")

#: Further ones, which only chats have.
CHAT_PARAMETERS = ("reasoning_effort", "verbosity", "chat_template", "chat_template_kwargs", "tool_choice")


class ServerParameters(PlatformFields):
    """Parameters of requests."""

    top_k: int | None = Field(
        default=None,
        description="Number of most likely tokens that are sampled from; -1 means all (vLLM). `k` is an alias. "
        "`None` leaves it to the server.",
    )
    min_p: float | None = Field(
        default=None,
        description="Minimum probability of a token, relative to the most likely one, from 0 to 1 (vLLM, SGLang).",
    )
    repetition_penalty: float | None = Field(
        default=None,
        description="Penalty for repeated tokens; values above 1 discourage repetition (vLLM, SGLang, TGI).",
    )
    best_of: int | None = Field(
        default=None,
        description="Number of sequences to generate, of which the best is returned, on servers that support it.",
    )
    service_tier: str | None = Field(
        default=None,
        description="Service tier that processes the request, such as `auto`, `default` or `priority`, on services "
        "that have several.",
    )
    reasoning_effort: str | None = Field(
        default=None,
        description="How much a reasoning model reasons, such as `low`, `medium` or `high` (chats). Default: the "
        "model's.",
    )
    verbosity: str | None = Field(
        default=None,
        description="How long the responses are: `low`, `medium` or `high`, for models that support it (chats).",
    )
    chat_template: str | None = Field(
        default=None,
        description="Jinja chat template, in place of the model's own (chats). vLLM accepts one in a request if it was "
        "started with `--trust-request-chat-template`.",
    )
    chat_template_kwargs: dict[str, Any] | None = Field(
        default=None,
        description='Variables of the chat template (vLLM, SGLang), such as `{"enable_thinking": False}` (chats).',
    )
    tool_choice: str | dict[str, Any] | None = Field(
        default=None,
        description="Tool choice of requests with tools that set none: `auto`, `none`, `any`, `required` or the name "
        "of a tool. It is not sent without tools.",
    )
