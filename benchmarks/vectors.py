"""Responses of the server to requests for embeddings.

`/embed/1024/openai/…` responds as vLLM does, with base64 on request; `/embed/1024/nested/…` as the first OCI containers
did, with all vectors in the first entry, which is the only format that langchain-oci reads.
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
        data = [{"index": index, "object": "embedding", "embedding": row} for index, row in enumerate(rows)]
    usage = {"prompt_tokens": count, "total_tokens": count}
    body = json.dumps({"object": "list", "model": "odsc-llm", "data": data, "usage": usage}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def respond(writer: asyncio.StreamWriter, path: str, body: bytes) -> None:
    """Respond to a request for embeddings."""
    _, _, size, shape, *_ = path.split("/")
    params = json.loads(body)
    packed = params.get("encoding_format") == "base64"
    writer.write(_response(int(size), len(params["input"]), shape, packed=packed))
    await writer.drain()
