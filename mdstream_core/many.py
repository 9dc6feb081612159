"""The loops that ask about many inputs, a few batches at a time: threads, or tasks."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import anyio

from mdstream_core.batches import Batches
from mdstream_core.call import Call
from mdstream_core.client import AsyncClient, Client
from mdstream_core.events import Reply


def gather(client: Client, ask: Callable[[range], Call], batches: Batches, at_once: int) -> Reply:
    """Ask about every batch.

    Args:
        client: Who waits.
        ask: The question about one batch.
        batches: What is to be asked; used up.
        at_once: How many batches may be under way, each in a thread of its own.

    Raises:
        MDStreamError: What the first batch met that failed. Those under way were waited for, and no more were begun;
            `partial` has all that came.
    """
    workers = min(_checked(at_once), len(batches))
    if workers <= 1:
        _work(client, ask, batches)
        return batches.reply()
    with ThreadPoolExecutor(workers, "mdstream") as threads:
        for done in [threads.submit(copy_context().run, _work, client, ask, batches) for _ in range(workers)]:
            done.result()
    return batches.reply()


async def agather(client: AsyncClient, ask: Callable[[range], Call], batches: Batches, at_once: int) -> Reply:
    """Ask about every batch, each in a task of its own. Arguments and errors as for `gather`."""
    workers = min(_checked(at_once), len(batches))
    if workers <= 1:
        await _awork(client, ask, batches)
        return batches.reply()
    try:
        async with anyio.create_task_group() as tasks:
            for _ in range(workers):
                tasks.start_soon(_awork, client, ask, batches)
    except ExceptionGroup as group:  # what is no failure of a service: a hook's error, say
        raise group.exceptions[0] from None
    return batches.reply()


def _work(client: Client, ask: Callable[[range], Call], batches: Batches) -> None:
    while span := batches.take():
        with batches.asking():
            batches.answered(span, client.complete(ask(span)))


async def _awork(client: AsyncClient, ask: Callable[[range], Call], batches: Batches) -> None:
    while span := batches.take():
        with batches.asking():
            batches.answered(span, await client.complete(ask(span)))


def _checked(at_once: int) -> int:
    if at_once < 1:
        raise ValueError(f"max_concurrency={at_once} is no number of batches: give 1 or more")
    return at_once
