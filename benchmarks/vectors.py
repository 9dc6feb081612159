"""What the server answers to who embeds texts.

`/embed/1024/openai/…` answers as vLLM does, base64 where it is asked for; `/embed/1024/nested/…` as the oldest OCI
containers did, all vectors in the first entry, which is the one form that langchain-oci reads.
"""

import asyncio
import base64
import json
import random
from array import array
from functools import lru_cache
from typing import Any


@lru_cache
def _row(size: int, *, packed: bool) -> Any:
    chance = random.Random(7)
    numbers = [chance.uniform(-0.1, 0.1) for _ in range(size)]
    return base64.b64encode(array("f", numbers).tobytes()).decode() if packed else numbers


@lru_cache
def _response(size: int, count: int, shape: str, *, packed: bool) -> bytes:
    rows = [_row(size, packed=packed)] * count
    if shape == "nested":
        data = [{"index": 0, "object": "embedding", "embedding": rows}]
    else:
        data = [{"index": at, "object": "embedding", "embedding": row} for at, row in enumerate(rows)]
    usage = {"prompt_tokens": count, "total_tokens": count}
    body = json.dumps({"object": "list", "model": "odsc-llm", "data": data, "usage": usage}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def answer(writer: asyncio.StreamWriter, path: str, body: bytes) -> None:
    """One request for vectors."""
    _, _, size, shape, *_ = path.split("/")
    requested = json.loads(body)
    packed = requested.get("encoding_format") == "base64"
    writer.write(_response(int(size), len(requested["input"]), shape, packed=packed))
    await writer.drain()
