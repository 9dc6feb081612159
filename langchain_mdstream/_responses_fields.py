"""Fields of chat models for OpenAI's Responses API, with the names of `ChatOpenAI`."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage
from pydantic import model_validator

from langchain_mdstream._connection_fields import ConnectionFields

#: The dialect of the API.
RESPONSES_DIALECT = "openai-responses"

#: Fields that are sent in the payload under their own names.
RESPONSES_PARAMETERS = ("store", "include", "reasoning", "truncation")


class ResponsesFields(ConnectionFields):
    """Fields for OpenAI's Responses API. Other dialects send only those that are set."""

    use_responses_api: bool | None = None
    """Whether to use OpenAI's Responses API, as `dialect="openai-responses"` does. `None` and `False` leave the dialect
    as it is."""

    use_previous_response_id: bool = False
    """Whether to send only the messages after the last response, and the id of that response, with which the service
    finds the earlier ones (Responses API only)."""

    store: bool | None = None
    """Whether the service stores the response (Responses API only). `None` uses its default, which is `True`."""

    include: list[str] | None = None
    """Further output to request (Responses API only), such as `["reasoning.encrypted_content"]`, without which
    reasoning cannot be sent back if `store=False`."""

    reasoning: dict[str, Any] | None = None
    """How the model reasons (Responses API only). Example: `{"effort": "low", "summary": "auto"}`."""

    truncation: Literal["auto", "disabled"] | None = None
    """Whether the service drops the beginning of a conversation that is too long (Responses API only); `disabled`
    rejects it. `None` uses the service's default."""

    @model_validator(mode="before")
    @classmethod
    def _mdstream_responses_dialect(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or not values.get("use_responses_api"):
            return values
        if values.get("dialect") not in (None, RESPONSES_DIALECT):
            raise ValueError("use_responses_api and dialect both set the API format (hint: remove one of them)")
        return {**values, "dialect": RESPONSES_DIALECT}


def split_at_last_response(messages: Sequence[BaseMessage]) -> tuple[Sequence[BaseMessage], str | None]:
    """Return the messages after the last stored response, and its id; all messages and `None` if there is none."""
    for at in range(len(messages) - 1, -1, -1):
        message = messages[at]
        id = message.response_metadata.get("id") if isinstance(message, AIMessage) else None
        if isinstance(id, str) and id.startswith("resp_"):
            return messages[at + 1 :], id
    return messages, None
