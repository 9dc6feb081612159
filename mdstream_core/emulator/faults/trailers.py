"""Every way in which `StreamFailure` may be spelled.

OCI documents three facts (ErrorCode, HttpCode, ErrorReason) but not their syntax: the published example is lost. So
each plausible spelling is here, and a client has to read them all.
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


def _pairs(facts: Facts, between: str, after: str) -> str:
    return after.join(f"{name}{between}{value}" for name, value in zip(_NAMES, facts, strict=True))


def _json(facts: Facts, *, names: tuple[str, ...] = _NAMES, text: bool = False, **more: str) -> str:
    values = [str(value) if text else value for value in facts]
    return json.dumps(dict(zip(names, values, strict=True)) | more)


TRAILERS: dict[str, Callable[[Facts], str]] = {
    "json": _json,
    "json-strings": lambda facts: _json(facts, text=True),
    "json-lowercase": lambda facts: _json(facts, names=("errorCode", "httpCode", "errorReason")),
    "json-snake": lambda facts: _json(facts, names=("error_code", "http_code", "error_reason")),
    "json-extra": lambda facts: _json(facts, RequestId="unknown-extra"),
    "json-list": lambda facts: f"[{_json(facts)}]",
    "equals": lambda facts: _pairs(facts, "=", ", "),
    "equals-quoted": lambda facts: ", ".join(f'{n}="{v}"' for n, v in zip(_NAMES, facts, strict=True)),
    "equals-semicolon": lambda facts: _pairs(facts, "=", ";"),
    "equals-extra": lambda facts: _pairs(facts, "=", ", ") + ", Node=7",
    "colon": lambda facts: _pairs(facts, ": ", "; "),
    "colon-comma": lambda facts: _pairs(facts, ": ", ", "),
    "dash": lambda facts: _pairs(facts, " - ", " | "),
    "bare-reason": lambda facts: facts[2],
    "bare-code": lambda facts: facts[0],
    "bare-status": lambda facts: str(facts[1]),
    "three-words": lambda facts: " ".join(map(str, facts)),
    "commas": lambda facts: ",".join(map(str, facts)),
    "quoted": lambda facts: f'"{facts[2]}"',
    "sentence": lambda facts: f"stream failed: {facts[2]} ({facts[1]})",
    "unknown": lambda facts: "something nobody wrote down",
}
"""Name of a spelling to the function that writes it."""
