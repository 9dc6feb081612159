"""Detect the dialect of a response payload by its keys, and build the error for an unexpected dialect."""

from collections.abc import Mapping
from typing import Any

from mdstream_core.errors import MalformedStream

#: A key that only one format has, and the dialect's name. The first key that a payload has is used.
_KEYS = (
    ("choices", "openai-chat"),
    ("token", "tgi"),
    ("outputs", "lmi"),
    ("generation", "jumpstart-llama"),
    ("generated_text", "tgi"),
    ("log_prob", "lmi"),
)

#: Dialects that share one decoder: the requests of TGI and LMI differ, their responses do not.
HUGGING_FACE_DIALECTS = frozenset({"tgi", "lmi", "jumpstart-llama"})


def detect_dialect(payload: Any) -> str | None:
    """Return the name of the dialect of a payload; `None` if it is unknown.

    >>> detect_dialect({"choices": [{"index": 0, "text": "a"}]}), detect_dialect([{"generated_text": "a"}])
    ('openai-completions', 'tgi')
    >>> detect_dialect([[0.1, 0.2]])

    """
    while isinstance(payload, list) and payload:
        payload = payload[0]
    if not isinstance(payload, dict):
        return None
    if payload.get("object") == "response" or str(payload.get("type")).startswith("response."):
        return "openai-responses"
    token = payload.get("token")
    if isinstance(token, dict) and "log_prob" in token:
        return "lmi"
    name = next((name for key, name in _KEYS if key in payload), None)
    return "openai-completions" if name == "openai-chat" and _is_completion(payload) else name


def wrong_dialect_error(expected: str, payload: Any, quoted: str) -> MalformedStream:
    """Build the error for a payload of another dialect.

    Args:
        expected: The name of the dialect that was chosen.
        payload: The parsed payload.
        quoted: The payload as text, truncated.
    """
    name = detect_dialect(payload)
    hint = (
        f"set dialect={name!r} or dialect='auto'"
        if name
        else "no known dialect has this shape: check the endpoint's model"
    )
    return MalformedStream(
        f"dialect={expected!r} does not fit: the response was {_describe_shape(payload)}: {quoted} (hint: {hint})",
        code="DialectMismatch",
        raw=quoted,
    )


def _is_completion(payload: Mapping[str, Any]) -> bool:
    choices = payload["choices"]
    first = choices[0] if isinstance(choices, list) and choices else {}
    return "text" in first and not {"delta", "message"} & first.keys() if isinstance(first, dict) else False


def _describe_shape(payload: Any) -> str:
    """Describe the shape of a payload."""
    match payload:
        case dict():
            return f"an object with {', '.join(map(repr, list(payload)[:8])) or 'nothing in it'}"
        case [[int() | float(), *_], *_] | [int() | float(), *_]:
            return "vectors of numbers, which an embedding model returns"
        case [first, *_]:
            return f"a list of {_describe_shape(first)}"
        case _:
            return f"{type(payload).__name__} {payload!r:.40}"
