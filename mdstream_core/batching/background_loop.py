"""The event loop on which all columns of a process send their requests, so that batches share connections."""

import asyncio
import atexit
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, wait
from contextvars import copy_context
from typing import Any, Generic, TypeVar

from mdstream_core import _fork

T = TypeVar("T")

#: Seconds between two checks for signals while a result is awaited: on Windows an unlimited wait ignores Ctrl-C.
_SIGNAL_INTERVAL = 1.0

#: Longest time to wait for connections to close at the end of the process, in seconds.
_CLOSE_TIMEOUT = 2.0


class BackgroundLoop:
    """An event loop on a daemon thread, started when it is first used. A forked process starts its own.

    Example:
        >>> async def add(one, other):
        ...     return one + other
        >>> background_loop.run(add(1, 2))
        3
    """

    def __init__(self) -> None:
        self._lock = _fork.Lock()
        self.reset_after_fork()
        _fork.register(self)

    def reset_after_fork(self) -> None:
        """Drop the loop in a forked process, where its thread does not run."""
        self._inherited = getattr(self, "_loop", None)  # stays referenced: it must not be finalized in the child
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine, in a copy of the caller's context. Cancelling the future cancels its task.

        Raises:
            RuntimeError: It is called on the loop's own thread, where waiting for the result would never end.
        """
        return self._submit(_Job(coroutine))

    def _submit(self, job: "_Job[T]") -> "Future[T]":
        if threading.current_thread() is self._thread:
            job.coroutine.close()
            raise RuntimeError("a column is called inside of a request of a column (hint: call it from other code)")
        return asyncio.run_coroutine_threadsafe(job.run(), self._running_loop())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and wait for its result. Ctrl-C cancels it, whenever it arrives."""
        job = _Job(coroutine)
        try:
            future = self._submit(job)
            while not wait([future], _SIGNAL_INTERVAL).done:
                pass
            return future.result()
        except BaseException:
            job.cancel()
            raise

    def close(self) -> None:
        """Cancel the tasks, close the connections and end the thread; the next call starts another loop."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None and thread.is_alive():
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_CLOSE_TIMEOUT)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                loop = self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_run_loop, args=(loop,), name="mdstream-batch", daemon=True)
                self._thread.start()
            return self._loop


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
        loop.run_until_complete(_cancel_tasks())
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


async def _cancel_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _Job(Generic[T]):
    """A coroutine for the loop, in a copy of the caller's context. It can be cancelled before it has started."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self.coroutine = coroutine
        self._context = copy_context()
        self._is_cancelled = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[T] | None = None

    async def run(self) -> T:
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self.coroutine, context=self._context)
        if self._is_cancelled:  # `cancel` has not seen the task
            self._task.cancel()
        return await self._task

    def cancel(self) -> None:
        """Cancel the task, from any thread."""
        self._is_cancelled = True
        if self._task is not None and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)


background_loop = BackgroundLoop()
atexit.register(background_loop.close)
