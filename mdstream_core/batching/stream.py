"""Send the batches of an iterable while it is read: requests in threads or tasks, results in the order of the inputs.

The consumer of the results reads the inputs, so the iterable is used by one thread or task only. A worker sends one
batch after the other, so a slow request does not keep the others from being sent, and ends when no batch is ready.
"""

import threading
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import anyio
import anyio.lowlevel

from mdstream_core import _fork
from mdstream_core.batching.execute import ConcurrencyLimiter
from mdstream_core.batching.stream_plan import StreamPlan
from mdstream_core.call import Call
from mdstream_core.client import AsyncClient, Client
from mdstream_core.transport._background import start_task
from mdstream_core.transport._cancellation import CancelToken
from mdstream_core.transport._fairness import acheckpoint

#: Inputs to read for each result that is delivered, so that the window fills up while results are available.
_READS_PER_RESULT = 2

#: Seconds within which cancelled tasks have to end.
_CLOSE_TIMEOUT = 30.0


class ThreadWorkers:
    """Threads that send the batches of a plan.

    Args:
        client: The client that sends the requests.
        build_call: Creates the call for one batch, a range of input indices.
        plan: The batches.
        limiter: Limit of concurrent requests.
    """

    def __init__(
        self, client: Client, build_call: Callable[[range], Call], plan: StreamPlan, limiter: ConcurrencyLimiter
    ) -> None:
        self._client = client
        self._build_call = build_call
        self._plan = plan
        self._limiter = limiter
        self._token = CancelToken()
        self.reset_after_fork()
        _fork.register(self)

    def reset_after_fork(self) -> None:
        """Replace what the threads share: a forked process has none of them."""
        self._threads = ThreadPoolExecutor(self._limiter.max_concurrency, "mdstream")
        self._has_news = threading.Event()

    def start(self) -> None:
        """Start a worker for each batch that is ready, up to the limit."""
        for _ in range(self._plan.start_workers()):
            self._threads.submit(copy_context().run, self._run)

    def clear(self) -> None:
        """Make `wait` wait for the next batch that ends from now on."""
        self._has_news.clear()

    def wait(self) -> None:
        """Wait until a batch or a worker has ended. The timeouts of the requests limit this."""
        self._has_news.wait()

    def checkpoint(self) -> None:
        """Do nothing, because the operating system schedules threads."""

    def close(self) -> None:
        """Cancel the requests in progress, and wait until the threads have ended."""
        self._plan.stop()
        self._token.cancel()
        self._threads.shutdown()

    def _run(self) -> None:
        try:
            while span := self._plan.take():
                with self._plan.handle_batch(span), self._limiter.hold_thread(self._token):
                    call = self._build_call(span)
                    call.cancel_token = self._token
                    self._plan.add_response(span, self._client.complete(call))
                self.start()
                self._has_news.set()
        finally:
            self._has_news.set()


class TaskWorkers:
    """Async variant of `ThreadWorkers`: tasks, which outlive the step of the generator that started them."""

    def __init__(
        self, client: AsyncClient, build_call: Callable[[range], Call], plan: StreamPlan, limiter: ConcurrencyLimiter
    ) -> None:
        self._client = client
        self._build_call = build_call
        self._plan = plan
        self._limiter = limiter
        self._scopes: set[anyio.CancelScope] = set()
        self._running = 0
        self._has_news = anyio.Event()

    def start(self) -> None:
        """Start a worker for each batch that is ready, up to the limit."""
        for _ in range(self._plan.start_workers()):
            self._running += 1
            start_task(self._run, self._on_end)

    def clear(self) -> None:
        """Make `wait` wait for the next batch that ends from now on."""
        if self._has_news.is_set():
            self._has_news = anyio.Event()

    async def wait(self) -> None:
        """Wait until a batch or a worker has ended. The timeouts of the requests limit this."""
        await self._has_news.wait()

    async def checkpoint(self) -> None:
        """Let the workers run, also if all results that the consumer needs are available."""
        await anyio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Cancel the requests in progress, and wait until the tasks have ended."""
        self._plan.stop()
        for scope in self._scopes:
            scope.cancel()
        with anyio.move_on_after(_CLOSE_TIMEOUT, shield=True):
            while self._running:
                self.clear()
                await self.wait()

    async def _run(self) -> None:
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            while span := self._plan.take():
                with self._plan.handle_batch(span):
                    async with self._limiter.tasks:
                        self._plan.add_response(span, await self._client.complete(self._build_call(span)))
                self.start()
                self._has_news.set()
        self._scopes.discard(scope)

    def _on_end(self) -> None:
        self._running -= 1
        self._has_news.set()


def stream(workers: ThreadWorkers, plan: StreamPlan, inputs: Iterable[str]) -> Generator[tuple[int, Any]]:
    """Yield the vector of each input, with its index, in order.

    Closing the generator cancels the requests in progress.

    Args:
        workers: Send the batches of `plan`; use them once.
        plan: The batches; use it once.
        inputs: The inputs. The iterable is read a window ahead.

    Raises:
        MDStreamError: A request failed after its retries. All results before it were yielded; `partial` has those that
            were received after it.
        TypeError: An input is no string.
    """
    texts = iter(inputs)
    try:
        while True:
            workers.clear()
            _read(plan, texts)
            workers.start()
            results = plan.pop()
            if results is None:
                if plan.is_finished():
                    return
                if not plan.can_read:
                    workers.wait()
                continue
            workers.checkpoint()
            for result in results:
                _read(plan, texts)
                workers.start()
                yield result
    finally:
        workers.close()


async def astream(
    workers: TaskWorkers, plan: StreamPlan, inputs: Iterable[str] | AsyncIterable[str]
) -> AsyncGenerator[tuple[int, Any]]:
    """Async variant of `stream`, which also takes async iterables. Use it with `contextlib.aclosing`."""
    texts = _aiter(inputs)
    try:
        while True:
            workers.clear()
            await _aread(plan, texts)
            workers.start()
            results = plan.pop()
            if results is None:
                if plan.is_finished():
                    return
                if not plan.can_read:
                    await workers.wait()
                continue
            await workers.checkpoint()
            for result in results:
                await _aread(plan, texts)
                workers.start()
                yield result
    finally:
        await workers.aclose()


def _read(plan: StreamPlan, texts: Iterator[str]) -> None:
    for _ in range(_READS_PER_RESULT):
        if plan.can_read:
            with plan.input_errors():
                plan.add(next(texts))


async def _aread(plan: StreamPlan, texts: AsyncIterator[str]) -> None:
    for _ in range(_READS_PER_RESULT):
        if plan.can_read:
            with plan.input_errors():
                plan.add(await anext(texts))


def _aiter(inputs: Iterable[str] | AsyncIterable[str]) -> AsyncIterator[str]:
    return aiter(inputs) if isinstance(inputs, AsyncIterable) else _AsyncInputs(inputs)


class _AsyncInputs:
    """Async iterator over an iterable, which lets other tasks run while a slow iterable is read."""

    def __init__(self, inputs: Iterable[str]) -> None:
        self._inputs = iter(inputs)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        await acheckpoint()
        try:
            return next(self._inputs)
        except StopIteration:
            raise StopAsyncIteration from None
