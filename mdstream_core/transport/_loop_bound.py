"""HTTP clients that belong to an event loop and are closed with it."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from mdstream_core.transport._fairness import runs_on_trio

if TYPE_CHECKING:
    import httpx


class LoopBoundClient:
    """An HTTP client for one event loop, which closes its connections when it ends.

    A loop shuts down the asynchronous generators that were begun in it (PEP 525); this is one. Without it each
    `asyncio.run` would leave its idle connections open, and these would keep the loop in memory.
    """

    def __init__(self, http: "httpx.AsyncClient", forget: Callable[[], Any]) -> None:
        self.http = http
        self._guard = _close_with_loop(http, forget)
        with suppress(StopIteration):
            self._guard.__anext__().send(None)  # begins it; there is nothing to wait for

    async def aclose(self) -> None:
        await self._guard.aclose()


async def _close_with_loop(http: "httpx.AsyncClient", forget: Callable[[], Any]) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        forget()
        await http.aclose()


def discard_closed_loops(owned: WeakKeyDictionary[Any, LoopBoundClient]) -> None:
    """Let go of loops that were closed without a shutdown: their sockets would keep them in the weak map."""
    for loop in list(owned):
        if isinstance(loop, asyncio.AbstractEventLoop) and loop.is_closed():
            del owned[loop]


def running_loop() -> Any:
    """What connections belong to: the running loop of asyncio, or trio's token."""
    if runs_on_trio():  # asked first: as a guest it runs inside of a loop of asyncio
        return sys.modules["trio"].lowlevel.current_trio_token()
    return asyncio.get_running_loop()
