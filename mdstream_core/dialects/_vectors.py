"""The vectors of a document, read one at a time: from base64, or from the text of their JSON numbers.

Vectors of JSON numbers are extracted from their document before it is parsed: a placeholder, such as `"#7"`, replaces
each innermost list of numbers. The rest is a document of the same shape as one with base64, and a vector is parsed
where its placeholder is read. Numbers then need no check one by one, because the text of their list shows that they
are numbers, and if the vectors become arrays, at most one of them is a list of Python's floats at any time.

A document with anything unusual is parsed as a whole, so that results and errors do not depend on this.
"""

import sys
from array import array
from binascii import a2b_base64
from itertools import chain, zip_longest
from math import isfinite
from typing import Any

from mdstream_core import _json
from mdstream_core.dialects._json_document import InvalidDocument

#: What the text of a list of numbers does not contain: the start of a string or an object, and letters of true, false
#: and null. Its own brackets are the innermost ones, and anything else that is no number is invalid JSON.
_NOT_IN_NUMBERS = (b'"', b"{", b"u", b"s")

#: The start of a placeholder, which is not in the alphabet of base64.
_MARK = "#"

#: What the rest of a document must not contain: something that may be mistaken for a placeholder, and vectors of
#: several types, because only those of one type are read.
_UNUSUAL = (_MARK.encode(), b"\\", b"embeddingsByType")


class ListVectors:
    """Reads vectors to lists."""

    def from_base64(self, text: str, at: int) -> Any:
        """Decode the vector of the text at an index from base64 of little-endian 32-bit floats.

        Raises:
            InvalidDocument: A number is not finite.
        """
        packed = array("f", a2b_base64(text, strict_mode=True))
        if sys.byteorder == "big":
            packed.byteswap()
        vector = packed.tolist()
        check_finite(vector, at)
        return vector

    def from_json(self, text: bytes) -> Any:
        """Parse a vector from the text of a list of numbers. Raises `ValueError` if it is invalid or not finite."""
        vector = _json.parse(text)
        if not _json.REJECTS_INFINITY and not isfinite(sum(vector)):
            raise ValueError("the sum of the numbers is not finite")
        return vector


class ExtractedVectors:
    """The vectors that were extracted from a document, and the rest of it.

    Args:
        data: The document.
        spans: Start and end of each vector in it.
        rest: The document with placeholders instead of the vectors.
        vectors: Reads a vector from its text.
    """

    def __init__(self, data: bytes, spans: list[tuple[int, int]], rest: bytes, vectors: ListVectors) -> None:
        self.rest = rest
        self._data, self._spans, self._vectors = data, spans, vectors
        self._count = 0

    @property
    def are_read(self) -> bool:
        """Whether all vectors were read."""
        return self._count == len(self._spans)

    def read(self, text: str, at: int) -> Any:
        """Read the vector of the text at an index, from its placeholder or from base64."""
        if not text.startswith(_MARK):
            return self._vectors.from_base64(text, at)
        self._count += 1
        start, end = self._spans[int(text[len(_MARK) :])]
        return self._vectors.from_json(self._data[start:end])


def extract_vectors(data: bytes, vectors: ListVectors) -> ExtractedVectors | None:
    """Extract the lists of numbers from a document, in one pass.

    Args:
        data: The document.
        vectors: Reads a vector from its text.

    Returns:
        The vectors; `None` if there are none, or if the document has to be parsed as a whole.
    """
    spans: list[tuple[int, int]] = []
    others, placeholders = [], []
    end = copied = 0
    while (close := data.find(b"]", end)) >= 0:
        start = data.rfind(b"[", end, close)
        end = close + 1
        if start >= 0 and all(data.find(other, start, end) < 0 for other in _NOT_IN_NUMBERS):
            others.append(data[copied:start])
            placeholders.append(f'"{_MARK}{len(spans)}"'.encode())
            spans.append((start, end))
            copied = end
    others.append(data[copied:])
    if not spans or any(text in other for other in others for text in _UNUSUAL):
        return None
    rest = b"".join(chain.from_iterable(zip_longest(others, placeholders, fillvalue=b"")))
    return ExtractedVectors(data, spans, rest, vectors)


def check_finite(vector: list[float], at: int) -> None:
    """Raise `InvalidDocument` if a number of the vector at an index is not finite."""
    if not isfinite(sum(vector)) and not all(map(isfinite, vector)):  # a sum of finite numbers may overflow
        position = next(position for position, number in enumerate(vector) if not isfinite(number))
        raise not_finite(vector, at, position)


def not_finite(vector: Any, at: int, position: int) -> InvalidDocument:
    """Create the error of a value that is not a finite number."""
    return InvalidDocument(f"vector {at} has {str(vector[position])[:40]} at {position}, which is not a finite number")
