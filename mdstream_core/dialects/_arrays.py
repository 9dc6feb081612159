"""Vectors as numpy arrays of 32-bit floats. numpy is imported when arrays are requested."""

from binascii import a2b_base64
from typing import Any

from mdstream_core.dialects._delegation import DelegatingDecoder, DelegatingDialect
from mdstream_core.dialects._dialect import Decoder, Dialect
from mdstream_core.dialects._embedding_decoder import EmbeddingDecoder
from mdstream_core.dialects._json_document import InvalidDocument
from mdstream_core.errors import MissingExtra
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
            decoder.decode_base64 = self._decode_base64
        return _ArrayDecoder(decoder, self._numpy)

    def _decode_base64(self, text: str, at: int) -> Any:
        """Decode little-endian 32-bit floats to an array of the machine's byte order, which may be changed."""
        vector = self._numpy.frombuffer(a2b_base64(text, strict_mode=True), "<f4").astype("float32")
        if not self._numpy.isfinite(vector).all():
            position = int(self._numpy.isfinite(vector).argmin())
            raise InvalidDocument(f"vector {at} has {vector[position]} at {position}, which is not a finite number")
        return vector


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
        vector: Any = embedding.vector
        if isinstance(vector, list):
            vector = self._numpy.array(vector, dtype="float32")
        return Embedding(vector, embedding.index)
