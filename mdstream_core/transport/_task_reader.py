"""`read_in_task`: read a stream in a task of its own, so that a web server can cancel what the stream has started."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from mdstream_core.transport._background import hold_task
from mdstream_core.transport._cancellation import CancelToken, inherited_token

T = TypeVar("T")


async def read_in_task(stream: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """Yield the items of a stream that a task of its own reads, and cancel that task once when the reader leaves.

    For streams of agents and graphs in a web server, such as LangGraph's `astream`: they run models in tasks of their
    own, which they cancel when they are closed. Starlette (FastAPI) cancels a response again in each step of the event
    loop until it has ended, which interrupts that, and the models run on with nobody who reads. Here the stream has
    time to end. Requests of mdstream's models in threads that the stream has started, such as those of a graph's
    synchronous nodes, are cancelled too.

    The stream is at most one item ahead of the reader. A failure of the stream is raised after the items before it.
    The reader may leave by closing this generator or by being cancelled. It needs asyncio.

    Args:
        stream: An async generator, which nobody else reads.

    Example:
        >>> async def numbers():
        ...     yield 1
        ...     yield 2
        >>> async def read():
        ...     return [number async for number in read_in_task(numbers())]
        >>> asyncio.run(read())
        [1, 2]
    """
    token = CancelToken()
    items: asyncio.Queue[tuple[T] | None] = asyncio.Queue()
    permits = asyncio.Semaphore(1)

    async def read() -> None:
        inherited_token.set(token)
        async with aclosing(stream):
            async for item in stream:
                await permits.acquire()
                items.put_nowait((item,))

    def end(task: "asyncio.Task[None]") -> None:
        items.put_nowait(None)
        if not task.cancelled():
            task.exception()  # retrieved here too, as a reader that has left does not ask for it

    task = hold_task(asyncio.create_task(read()))
    task.add_done_callback(end)
    try:
        while (entry := await items.get()) is not None:
            permits.release()
            yield entry[0]
        task.result()
    finally:
        if not task.done():
            task.cancel()
            token.cancel()
