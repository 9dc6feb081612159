"""What chat models and completion models of every platform have in common: with what they are asked."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import field_validator, model_validator

from langchain_mdstream._aliases import GenerationAliases
from langchain_mdstream._connection_fields import ConnectionFields, reject_connection_options
from langchain_mdstream._server_info import ServerInfoMixin
from mdstream_core import Call, Dialect, TextParsingDialect, generation_dialect
from mdstream_core.http import fingerprint
from mdstream_core.options import GenerationDialect

#: Fields that go into the question under their own names.
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
)

#: Arguments of a call that steer LangChain and are no part of the question.
_NOT_SENT = frozenset({"stream", "ls_structured_output_format", "structured_output_format", "extra_headers"})


class GenerationFields(GenerationAliases, ServerInfoMixin):
    """The fields of a model that writes text."""

    dialect: GenerationDialect | None = None
    """The API format of the endpoint; by default that of the platform's models. See `mdstream_core.dialects`."""

    temperature: float | None = None
    """Randomness; the server's default where it is `None`."""

    top_p: float | None = None
    """Nucleus sampling."""

    max_tokens: int | None = None
    """The longest answer, in tokens; also accepted as `max_completion_tokens`."""

    stop: list[str] | None = None
    """Texts that end the answer; also accepted as `stop_sequences`."""

    seed: int | None = None
    """For answers that can be repeated, where the server knows how."""

    n: int | None = None
    """How many answers to give. `stream` gives one; `generate` and `invoke` take all."""

    presence_penalty: float | None = None
    """Against repeating what was mentioned."""

    frequency_penalty: float | None = None
    """Against repeating what was said often."""

    logprobs: bool | int | None = None
    """Whether to report log probabilities (chat), or of how many tokens (completions)."""

    top_logprobs: int | None = None
    """Of how many candidates for each token (chat)."""

    streaming: bool = False
    """Whether `invoke` streams underneath. An explicit `False` switches streaming off."""

    stream_usage: bool = True
    """Whether to ask for the token count of a stream."""

    resume: bool | int = False
    """Whether to go on with an answer of text that broke after it had begun: `True` up to 3 times, or how often.

    Only for servers that continue an answer when asked to: vLLM and SGLang (`continue_final_message`) in a chat, any
    server in a completion. The joint is told in `response_metadata["resumed"]`. A tool call, a thought or an answer
    that is held to a schema is never gone on with; nor is one of a server that begins anew.
    """

    tool_call_parser: Literal["hermes", "mistral", "llama3_json", "pythonic"] | None = None
    """How the model writes tool calls, for a server that runs without a parser and passes them on as text.

    The names are those of vLLM's `--tool-call-parser`. Tools are then offered with `tool_choice="none"`, which such a
    server needs to take them at all.
    """

    reasoning_parser: Literal["think", "open"] | None = None
    """For a server that passes thoughts on as text: `think` where an answer may begin with `<think>`, `open` where it
    begins inside of the thought."""

    aliases: ClassVar[Mapping[str, str]] = {
        **ConnectionFields.aliases,
        "max_completion_tokens": "max_tokens",
        "stop_sequences": "stop",
        "is_stream": "streaming",
    }

    @model_validator(mode="after")
    def _mdstream_dialect(self) -> Self:
        if self.dialect is not None:
            generation_dialect(self.dialect)
        return self

    @field_validator("stop", mode="before")
    @classmethod
    def _stop_as_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @property
    def _max_resumes(self) -> int:
        return 3 if self.resume is True else int(self.resume)

    def _build_call(
        self, inputs: Mapping[str, Any], stop: list[str] | None, kwargs: dict[str, Any], *, stream: bool
    ) -> Call:
        """One call: the fields, then what the caller says, then `extra_body`."""
        said = {self.aliases.get(name, name): value for name, value in kwargs.items() if name not in _NOT_SENT}
        reject_connection_options(said)
        params = {**self._parameters(), **self.model_kwargs, **inputs, **said}
        if self.model_kwargs.get("parallel_tool_calls", "") is None:  # structured output and agents say it in each call
            del params["parallel_tool_calls"]
        if stop:
            params["stop"] = stop
        params.update(self.extra_body or {})
        if self.tool_call_parser and params.get("tools") and params.get("tool_choice") in (None, "auto"):
            params |= {"tool_choice": "none", "skip_special_tokens": False}
        if stream and not self.stream_usage:
            params.setdefault("stream_options", {"include_usage": False})
        if stream and (params.get("n") or 1) > 1:
            params["n"] = 1
        return self._create_call(params, kwargs.get("extra_headers"), stream=stream)

    def _resolve_dialect(self, params: Mapping[str, Any], *, stream: bool) -> Dialect:
        spoken = super()._resolve_dialect(params, stream=stream)
        if self.tool_call_parser is None and self.reasoning_parser is None:
            return spoken
        return TextParsingDialect(spoken, tool_calls=self.tool_call_parser, reasoning=self.reasoning_parser)

    def _parameters(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in _PARAMETERS}
        return {name: value for name, value in values.items() if value not in (None, "", [])}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Yes, without secrets, headers, signers and clients."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Where `langchain_core.load.load` finds the class: its module."""
        return cls.__module__.split(".")

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The environment variables that stand for secrets in what is serialized."""
        return dict(self.secret_variables)

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """All that an answer depends on, and no secret: the cache tells models apart by it.

        Of headers these are the names, and a keyed digest of the values.
        """
        return {
            "provider": self.provider_name,
            **{name: getattr(self, name) for name in self.address_fields},
            "model_name": self.model,
            "dialect": self.dialect,
            **self._parameters(),
            "parsers": [self.tool_call_parser, self.reasoning_parser],
            "model_kwargs": self.model_kwargs,
            "extra_body": self.extra_body,
            "headers": fingerprint(self.default_headers),
        }
