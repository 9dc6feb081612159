"""Embeddings without weights: hashed words and pieces of words, so that texts with the same words lie close."""

import hashlib
import math
from functools import lru_cache

from mdstream_core.emulator.brain._words import words

_PIECE = 4  # letters: `streaming` and `streams` share pieces
_WORD_WEIGHT, _PIECE_WEIGHT = 1.0, 0.35


@lru_cache(maxsize=8192)
def _place(feature: str, size: int) -> tuple[int, float]:
    digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest[:7]) % size, 1.0 if digest[7] & 1 else -1.0


def _features(text: str) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for word in words(text) or text.split() or [text]:
        found.append((word, _WORD_WEIGHT))
        padded = f"<{word}>"
        found += [(padded[at : at + _PIECE], _PIECE_WEIGHT) for at in range(max(1, len(padded) - _PIECE + 1))]
    return found


def embed(text: str, size: int) -> list[float]:
    """A vector of length one."""
    vector = [0.0] * size
    for feature, weight in _features(text):
        at, sign = _place(feature, size)
        vector[at] += sign * weight
    length = math.sqrt(sum(value * value for value in vector))
    if length == 0.0:
        vector[0] = length = 1.0
    return [value / length for value in vector]


def relevance(query: str, document: str) -> float:
    """How well a document answers a query, from 0 to 1."""
    size = 2048  # few collisions
    return max(0.0, sum(a * b for a, b in zip(embed(query, size), embed(document, size), strict=True)))
