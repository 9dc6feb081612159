"""Payloads of the OpenAI chat format, and their encoding as server-sent events."""

import json
from typing import Any

from mdstream_core.wire.sse import encode

DONE = encode(b"[DONE]")


HI = {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}


def sse(*payloads: Any) -> bytes:
    return b"".join(
        encode(payload if isinstance(payload, bytes) else json.dumps(payload).encode()) for payload in payloads
    )


def delta(finish: str | None = None, index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": fields, "finish_reason": finish}]}


STOP = delta("stop")
