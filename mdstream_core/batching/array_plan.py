"""Plan of batches whose vectors become the rows of one numpy array."""

from dataclasses import replace
from typing import Any

from mdstream_core.batching.plan import BatchPlan
from mdstream_core.events import Embedding, ModelResponse


class ArrayPlan(BatchPlan):
    """Batches whose vectors are copied to one array, which is allocated for all inputs with the first response."""

    _array: Any = None

    @property
    def array(self) -> Any:
        """The array of 32-bit floats, with a row for each input; of the shape `(0, 0)` without inputs."""
        return self._allocate(0) if self._array is None else self._array

    def add_response(self, span: range, response: ModelResponse) -> None:
        """Add the response of a batch. Raises `MalformedStream` if an input has no result."""
        super().add_response(span, response)
        rows = []
        for embedding in response.embeddings:
            with self._lock:
                if self._array is None:
                    self._array = self._allocate(len(embedding.vector))
            row = self._array[span.start + embedding.index]
            row[:] = embedding.vector
            rows.append(Embedding(row, embedding.index))
        self._responses[span.start] = replace(response, embeddings=tuple(rows))

    def _allocate(self, length: int) -> Any:
        import numpy as np  # noqa: PLC0415  # optional

        return np.empty((len(self._sizes), length), "float32")
