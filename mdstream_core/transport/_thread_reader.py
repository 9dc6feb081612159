"""`read_in_thread`: read a stream in a thread of its own, so that the reader can stop while nothing arrives."""

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextvars import copy_context
from typing import Generic, TypeVar

from mdstream_core.transport._cancellation import CancelToken, inherited_token

T = TypeVar("T")


def read_in_thread(
    start: Callable[[], Iterable[T]], check: Callable[[], object], *, interval: float = 0.2
) -> Generator[T]:
    """Yield the items of a stream that a thread of its own reads, and call a function regularly until it ends.

    For web frameworks whose pages run in threads, such as Streamlit: they end a page that the user has left in the next
    of their own functions that it calls. A page that waits for the model's next chunk calls none, and the model runs on
    with nobody who reads. Here `check` is called meanwhile. If it raises an exception, or if this generator is closed,
    the requests of mdstream's models in the thread are cancelled, and their connections are closed at once.

    The stream is at most one item ahead of the reader. A failure of the stream is raised after the items before it.
    In tasks of an event loop, use `read_in_task`.

    Args:
        start: Returns the stream. It is called in the thread, as some models send their request before the first item
            is read.
        check: Called every `interval` in the reader's thread, also while items arrive.
        interval: Seconds between two calls of `check`.

    Raises:
        RuntimeError: In a process that was forked while the stream was read: the thread runs in its parent only.

    Example:
        >>> list(read_in_thread(lambda: [1, 2], lambda: None))
        [1, 2]
    """
    reader, outer_token = _Reader(start), inherited_token.get()
    # A daemon, so that a generator that is never continued does not keep the process from ending.
    thread = threading.Thread(target=copy_context().run, args=(reader.run,), name="mdstream reader", daemon=True)
    thread.start()
    check_at = time.monotonic() + interval
    try:
        while True:
            try:
                entry = reader.items.get(timeout=max(0.0, check_at - time.monotonic()))
            except queue.Empty:
                if not thread.is_alive() and reader.items.empty():
                    message = "this stream was started before the process was forked (hint: start one in each process)"
                    raise RuntimeError(message) from None
            else:
                if entry is None:
                    break
                reader.permits.release()
                yield entry[0]
            if time.monotonic() >= check_at:
                if outer_token is not None:
                    outer_token.check()
                check()
                check_at = time.monotonic() + interval
        if reader.error is not None:
            raise reader.error
    finally:
        reader.cancel()


class _Reader(Generic[T]):
    """Reads a stream in a thread.

    Args:
        start: Returns the stream.
    """

    def __init__(self, start: Callable[[], Iterable[T]]) -> None:
        self._start = start
        self._token = CancelToken()
        #: The items that have arrived, each in a tuple; `None` after the last one.
        self.items: queue.SimpleQueue[tuple[T] | None] = queue.SimpleQueue()
        #: One permit for each item that may be read ahead.
        self.permits = threading.Semaphore(1)
        #: The exception that ended the stream.
        self.error: BaseException | None = None

    def run(self) -> None:
        """Read the stream until its end, or until it is cancelled."""
        inherited_token.set(self._token)
        with self:
            iterator = iter(self._start())
            try:
                for item in iterator:
                    self.permits.acquire()
                    self._token.check()
                    self.items.put((item,))
            finally:
                if isinstance(iterator, Generator):
                    iterator.close()

    def cancel(self) -> None:
        """Cancel the requests in the thread, and end it."""
        self._token.cancel()
        self.permits.release()

    def __enter__(self) -> None:
        """Begin to keep an exception for the generator, which raises it in its own thread."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        """Keep the exception."""
        self.error = error
        self.items.put(None)
        return True
