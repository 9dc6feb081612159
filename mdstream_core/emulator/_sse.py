"""Encoder of server-sent events."""

from typing import Any

from mdstream_core import _json
from mdstream_core.wire.sse import encode

DONE = b"data: [DONE]\n\n"


def event(value: Any, name: str = "") -> bytes:
    """Encode an event that contains JSON.

    >>> event({"a": 1}), event({}, "error")
    (b'data: {"a":1}\\n\\n', b'event: error\\ndata: {}\\n\\n')
    """
    return encode(_json.dumps(value), name)


def field(name: str, value: Any) -> bytes:
    """Encode an event with one non-standard field, as old llama-server sent `error: {…}`."""
    return name.encode() + b": " + _json.dumps(value) + b"\n\n"
