"""The loops that ask about many inputs, a few batches at a time: threads, or tasks."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import count

import anyio
from anyio.lowlevel import RunVar

from mdstream_core import _fork
from mdstream_core.batching.plan import BatchPlan
from mdstream_core.call import Call
from mdstream_core.client import AsyncClient, Client
from mdstream_core.events import ModelResponse

#: Older releases of anyio tell such variables apart by their names, and an `id` is used again.
_GATES = count()


class ConcurrencyLimiter:
    """As many requests as may be under way at once: in all threads together, and in all tasks of one event loop.

    Args:
        max_concurrency: How many.
    """

    def __init__(self, max_concurrency: int) -> None:
        if max_concurrency < 1:
            raise ValueError(f"max_concurrency={max_concurrency} is no number of requests: give 1 or more")
        self.max_concurrency = max_concurrency
        self.reset_after_fork()
        _fork.register(self)

    def reset_after_fork(self) -> None:
        """Begin without requests under way, in a forked process."""
        self.threads = threading.BoundedSemaphore(self.max_concurrency)
        self._tasks: RunVar[anyio.CapacityLimiter] = RunVar(f"mdstream gate {next(_GATES)}")

    @property
    def tasks(self) -> anyio.CapacityLimiter:
        """The running event loop's own."""
        try:
            return self._tasks.get()
        except LookupError:
            limiter = anyio.CapacityLimiter(self.max_concurrency)
            self._tasks.set(limiter)
            return limiter


def gather(
    client: Client, build_call: Callable[[range], Call], plan: BatchPlan, limiter: ConcurrencyLimiter
) -> ModelResponse:
    """Ask about every batch.

    Args:
        client: Who waits.
        build_call: The question about one batch.
        plan: What is to be asked; used up.
        limiter: How many requests may be under way, each in a thread of its own.

    Raises:
        MDStreamError: What the first batch met that failed. Those under way were waited for, and no more were begun;
            `partial` has all that came.
    """
    workers = min(limiter.max_concurrency, len(plan))
    if workers <= 1:
        _run_worker(client, build_call, plan, limiter)
        return plan.merged_response()
    with ThreadPoolExecutor(workers, "mdstream") as threads:
        asked = [
            threads.submit(copy_context().run, _run_worker, client, build_call, plan, limiter) for _ in range(workers)
        ]
        try:
            for done in asked:
                done.result()
        finally:  # Ctrl-C waits for the requests under way, and no more are begun
            plan.stop()
    return plan.merged_response()


async def agather(
    client: AsyncClient, build_call: Callable[[range], Call], plan: BatchPlan, limiter: ConcurrencyLimiter
) -> ModelResponse:
    """Ask about every batch, each in a task of its own. Arguments and errors as for `gather`."""
    workers = min(limiter.max_concurrency, len(plan))
    if workers <= 1:
        await _arun_worker(client, build_call, plan, limiter)
        return plan.merged_response()
    try:
        async with anyio.create_task_group() as tasks:
            for _ in range(workers):
                tasks.start_soon(_arun_worker, client, build_call, plan, limiter)
    except ExceptionGroup as group:  # what is no failure of a service: a hook's error, say
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
