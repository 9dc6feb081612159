"""Which dialect a payload is written in, told by its keys; and the error that says so where another was expected."""

from collections.abc import Mapping
from typing import Any

from mdstream_core.errors import MalformedStream

#: A key that only one format has, and the dialect's name. The first that is there counts.
_KEYS = (
    ("choices", "openai-chat"),
    ("token", "tgi"),
    ("outputs", "lmi"),
    ("generation", "jumpstart-llama"),
    ("generated_text", "tgi"),
    ("log_prob", "lmi"),
)

#: Dialects that have one decoder: TGI's and LMI's questions differ, their answers are read alike.
HUGGING_FACE_DIALECTS = frozenset({"tgi", "lmi", "jumpstart-llama"})


def detect_dialect(payload: Any) -> str | None:
    """The name of the dialect that would fit.

    >>> detect_dialect({"choices": [{"index": 0, "text": "a"}]}), detect_dialect([{"generated_text": "a"}]),
    detect_dialect([[0.1, 0.2]])
    ('openai-completions', 'tgi', None)
    """
    while isinstance(payload, list) and payload:
        payload = payload[0]
    if not isinstance(payload, dict):
        return None
    token = payload.get("token")
    if isinstance(token, dict) and "log_prob" in token:
        return "lmi"
    name = next((name for mark, name in _KEYS if mark in payload), None)
    return "openai-completions" if name == "openai-chat" and _is_completion(payload) else name


def wrong_dialect_error(expected: str, payload: Any, shown: str) -> MalformedStream:
    """What to raise where a payload is not what the dialect `expected` writes.

    Args:
        expected: The dialect that was chosen.
        payload: What came.
        shown: The same as text, not too long.
    """
    name = detect_dialect(payload)
    advice = (
        f"dialect={name!r} would fit it, or dialect='auto'"
        if name
        else f"no dialect is known that writes {_describe_shape(payload)}"
    )
    return MalformedStream(
        f"dialect={expected!r} does not fit: what came was {_describe_shape(payload)}; {advice}: {shown}",
        code="DialectMismatch",
        raw=shown,
    )


def _is_completion(payload: Mapping[str, Any]) -> bool:
    choices = payload["choices"]
    first = choices[0] if isinstance(choices, list) and choices else {}
    return "text" in first and not {"delta", "message"} & first.keys() if isinstance(first, dict) else False


def _describe_shape(payload: Any) -> str:
    """The shape of a payload in words."""
    match payload:
        case dict():
            return f"an object with {', '.join(map(repr, list(payload)[:8])) or 'nothing in it'}"
        case [[int() | float(), *_], *_] | [int() | float(), *_]:
            return "vectors of numbers, which an embedding model answers"
        case [first, *_]:
            return f"a list of {_describe_shape(first)}"
        case _:
            return f"{type(payload).__name__} {payload!r:.40}"
