"""The fields of our LLMs, and what they mean for the service behind."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW, DEFAULT_TEMPERATURE
from llama_index.core.llms.function_calling import FunctionCallingLLM
from pydantic import Field, field_validator, model_validator

from llamaindex_mdstream._aliases import GenerationAliases
from llamaindex_mdstream._connection_fields import ConnectionFields
from llamaindex_mdstream._requests import hide_headers
from mdstream_core import SendReasoning, Timeout, generation_dialect
from mdstream_core.options import GenerationDialect


class GenerationFields(GenerationAliases, ConnectionFields, FunctionCallingLLM):
    """A model object. A `Place` before it says where to ask and who signs."""

    dialect: GenerationDialect | None = Field(
        default=None, description="The API format of the endpoint; default: that of the platform's models."
    )
    model: str = Field(default="", description="The model's name, as the server knows it; not sent where it is empty.")
    temperature: float | None = Field(default=DEFAULT_TEMPERATURE, ge=0, description="How freely tokens are chosen.")
    max_tokens: int | None = Field(default=None, gt=0, description="The most tokens of an answer; None: the server's.")
    top_p: float | None = Field(default=None, ge=0, le=1, description="The share of likely tokens to choose from.")
    stop: list[str] | str | None = Field(default=None, description="Where an answer ends.")
    additional_kwargs: dict[str, Any] = Field(default_factory=dict, description="Further parameters of each question.")
    resume: bool | int = Field(
        default=False, description="Whether, or how often, to go on with an answer of text that broke."
    )
    tool_call_parser: Literal["hermes", "mistral", "llama3_json", "pythonic"] | None = Field(
        default=None, description="How the model writes tool calls, for a server that passes them on as text."
    )
    reasoning_parser: Literal["think", "open"] | None = Field(
        default=None, description="How thoughts begin, for a server that passes them on as text."
    )
    send_reasoning: SendReasoning | None = Field(
        default=None, description="Of which earlier responses the reasoning is sent back; None: what the model needs."
    )
    context_window: int = Field(default=DEFAULT_CONTEXT_WINDOW, gt=0, description="Tokens of question and answer.")
    is_chat_model: bool = Field(default=True, description="Whether the server has a chat endpoint.")
    is_function_calling_model: bool = Field(default=True, description="Whether the model can call tools.")
    strict: bool = Field(default=False, description="Whether the server holds tool calls and schemas to the letter.")
    should_use_structured_outputs: bool = Field(
        default=False, description="Whether structured predictions ask for JSON by schema instead of a tool call."
    )

    _other_names: ClassVar[dict[str, str]] = {
        "model_name": "model",
        "model_id": "model",
        "request_timeout": "timeout",
        "max_completion_tokens": "max_tokens",
        "stop_sequences": "stop",
    }

    @classmethod
    def class_name(cls) -> str:
        """The name in serialized form."""
        return "mdstream_llm"

    @property
    def metadata(self) -> LLMMetadata:
        """What core wants to know of the model."""
        return LLMMetadata(
            context_window=self.context_window,
            num_output=self.max_tokens or -1,
            is_chat_model=self.is_chat_model,
            is_function_calling_model=self.is_function_calling_model,
            model_name=self._observed_name() or "unknown",
        )

    def to_payload(self) -> dict[str, Any]:
        """What observers are told of the model: no credential. Core has this since 0.14.23."""
        return {"class_name": self.class_name(), **self.metadata.model_dump()}

    def _observed_name(self) -> str | None:
        """The model's name for observers, where a server gives none."""
        return self.model or None

    @property
    def _max_resumes(self) -> int:
        return 3 if self.resume is True else int(self.resume)

    @field_validator("additional_kwargs", mode="before")
    @classmethod
    def _hidden_headers(cls, options: Any) -> Any:
        """Headers among the parameters are neither shown nor saved."""
        return hide_headers(options) if isinstance(options, Mapping) else options

    @model_validator(mode="after")
    def _validate(self) -> Self:
        Timeout.from_value(self.timeout)
        self._validate_fields()
        generation_dialect(
            self.dialect or self._default_dialect(self.model, "chat" if self.is_chat_model else "completions")
        )
        return self
