"""Responses of the server to requests for embeddings.

| path | as |
|---|---|
| `/embed/1024/openai/…` | vLLM, with base64 on request; numbers have up to 17 digits, as Python writes 32-bit floats |
| `/embed/1024/nested/…` | the first OCI containers, all vectors in one entry, which is all that langchain-oci reads |
| `/embed/1024/tei/…` | TEI and OCI Generative AI: lists of numbers with up to nine digits |

The numbers are 32-bit floats, so that each shape has the same vectors.
"""

import asyncio
import base64
import json
import random
from array import array
from functools import lru_cache
from typing import Any


@lru_cache
def _row(size: int) -> "array[float]":
    chance = random.Random(7)
    return array("f", [chance.gauss(0, size**-0.5) for _ in range(size)])


def _shorten(number: float) -> float:
    """Return the number with the fewest digits that is the same 32-bit float."""
    texts = (f"{number:.{digits}g}" for digits in range(5, 10))
    return next(float(text) for text in texts if array("f", [float(text)])[0] == number)


@lru_cache
def _response(size: int, count: int, shape: str, *, packed: bool) -> bytes:
    row = _row(size)
    vector: Any = base64.b64encode(row.tobytes()).decode() if packed else row.tolist()
    usage = {"prompt_tokens": count, "total_tokens": count}
    document: Any
    if shape == "tei":
        document = [list(map(_shorten, row))] * count
    else:
        vectors = [[vector] * count] if shape == "nested" else [vector] * count
        data = [{"index": index, "object": "embedding", "embedding": vector} for index, vector in enumerate(vectors)]
        document = {"object": "list", "model": "odsc-llm", "data": data, "usage": usage}
    body = json.dumps(document, separators=(",", ":")).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def respond(writer: asyncio.StreamWriter, path: str, body: bytes) -> None:
    """Respond to a request for embeddings."""
    _, _, size, shape, *_ = path.split("/")
    params = json.loads(body)
    packed = params.get("encoding_format") == "base64"
    texts = params.get("inputs") or params["input"]
    writer.write(_response(int(size), len(texts), shape, packed=packed))
    await writer.drain()
