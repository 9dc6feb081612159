"""What the model families of OCI Generative AI do differently: a table of facts.

Sources: oracle/langchain-oracle 0.4 (`providers/`, `common/param_compat.py`), BerriAI/litellm (`llms/oci`), `oci` SDK
2.189.
"""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mdstream_core import _json
from mdstream_core.errors import InvalidRequest, MDStreamError


@dataclass(frozen=True, slots=True)
class Quirks:
    """One family.

    Attributes:
        limit: What it calls the most tokens that it may say.
        refused: Words of JSON Schema that it does not take in a tool's parameters.
        one_call_each: Whether each call in the history must be followed by its own result before the next call.
    """

    limit: str = "maxTokens"
    refused: frozenset[str] = frozenset()
    one_call_each: bool = False


_FAMILIES: dict[str, Quirks] = {
    "openai.": Quirks(limit="maxCompletionTokens"),
    "google.": Quirks(refused=frozenset({"exclusiveMinimum", "exclusiveMaximum"}), one_call_each=True),
}
_PLAIN = Quirks()

#: Formats by the beginning of a model's name; a model's or an endpoint's OCID does not say what it is.
_FORMATS: tuple[tuple[str, str], ...] = (
    ("cohere.command-a-vision", "oci-cohere-v2"),
    ("cohere.command-a-reasoning", "oci-cohere-v2"),
    ("cohere.", "oci-cohere"),
)

_API_FORMATS = {"GENERIC": "oci-generic", "COHERE": "oci-cohere", "COHEREV2": "oci-cohere-v2"}

#: What may be left out when a model refuses it: the answer is then drawn or reported in another way, not another one.
_OPTIONAL = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
    "seed": "seed",
    "parallel_tool_calls": "isParallelToolCalls",
    "stream_options": "streamOptions",
}
_RENAMED = {"max_tokens": ("maxTokens", "maxCompletionTokens")}
_REFUSED = re.compile(
    r"unsupported|not supported|does not support|unknown|unrecognized|not permitted|not allowed", re.IGNORECASE
)
_NAMED = re.compile(r"['\"`]([A-Za-z]+(?:_[a-z]+)*)['\"`]")


#: The families whose models may stand behind a name that does not say so, and the dialect of each.
FAMILIES = {
    "cohere": "oci-cohere",
    "google": "oci-generic-google",
    "openai": "oci-generic-openai",
    "meta": "oci-generic",
    "generic": "oci-generic",
}


def quirks(model: Any, family: str = "") -> Quirks:
    """The facts about a model, or about a family.

    >>> quirks("openai.gpt-5").limit, quirks("meta.llama-3.3-70b-instruct").limit, quirks("mine", "openai").limit
    ('maxCompletionTokens', 'maxTokens', 'maxCompletionTokens')
    """
    name = f"{family}." if family else str(model or "").lower()
    return next((facts for prefix, facts in _FAMILIES.items() if name.startswith(prefix)), _PLAIN)


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
        said = _named_in(_API_FORMATS, "api_format", api_format, api_format.upper())
    if family is None:
        return said
    named = _named_in(FAMILIES, "family", family, family.lower())
    if api_format is not None and not named.startswith(said):
        return said
    return said if said.startswith(named) else named  # COHEREV2 is Cohere's too


def _named_in(table: Mapping[str, str], field: str, given: str, name: str) -> str:
    try:
        return table[name]
    except KeyError:
        raise ValueError(f"{field}={given!r} is unknown; there are: {', '.join(table)}") from None


def simpler(body: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
    """The body without the one parameter that `error` says this model does not take, if it can be spared. Warns."""
    if not isinstance(error, InvalidRequest):
        return None
    refused, told = _what_was_refused(error)
    if not _REFUSED.search(told):
        return None
    name = re.sub("[A-Z]", lambda upper: f"_{upper[0].lower()}", refused).removeprefix("is_")
    old, new = _RENAMED.get(name, (_OPTIONAL.get(name, name), ""))
    if old not in body or (not new and old not in _OPTIONAL.values()):
        return None
    then = f"it is asked again with {new}" if new else "it is asked again without it"
    warnings.warn(f"the model refuses {old}={body[old]!r} ({error}): {then}", RuntimeWarning, stacklevel=2)
    return {(new if key == old else key): value for key, value in body.items() if key != old or new}


def _what_was_refused(error: MDStreamError) -> tuple[str, str]:
    """The parameter's name, and all that was said about it."""
    inner = _innermost(error.raw or "")
    told = f"{inner.get('code') or ''} {inner.get('message') or ''} {error.code or ''} {error}"
    if isinstance(inner.get("param"), str):
        return inner["param"], told
    known = _OPTIONAL.keys() | set(_OPTIONAL.values()) | {"max_tokens", "maxTokens"}
    return next((name for name in _NAMED.findall(told) if name in known), ""), told


def _innermost(text: str) -> dict[str, Any]:
    """The error object at the bottom of `{"code", "message": "{\\"error\\": {…}}"}`."""
    try:
        found = _json.loads(text)
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    error = found.get("error")
    inner: dict[str, Any] = error if isinstance(error, dict) else found
    message = inner.get("message")
    nested = _innermost(message) if isinstance(message, str) and message.lstrip().startswith("{") else {}
    return nested or inner
