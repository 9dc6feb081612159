"""Embeddings without weights: hashed words and character n-grams, so that texts with the same words are similar."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

from mdstream_core.emulator.model._keywords import keywords

_NGRAM = 4  # letters: `streaming` and `streams` share n-grams
_WORD_WEIGHT, _NGRAM_WEIGHT = 1.0, 0.35


_MAX_CACHED_LENGTH = 64  # characters of the longest feature that is cached


def _feature_position(feature: str, size: int) -> tuple[int, float]:
    return _cached_position(feature, size) if len(feature) <= _MAX_CACHED_LENGTH else _compute_position(feature, size)


def _compute_position(feature: str, size: int) -> tuple[int, float]:
    digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest[:7]) % size, 1.0 if digest[7] & 1 else -1.0


_cached_position = lru_cache(maxsize=8192)(_compute_position)


def _features(text: str) -> Iterator[tuple[str, float]]:
    for word in keywords(text) or text.split() or [text]:
        yield word, _WORD_WEIGHT
        padded = f"<{word}>"
        for index in range(max(1, len(padded) - _NGRAM + 1)):
            yield padded[index : index + _NGRAM], _NGRAM_WEIGHT


def embed(text: str, size: int) -> list[float]:
    """Compute the embedding of a text: a vector of length one with `size` dimensions."""
    vector = [0.0] * size
    for feature, weight in _features(text):
        index, sign = _feature_position(feature, size)
        vector[index] += sign * weight
    length = math.sqrt(sum(value * value for value in vector))
    if length == 0.0:
        vector[0] = length = 1.0
    return [value / length for value in vector]


def relevance(query: str, document: str) -> float:
    """Score how relevant a document is to a query, from 0 to 1."""
    return relevances(query, [document])[0]


def relevances(query: str, documents: Sequence[str]) -> list[float]:
    """Score how relevant each document is to a query, from 0 to 1."""
    size = 2048  # few collisions
    query_vector = {index: value for index, value in enumerate(embed(query, size)) if value}
    vectors = (embed(document, size) for document in documents)
    return [max(0.0, sum(value * vector[index] for index, value in query_vector.items())) for vector in vectors]
