"""Spellings of the `StreamFailure` trailer.

OCI documents three fields (ErrorCode, HttpCode, ErrorReason) but not their syntax. So each plausible spelling is here,
and a client has to parse all of them.
"""

import json
from collections.abc import Callable

Facts = tuple[str, int, str]

REASONS: dict[str, Facts] = {
    "ServiceTimeout": ("RequestTimeout", 408, "ServiceTimeout"),
    "ModelResponseTimeExceeded": ("RequestTimeout", 408, "ModelResponseTimeExceeded"),
    "InternalServerError": ("InternalServerError", 500, "InternalServerError"),
}

_NAMES = ("ErrorCode", "HttpCode", "ErrorReason")


def _join_pairs(facts: Facts, separator: str, delimiter: str) -> str:
    return delimiter.join(f"{name}{separator}{value}" for name, value in zip(_NAMES, facts, strict=True))


def _json(facts: Facts, *, names: tuple[str, ...] = _NAMES, text: bool = False, **extra: str) -> str:
    values = [str(value) if text else value for value in facts]
    return json.dumps(dict(zip(names, values, strict=True)) | extra)


TRAILERS: dict[str, Callable[[Facts], str]] = {
    "json": _json,
    "json-strings": lambda facts: _json(facts, text=True),
    "json-lowercase": lambda facts: _json(facts, names=("errorCode", "httpCode", "errorReason")),
    "json-snake": lambda facts: _json(facts, names=("error_code", "http_code", "error_reason")),
    "json-extra": lambda facts: _json(facts, RequestId="unknown-extra"),
    "json-list": lambda facts: f"[{_json(facts)}]",
    "equals": lambda facts: _join_pairs(facts, "=", ", "),
    "equals-quoted": lambda facts: ", ".join(f'{n}="{v}"' for n, v in zip(_NAMES, facts, strict=True)),
    "equals-semicolon": lambda facts: _join_pairs(facts, "=", ";"),
    "equals-extra": lambda facts: _join_pairs(facts, "=", ", ") + ", Node=7",
    "colon": lambda facts: _join_pairs(facts, ": ", "; "),
    "colon-comma": lambda facts: _join_pairs(facts, ": ", ", "),
    "dash": lambda facts: _join_pairs(facts, " - ", " | "),
    "bare-reason": lambda facts: facts[2],
    "bare-code": lambda facts: facts[0],
    "bare-status": lambda facts: str(facts[1]),
    "three-words": lambda facts: " ".join(map(str, facts)),
    "commas": lambda facts: ",".join(map(str, facts)),
    "quoted": lambda facts: f'"{facts[2]}"',
    "sentence": lambda facts: f"stream failed: {facts[2]} ({facts[1]})",
    "unknown": lambda facts: "something nobody wrote down",
}
"""Spelling of `trailer` to the function that encodes it."""
