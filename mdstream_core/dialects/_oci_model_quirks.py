"""Differences between the model families of OCI Generative AI.

Sources: oracle/langchain-oracle 0.4 (`providers/`, `common/param_compat.py`), BerriAI/litellm (`llms/oci`), `oci` SDK
2.189.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mdstream_core._choices import find_choice
from mdstream_core.dialects._parameter_fallback import OCI, relax_payload
from mdstream_core.errors import MDStreamError


@dataclass(frozen=True, slots=True)
class ModelQuirks:
    """Quirks of one model family.

    Attributes:
        max_tokens_name: The name of the limit of output tokens, for example `maxCompletionTokens`.
        rejected_keywords: JSON Schema keywords that the models reject in the parameters of a tool.
        sequential_tool_calls: Whether each tool call in the history must be followed by its own result.
    """

    max_tokens_name: str = "maxTokens"
    rejected_keywords: frozenset[str] = frozenset()
    sequential_tool_calls: bool = False


_FAMILIES: dict[str, ModelQuirks] = {
    "openai.": ModelQuirks(max_tokens_name="maxCompletionTokens"),
    "google.": ModelQuirks(
        rejected_keywords=frozenset({"exclusiveMinimum", "exclusiveMaximum"}), sequential_tool_calls=True
    ),
}
_NO_QUIRKS = ModelQuirks()

#: Dialects by the prefix of the model name. The OCID of a model or an endpoint has no such prefix.
_DIALECTS_BY_PREFIX: tuple[tuple[str, str], ...] = (
    ("cohere.command-a-vision", "oci-cohere-v2"),
    ("cohere.command-a-reasoning", "oci-cohere-v2"),
    ("cohere.", "oci-cohere"),
)

_DIALECTS_BY_API_FORMAT = {"GENERIC": "oci-generic", "COHERE": "oci-cohere", "COHEREV2": "oci-cohere-v2"}

#: The values of `family`, for models whose name does not show their family, and their dialects.
FAMILIES = {
    "cohere": "oci-cohere",
    "google": "oci-generic-google",
    "openai": "oci-generic-openai",
    "meta": "oci-generic",
    "generic": "oci-generic",
}


def find_quirks(model: Any, family: str = "") -> ModelQuirks:
    """Return the quirks of a model, or of a family.

    >>> find_quirks("openai.gpt-5").max_tokens_name, find_quirks("meta.llama-3.3-70b-instruct").max_tokens_name
    ('maxCompletionTokens', 'maxTokens')
    >>> find_quirks("mine", "openai").max_tokens_name
    'maxCompletionTokens'
    """
    name = f"{family}." if family else str(model or "").lower()
    return next((quirks for prefix, quirks in _FAMILIES.items() if name.startswith(prefix)), _NO_QUIRKS)


def oci_dialect_name(model: str, api_format: str | None = None, family: str | None = None) -> str:
    """Return the name of a model's native dialect: by `api_format`, else by `family`, else by the model name.

    If both `api_format` and a matching `family` are given, the family's more specific dialect is returned.

    Args:
        model: The model name or OCID, for example `xai.grok-4`.
        api_format: `GENERIC`, `COHERE` or `COHEREV2`; in any case.
        family: `cohere`, `google`, `openai`, `meta` or `generic`.

    Raises:
        ValueError: `api_format` or `family` is unknown.

    >>> oci_dialect_name("cohere.command-a-03-2025"), oci_dialect_name("xai.grok-4")
    ('oci-cohere', 'oci-generic')
    >>> oci_dialect_name("ocid1.generativeaiendpoint.oc1..x", "COHEREV2")
    'oci-cohere-v2'
    >>> oci_dialect_name("ocid1.generativeaiendpoint.oc1..x", family="google")
    'oci-generic-google'
    >>> oci_dialect_name("mine", "GENERIC", "openai"), oci_dialect_name("mine", "COHERE", "openai")
    ('oci-generic-openai', 'oci-cohere')
    """
    by_format = next((name for prefix, name in _DIALECTS_BY_PREFIX if model.lower().startswith(prefix)), "oci-generic")
    if api_format is not None:
        by_format = _DIALECTS_BY_API_FORMAT[find_choice("api_format", api_format, _DIALECTS_BY_API_FORMAT)]
    if family is None:
        return by_format
    by_family = FAMILIES[find_choice("family", family, FAMILIES)]
    if api_format is not None and not by_family.startswith(by_format):
        return by_format
    return by_format if by_format.startswith(by_family) else by_family  # COHEREV2 is Cohere's too


def relax_oci_payload(payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
    """Drop or rename the parameter that the model rejected, with a warning; `None` if it must not be changed."""
    return relax_payload(payload, error, OCI)
