"""Fields of LLMs for OpenAI's Responses API, with the names of the chat models for LangChain."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from llama_index.core.base.llms.types import ChatMessage
from pydantic import Field, model_validator

from llamaindex_mdstream._platform_fields import PlatformFields

#: The dialect of the API.
RESPONSES_DIALECT = "openai-responses"

#: Fields that are sent in the payload under their own names.
RESPONSES_PARAMETERS = ("store", "include", "reasoning", "truncation")


class ResponsesFields(PlatformFields):
    """Fields for OpenAI's Responses API. Other dialects send only those that are set."""

    use_responses_api: bool | None = Field(
        default=None,
        description='Whether to use OpenAI\'s Responses API, as `dialect="openai-responses"` does. `None` and `False` '
        "leave the dialect as it is.",
    )
    use_previous_response_id: bool = Field(
        default=False,
        description="Whether to send only the messages after the last response, and the id of that response, with "
        "which the service finds the earlier ones (Responses API only). The id is in the `additional_kwargs` of the "
        "message (`response_id`).",
    )
    built_in_tools: list[dict[str, Any]] | None = Field(
        default=None,
        description='Tools that the service runs, such as `[{"type": "web_search"}]`, for each chat request, beside '
        "those of the call (Responses API only).",
    )
    store: bool | None = Field(
        default=None,
        description="Whether the service stores the response (Responses API only). `None` uses its default, which is "
        "`True`.",
    )
    include: list[str] | None = Field(
        default=None,
        description='Further output to request (Responses API only), such as `["reasoning.encrypted_content"]`, '
        "without which reasoning cannot be sent back if `store=False`.",
    )
    reasoning: dict[str, Any] | None = Field(
        default=None,
        description='How the model reasons (Responses API only), such as `{"effort": "low", "summary": "auto"}`. '
        "`reasoning_options` is an alias.",
    )
    truncation: Literal["auto", "disabled"] | None = Field(
        default=None,
        description="Whether the service drops the beginning of a conversation that is too long (Responses API only); "
        "`disabled` rejects it. `None` uses the service's default.",
    )

    @model_validator(mode="before")
    @classmethod
    def _choose_responses_dialect(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or not values.get("use_responses_api"):
            return values
        if values.get("dialect") not in (None, RESPONSES_DIALECT):
            raise ValueError("use_responses_api and dialect both set the API format (hint: remove one of them)")
        return {**values, "dialect": RESPONSES_DIALECT}


def split_at_last_response(messages: Sequence[ChatMessage]) -> tuple[Sequence[ChatMessage], str | None]:
    """Return the messages after the last stored response, and its id; all messages and `None` if there is none.

    >>> answer = ChatMessage(role="assistant", content="Hi", additional_kwargs={"response_id": "resp_1"})
    >>> rest, id = split_at_last_response([ChatMessage("Hello"), answer, ChatMessage("Bye")])
    >>> [message.content for message in rest], id
    (['Bye'], 'resp_1')
    """
    for at in range(len(messages) - 1, -1, -1):
        id = messages[at].additional_kwargs.get("response_id")
        if isinstance(id, str) and id.startswith("resp_"):
            return messages[at + 1 :], id
    return messages, None
