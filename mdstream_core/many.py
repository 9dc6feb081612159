"""The loops that ask about many inputs, a few batches at a time: threads, or tasks."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import count

import anyio
from anyio.lowlevel import RunVar

from mdstream_core import _fork
from mdstream_core.batches import Batches
from mdstream_core.call import Call
from mdstream_core.client import AsyncClient, Client
from mdstream_core.events import Reply

#: Older releases of anyio tell such variables apart by their names, and an `id` is used again.
_GATES = count()


class Gate:
    """As many requests as may be under way at once: in all threads together, and in all tasks of one event loop.

    Args:
        at_once: How many.
    """

    def __init__(self, at_once: int) -> None:
        if at_once < 1:
            raise ValueError(f"max_concurrency={at_once} is no number of requests: give 1 or more")
        self.at_once = at_once
        self.reset_after_fork()
        _fork.register(self)

    def reset_after_fork(self) -> None:
        """Begin without requests under way, in a forked process."""
        self.threads = threading.BoundedSemaphore(self.at_once)
        self._tasks: RunVar[anyio.CapacityLimiter] = RunVar(f"mdstream gate {next(_GATES)}")

    @property
    def tasks(self) -> anyio.CapacityLimiter:
        """The running event loop's own."""
        try:
            return self._tasks.get()
        except LookupError:
            limiter = anyio.CapacityLimiter(self.at_once)
            self._tasks.set(limiter)
            return limiter


def gather(client: Client, ask: Callable[[range], Call], batches: Batches, gate: Gate) -> Reply:
    """Ask about every batch.

    Args:
        client: Who waits.
        ask: The question about one batch.
        batches: What is to be asked; used up.
        gate: How many requests may be under way, each in a thread of its own.

    Raises:
        MDStreamError: What the first batch met that failed. Those under way were waited for, and no more were begun;
            `partial` has all that came.
    """
    workers = min(gate.at_once, len(batches))
    if workers <= 1:
        _work(client, ask, batches, gate)
        return batches.reply()
    with ThreadPoolExecutor(workers, "mdstream") as threads:
        asked = [threads.submit(copy_context().run, _work, client, ask, batches, gate) for _ in range(workers)]
        try:
            for done in asked:
                done.result()
        finally:  # Ctrl-C waits for the requests under way, and no more are begun
            batches.stop()
    return batches.reply()


async def agather(client: AsyncClient, ask: Callable[[range], Call], batches: Batches, gate: Gate) -> Reply:
    """Ask about every batch, each in a task of its own. Arguments and errors as for `gather`."""
    workers = min(gate.at_once, len(batches))
    if workers <= 1:
        await _awork(client, ask, batches, gate)
        return batches.reply()
    try:
        async with anyio.create_task_group() as tasks:
            for _ in range(workers):
                tasks.start_soon(_awork, client, ask, batches, gate)
    except ExceptionGroup as group:  # what is no failure of a service: a hook's error, say
        raise group.exceptions[0] from None
    return batches.reply()


def _work(client: Client, ask: Callable[[range], Call], batches: Batches, gate: Gate) -> None:
    while span := batches.take():
        with batches.asking(span), gate.threads:
            batches.answered(span, client.complete(ask(span)))


async def _awork(client: AsyncClient, ask: Callable[[range], Call], batches: Batches, gate: Gate) -> None:
    while span := batches.take():
        with batches.asking(span):
            async with gate.tasks:
                batches.answered(span, await client.complete(ask(span)))
