"""Dialect of `applyGuardrails` of OCI Generative AI: content moderation, PII and prompt injection.

Request parameters: `text`, or `images` (data URIs) with or without a text; `language_code`; `content_moderation` and
`pii`, each a list of names, where an empty list requests all; `prompt_injection`, a boolean; `version`; or
`guardrail_configs`, the object of the service, in place of the three checks.

Sources: `oci` SDK 2.189 (`ApplyGuardrailsDetails`, `GuardrailConfigs`); Oracle's page on guardrails. The SDK declares
the lists of categories and types as required; langchain-oci omits them, and the service then checks all.
"""

from collections.abc import Mapping
from typing import Any

from mdstream_core import _json
from mdstream_core.dialects._dialect import NotResumableMixin
from mdstream_core.dialects._json_document import InvalidDocument, JSONDocumentDecoder
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, GuardrailResults, ProviderData

#: Name of the event that has the response.
GUARDRAILS = "guardrails"


class GuardrailsDecoder(JSONDocumentDecoder):
    """Decoder that returns the response as `ProviderData`: `{"results": {…}, "guardrailVersion": {…}}`."""

    def _is_response(self, document: Any) -> bool:
        return isinstance(document, dict) and "results" in document

    def _read(self, document: Any) -> list[Event]:
        try:
            read_guardrails(document)
        except ValueError as error:
            raise InvalidDocument(str(error)) from None
        return [ProviderData(GUARDRAILS, _json.check_depth(document))]


def read_guardrails(document: Mapping[str, Any]) -> GuardrailResults:
    """Convert a response to results. Raises an exception of `SHAPE_ERRORS` for a response of another shape."""
    version = document.get("guardrailVersion")
    return GuardrailResults.from_dict(document["results"], version and str(version["version"]))


class OCIApplyGuardrails(NotResumableMixin):
    """Dialect of OCI Generative AI's `applyGuardrails`."""

    name = "oci-apply-guardrails"
    route = "/actions/applyGuardrails"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Build the body, without the compartment."""
        text: dict[str, Any] = {"type": "TEXT", "content": params.get("text")}
        if language := params.get("language_code"):
            text["languageCode"] = language
        payload: dict[str, Any] = {"guardrailConfigs": params.get("guardrail_configs") or _build_configs(params)}
        if images := params.get("images"):
            items = [{"type": "IMAGE", "imageUrl": {"url": url}} for url in images]
            payload["multimodalInput"] = [*([text] if params.get("text") else []), *items]
        else:
            payload["input"] = text
        if version := params.get("version"):
            payload["guardrailVersionConfig"] = {"guardrailVersion": version}
        return payload

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Return `None`: a check that the service rejects must not be skipped."""
        return None

    def create_decoder(self) -> GuardrailsDecoder:
        """Create a decoder for one response."""
        return GuardrailsDecoder()


def _build_configs(params: Mapping[str, Any]) -> dict[str, Any]:
    """Build the checks; `None` leaves one out, and an empty list requests every category or type."""
    configs: dict[str, Any] = {}
    if (categories := params.get("content_moderation")) is not None:
        configs["contentModerationConfig"] = {"categories": list(categories)} if categories else {}
    if (types := params.get("pii")) is not None:
        configs["personallyIdentifiableInformationConfig"] = {"types": list(types)} if types else {}
    if params.get("prompt_injection"):
        configs["promptInjectionConfig"] = {}
    return configs
