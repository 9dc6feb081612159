"""Fields that chat models and completion models of every platform share: the parameters of a request."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import PlainValidator, field_validator, model_validator

import mdstream_core
from langchain_mdstream._aliases import GenerationAliases
from langchain_mdstream._call_arguments import reject_connection_options
from langchain_mdstream._connection_fields import ConnectionFields
from langchain_mdstream._errors import map_errors
from langchain_mdstream._serialization import LangChainSerialization
from langchain_mdstream._server_parameters import SAMPLING_PARAMETERS, SamplingParameters
from mdstream_core.http import SecretHeaders, fingerprint
from mdstream_core.options import GenerationDialect, validate_instance

if TYPE_CHECKING:
    from langchain_mdstream.guardrails import OCIGuardrails
    from mdstream_core import Call, Dialect, Service
else:

    def _to_guardrails(value: Any) -> Any:
        from langchain_mdstream.guardrails import OCIGuardrails  # noqa: PLC0415  # imported only if there are some

        return validate_instance(OCIGuardrails, value)

    OCIGuardrails = Annotated[Any, PlainValidator(_to_guardrails)]

#: Fields that are sent in the payload under their own names.
_PARAMETERS = (
    "model",
    "temperature",
    "top_p",
    "max_tokens",
    "stop",
    "seed",
    "n",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    *SAMPLING_PARAMETERS,
)

#: Values of a field that are not sent.
_UNSET: tuple[Any, ...] = ("", [])

#: Arguments of a call that are for LangChain and not part of the payload.
_NOT_SENT = frozenset({"stream", "ls_structured_output_format", "structured_output_format", "extra_headers"})


class GenerationFields(LangChainSerialization, GenerationAliases, SamplingParameters):
    """Fields for the parameters of text generation, for streaming, resuming and parsing."""

    dialect: GenerationDialect | None = None
    """API format of the endpoint, such as `openai-chat`. `None` uses the default of the platform."""

    temperature: float | None = None
    """Sampling temperature; higher values give more varied output. `None` uses the server's default."""

    top_p: float | None = None
    """Probability mass of the tokens that are sampled from (nucleus sampling), from 0 to 1; also accepted as `p`.
    `None` uses the server's default."""

    max_tokens: int | None = None
    """Maximum number of tokens to generate; also accepted as `max_completion_tokens`. `None` uses the server's
    default."""

    stop: list[str] | None = None
    """Stop sequences: generation ends before the first of them; also accepted as `stop_sequences`. Example:
    `["END"]`."""

    seed: int | None = None
    """Random seed, for repeatable output on servers that support it."""

    n: int | None = None
    """Number of choices to generate. Streams always have one; `generate` returns all."""

    presence_penalty: float | None = None
    """Penalty for tokens that already occur in the text, usually from -2 to 2."""

    frequency_penalty: float | None = None
    """Penalty for tokens in proportion to how often they already occur in the text, usually from -2 to 2."""

    logprobs: bool | int | None = None
    """Whether to return log probabilities (chat models), or for how many tokens per position (completion models)."""

    top_logprobs: int | None = None
    """Number of most likely tokens whose log probabilities are returned at each position (chat models)."""

    streaming: bool = False
    """Whether `invoke` and `generate` use a streaming request. An explicit `False` disables streaming where callbacks
    or LangGraph would enable it."""

    stream_usage: bool = True
    """Whether to request the token usage of a stream."""

    resume: bool | int = False
    """Whether to resume a stream of text that was interrupted: `True` up to 3 times, or the maximum number of times.

    Requires a server that can continue a response: for chat models vLLM or SGLang (`continue_final_message`), for
    completion models any. `response_metadata["resumed"]` records the resume points. Responses with tool calls, with
    reasoning or with a schema are not resumed, nor those of a server that starts over.
    """

    tool_call_parser: Literal["hermes", "mistral", "llama3_json", "pythonic"] | None = None
    """Format in which the model writes tool calls, for a server that returns them as text because it has no parser.

    The names are those of vLLM's `--tool-call-parser`. Requests with tools are sent with `tool_choice="none"`, without
    which such a server rejects them.
    """

    recover_tool_calls: bool = True
    """Whether a response to a request with tools whose text is exactly one `<tool_call>{"name": …}</tool_call>` is
    that tool call, for a server that has no parser for it. `False` returns it as text. `tool_call_parser` also reads
    calls inside of other text."""

    reasoning_parser: Literal["think", "open"] | None = None
    """Format in which the model writes reasoning, for a server that returns it as text: `think` if the output may begin
    with `<think>`, `open` if it begins inside of the reasoning."""

    guardrails: OCIGuardrails | None = None
    """Guardrails that check the input before it is sent, and the output before it is returned or, in windows, while it
    is streamed. What they do not allow raises `GuardrailViolation`, whose `partial` is what passed."""

    aliases: ClassVar[Mapping[str, str]] = {
        **ConnectionFields.aliases,
        "max_completion_tokens": "max_tokens",
        "stop_sequences": "stop",
        "is_stream": "streaming",
        "k": "top_k",
        "p": "top_p",
    }

    @model_validator(mode="after")
    def _mdstream_dialect(self) -> Self:
        if self.dialect is not None:
            mdstream_core.generation_dialect(self.dialect)
        return self

    @field_validator("stop", mode="before")
    @classmethod
    def _stop_as_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @property
    def _max_resumes(self) -> int:
        return 3 if self.resume is True else int(self.resume)

    def _build_service(self) -> "Service":
        service = super()._build_service()
        if self.guardrails is not None:
            self.guardrails.guardrails.protect(service)
        return service

    def _build_call(
        self, inputs: Mapping[str, Any], stop: list[str] | None, kwargs: dict[str, Any], *, stream: bool
    ) -> "Call":
        """Create a call from the fields, the arguments of the call, and `extra_body`; later ones override."""
        own = self.model_kwargs
        params = {**self._parameters(), **own, **inputs}
        if kwargs:
            params.update(self._sent_arguments(kwargs))
        if own and own.get("parallel_tool_calls", "") is None:  # overrides what agents and structured output set
            del params["parallel_tool_calls"]
        if stop:
            params["stop"] = stop
        if self.extra_body:
            params.update(self.extra_body)
        if params.get("tools") and self.tool_call_parser and params.get("tool_choice") in (None, "auto"):
            params |= {"tool_choice": "none", "skip_special_tokens": False}
        if stream and not self.stream_usage:
            params.setdefault("stream_options", {"include_usage": False})
        if stream and (params.get("n") or 1) > 1:
            params["n"] = 1
        return self._create_call(params, self._extra_headers(kwargs), stream=stream)

    def _sent_arguments(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call that are part of the payload, under the names of the fields."""
        not_sent = _NOT_SENT | self.header_arguments
        arguments = {self.aliases.get(name, name): value for name, value in kwargs.items() if name not in not_sent}
        reject_connection_options(arguments)
        return arguments

    def _extra_headers(self, kwargs: Mapping[str, Any]) -> SecretHeaders | None:
        """Return the additional headers of one call."""
        if not kwargs:
            return None
        extra = kwargs.get("extra_headers")
        if not extra and self.header_arguments.isdisjoint(kwargs):
            return None
        with map_errors():
            return SecretHeaders(extra or {}) | self._call_headers(kwargs)

    def _resolve_dialect(self, params: Mapping[str, Any], *, stream: bool) -> "Dialect":
        resolved = super()._resolve_dialect(params, stream=stream)
        if self.tool_call_parser or self.reasoning_parser:
            resolved = mdstream_core.TextParsingDialect(
                resolved, tool_calls=self.tool_call_parser, reasoning=self.reasoning_parser
            )
        recovers = params.get("tools") and self.recover_tool_calls and self.tool_call_parser is None
        return mdstream_core.recover_tool_calls(resolved, params) if recovers else resolved

    def _parameters(self) -> dict[str, Any]:
        fields = self.__dict__  # each call reads all of them, and attributes of pydantic's objects are slower
        return {
            name: value
            for name in _PARAMETERS
            if (value := fields[name]) is not None and (value or value not in _UNSET)  # comparing costs more than truth
        }

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """Parameters that a response depends on, without secrets; LangChain uses them as the cache key.

        Headers are represented by their names and a keyed digest of their values.
        """
        fields = self.__dict__
        params: dict[str, Any] = {"provider": self.provider_name}
        for name in self.address_fields:
            params[name] = getattr(self, name)
        params["model_name"] = fields["model"]
        params["dialect"] = fields["dialect"]
        params.update(self._parameters())
        params["parsers"] = [fields["tool_call_parser"], fields["reasoning_parser"], fields["recover_tool_calls"]]
        params["model_kwargs"] = fields["model_kwargs"]
        params["extra_body"] = fields["extra_body"]
        params["headers"] = fingerprint(fields["default_headers"])
        if guardrails := fields["guardrails"]:
            params["guardrails"] = guardrails.identifying_params
        return params
