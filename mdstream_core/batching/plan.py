"""Split many inputs into batches that the service accepts, and merge the responses in the order of the inputs.

The result has a vector or a score for each input, or an error is raised. If a batch fails, the results of the others
are in the error's `partial`, each with the index of its input.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Protocol

from mdstream_core import _fork, _log
from mdstream_core._indices import describe_wrong_indices
from mdstream_core.errors import InvalidRequest, MalformedStream, MDStreamError, extend_error
from mdstream_core.events import Embedding, ModelResponse, RerankScore, Usage


class Limit(Protocol):
    """Limit of one batch."""

    @property
    def inputs(self) -> int | None:
        """Maximum number of inputs; `None` is unlimited."""
        ...

    @property
    def bytes(self) -> int | None:
        """Maximum size of all inputs together in bytes; `None` is unlimited."""
        ...


LearnLimit = Callable[[MDStreamError, int, int], Limit | None]


class BatchPlan:
    """The batches of a list of inputs, and their responses. Several workers (threads or tasks) may share it.

    Args:
        sizes: Size of each input in bytes.
        max_batch_size: Maximum number of inputs per batch.
        max_batch_bytes: Maximum size of a batch's inputs in bytes; a larger input is sent alone. `None` is unlimited.
        max_results: Number of results for the whole list, if only the best are requested; `None` for one per input.
        on_progress: Called with the number of inputs of each completed batch.
        learn_limit: Called with the error of a batch, its number of inputs and their bytes; returns the limit that the
            error reports, to which this batch and the pending ones are split, or `None`.

    Example:
        >>> plan = BatchPlan([1, 1, 1], max_batch_size=2)
        >>> plan.take(), plan.take(), plan.take()
        (range(0, 2), range(2, 3), None)
    """

    def __init__(
        self,
        sizes: Sequence[int] | Mapping[int, int],
        *,
        max_batch_size: int,
        max_batch_bytes: int | None = None,
        max_results: int | None = None,
        on_progress: Callable[[int], object] = lambda count: None,
        learn_limit: LearnLimit = lambda error, inputs, size: None,
    ) -> None:
        if max_batch_size < 1:
            raise ValueError(f"batch_size={max_batch_size} must be 1 or more")
        if max_results is not None and max_results < 1:
            raise ValueError(f"top_n={max_results} must be 1 or more")
        self._sizes = sizes
        self._max_batch_size: int | None = max_batch_size
        self._max_batch_bytes = max_batch_bytes
        self._pending = deque(_split_spans(sizes, range(len(sizes)), max_batch_size, max_batch_bytes))
        self._learn_limit = learn_limit
        self._max_results = max_results
        self._on_progress = on_progress
        self._responses: dict[int, ModelResponse] = {}
        self._lengths: set[int] = set()
        self._error: MDStreamError | None = None
        self._stopped = False
        self._lock = _fork.Lock()

    def __len__(self) -> int:
        """Number of pending batches."""
        return len(self._pending)

    def take(self) -> range | None:
        """Return the next batch as a range of input indices; `None` if none is left or the plan was stopped."""
        with self._lock:
            return self._pending.popleft() if self._pending else None

    def stop(self) -> None:
        """Discard the pending batches."""
        with self._lock:
            self._stopped = True
            self._pending.clear()

    @contextmanager
    def handle_errors(self, span: range) -> Iterator[None]:
        """Handle the errors of sending one batch: split it if it was too large for the server.

        Any other failure stops the plan, and `merged_response` raises it.
        """
        try:
            yield
        except MDStreamError as error:
            if not self._split(span, error):
                self._error = self._error or self._with_hint(span, error)
                self.stop()
        except BaseException:
            self.stop()
            raise

    def _split(self, span: range, error: MDStreamError) -> bool:
        """Split a batch and the pending ones to the limit that its error reports; return `False` if there is none."""
        limit = self._learn_limit(error, len(span), sum(self._sizes[index] for index in span))
        if limit is None:
            return False
        if len(list(_split_spans(self._sizes, span, limit.inputs, limit.bytes))) == 1:
            return False
        log_division(span, error)
        with self._lock:
            if not self._stopped:
                self._max_batch_size, self._max_batch_bytes = (
                    _lower_limit(self._max_batch_size, limit.inputs),
                    _lower_limit(self._max_batch_bytes, limit.bytes),
                )
                self._plan_again(span)
        return True

    def _plan_again(self, span: range) -> None:
        """Split a batch that was rejected, and the pending ones. Called with the lock held."""
        merged = _merge_spans(sorted([span, *self._pending], key=lambda pending: pending.start))
        self._pending = deque(
            batch
            for rest in merged
            for batch in _split_spans(self._sizes, rest, self._max_batch_size, self._max_batch_bytes)
        )

    def _with_hint(self, span: range, error: MDStreamError) -> MDStreamError:
        """Append a hint to the error of a rejected batch that has empty inputs."""
        empty = [str(index) for index in span if not self._sizes[index]]
        if empty and isinstance(error, InvalidRequest):
            listed = f"{', '.join(empty[:5])}{' …' if len(empty) > 5 else ''}"
            hint = f"remove the empty texts, which many servers reject: index {listed}"
            extend_error(error, hint=hint)
        return error

    def add_response(self, span: range, response: ModelResponse) -> None:
        """Add the response of a batch. Raises `MalformedStream` if an input has no result."""
        self._check_indices(span, [result.index for result in (*response.embeddings, *response.ranking)])  # type: ignore[attr-defined]
        lengths = {len(embedding.vector) for embedding in response.embeddings}
        with self._lock:
            self._lengths |= lengths
            if len(self._lengths) > 1:
                raise MalformedStream(f"the vectors have different lengths: {sorted(self._lengths)}")
            self._responses[span.start] = response
            self._on_progress(len(span))

    def _check_indices(self, span: range, indices: list[int]) -> None:
        expected = min(len(span), self._max_results or len(span))
        count = len(set(indices))
        wrong = describe_wrong_indices(indices, len(span), complete=expected == len(span))
        if wrong or count < expected:
            requested = "" if expected == len(span) else f" for {expected} results"
            message = f"{len(span)} inputs were sent{requested}, and results were received for {count} of them"
            raise MalformedStream(f"{message}: {wrong}" if wrong else message)

    def merged_response(self) -> ModelResponse:
        """Merge the responses: vectors in the order of the inputs, the best scores first, the token counts summed.

        Raises:
            MDStreamError: A batch failed; `partial` has the results of the others.
        """
        if self._error is not None:
            self._error.partial = self._merge_responses() if self._responses else None
            raise self._error
        return self._merge_responses()

    def _merge_responses(self) -> ModelResponse:
        parts = sorted(self._responses.items())
        vectors = [Embedding(item.vector, start + item.index) for start, part in parts for item in part.embeddings]
        ranking = [RerankScore(item.score, start + item.index) for start, part in parts for item in part.ranking]
        return ModelResponse(
            usage=_sum_usage([part.usage for _, part in parts if part.usage]),
            metadata=parts[0][1].metadata if parts else ModelResponse().metadata,
            embeddings=tuple(vectors),
            ranking=tuple(sorted(ranking, key=lambda item: -item.score)[: self._max_results]),
        )


def measure_text(index: int, text: object) -> int:
    """Return the size of a text in bytes. Raises `TypeError`, which names the text's index, if it is no string."""
    if not isinstance(text, str):
        raise TypeError(f"text {index} has the type {type(text).__name__} (hint: pass strings)")
    return len(text.encode("utf-8", "surrogatepass"))


def reject_single_text(inputs: object) -> None:
    """Raise `TypeError` if the inputs are one string instead of a list."""
    if isinstance(inputs, str):
        raise TypeError("the texts are a single string (hint: pass a list of strings)")


def log_division(span: range, error: MDStreamError) -> None:
    """Log that a batch is divided because of its error."""
    if _log.BATCHES.isEnabledFor(logging.INFO):
        text = f"a batch of {len(span)} inputs is divided, because of {_log.describe_error(error)}"
        _log.log(_log.BATCHES, logging.INFO, "divided", text, {"inputs": len(span), **_log.error_fields(error)})


def _split_spans(
    sizes: Sequence[int] | Mapping[int, int], span: range, max_batch_size: int | None, max_batch_bytes: int | None
) -> Iterator[range]:
    start, size = span.start, 0
    for at in span:
        full = at - start == max_batch_size or (max_batch_bytes is not None and size + sizes[at] > max_batch_bytes)
        if full and at > start:
            yield range(start, at)
            start, size = at, 0
        size += sizes[at]
    if span:
        yield range(start, span.stop)


def _lower_limit(one: int | None, other: int | None) -> int | None:
    return min((number for number in (one, other) if number is not None), default=None)


def _merge_spans(spans: list[range]) -> Iterator[range]:
    """Merge adjacent spans."""
    start = spans[0].start
    for one, other in pairwise(spans):
        if one.stop != other.start:
            yield range(start, one.stop)
            start = other.start
    yield range(start, spans[-1].stop)


def _sum_usage(counts: list[Usage]) -> Usage | None:
    if not counts:
        return None
    return Usage(*(sum(getattr(count, name) for count in counts) for name in ("input", "output", "total")))
