"""Constructor fields of the LLM classes, and the metadata that LlamaIndex derives from them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW, DEFAULT_TEMPERATURE
from llama_index.core.llms.function_calling import FunctionCallingLLM
from pydantic import Field, PlainValidator, field_validator, model_validator

import mdstream_core
from llamaindex_mdstream._aliases import GenerationAliases
from llamaindex_mdstream._connection_fields import ConnectionFields
from llamaindex_mdstream._requests import hide_headers
from llamaindex_mdstream._responses_fields import ResponsesFields
from llamaindex_mdstream._server_parameters import ServerParameters
from mdstream_core.http import Timeout
from mdstream_core.options import GenerationDialect, SendReasoning, validate_instance

if TYPE_CHECKING:
    from llamaindex_mdstream.guardrails import OCIGuardrails
    from mdstream_core import Service
else:

    def _to_guardrails(value: Any) -> Any:
        from llamaindex_mdstream.guardrails import OCIGuardrails  # noqa: PLC0415  # imported only if there are some

        return validate_instance(OCIGuardrails, value)

    OCIGuardrails = Annotated[Any, PlainValidator(_to_guardrails)]


class GenerationFields(GenerationAliases, ConnectionFields, ServerParameters, ResponsesFields, FunctionCallingLLM):
    """Fields of an LLM. A platform mixin before this class adds the endpoint and the authentication."""

    dialect: GenerationDialect | None = Field(
        default=None,
        description="API format of the endpoint, such as `openai-chat` or `tgi`. Default: the platform's.",
    )
    model: str = Field(default="", description="Name of the model on the server. Not sent if empty. MaaS requires it.")
    temperature: float | None = Field(
        default=DEFAULT_TEMPERATURE,
        ge=0,
        description="Sampling temperature; `0` is the most deterministic. `None` leaves it to the server.",
    )
    max_tokens: int | None = Field(
        default=None,
        gt=0,
        description="Maximum number of output tokens, such as `512`. `None` leaves it to the server.",
    )
    top_p: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Nucleus sampling: only the most likely tokens with this total probability are considered. `p` is "
        "an alias.",
    )
    stop: list[str] | str | None = Field(
        default=None, description='Stop sequences: generation ends before the first of them, such as `["\\n\\n"]`.'
    )
    additional_kwargs: dict[str, Any] = Field(
        default_factory=dict,
        description='Further parameters of each request, such as `{"seed": 1}`. Keyword arguments of a call override '
        "them.",
    )
    resume: bool | int = Field(
        default=False,
        description="Whether, or how often, an interrupted text response is resumed; `True` means up to 3 times. "
        "Supported by vLLM and SGLang in chats, and by every server in completions. The resume points are in "
        '`additional_kwargs["resumed"]` of the last response.',
    )
    tool_call_parser: Literal["hermes", "mistral", "llama3_json", "pythonic"] | None = Field(
        default=None,
        description="Format in which the model writes tool calls as text, for a server without a tool call parser. The "
        "names are vLLM's.",
    )
    recover_tool_calls: bool = Field(
        default=True,
        description="Whether a response to a request with tools whose text is exactly one "
        '`<tool_call>{"name": …}</tool_call>` is that tool call, for a server that has no parser for it. `False` '
        "returns it as text. `tool_call_parser` also reads calls inside of other text.",
    )
    reasoning_parser: Literal["think", "open"] | None = Field(
        default=None,
        description="Format in which the model writes reasoning as text, for a server without a reasoning parser: "
        "`think` if the output may begin with `<think>`, `open` if it begins inside of the reasoning.",
    )
    send_reasoning: SendReasoning | None = Field(
        default=None,
        description="Which earlier responses send their reasoning (`ThinkingBlock`s) back to the model: `never`; "
        "`tool_turns`, those that called tools since the last user message; or `always`. Default: by model family "
        "(DeepSeek V3.2 and V4, Kimi K2 Thinking and later: `always`; GLM 4.5 and later, MiniMax M2, gpt-oss: "
        "`tool_turns`; others: `never`). If a server rejects a request because reasoning is missing, the request is "
        "retried with it, and later requests send it too. Signed blocks of other providers are never sent.",
    )
    context_window: int = Field(
        default=DEFAULT_CONTEXT_WINDOW,
        gt=0,
        description="Maximum number of tokens of prompt and output together. LlamaIndex splits long prompts by it.",
    )
    is_chat_model: bool = Field(
        default=True,
        description="Whether the server has a chat API. `False` sends prompts to the completions API.",
    )
    is_function_calling_model: bool = Field(
        default=True, description="Whether the model can call tools. `False` keeps agents and programs from using them."
    )
    strict: bool = Field(
        default=False,
        description="Whether the server must follow the schemas of tools and of structured output exactly.",
    )
    should_use_structured_outputs: bool = Field(
        default=False,
        description="Whether structured predictions request JSON by schema (`response_format`) instead of a tool call.",
    )

    guardrails: OCIGuardrails | None = Field(
        default=None,
        description="Guardrails that check the input before it is sent, and the output before it is returned or, in "
        "windows, while it is streamed. What they do not allow raises `GuardrailViolation`, whose `partial` is what "
        "passed.",
    )

    _other_names: ClassVar[dict[str, str]] = {
        "model_name": "model",
        "model_id": "model",
        "request_timeout": "timeout",
        "max_completion_tokens": "max_tokens",
        "max_output_tokens": "max_tokens",
        "reasoning_options": "reasoning",
        "stop_sequences": "stop",
        "k": "top_k",
        "p": "top_p",
    }

    @classmethod
    def class_name(cls) -> str:
        """Name of the class in serialized models."""
        return "mdstream_llm"

    @property
    def metadata(self) -> LLMMetadata:
        """Description of the model for LlamaIndex."""
        return LLMMetadata(
            context_window=self.context_window,
            num_output=self.max_tokens or -1,
            is_chat_model=self.is_chat_model,
            is_function_calling_model=self.is_function_calling_model,
            model_name=self._reported_model_name() or "unknown",
        )

    def to_payload(self) -> dict[str, Any]:
        """Description of the model in events and callbacks, without credentials. LlamaIndex has it since 0.14.23."""
        return {"class_name": self.class_name(), **self.metadata.model_dump()}

    def _reported_model_name(self) -> str | None:
        """Name of the model in events and callbacks, if the server reports none."""
        return self.model or None

    @property
    def _guardrails_key(self) -> tuple[Any, ...]:
        return self.guardrails.service_key if self.guardrails is not None else ()

    def _build_service(self) -> "Service":
        service = super()._build_service()
        if self.guardrails is not None:
            self.guardrails.guardrails.protect(service)
        return service

    @property
    def _max_resumes(self) -> int:
        return 3 if self.resume is True else int(self.resume)

    @field_validator("additional_kwargs", mode="before")
    @classmethod
    def _hidden_headers(cls, options: Any) -> Any:
        """Wrap headers among the parameters, so that `repr` and serialized models do not show their values."""
        return hide_headers(options) if isinstance(options, Mapping) else options

    @model_validator(mode="after")
    def _validate(self) -> Self:
        Timeout.from_value(self.timeout)
        self._validate_fields()
        mdstream_core.generation_dialect(
            self.dialect or self._default_dialect(self.model, "chat" if self.is_chat_model else "completions")
        )
        return self
