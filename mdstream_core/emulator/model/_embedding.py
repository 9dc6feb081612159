"""Embeddings without weights: hashed words and pieces of words, so that texts with the same words lie close."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

from mdstream_core.emulator.model._keywords import keywords

_PIECE = 4  # letters: `streaming` and `streams` share pieces
_WORD_WEIGHT, _PIECE_WEIGHT = 1.0, 0.35


_CACHED = 64  # characters of the longest feature that is kept in memory


def _feature_index(feature: str, size: int) -> tuple[int, float]:
    return _known_place(feature, size) if len(feature) <= _CACHED else _find_place(feature, size)


def _find_place(feature: str, size: int) -> tuple[int, float]:
    digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest[:7]) % size, 1.0 if digest[7] & 1 else -1.0


_known_place = lru_cache(maxsize=8192)(_find_place)


def _features(text: str) -> Iterator[tuple[str, float]]:
    for word in keywords(text) or text.split() or [text]:
        yield word, _WORD_WEIGHT
        padded = f"<{word}>"
        for at in range(max(1, len(padded) - _PIECE + 1)):
            yield padded[at : at + _PIECE], _PIECE_WEIGHT


def embed(text: str, size: int) -> list[float]:
    """A vector of length one."""
    vector = [0.0] * size
    for feature, weight in _features(text):
        at, sign = _feature_index(feature, size)
        vector[at] += sign * weight
    length = math.sqrt(sum(value * value for value in vector))
    if length == 0.0:
        vector[0] = length = 1.0
    return [value / length for value in vector]


def relevance(query: str, document: str) -> float:
    """How well a document answers a query, from 0 to 1."""
    return relevances(query, [document])[0]


def relevances(query: str, documents: Sequence[str]) -> list[float]:
    """How well each document answers a query."""
    size = 2048  # few collisions
    asked = {at: value for at, value in enumerate(embed(query, size)) if value}
    vectors = (embed(document, size) for document in documents)
    return [max(0.0, sum(value * vector[at] for at, value in asked.items())) for vector in vectors]
