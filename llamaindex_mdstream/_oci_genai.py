"""Endpoint, model and compartment fields of OCI Generative AI."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

import mdstream_core
from llamaindex_mdstream._oci import OCIAuthFields
from llamaindex_mdstream._platform_fields import ModelKind, secret_field
from mdstream_core._lazy import LazyModule
from mdstream_core.options import APIFormat

if TYPE_CHECKING:
    from mdstream_core import OCIGenerativeAI
    from mdstream_core.auth import oci
else:
    oci = LazyModule("mdstream_core.auth.oci")


class OCIGenerativeAIMixin(OCIAuthFields):
    """Region, compartment and API format of OCI Generative AI."""

    compartment_id: str | None = Field(
        default=None,
        description="OCID of the compartment that is billed, `ocid1.compartment.oc1..…`. Optional only for an LLM with "
        '`dialect="openai-chat"` or `"openai-completions"`.',
    )
    region: str | None = Field(
        default=None,
        description="Region of the service, such as `us-chicago-1`. Default: the region of the signer or the profile.",
    )
    service_endpoint: str | None = Field(
        default=None, description="URL of the service, instead of the region's public endpoint."
    )
    api_format: APIFormat | None = Field(
        default=None,
        description="API format of chat requests: `GENERIC`, `COHERE` or `COHEREV2`. Default: derived from the model's "
        "name; needed for endpoint OCIDs.",
    )
    openai_base: str = Field(
        default="/openai/v1", description="Base path of the service's OpenAI-compatible API, for `openai-…` dialects."
    )
    client: Any = secret_field(
        "An `oci` client `GenerativeAiInferenceClient`: the source of endpoint, signer and timeout. Fields that are "
        "set take precedence."
    )

    default_dialects: ClassVar[Mapping[ModelKind, str]] = {"embeddings": "oci-embed-text", "rerank": "oci-rerank-text"}

    _aliases: ClassVar[dict[str, str]] = {"context_size": "context_window", "base_url": "service_endpoint"}

    def _build_platform(self) -> "OCIGenerativeAI":
        return mdstream_core.OCIGenerativeAI(
            self.compartment_id,
            region=self.region or (None if self.service_endpoint else self._signer_region()),
            service_endpoint=self.service_endpoint,
            openai_base=self.openai_base,
        )

    def _signer_region(self) -> str | None:
        return oci.resolve_region(self.auth, auth_profile=self.auth_profile, auth_file_location=self.auth_file_location)

    @classmethod
    def _translate_aliases(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Fill fields that are not set from the settings of `client`."""
        fields = super()._translate_aliases(values)
        settings = oci.client_settings(fields["client"]) if fields.get("client") is not None else {}
        return {**fields, **{name: value for name, value in settings.items() if fields.get(name) is None}}
