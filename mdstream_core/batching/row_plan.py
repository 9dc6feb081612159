"""Plan of batches in which a bad input does not affect the others: a rejected batch is divided until it is alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise
from typing import Any

from mdstream_core.batching.plan import BatchPlan, log_division
from mdstream_core.batching.rows import CallRecorder, RowCollector, RowResult
from mdstream_core.errors import (
    ConnectionFailed,
    InvalidRequest,
    MalformedStream,
    MDStreamError,
    RateLimited,
    ServerError,
    ServiceError,
)
from mdstream_core.events import ModelResponse
from mdstream_core.hooks import local_hook

#: Statuses of a server that is unavailable. Another 5xx may be the reaction to one of the inputs.
_UNAVAILABLE = frozenset({408, 424, 502, 503, 504, 529})


class RowPlan(BatchPlan):
    """Batches whose inputs get their own result or error.

    A batch that is rejected because of its content is divided, and its halves are sent. An error of one input, or one
    that does not depend on the content, is the error of the inputs of its batch.

    Args:
        collector: Receives the results and the errors.
        sizes: As for `BatchPlan`.
        options: As for `BatchPlan`.
    """

    def __init__(self, collector: RowCollector, sizes: Sequence[int], **options: Any) -> None:
        super().__init__(sizes, **options)
        self._collector = collector
        self._recorders: dict[int, CallRecorder] = {}

    @contextmanager
    def handle_errors(self, span: range) -> Iterator[None]:
        """Handle the errors of sending one batch: divide it, or collect the error of its inputs."""
        recorder = self._recorders[span.start] = CallRecorder()
        try:
            with local_hook(recorder):
                yield
        except MDStreamError as error:
            if self._split(span, error):
                return
            error = self._with_hint(span, error)
            if self._collector.is_fatal(error):
                self._error = self._error or error
                self.stop()
            elif len(span) > 1 and _depends_on_content(error):
                log_division(span, error)
                self._divide(span)
            else:
                for index in span:
                    self._collector.add_error(index, error)
        except BaseException:
            self.stop()
            raise
        finally:
            del self._recorders[span.start]

    def add_response(self, span: range, response: ModelResponse) -> None:
        """Add the response of a batch. Raises `MalformedStream` if an input has no result."""
        lengths = set(self._lengths)
        try:
            super().add_response(span, response)
        except MalformedStream:
            self._lengths = lengths  # later batches are compared with the accepted ones only
            raise
        recorder = self._recorders[span.start]
        tokens: Sequence[int | None] = [None] * len(span)
        if response.usage:
            tokens = distribute(response.usage.input, [self._sizes[index] for index in span])
        for embedding in response.embeddings:
            result = RowResult(embedding.vector, input_tokens=tokens[embedding.index], request_id=recorder.request_id)
            self._collector.add(span.start + embedding.index, result)
        del self._responses[span.start]  # the collector has the vectors

    def _divide(self, span: range) -> None:
        middle = span.start + len(span) // 2
        with self._lock:
            if not self._stopped:
                self._pending.extendleft((range(middle, span.stop), range(span.start, middle)))


def _depends_on_content(error: MDStreamError) -> bool:
    """Whether another batch may not get this error."""
    if isinstance(error, RateLimited | ConnectionFailed) or error.status in _UNAVAILABLE:
        return False
    return isinstance(error, InvalidRequest | MalformedStream | ServerError) or type(error) is ServiceError


def distribute(total: int, weights: Sequence[int]) -> list[int]:
    """Distribute a number in proportion to weights, as integers whose sum is exact.

    >>> distribute(10, [1, 1, 2])
    [2, 3, 5]
    """
    sums = [0, *accumulate(weight + 1 for weight in weights)]
    bounds = [total * part // sums[-1] for part in sums]
    return [after - before for before, after in pairwise(bounds)]
