"""Finish reasons: values that end a choice, values that mean "not finished yet", and values that report a failure.

Sources: OpenAI's API reference; huggingface/text-generation-inference; deepjavalibrary/djl-serving; `oci` SDK 2.189;
Mistral's, Anthropic's and Google's API references, whose values gateways pass through; PowerShell/AIShell#350
(KoboldCpp sends `"null"` in every chunk).
"""

from collections.abc import Mapping
from typing import Any

from mdstream_core import _json

#: Values that serializers write for "not finished yet".
_NOT_YET = frozenset({"", "null", "none", "nil", "undefined", "nan", "finish_reason_unspecified", "unspecified"})

#: Values for a limit that was reached, of the output or of the context: OpenAI calls both `length`.
_LIMITS = (
    *("length", "max_tokens", "max_new_tokens", "max_output_tokens", "max_completion_tokens", "max_length"),
    *("model_length", "length_limit", "output_limit", "token_limit", "token_limit_reached", "max_tokens_reached"),
    *("context_length", "context_limit", "context_length_exceeded", "context_window_exceeded"),
    *("model_context_length_exceeded", "model_context_window_exceeded", "max_context_length_exceeded"),
)

#: Known finish reasons in lower case, and OpenAI's names for them.
_REASON_NAMES = {
    **dict.fromkeys(("stop", "complete", "eos", "eos_token", "end_turn", "stop_sequence"), "stop"),
    **dict.fromkeys(_LIMITS, "length"),
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use", "function_call"), "tool_calls"),
    **dict.fromkeys(("content_filter", "safety"), "content_filter"),
}

#: Known finish reasons in lower case that have no OpenAI name and stay unchanged (Bedrock, Google, GLM).
_UNCHANGED_REASONS = frozenset(
    {"blocklist", "content_filtered", "guardrail_intervened", "prohibited_content", "recitation", "refusal"}
    | {"sensitive", "spii"}
)
_KNOWN_REASONS = frozenset(_REASON_NAMES.values()) | _UNCHANGED_REASONS

#: Values in lower case that report a failure of the server (SGLang, vLLM, LMI, DeepSeek, gateways).
FAILURE_REASONS = frozenset(
    {"abort", "aborted", "cancelled", "canceled", "error", "insufficient_system_resource"}
    | {"malformed_function_call", "network_error", "timeout"}
)

#: The fields of a finish reason that is an object.
_FIELDS = ("type", "reason", "finish_reason", "finishReason", "name", "value")


def read_finish_reason(value: Any) -> str:
    """Return the finish reason in OpenAI's spelling; unchanged if it is unknown; empty for "not finished yet".

    >>> read_finish_reason("eos_token"), read_finish_reason("null"), read_finish_reason({"type": "STOP"})
    ('stop', '', 'stop')
    >>> read_finish_reason("Repetition"), read_finish_reason("model_context_window_exceeded")
    ('Repetition', 'length')
    """
    if type(value) is str and (known := _REASON_NAMES.get(value)) is not None:  # as almost always
        return known
    word = _word(value).strip()
    name = word.lower()
    return "" if name in _NOT_YET else _REASON_NAMES.get(name, word)


def is_known(reason: str) -> bool:
    """Return whether a reason ends a choice by itself. An unknown one must be confirmed."""
    return reason.lower() in _KNOWN_REASONS


def _word(value: Any) -> str:
    if isinstance(value, list | tuple) and value:
        value = value[0]
    if isinstance(value, Mapping):
        return next((_word(value[name]) for name in _FIELDS if value.get(name)), _object(value))
    return value if isinstance(value, str) else str(value or "")


def _object(value: Mapping[str, Any]) -> str:
    """Return an object without a known field as JSON; an empty string if all its values are empty."""
    return _json.dumps(value).decode("utf-8", "replace") if any(value.values()) else ""
