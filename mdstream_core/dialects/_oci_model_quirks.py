"""What the model families of OCI Generative AI do differently: a table of facts.

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
    """One family.

    Attributes:
        limit: What it calls the most tokens that it may say.
        rejected: Words of JSON Schema that it does not take in a tool's parameters.
        one_call_each: Whether each call in the history must be followed by its own result before the next call.
    """

    limit: str = "maxTokens"
    rejected: frozenset[str] = frozenset()
    one_call_each: bool = False


_FAMILIES: dict[str, ModelQuirks] = {
    "openai.": ModelQuirks(limit="maxCompletionTokens"),
    "google.": ModelQuirks(rejected=frozenset({"exclusiveMinimum", "exclusiveMaximum"}), one_call_each=True),
}
_NO_QUIRKS = ModelQuirks()

#: Formats by the beginning of a model's name; a model's or an endpoint's OCID does not say what it is.
_FORMATS: tuple[tuple[str, str], ...] = (
    ("cohere.command-a-vision", "oci-cohere-v2"),
    ("cohere.command-a-reasoning", "oci-cohere-v2"),
    ("cohere.", "oci-cohere"),
)

_API_FORMATS = {"GENERIC": "oci-generic", "COHERE": "oci-cohere", "COHEREV2": "oci-cohere-v2"}

#: The families whose models may stand behind a name that does not say so, and the dialect of each.
FAMILIES = {
    "cohere": "oci-cohere",
    "google": "oci-generic-google",
    "openai": "oci-generic-openai",
    "meta": "oci-generic",
    "generic": "oci-generic",
}


def find_quirks(model: Any, family: str = "") -> ModelQuirks:
    """The facts about a model, or about a family.

    >>> find_quirks("openai.gpt-5").limit, find_quirks("meta.llama-3.3-70b-instruct").limit, find_quirks("mine",
    "openai").limit
    ('maxCompletionTokens', 'maxTokens', 'maxCompletionTokens')
    """
    name = f"{family}." if family else str(model or "").lower()
    return next((facts for prefix, facts in _FAMILIES.items() if name.startswith(prefix)), _NO_QUIRKS)


def oci_dialect_name(model: str, api_format: str | None = None, family: str | None = None) -> str:
    """The dialect in which a model is asked natively: of `api_format`, else of its family, else of its name.

    A family that fits the format says more of it.

    >>> oci_dialect_name("cohere.command-a-03-2025"), oci_dialect_name("xai.grok-4")
    ('oci-cohere', 'oci-generic')
    >>> oci_dialect_name("ocid1.generativeaiendpoint.oc1..x", "COHEREV2")
    'oci-cohere-v2'
    >>> oci_dialect_name("ocid1.generativeaiendpoint.oc1..x", family="google")
    'oci-generic-google'
    >>> oci_dialect_name("mine", "GENERIC", "openai"), oci_dialect_name("mine", "COHERE", "openai")
    ('oci-generic-openai', 'oci-cohere')
    """
    said = next((name for prefix, name in _FORMATS if model.lower().startswith(prefix)), "oci-generic")
    if api_format is not None:
        said = _API_FORMATS[find_choice("api_format", api_format, _API_FORMATS)]
    if family is None:
        return said
    named = FAMILIES[find_choice("family", family, FAMILIES)]
    if api_format is not None and not named.startswith(said):
        return said
    return said if said.startswith(named) else named  # COHEREV2 is Cohere's too


def relax_oci_payload(payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
    """The body without the one parameter that `error` says this model does not take, if it can be spared. Warns."""
    return relax_payload(payload, error, OCI)
