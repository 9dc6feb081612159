"""Finish reasons: the words that end an answer, those that say "not yet", and those that report a failure.

Sources: OpenAI's API reference; huggingface/text-generation-inference; deepjavalibrary/djl-serving; `oci` SDK 2.189;
Mistral's, Anthropic's and Google's API references, whose words gateways pass on; PowerShell/AIShell#350 (KoboldCpp
writes `"null"` into every chunk).
"""

from collections.abc import Mapping
from typing import Any

from mdstream_core import _json

#: What serializers make of "no reason yet".
_NOT_YET = frozenset({"", "null", "none", "nil", "undefined", "nan", "finish_reason_unspecified", "unspecified"})

#: Words of a limit that was reached, be it of the answer or of the model's context: OpenAI calls both `length`.
_LIMITS = (
    *("length", "max_tokens", "max_new_tokens", "max_output_tokens", "max_completion_tokens", "max_length"),
    *("model_length", "length_limit", "output_limit", "token_limit", "token_limit_reached", "max_tokens_reached"),
    *("context_length", "context_limit", "context_length_exceeded", "context_window_exceeded"),
    *("model_context_length_exceeded", "model_context_window_exceeded", "max_context_length_exceeded"),
)

#: The known endings, in lower case, and their names at OpenAI.
_REASON_NAMES = {
    **dict.fromkeys(("stop", "complete", "eos", "eos_token", "end_turn", "stop_sequence"), "stop"),
    **dict.fromkeys(_LIMITS, "length"),
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use", "function_call"), "tool_calls"),
    **dict.fromkeys(("content_filter", "safety"), "content_filter"),
}

#: Known endings, in lower case, that have no name at OpenAI and are kept as written (Bedrock, Google, GLM).
_UNCHANGED_REASONS = frozenset(
    {"blocklist", "content_filtered", "guardrail_intervened", "prohibited_content", "recitation", "refusal"}
    | {"sensitive", "spii"}
)
_KNOWN_REASONS = frozenset(_REASON_NAMES.values()) | _UNCHANGED_REASONS

#: Words, in lower case, that say that the server gave up (SGLang, vLLM, LMI, DeepSeek, gateways).
FAILURE_REASONS = frozenset(
    {"abort", "aborted", "cancelled", "canceled", "error", "insufficient_system_resource"}
    | {"malformed_function_call", "network_error", "timeout"}
)

#: Where the word stands when a reason is an object.
_FIELDS = ("type", "reason", "finish_reason", "finishReason", "name", "value")


def read_finish_reason(value: Any) -> str:
    """The reason in OpenAI's spelling, or as the server wrote it where the word is unknown; empty for "not yet".

    >>> read_finish_reason("eos_token"), read_finish_reason("null"), read_finish_reason({"type": "STOP"})
    ('stop', '', 'stop')
    >>> read_finish_reason("Repetition"), read_finish_reason("model_context_window_exceeded")
    ('Repetition', 'length')
    """
    word = _word(value).strip()
    name = word.lower()
    return "" if name in _NOT_YET else _REASON_NAMES.get(name, word)


def is_known(reason: str) -> bool:
    """Whether a reason ends an answer by itself. An unknown word needs something that confirms it."""
    return reason.lower() in _KNOWN_REASONS


def _word(value: Any) -> str:
    if isinstance(value, list | tuple) and value:
        value = value[0]
    if isinstance(value, Mapping):
        return next((_word(value[name]) for name in _FIELDS if value.get(name)), _object(value))
    return value if isinstance(value, str) else str(value or "")


def _object(value: Mapping[str, Any]) -> str:
    """An object without a known field: empty, or full of nulls, it says nothing."""
    return _json.dumps(value).decode("utf-8", "replace") if any(value.values()) else ""
