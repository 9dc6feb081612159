"""HTTP clients that belong to an event loop, and are closed when it ends."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from mdstream_core.transport._fairness import runs_on_trio

if TYPE_CHECKING:
    from mdstream_core.transport._async import AsyncRequestSender


class LoopBoundClient:
    """An HTTP client for one event loop, whose connections are closed when the loop ends.

    A loop shuts down the asynchronous generators that were started in it (PEP 525), and this class uses one. Without it
    each `asyncio.run` would leave its idle connections open, and these would keep the loop in memory.
    """

    def __init__(self, sender: "AsyncRequestSender", forget: Callable[[], Any]) -> None:
        self.sender = sender
        self._guard = _close_with_loop(sender, forget)
        with suppress(StopIteration):
            self._guard.__anext__().send(None)  # starts the generator, which does not await anything

    async def aclose(self) -> None:
        await self._guard.aclose()


async def _close_with_loop(sender: "AsyncRequestSender", forget: Callable[[], Any]) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        forget()
        await sender.aclose()


def discard_closed_loops(owned: WeakKeyDictionary[Any, LoopBoundClient]) -> None:
    """Discard clients of loops that were closed without a shutdown; their sockets keep them in the weak mapping."""
    for loop in list(owned):
        if isinstance(loop, asyncio.AbstractEventLoop) and loop.is_closed():
            del owned[loop]


def running_loop() -> Any:
    """Return the object that identifies the running event loop: the asyncio loop, or trio's token."""
    if runs_on_trio():  # checked first, because trio's guest mode runs inside an asyncio loop
        return sys.modules["trio"].lowlevel.current_trio_token()
    return asyncio.get_running_loop()


def call_soon() -> Callable[[Callable[[], None]], Any]:
    """Return the function that schedules a callback on the running event loop from any thread."""
    loop = running_loop()
    return loop.call_soon_threadsafe if isinstance(loop, asyncio.AbstractEventLoop) else loop.run_sync_soon
