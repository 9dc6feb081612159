"""One question about many inputs: cut into batches that the service takes, the answers put together in order.

A vector or a score for each input, or an error: no input goes without its answer. One failed batch does not lose the
others' work: what has come is the error's `partial`, each vector and score with the place of its input.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Protocol

from mdstream_core import _fork
from mdstream_core._indices import describe_wrong_indices
from mdstream_core.errors import InvalidRequest, MalformedStream, MDStreamError
from mdstream_core.events import Embedding, ModelResponse, RerankScore, Usage


class Limit(Protocol):
    """The most that one batch may hold; `None` is without a limit."""

    @property
    def inputs(self) -> int | None:
        """How many inputs."""
        ...

    @property
    def bytes(self) -> int | None:
        """How many bytes all of them have."""
        ...


LearnLimit = Callable[[MDStreamError, int, int], Limit | None]


class BatchPlan:
    """The batches of one list, and what came of them. Several workers may take from it.

    Args:
        sizes: How many bytes each input has in the request.
        max_batch_size: Inputs of one batch.
        max_batch_bytes: Bytes of one batch's inputs; an input that is larger goes alone. `None` is without a limit.
        max_results: How many answers the whole list gets; fewer than inputs where only the best are asked for.
        on_progress: Called with the number of inputs of each batch that was answered.
        learn_limit: Called with a batch's error, its number of inputs and their bytes; returns the limit that the error
            reports, to which this batch and those that wait are cut, or `None`.

    Example:
        >>> batches = BatchPlan([1, 1, 1], most=2)
        >>> batches.take(), batches.take(), batches.take()
        (range(0, 2), range(2, 3), None)
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        max_batch_size: int,
        max_batch_bytes: int | None = None,
        max_results: int | None = None,
        on_progress: Callable[[int], object] = lambda count: None,
        learn_limit: LearnLimit = lambda error, inputs, size: None,
    ) -> None:
        if max_batch_size < 1:
            raise ValueError(f"batch_size={max_batch_size} is no number of inputs: give 1 or more")
        if max_results is not None and max_results < 1:
            raise ValueError(f"top_n={max_results} is no number of documents: give 1 or more")
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
        """How many batches nobody has taken yet."""
        return len(self._pending)

    def take(self) -> range | None:
        """The next batch, as the places of its inputs; `None` when there is none, or one of them has failed."""
        with self._lock:
            return self._pending.popleft() if self._pending else None

    def stop(self) -> None:
        """Let nobody take another batch."""
        with self._lock:
            self._stopped = True
            self._pending.clear()

    @contextmanager
    def handle_errors(self, span: range) -> Iterator[None]:
        """Around the asking of one batch: it is cut smaller where it was too large for the server.

        Any other failure ends the taking, and is raised by `merged_response`.
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
        """Cut a batch and those that wait to the limit that its error reports; `False` where there is none."""
        limit = self._learn_limit(error, len(span), sum(self._sizes[span.start : span.stop]))
        if limit is None:
            return False
        if len(list(_split_spans(self._sizes, span, limit.inputs, limit.bytes))) == 1:
            return False
        with self._lock:
            if not self._stopped:
                self._max_batch_size, self._max_batch_bytes = (
                    _lower_limit(self._max_batch_size, limit.inputs),
                    _lower_limit(self._max_batch_bytes, limit.bytes),
                )
                whole = _merge_spans(sorted([span, *self._pending], key=lambda one: one.start))
                pieces = (
                    piece
                    for one in whole
                    for piece in _split_spans(self._sizes, one, self._max_batch_size, self._max_batch_bytes)
                )
                self._pending = deque(pieces)
        return True

    def _with_hint(self, span: range, error: MDStreamError) -> MDStreamError:
        """The error, which names the empty inputs of a batch that was refused."""
        empty = [str(at) for at in span if not self._sizes[at]]
        if empty and isinstance(error, InvalidRequest):
            listed = f"{', '.join(empty[:5])}{' …' if len(empty) > 5 else ''}"
            error.args = (f"{error} (hint: many servers reject empty texts; empty is the text at index {listed})",)
        return error

    def add_response(self, span: range, response: ModelResponse) -> None:
        """Take the answer of a batch in. Raises `MalformedStream` if an input has none."""
        self._check_indices(span, [one.index for one in (*response.embeddings, *response.ranking)])  # type: ignore[attr-defined]
        lengths = {len(one.vector) for one in response.embeddings}
        with self._lock:
            self._lengths |= lengths
            if len(self._lengths) > 1:
                raise MalformedStream(f"vectors of different lengths in one list: {sorted(self._lengths)}")
            self._responses[span.start] = response
            self._on_progress(len(span))

    def _check_indices(self, span: range, indices: list[int]) -> None:
        expected = min(len(span), self._max_results or len(span))
        count = len(set(indices))
        wrong = describe_wrong_indices(indices, len(span), complete=expected == len(span))
        if wrong or count < expected:
            wanted = "" if expected == len(span) else f", {expected} of which should have an answer"
            message = f"{len(span)} inputs were sent{wanted}, and answers came for {count} of them"
            raise MalformedStream(f"{message}: {wrong}" if wrong else message)

    def merged_response(self) -> ModelResponse:
        """All answers as one: vectors in the order of the inputs, the best scores first, the usage added up."""
        if self._error is not None:
            self._error.partial = self._merge_responses() if self._responses else None
            raise self._error
        return self._merge_responses()

    def _merge_responses(self) -> ModelResponse:
        parts = sorted(self._responses.items())
        vectors = [Embedding(one.vector, start + one.index) for start, response in parts for one in response.embeddings]
        ranking = [RerankScore(one.score, start + one.index) for start, response in parts for one in response.ranking]
        return ModelResponse(
            usage=_sum_usage([response.usage for _, response in parts if response.usage]),
            metadata=parts[0][1].metadata if parts else ModelResponse().metadata,
            embeddings=tuple(vectors),
            ranking=tuple(sorted(ranking, key=lambda one: -one.score)[: self._max_results]),
        )


def _split_spans(
    sizes: Sequence[int], span: range, max_batch_size: int | None, max_batch_bytes: int | None
) -> Iterator[range]:
    start, held = span.start, 0
    for at in span:
        full = at - start == max_batch_size or (max_batch_bytes is not None and held + sizes[at] > max_batch_bytes)
        if full and at > start:
            yield range(start, at)
            start, held = at, 0
        held += sizes[at]
    if span:
        yield range(start, span.stop)


def _lower_limit(one: int | None, other: int | None) -> int | None:
    return min((number for number in (one, other) if number is not None), default=None)


def _merge_spans(spans: list[range]) -> Iterator[range]:
    """Those that touch each other as one."""
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
