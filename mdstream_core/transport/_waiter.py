"""`Waiter`: wait for an event with a timeout. A wait creates one future."""

import asyncio


class Waiter:
    """Event for one waiting task at a time.

    The timer keeps running after a successful wait, and is set again when it fires too early. So a stream of a thousand
    reads sets a few timers, not a thousand.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._future: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = float("inf")

    async def wait(self, timeout: float | None) -> None:  # noqa: ASYNC109  # a cancel scope would be slower
        """Wait for `wake`. Raises `TimeoutError` after `timeout` seconds."""
        self._future = self._loop.create_future()
        self._deadline = float("inf")
        if timeout is not None:
            self._start_timer(self._loop.time() + timeout)
        try:
            await self._future
        finally:
            self._future = None

    def wake(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start_timer(self, deadline: float) -> None:
        self._deadline = deadline
        if self._timer is None or self._timer.when() > deadline:
            self.close()
            self._timer = self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._future is None or self._future.done() or self._deadline == float("inf"):
            return
        if self._loop.time() < self._deadline:
            self._start_timer(self._deadline)
        else:
            self._future.set_exception(TimeoutError())
