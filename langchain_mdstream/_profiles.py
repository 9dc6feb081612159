"""Capabilities of the models of OCI Generative AI, as documented by Oracle.

Nothing is known of models on deployments and endpoints before a request, because a name does not determine the context
window that the server was started with.

Source: docs.oracle.com, Generative AI, the page of each model ("Key features"), read 2026-11. A context is prompt and
response together; that Cohere and Meta support tools is stated on the page of tool support.
"""

from typing import Any, cast

from langchain_core.language_models import ModelProfile

#: Capabilities of every model in the table.
_TEXT: dict[str, Any] = {"text_inputs": True, "text_outputs": True}

_TOOLS: dict[str, Any] = {"tool_calling": True, "tool_call_streaming": True}
_SCHEMA: dict[str, Any] = {"structured_output": True}
_IMAGES: dict[str, Any] = {"image_inputs": True}
_AUDIO_VIDEO: dict[str, Any] = {"audio_inputs": True, "video_inputs": True}
_DOCUMENTS: dict[str, Any] = {"pdf_inputs": True}
_REASONING: dict[str, Any] = {"reasoning_output": True}
_LARGE_CONTEXT: dict[str, Any] = {"max_output_tokens": 65_536}


def _profile(window: int, *capabilities: dict[str, Any]) -> dict[str, Any]:
    profile: dict[str, Any] = {"max_input_tokens": window}
    for capability in capabilities:
        profile |= capability
    return profile


#: Profiles by prefix of the model's name; the longest match is used. Undocumented capabilities are omitted.
_OCI_GENERATIVE_AI: dict[str, dict[str, Any]] = {
    "xai.grok-4": _profile(128_000, _IMAGES, _TOOLS, _SCHEMA, _REASONING),
    "xai.grok-4.": {},  # later versions have pages of their own
    "xai.grok-4-fast-reasoning": _profile(2_000_000, _IMAGES, _TOOLS, _SCHEMA, _REASONING),
    "xai.grok-4-fast-non-reasoning": _profile(2_000_000, _IMAGES, _TOOLS, _SCHEMA),
    "xai.grok-4-1-fast-reasoning": _profile(2_000_000, _IMAGES, _TOOLS, _SCHEMA, _REASONING),
    "xai.grok-4-1-fast-non-reasoning": _profile(2_000_000, _IMAGES, _TOOLS, _SCHEMA),
    "xai.grok-code-fast-1": _profile(256_000),
    "xai.grok-3": _profile(131_072, _TOOLS, _SCHEMA),
    "xai.grok-3-mini": _profile(131_072, _TOOLS, _SCHEMA, _REASONING),
    "google.gemini-2.5-pro": _profile(1_048_576, _LARGE_CONTEXT, _IMAGES, _AUDIO_VIDEO, _REASONING),
    "google.gemini-2.5-flash": _profile(1_048_576, _LARGE_CONTEXT, _IMAGES, _AUDIO_VIDEO, _DOCUMENTS, _REASONING),
    "openai.gpt-oss-120b": _profile(128_000, _TOOLS, _REASONING),
    "openai.gpt-oss-20b": _profile(128_000, _TOOLS, _REASONING),
    "meta.llama-4-maverick": _profile(512_000, _IMAGES, _TOOLS),
    "meta.llama-4-scout": _profile(192_000, _IMAGES, _TOOLS),
    "meta.llama-3.3-70b-instruct": _profile(128_000, _TOOLS),
    "meta.llama-3.2-90b-vision-instruct": _profile(128_000, _IMAGES, _TOOLS),
    "meta.llama-3.2-11b-vision-instruct": _profile(128_000, _IMAGES, _TOOLS),
    "meta.llama-3.1-405b-instruct": _profile(128_000, _TOOLS),
    "meta.llama-3.1-70b-instruct": _profile(128_000, _TOOLS),
    "cohere.command-a-03-2025": _profile(256_000, _TOOLS),
    "cohere.command-a-reasoning": _profile(256_000, _TOOLS, _REASONING),
    "cohere.command-a-vision": _profile(128_000, _IMAGES, _TOOLS),
    "cohere.command-r-08-2024": _profile(128_000, _TOOLS),
    "cohere.command-r-plus-08-2024": _profile(128_000, _TOOLS),
}


def known_profile(provider: str, model: str) -> ModelProfile:
    """Return the profile of a model from the table, without a request.

    Args:
        provider: The platform, as in `ls_provider`.
        model: The model's name.

    Example:
        >>> known_profile("oci_genai", "xai.grok-4")["max_input_tokens"]
        128000
    """
    table = _OCI_GENERATIVE_AI if provider == "oci_genai" else {}
    prefix = max((name for name in table if model.lower().startswith(name)), key=len, default="")
    return cast(ModelProfile, {**_TEXT, **table.get(prefix, {})})
