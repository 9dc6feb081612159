"""Send the batches of a plan concurrently, in threads or tasks, with a limit of concurrent requests."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from itertools import count

import anyio
from anyio.lowlevel import RunVar

from mdstream_core import _fork
from mdstream_core.batching.plan import BatchPlan
from mdstream_core.call import Call
from mdstream_core.client import AsyncClient, Client
from mdstream_core.events import ModelResponse
from mdstream_core.transport._cancellation import CancelToken

#: Numbers for the names of `RunVar`s: older releases of anyio identify these by name, and an `id` may be reused.
_LIMITER_NUMBERS = count()

#: Seconds between the checks whether a thread that waits for other callers' requests was cancelled.
_CANCEL_INTERVAL = 0.1


class ConcurrencyLimiter:
    """Limit of concurrent requests: in all threads together, and in all tasks of one event loop.

    Args:
        max_concurrency: Maximum number of concurrent requests.
    """

    def __init__(self, max_concurrency: int) -> None:
        if max_concurrency < 1:
            raise ValueError(f"max_concurrency={max_concurrency} must be 1 or more")
        self.max_concurrency = max_concurrency
        self.reset_after_fork()
        _fork.register(self)

    def reset_after_fork(self) -> None:
        """Replace the limiters in a forked process: the parent's may be occupied by its requests."""
        self.threads = threading.BoundedSemaphore(self.max_concurrency)
        self._tasks: RunVar[anyio.CapacityLimiter] = RunVar(f"mdstream limiter {next(_LIMITER_NUMBERS)}")

    @contextmanager
    def hold_thread(self, token: CancelToken) -> Iterator[None]:
        """Count the calling thread while it sends a request. Raises `RequestCancelled` if it is cancelled before."""
        while not self.threads.acquire(timeout=_CANCEL_INTERVAL):
            token.check()
        try:
            yield
        finally:
            self.threads.release()

    @property
    def tasks(self) -> anyio.CapacityLimiter:
        """The limiter of the running event loop."""
        try:
            return self._tasks.get()
        except LookupError:
            limiter = anyio.CapacityLimiter(self.max_concurrency)
            self._tasks.set(limiter)
            return limiter


def gather(
    client: Client, build_call: Callable[[range], Call], plan: BatchPlan, limiter: ConcurrencyLimiter
) -> ModelResponse:
    """Send the batches of a plan, each request in a thread.

    Args:
        client: The client that sends the requests.
        build_call: Creates the call for one batch, a range of input indices.
        plan: The batches; use it once.
        limiter: Limit of concurrent requests.

    Returns:
        The merged response.

    Raises:
        MDStreamError: The error of the first batch that failed. Requests in progress were completed, and no further
            ones were started; `partial` has all results received.
    """
    workers = min(limiter.max_concurrency, len(plan))
    if workers <= 1:
        _run_worker(client, build_call, plan, limiter)
        return plan.merged_response()
    with ThreadPoolExecutor(workers, "mdstream") as threads:
        futures = [
            threads.submit(copy_context().run, _run_worker, client, build_call, plan, limiter) for _ in range(workers)
        ]
        try:
            for future in futures:
                future.result()
        finally:  # on Ctrl-C: start no further requests; leaving the executor waits for those in progress
            plan.stop()
    return plan.merged_response()


async def agather(
    client: AsyncClient, build_call: Callable[[range], Call], plan: BatchPlan, limiter: ConcurrencyLimiter
) -> ModelResponse:
    """Async variant of `gather`, which sends each request in a task."""
    workers = min(limiter.max_concurrency, len(plan))
    if workers <= 1:
        await _arun_worker(client, build_call, plan, limiter)
        return plan.merged_response()
    try:
        async with anyio.create_task_group() as tasks:
            for _ in range(workers):
                tasks.start_soon(_arun_worker, client, build_call, plan, limiter)
    except ExceptionGroup as group:  # not a failure of the service: the exception of a hook, for example
        raise group.exceptions[0] from None
    return plan.merged_response()


def _run_worker(
    client: Client, build_call: Callable[[range], Call], plan: BatchPlan, limiter: ConcurrencyLimiter
) -> None:
    while span := plan.take():
        with plan.handle_errors(span), limiter.threads:
            plan.add_response(span, client.complete(build_call(span)))


async def _arun_worker(
    client: AsyncClient, build_call: Callable[[range], Call], plan: BatchPlan, limiter: ConcurrencyLimiter
) -> None:
    while span := plan.take():
        with plan.handle_errors(span):
            async with limiter.tasks:
                plan.add_response(span, await client.complete(build_call(span)))
