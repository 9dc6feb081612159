"""Vectors as numpy arrays of 32-bit floats. numpy is imported when arrays are requested."""

import struct
from binascii import a2b_base64
from collections.abc import Sequence
from typing import Any

from mdstream_core.dialects._delegation import DelegatingDecoder, DelegatingDialect
from mdstream_core.dialects._dialect import Decoder, Dialect
from mdstream_core.dialects._embedding_decoder import EmbeddingDecoder
from mdstream_core.dialects._vectors import ListVectors, not_finite
from mdstream_core.errors import MalformedStream, MissingExtra
from mdstream_core.events import Embedding, Event


def import_numpy() -> Any:
    """Return the module. Raises `MissingExtra` if it is not installed."""
    try:
        import numpy as np  # noqa: PLC0415  # optional
    except ImportError:
        raise MissingExtra("numpy") from None
    return np


class ArrayDialect(DelegatingDialect):
    """Dialect of one call whose vectors are numpy arrays: base64 is decoded without a list of numbers.

    Args:
        dialect: The dialect to wrap. Its requests are not changed.

    Raises:
        MissingExtra: numpy is not installed.
    """

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._numpy = import_numpy()

    def create_decoder(self) -> Decoder:
        """Create a decoder whose vectors are arrays."""
        decoder = self._dialect.create_decoder()
        if isinstance(decoder, EmbeddingDecoder):
            decoder.vectors = _ArrayVectors(self._numpy)
        return _ArrayDecoder(decoder, self._numpy)


class _ArrayVectors(ListVectors):
    """Reads vectors to arrays of the machine's byte order, which may be changed."""

    def __init__(self, numpy: Any) -> None:
        self._numpy = numpy

    def from_base64(self, text: str, at: int) -> Any:
        """Decode a vector without a list of numbers."""
        vector = self._numpy.frombuffer(a2b_base64(text, strict_mode=True), "<f4").astype("float32")
        if not self._numpy.isfinite(vector).all():
            raise not_finite(vector, at, int(self._numpy.isfinite(vector).argmin()))
        return vector

    def from_json(self, text: bytes) -> Any:
        """Parse a vector. Its list of numbers is discarded before the next one is parsed."""
        return _pack(self._numpy, super().from_json(text))


def _pack(numpy: Any, vector: Sequence[float]) -> Any:
    """Convert numbers to an array. Raises `OverflowError` or `struct.error` if one is no 32-bit float."""
    # numpy takes twice as long, and an `array.array` converts large numbers to infinities
    return numpy.frombuffer(bytearray(struct.pack(f"={len(vector)}f", *vector)), "float32")


class _ArrayDecoder(DelegatingDecoder):
    """Decoder that converts the vectors of another one, where they are lists."""

    def __init__(self, inner: Decoder, numpy: Any) -> None:
        super().__init__(inner)
        self._numpy = numpy

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """Decode one payload."""
        return self._convert(self._inner.feed(data, event))

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """Check that the response is complete."""
        return self._convert(self._inner.finish(is_document=is_document))

    def flush(self) -> list[Event]:
        """Return the events that are still buffered."""
        return self._convert(self._inner.flush())

    def _convert(self, events: list[Event]) -> list[Event]:
        return [self._with_array(event) if isinstance(event, Embedding) else event for event in events]

    def _with_array(self, embedding: Embedding) -> Embedding:
        if not isinstance(embedding.vector, list):
            return embedding
        try:
            return Embedding(_pack(self._numpy, embedding.vector), embedding.index)
        except (OverflowError, struct.error):
            raise MalformedStream(
                f"vector {embedding.index} has a number that is not a 32-bit float (hint: use lists)"
            ) from None
