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
from mdstream_core.events import Embedding, Ranked, Reply, Usage


class Limit(Protocol):
    """The most that one batch may hold; `None` is without a limit."""

    @property
    def inputs(self) -> int | None:
        """How many inputs."""
        ...

    @property
    def size(self) -> int | None:
        """How many bytes all of them have."""
        ...


LearnLimit = Callable[[MDStreamError, int, int], Limit | None]


class Batches:
    """The batches of one list, and what came of them. Several workers may take from it.

    Args:
        sizes: How many bytes each input has in the request.
        most: Inputs of one batch.
        most_bytes: Bytes of one batch's inputs; an input that is larger goes alone. `None` is without a limit.
        answers: How many answers the whole list gets; fewer than inputs where only the best are asked for.
        told: Called with the number of inputs of each batch that was answered.
        learn_limit: Called with a batch's error, its number of inputs and their bytes; returns the limit that the error
            reports, to which this batch and those that wait are cut, or `None`.

    Example:
        >>> batches = Batches([1, 1, 1], most=2)
        >>> batches.take(), batches.take(), batches.take()
        (range(0, 2), range(2, 3), None)
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        most: int,
        most_bytes: int | None = None,
        answers: int | None = None,
        told: Callable[[int], object] = lambda count: None,
        learn_limit: LearnLimit = lambda error, inputs, size: None,
    ) -> None:
        if most < 1:
            raise ValueError(f"batch_size={most} is no number of inputs: give 1 or more")
        if answers is not None and answers < 1:
            raise ValueError(f"top_n={answers} is no number of documents: give 1 or more")
        self._sizes = sizes
        self._most: int | None = most
        self._most_bytes = most_bytes
        self._waiting = deque(_spans(sizes, range(len(sizes)), most, most_bytes))
        self._learn_limit = learn_limit
        self._answers = answers
        self._told = told
        self._replies: dict[int, Reply] = {}
        self._lengths: set[int] = set()
        self._error: MDStreamError | None = None
        self._stopped = False
        self._lock = _fork.Lock()

    def __len__(self) -> int:
        """How many batches nobody has taken yet."""
        return len(self._waiting)

    def take(self) -> range | None:
        """The next batch, as the places of its inputs; `None` when there is none, or one of them has failed."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def stop(self) -> None:
        """Let nobody take another batch."""
        with self._lock:
            self._stopped = True
            self._waiting.clear()

    @contextmanager
    def asking(self, span: range) -> Iterator[None]:
        """Around the asking of one batch: it is cut smaller where it was too large for the server.

        Any other failure ends the taking, and is raised by `reply`.
        """
        try:
            yield
        except MDStreamError as error:
            if not self._cut(span, error):
                self._error = self._error or self._explained(span, error)
                self.stop()
        except BaseException:
            self.stop()
            raise

    def _cut(self, span: range, error: MDStreamError) -> bool:
        """Cut a batch and those that wait to the limit that its error reports; `False` where there is none."""
        limit = self._learn_limit(error, len(span), sum(self._sizes[span.start : span.stop]))
        if limit is None:
            return False
        if len(list(_spans(self._sizes, span, limit.inputs, limit.size))) == 1:
            return False
        with self._lock:
            if not self._stopped:
                self._most, self._most_bytes = _least(self._most, limit.inputs), _least(self._most_bytes, limit.size)
                whole = _merge(sorted([span, *self._waiting], key=lambda one: one.start))
                pieces = (piece for one in whole for piece in _spans(self._sizes, one, self._most, self._most_bytes))
                self._waiting = deque(pieces)
        return True

    def _explained(self, span: range, error: MDStreamError) -> MDStreamError:
        """The error, which names the empty inputs of a batch that was refused."""
        empty = [str(at) for at in span if not self._sizes[at]]
        if empty and isinstance(error, InvalidRequest):
            listed = f"{', '.join(empty[:5])}{' …' if len(empty) > 5 else ''}"
            error.args = (f"{error} (hint: many servers reject empty texts; empty is the text at index {listed})",)
        return error

    def answered(self, span: range, reply: Reply) -> None:
        """Take the answer of a batch in. Raises `MalformedStream` if an input has none."""
        self._check_indices(span, [one.index for one in (*reply.embeddings, *reply.ranking)])  # type: ignore[attr-defined]
        lengths = {len(one.vector) for one in reply.embeddings}
        with self._lock:
            self._lengths |= lengths
            if len(self._lengths) > 1:
                raise MalformedStream(f"vectors of different lengths in one list: {sorted(self._lengths)}")
            self._replies[span.start] = reply
            self._told(len(span))

    def _check_indices(self, span: range, indices: list[int]) -> None:
        expected = min(len(span), self._answers or len(span))
        count = len(set(indices))
        wrong = describe_wrong_indices(indices, len(span), complete=expected == len(span))
        if wrong or count < expected:
            wanted = "" if expected == len(span) else f", {expected} of which should have an answer"
            message = f"{len(span)} inputs were sent{wanted}, and answers came for {count} of them"
            raise MalformedStream(f"{message}: {wrong}" if wrong else message)

    def reply(self) -> Reply:
        """All answers as one: vectors in the order of the inputs, the best scores first, the usage added up."""
        if self._error is not None:
            self._error.partial = self._joined() if self._replies else None
            raise self._error
        return self._joined()

    def _joined(self) -> Reply:
        parts = sorted(self._replies.items())
        vectors = [Embedding(one.vector, start + one.index) for start, reply in parts for one in reply.embeddings]
        ranking = [Ranked(one.score, start + one.index) for start, reply in parts for one in reply.ranking]
        return Reply(
            usage=_total([reply.usage for _, reply in parts if reply.usage]),
            served=parts[0][1].served if parts else Reply().served,
            embeddings=tuple(vectors),
            ranking=tuple(sorted(ranking, key=lambda one: -one.score)[: self._answers]),
        )


def _spans(sizes: Sequence[int], span: range, most: int | None, most_bytes: int | None) -> Iterator[range]:
    start, held = span.start, 0
    for at in span:
        full = at - start == most or (most_bytes is not None and held + sizes[at] > most_bytes)
        if full and at > start:
            yield range(start, at)
            start, held = at, 0
        held += sizes[at]
    if span:
        yield range(start, span.stop)


def _least(one: int | None, other: int | None) -> int | None:
    return min((number for number in (one, other) if number is not None), default=None)


def _merge(spans: list[range]) -> Iterator[range]:
    """Those that touch each other as one."""
    start = spans[0].start
    for one, other in pairwise(spans):
        if one.stop != other.start:
            yield range(start, one.stop)
            start = other.start
    yield range(start, spans[-1].stop)


def _total(counts: list[Usage]) -> Usage | None:
    if not counts:
        return None
    return Usage(*(sum(getattr(count, name) for count in counts) for name in ("input", "output", "total")))
