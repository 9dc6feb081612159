"""Batches of an iterable of inputs, which is read while the results of earlier inputs are delivered.

At most a window of inputs is in memory: those that wait, those of the requests in progress, and those whose results
wait for an earlier one. The results are delivered in the order of the inputs. An error, of the iterable or of a
request, takes the position of its input: it is raised after everything before it was delivered.
"""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from mdstream_core import _fork
from mdstream_core.batching.plan import BatchPlan, LearnLimit, measure_text
from mdstream_core.errors import MDStreamError
from mdstream_core.events import ModelResponse

#: Size of the window, in batches for each concurrent request. While one request is slow, each of the others can be
#: followed by three more before they wait for it.
_WINDOW_BATCHES = 4

#: Size of a batch in bytes that counts for the window where the service has no limit.
_DEFAULT_BATCH_BYTES = 4 * 1024 * 1024


class StreamPlan(BatchPlan):
    """The batches of an iterable, and their responses. One consumer reads the iterable; workers share the plan.

    Args:
        max_batch_size: Maximum number of inputs per batch.
        max_concurrency: Maximum number of workers.
        max_batch_bytes: Maximum size of a batch's inputs in bytes; a larger input is sent alone. `None` is unlimited.
        on_progress: Called with the number of inputs of each completed batch.
        learn_limit: As for `BatchPlan`.

    Example:
        >>> plan = StreamPlan(max_batch_size=2, max_concurrency=1)
        >>> for text in ("a", "b", "c"):
        ...     plan.add(text)
        >>> plan.start_workers(), plan.take(), plan.take()
        (1, range(0, 2), None)
    """

    def __init__(
        self,
        *,
        max_batch_size: int,
        max_concurrency: int,
        max_batch_bytes: int | None = None,
        on_progress: Callable[[int], object] = lambda count: None,
        learn_limit: LearnLimit = lambda error, inputs, size: None,
    ) -> None:
        self._input_sizes: dict[int, int] = {}
        super().__init__(
            self._input_sizes,
            max_batch_size=max_batch_size,
            max_batch_bytes=max_batch_bytes,
            on_progress=on_progress,
            learn_limit=learn_limit,
        )
        self._max_workers = max_concurrency
        self._window = max_batch_size * max_concurrency * _WINDOW_BATCHES
        self._window_bytes = (max_batch_bytes or _DEFAULT_BATCH_BYTES) * max_concurrency * _WINDOW_BATCHES
        self._texts: dict[int, str] = {}
        self._bytes = 0  # of the inputs in the window
        self._last_bytes = 0  # of the last pending batch
        self._count = 0  # inputs that were read
        self._next = 0  # index of the next result to deliver
        self._workers = 0
        self._is_ended = False
        self._input_error: Exception | None = None
        self._failures: dict[int, BaseException] = {}  # by the index of the first input of the batch
        _fork.register(self)

    def reset_after_fork(self) -> None:
        """End the plan in a forked process, which has none of its workers."""
        self.stop()
        self._responses.clear()
        self._workers = 0
        message = "this iterator was created before the process was forked (hint: create one in each process)"
        self._failures = {self._next: RuntimeError(message)}

    @property
    def can_read(self) -> bool:
        """Whether the window has space for a further input, and the iterable has not ended."""
        return (
            not (self._is_ended or self._failures or self._stopped)
            and self._count - self._next < self._window
            and self._bytes < self._window_bytes
        )

    def input_errors(self) -> "_InputErrors":
        """Return a context manager for reading an input: the end of the iterable and its errors end the plan."""
        return _InputErrors(self.end)

    def add(self, text: str) -> None:
        """Add the next input. Raises `TypeError`, which names its index, if it is no string."""
        size = measure_text(self._count, text)
        with self._lock:
            if self._failures or self._stopped:  # a request failed while this input was read
                return
            index = self._count
            self._texts[index], self._input_sizes[index] = text, size
            self._bytes += size
            self._count += 1
            if self._pending and self._has_space(last := self._pending[-1], size):
                self._pending[-1] = range(last.start, index + 1)
                self._last_bytes += size
            else:
                self._pending.append(range(index, index + 1))
                self._last_bytes = size

    def end(self, error: Exception | None = None) -> None:
        """End the inputs; `error` is raised after the results of all of them were delivered."""
        with self._lock:
            self._is_ended, self._input_error = True, error

    def start_workers(self) -> int:
        """Return how many workers to start now for the batches that are ready. Each takes batches until none is."""
        if self._workers >= self._max_workers or not self._pending:  # called for each result: the usual case is fast
            return 0
        with self._lock:
            ready = len(self._pending)
            if ready and self._is_growing(self._pending[-1]):
                ready -= 1
            starting = 0 if self._stopped else max(0, min(self._max_workers - self._workers, ready))
            self._workers += starting
        return starting

    def take(self) -> range | None:
        """Return the next batch; with `None` the worker ends."""
        with self._lock:
            if self._pending and not self._is_growing(self._pending[0]):
                return self._pending.popleft()
            self._workers -= 1
            return None

    def texts(self, span: range) -> Sequence[str]:
        """Return the inputs of a batch."""
        return [self._texts[index] for index in span]

    def handle_batch(self, span: range) -> "_BatchErrors":
        """Return a context manager for sending a batch, which is split if it was too large for the server.

        Any other error is raised in the consumer, at the position of the batch.
        """
        return _BatchErrors(self, span)

    def add_response(self, span: range, response: ModelResponse) -> None:
        """Add the response of a batch. Raises `MalformedStream` if an input has no result."""
        super().add_response(span, response)
        for index in span:
            del self._texts[index]

    def pop(self) -> list[tuple[int, Any]] | None:
        """Remove and return the next results in the order of the inputs, with their indices; `None` before."""
        with self._lock:
            start = self._next
            response = self._responses.pop(start, None)
            if response is None:
                return None
            self._next += len(response.embeddings)
            self._bytes -= sum(self._input_sizes.pop(index) for index in range(start, self._next))
        return [(start + embedding.index, embedding.vector) for embedding in response.embeddings]

    def is_finished(self) -> bool:
        """Return whether all results were delivered.

        Raises:
            MDStreamError: The next batch has failed, and no request is in progress; `partial` has the results after it.
            Exception: The iterable, or for example a hook, raised this, and everything before it was delivered.
        """
        with self._lock:
            error: BaseException | None
            if self._failures:
                failed = min(self._failures)
                if self._workers or self._next < failed:
                    return False
                error = self._failures[failed]
            elif not self._is_ended or self._next < self._count:
                return False
            else:
                error = self._input_error
        if isinstance(error, MDStreamError):
            error.partial = self._merge_responses() if self._responses else None
        if error is not None:
            raise error
        return True

    def fail(self, span: range, error: BaseException) -> None:
        """Record the error of a batch. Only the batches before it are still sent."""
        if isinstance(error, MDStreamError):
            self._with_hint(span, error)
        with self._lock:
            self._failures[span.start] = error
            self._drop_after_failure()
            if not isinstance(error, Exception):  # the worker was cancelled
                self._workers -= 1

    # The following methods are called with the lock held.

    def _has_space(self, span: range, size: int) -> bool:
        """Whether a pending batch can take the next input, of `size` bytes."""
        return (
            span.stop == self._count - 1
            and (self._max_batch_size is None or len(span) < self._max_batch_size)
            and (self._max_batch_bytes is None or self._last_bytes + size <= self._max_batch_bytes)
        )

    def _is_growing(self, span: range) -> bool:
        """Whether a batch is incomplete, and inputs for it can be read."""
        is_last = span.stop == self._count
        return is_last and (self._max_batch_size is None or len(span) < self._max_batch_size) and self.can_read

    def _plan_again(self, span: range) -> None:
        super()._plan_again(span)
        self._last_bytes = sum(self._input_sizes[index] for index in self._pending[-1])
        self._drop_after_failure()

    def _drop_after_failure(self) -> None:
        first = min(self._failures, default=self._count)
        while self._pending and self._pending[-1].start >= first:
            self._pending.pop()


class _InputErrors:
    """Ends a plan when reading an input raises; `StopIteration` is the end of the iterable."""

    def __init__(self, end: Callable[[Exception | None], None]) -> None:
        self._end = end

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: TracebackType | None) -> bool:
        if not isinstance(error, Exception):  # an interrupt or a cancellation ends the consumer at once
            return False
        self._end(None if isinstance(error, StopIteration | StopAsyncIteration) else error)
        return True


class _BatchErrors:
    """Passes the errors of a batch from the worker that sent it to the consumer."""

    def __init__(self, plan: StreamPlan, span: range) -> None:
        self._plan = plan
        self._span = span

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: TracebackType | None) -> bool:
        if error is None:
            return False
        if not (isinstance(error, MDStreamError) and self._plan._split(self._span, error)):
            self._plan.fail(self._span, error)
        return isinstance(error, Exception)  # a cancellation ends the worker
