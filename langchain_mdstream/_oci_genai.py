"""Endpoint, model and compartment fields of OCI Generative AI."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

import mdstream_core
from langchain_mdstream._aliases import OCIGenerativeAIAliases
from langchain_mdstream._connection_fields import ModelKind
from langchain_mdstream._oci import OCIAuthFields
from mdstream_core._lazy import LazyModule
from mdstream_core.options import APIFormat, ModelFamily

if TYPE_CHECKING:
    from mdstream_core import Dialect, Platform
    from mdstream_core.auth import oci
else:
    oci = LazyModule("mdstream_core.auth.oci")


class OCIGenerativeAIMixin(OCIGenerativeAIAliases, OCIAuthFields):
    """Endpoint, model and compartment fields of OCI Generative AI."""

    compartment_id: str | None = None
    """OCID of the compartment that is billed. Required, except with a bearer key on the OpenAI-compatible API."""

    region: str | None = None
    """Region of the service, such as `us-chicago-1`. `None` uses the region of the profile or of the signer."""

    service_endpoint: str | None = None
    """URL of the service, in place of the region's; also accepted as `base_url`."""

    family: ModelFamily | None = None
    """Model family behind an OCID or an imported model: `cohere`, `google`, `meta`, `openai` or `generic`; also
    accepted as `provider`. `None` derives it from the model's name."""

    client: Any = Field(default=None, exclude=True, repr=False)
    """`GenerativeAiInferenceClient` of the `oci` SDK, from which endpoint, signer and timeout are taken."""

    max_sequential_tool_calls: int | None = None
    """Maximum number of tool results after one user message before the model may call no more tools (chat models only).
    `None` sets no limit."""

    tool_result_guidance: bool = False
    """Whether a system message after tool results instructs the model to answer with them (chat models only)."""

    api_format: APIFormat | None = None
    """`apiFormat` of the requests: `GENERIC`, `COHERE` or `COHEREV2`. `None` derives it from the model's name.
    `dialect="openai-chat"` uses the OpenAI-compatible API of the service instead."""

    openai_base: str = "/openai/v1"
    """Base path of the OpenAI-compatible API. The older one is `/20231130/actions/v1`."""

    conversation_store_id: str | None = None
    """Id of the conversation store in which OpenAI's Responses API stores responses (chat models only)."""

    provider_name: ClassVar[str] = "oci_genai"
    default_dialects: ClassVar[Mapping[ModelKind, str]] = {
        "completions": "oci-generate-text-llama",
        "embeddings": "oci-embed-text",
        "rerank": "oci-rerank-text",
        "guardrails": "oci-apply-guardrails",
    }
    address_fields: ClassVar[tuple[str, ...]] = (
        "compartment_id",
        "region",
        "service_endpoint",
        "family",
        "api_format",
        "openai_base",
        "conversation_store_id",
    )
    platform_aliases: ClassVar[Mapping[str, str]] = {"provider": "family", "base_url": "service_endpoint"}

    @classmethod
    def _translate_aliases(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Apply the settings of `client`, and langchain-oci's precedence: fields override `model_kwargs`.

        `streaming=False` is dropped, because langchain-oci does not switch streaming off.
        """
        if cls.model_kind != "chat" and values.pop("use_responses_api", False):
            raise ValueError("use_responses_api is for chat models (hint: remove it)")
        if not values.get("streaming", True):
            del values["streaming"]
        if isinstance(more := values.get("model_kwargs"), Mapping):
            values["model_kwargs"] = {
                name: value for name, value in more.items() if values.get(cls.aliases.get(name, name)) is None
            }
        settings = oci.client_settings(values["client"]) if values.get("client") is not None else {}
        return {**values, **{name: value for name, value in settings.items() if values.get(name) is None}}

    def _build_platform(self) -> "Platform":
        if not self.model and self.model_kind != "guardrails":
            raise ValueError(
                "model is missing (hint: set a model name such as 'xai.grok-4', or the OCID of a dedicated endpoint)"
            )
        return mdstream_core.OCIGenerativeAI(
            self.compartment_id,
            self.model or None,
            self.region or (None if self.service_endpoint else self._signer_region()),
            self.service_endpoint,
            openai_base=self.openai_base,
            conversation_store_id=self.conversation_store_id,
        )

    def _signer_region(self) -> str | None:
        return oci.resolve_region(self.auth, auth_profile=self.auth_profile, auth_file_location=self.auth_file_location)

    def _validate_fields(self) -> None:
        for name, kinds in _FIELDS_BY_KIND.items():
            if self.model_kind not in kinds and getattr(self, name):
                raise ValueError(f"{name} is not supported for {self.model_kind} (hint: remove it)")
        if self.family and self.dialect:
            raise ValueError("family and dialect both set the API format (hint: remove one of them)")
        mdstream_core.oci_dialect_name(self.model, self.api_format, self.family)  # raises for unknown names
        if self.max_sequential_tool_calls is not None and self.max_sequential_tool_calls < 1:
            raise ValueError("max_sequential_tool_calls must be at least 1 (hint: None sets no limit)")
        resolved = mdstream_core.dialect(self.dialect or self._default_dialect(self.model))
        if self.tool_result_guidance and resolved.name == "oci-cohere":
            raise ValueError(
                "tool_result_guidance: apiFormat COHERE has no message after tool results "
                "(hint: use api_format='COHEREV2', or put the instruction into the prompt)"
            )
        self._build_platform().wrap_payload(resolved.route, {})  # raises for a missing compartment

    def _default_dialect(self, model: str) -> str:
        if self.model_kind == "chat":
            return mdstream_core.oci_dialect_name(model, self.api_format, self.family)
        family = self.family or ("cohere" if model.lower().startswith("cohere.") else "")
        if self.model_kind == "completions" and family.lower() == "cohere":
            return "oci-generate-text-cohere"
        return self.default_dialects[self.model_kind]

    def _resolve_dialect(self, params: Mapping[str, Any], *, stream: bool) -> "Dialect":
        """Use `COHEREV2` for requests with images, which `COHERE` does not support."""
        resolved = super()._resolve_dialect(params, stream=stream)
        is_default = self.dialect is None and self.api_format is None
        needs_v2 = is_default and resolved.name == "oci-cohere" and _has_image(params)
        return mdstream_core.dialect("oci-cohere-v2") if needs_v2 else resolved

    def _adapt_params(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add the limit on tool calls and the guidance on tool results to requests with tools."""
        if not params.get("tools"):
            return params
        results = _count_tool_results(params["messages"])
        limit = self.max_sequential_tool_calls
        if limit is not None and results >= limit and not params.get("tool_choice"):
            params = {**params, "tool_choice": "none"}
        if results and self.tool_result_guidance:
            params = {**params, "messages": [*params["messages"], {"role": "system", "content": _GUIDANCE}]}
        return params


#: Guardrails use no model.
_MODEL_KINDS: tuple[ModelKind, ...] = ("chat", "completions", "embeddings", "rerank")

#: The kinds of model that a field applies to; for others it is rejected.
_FIELDS_BY_KIND: Mapping[str, tuple[ModelKind, ...]] = {
    "family": ("chat", "completions"),
    "max_sequential_tool_calls": ("chat",),
    "tool_result_guidance": ("chat",),
    "conversation_store_id": ("chat",),
    "api_format": _MODEL_KINDS,
    "dialect": _MODEL_KINDS,
    "extra_body": _MODEL_KINDS,
    "model": _MODEL_KINDS,
    "model_kwargs": _MODEL_KINDS,
}

_GUIDANCE = "The results of the tools are above. Answer the user with them, in plain words; call no tool without need."


def _has_image(params: Mapping[str, Any]) -> bool:
    """Whether a message of the conversation has an image."""
    contents = [message.get("content") for message in params.get("messages") or ()]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return any(part.get("type") == "image_url" for part in parts)


def _count_tool_results(messages: Sequence[Mapping[str, Any]]) -> int:
    """Number of tool results since the last user message."""
    roles = [message["role"] for message in reversed(messages)]
    return roles[: roles.index("user") if "user" in roles else len(roles)].count("tool")
