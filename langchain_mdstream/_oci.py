"""Where models are on Oracle Cloud Infrastructure, and who signs: the fields that say it."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from langchain_mdstream._aliases import OCIGenerativeAIAliases
from langchain_mdstream._connection_fields import ConnectionFields, ModelKind, reveal_secret
from mdstream_core import Dialect, OCIGenerativeAI, OCIModelDeployment, Platform, dialect, oci_dialect_name
from mdstream_core.auth import oci
from mdstream_core.options import APIFormat, ModelFamily, OCIAuthType


class _OCIAuthFields(ConnectionFields):
    """Who signs for Oracle's services."""

    auth_type: OCIAuthType | None = None
    """How requests are authenticated; by default found out from the other fields and the environment."""

    auth_profile: str | None = None
    """The profile of the OCI configuration file."""

    auth_file_location: str | None = None
    """The OCI configuration file; `~/.oci/config` where it is `None`."""

    def _build_auth(self) -> Any:
        return oci.resolve_signer(
            self.auth,
            auth_type=self.auth_type,
            auth_profile=self.auth_profile,
            auth_file_location=self.auth_file_location,
            api_key=reveal_secret(self.api_key),
        )


class OCIModelDeploymentMixin(_OCIAuthFields):
    """Where an OCI Data Science model deployment is."""

    model: str = "odsc-llm"
    """The served model's name; also accepted as `model_name`. AQUA's containers call it `odsc-llm`."""

    endpoint: str = Field(default_factory=lambda: os.environ.get("OCI_LLM_ENDPOINT", ""))
    """The deployment's URL with or without `/predict…`, or its OCID; `OCI_LLM_ENDPOINT` where it is not given."""

    region: str | None = None
    """For a bare OCID whose own region is not meant."""

    route: str | None = None
    """The container's path; by default the one of the dialect, `""` for the deployment's own setting."""

    provider_name: ClassVar[str] = "oci_model_deployment"
    address_fields: ClassVar[tuple[str, ...]] = ("endpoint", "region", "route")

    def _build_platform(self) -> Platform:
        if not self.endpoint:
            raise ValueError(
                "endpoint is missing: give endpoint='https://modeldeployment.<region>.oci.customer-oci.com/<ocid>' "
                "or set OCI_LLM_ENDPOINT"
            )
        return OCIModelDeployment(self.endpoint, self.region, self.route)


class OCIGenerativeAIMixin(OCIGenerativeAIAliases, _OCIAuthFields):
    """Which model of OCI Generative AI, in which region and compartment."""

    compartment_id: str | None = None
    """OCID of the compartment that pays; needed but for bearer keys on the OpenAI-compatible base."""

    region: str | None = None
    """Such as `us-chicago-1`; by default the one of the profile, or of who signs."""

    service_endpoint: str | None = None
    """The service's URL instead of the region's; also accepted as `base_url`."""

    family: ModelFamily | None = None
    """Whose model answers under an OCID or a name of its own: `cohere`, `google`, `meta`, `openai` or `generic`; also
    accepted as `provider`. By default what the model's name says."""

    client: Any = Field(default=None, exclude=True, repr=False)
    """An `oci` client `GenerativeAiInferenceClient` as the source of the address, the signer and the timeout."""

    max_sequential_tool_calls: int | None = None
    """Of a chat: after how many tool results to one question the model may call no more; `None` is no limit."""

    tool_result_guidance: bool = False
    """Of a chat: whether the model is told, behind tool results, to answer with them."""

    api_format: APIFormat | None = None
    """`GENERIC`, `COHERE` or `COHEREV2`; by default what the model's name says. With `dialect="openai-chat"` the
    service's OpenAI-compatible base is asked instead."""

    openai_base: str = "/openai/v1"
    """Where OpenAI's requests go; the older base is `/20231130/actions/v1`."""

    provider_name: ClassVar[str] = "oci_generative_ai"
    default_dialects: ClassVar[Mapping[ModelKind, str]] = {
        "completions": "oci-generate-text-llama",
        "embeddings": "oci-embed-text",
        "rerank": "oci-rerank-text",
    }
    address_fields: ClassVar[tuple[str, ...]] = (
        "compartment_id",
        "region",
        "service_endpoint",
        "family",
        "api_format",
        "openai_base",
    )
    platform_aliases: ClassVar[Mapping[str, str]] = {"provider": "family", "base_url": "service_endpoint"}

    @classmethod
    def _translate_aliases(cls, values: dict[str, Any]) -> dict[str, Any]:
        """As in langchain-oci, fields go before `model_kwargs`, and streaming is never switched off."""
        if values.pop("use_responses_api", False):
            raise ValueError("use_responses_api: the Responses API is not spoken; dialect='openai-chat' is nearest")
        if not values.get("streaming", True):
            del values["streaming"]
        if isinstance(more := values.get("model_kwargs"), Mapping):
            kept = {name: value for name, value in more.items() if values.get(cls.aliases.get(name, name)) is None}
            values["model_kwargs"] = kept
        told = oci.client_settings(values["client"]) if values.get("client") is not None else {}
        return {**values, **{name: value for name, value in told.items() if values.get(name) is None}}

    def _build_platform(self) -> Platform:
        if not self.model:
            raise ValueError(
                "model is missing: give a model's name such as 'xai.grok-4', or a dedicated endpoint's OCID"
            )
        return OCIGenerativeAI(
            self.compartment_id,
            self.model,
            self.region or (None if self.service_endpoint else self._signer_region()),
            self.service_endpoint,
            openai_base=self.openai_base,
        )

    def _signer_region(self) -> str | None:
        return oci.resolve_region(self.auth, auth_profile=self.auth_profile, auth_file_location=self.auth_file_location)

    def _validate_fields(self) -> None:
        for name, kinds in _FIELDS_BY_KIND.items():
            if self.model_kind not in kinds and getattr(self, name):
                raise ValueError(f"{name}: there is nothing like it in {self.model_kind}")
        if self.family and self.dialect:
            raise ValueError("family and dialect both say what is spoken: drop one of them")
        oci_dialect_name(self.model, self.api_format, self.family)  # tells unknown names
        if self.max_sequential_tool_calls is not None and self.max_sequential_tool_calls < 1:
            raise ValueError("max_sequential_tool_calls must be 1 or more, or None for no limit")
        spoken = dialect(self.dialect or self._default_dialect(self.model))
        if self.tool_result_guidance and spoken.name == "oci-cohere":
            raise ValueError("tool_result_guidance: apiFormat COHERE ends with the results; use COHEREV2, or a prompt")
        self._build_platform().wrap_payload(spoken.route, {})  # tells a missing compartment

    def _default_dialect(self, model: str) -> str:
        if self.model_kind == "chat":
            return oci_dialect_name(model, self.api_format, self.family)
        family = self.family or ("cohere" if model.lower().startswith("cohere.") else "")
        if self.model_kind == "completions" and family.lower() == "cohere":
            return "oci-generate-text-cohere"
        return self.default_dialects[self.model_kind]

    def _resolve_dialect(self, params: Mapping[str, Any], *, stream: bool) -> Dialect:
        """Of Cohere's formats, a question with an image needs the second."""
        spoken = super()._resolve_dialect(params, stream=stream)
        sees = self.dialect is None and self.api_format is None and spoken.name == "oci-cohere" and _has_image(params)
        return dialect("oci-cohere-v2") if sees else spoken

    def _adapt_params(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """With the limit of tool calls and the word about their results, where tools can be called."""
        if not params.get("tools"):
            return params
        results = _count_tool_results(params["messages"])
        most = self.max_sequential_tool_calls
        if most is not None and results >= most and not params.get("tool_choice"):
            params = {**params, "tool_choice": "none"}
        if results and self.tool_result_guidance:
            params = {**params, "messages": [*params["messages"], {"role": "system", "content": _GUIDANCE}]}
        return params


#: Which kinds of model a field is for; elsewhere it would do nothing.
_FIELDS_BY_KIND: Mapping[str, tuple[ModelKind, ...]] = {
    "family": ("chat", "completions"),
    "max_sequential_tool_calls": ("chat",),
    "tool_result_guidance": ("chat",),
}

_GUIDANCE = "The results of the tools are above. Answer the user with them, in plain words; call no tool without need."


def _has_image(params: Mapping[str, Any]) -> bool:
    """Whether there is an image in the conversation."""
    contents = [message.get("content") for message in params.get("messages") or ()]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return any(part.get("type") == "image_url" for part in parts)


def _count_tool_results(messages: Sequence[Mapping[str, Any]]) -> int:
    """How many tools have answered since the user spoke."""
    roles = [message["role"] for message in reversed(messages)]
    return roles[: roles.index("user") if "user" in roles else len(roles)].count("tool")
