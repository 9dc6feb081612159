"""Server-sent events, written."""

from typing import Any

from mdstream_core import _json
from mdstream_core.wire.sse import encode

DONE = b"data: [DONE]\n\n"


def event(value: Any, name: str = "") -> bytes:
    """One event that carries JSON.

    >>> event({"a": 1}), event({}, "error")
    (b'data: {"a":1}\\n\\n', b'event: error\\ndata: {}\\n\\n')
    """
    return encode(_json.dumps(value), name)


def field(name: str, value: Any) -> bytes:
    """An event of one field that the standard does not know, as old llama-server wrote `error: {…}`."""
    return name.encode() + b": " + _json.dumps(value) + b"\n\n"
