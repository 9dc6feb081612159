"""Fair scheduling of the streams of one event loop."""

import asyncio
import sys
from collections import deque
from weakref import WeakKeyDictionary

from mdstream_core import _fork

_TIME_SLICE = 0.005  # seconds that readers may use the loop before it polls its sockets again
_READERS_PER_ROUND = 4  # readers that continue in one iteration of the loop while others are queued


class FairScheduler:
    """Limit how long the readers of streams occupy an event loop without a break, and queue them in order of arrival.

    A read of buffered data returns without yielding to the event loop. Without this scheduler, a burst on many streams
    would block the loop until all of them have processed everything they received.
    """

    def __init__(self) -> None:
        self._slice_start: float | None = None
        self._queue: deque[asyncio.Future[None]] = deque()

    def on_poll(self) -> None:
        """Start a new time slice, because the loop has polled its sockets."""
        self._slice_start = None

    async def wait_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait until the caller may read buffered data."""
        if not self._queue:
            now = loop.time()
            if self._slice_start is None:
                self._slice_start = now
            if now - self._slice_start < _TIME_SLICE:
                return
            loop.call_soon(self._run_round, loop)
        turn = loop.create_future()
        self._queue.append(turn)
        await turn

    def _run_round(self, loop: asyncio.AbstractEventLoop) -> None:
        self._slice_start = None
        for _ in range(min(_READERS_PER_ROUND, len(self._queue))):
            turn = self._queue.popleft()
            if not turn.done():  # otherwise it was cancelled
                turn.set_result(None)
        if self._queue:
            loop.call_soon(self._run_round, loop)


_SCHEDULERS: WeakKeyDictionary[asyncio.AbstractEventLoop, FairScheduler] = WeakKeyDictionary()


_fork.register_function(_SCHEDULERS.clear)


def get_scheduler(loop: asyncio.AbstractEventLoop) -> FairScheduler:
    """Return the scheduler of an event loop."""
    scheduler = _SCHEDULERS.get(loop)
    if scheduler is None:
        scheduler = _SCHEDULERS[loop] = FairScheduler()
    return scheduler


def runs_on_trio() -> bool:
    """Whether trio runs the calling task."""
    if "trio" not in sys.modules:  # then it is not running; sniffio would ask asyncio for its current task first
        return False
    sniffio = sys.modules.get("sniffio")  # imported by trio
    return sniffio is not None and sniffio.current_async_library() == "trio"


def checkpoint() -> bytes:
    """Do nothing, because the operating system schedules threads. Return `b""`, like the async variant."""
    return b""


async def acheckpoint() -> bytes:
    """Let other tasks run, if the streams of this loop have used up their time slice.

    Returns:
        `b""`, which the client feeds to its decoder to continue a large read.
    """
    if runs_on_trio():
        await sys.modules["trio"].lowlevel.checkpoint()
    else:
        loop = asyncio.get_running_loop()
        await get_scheduler(loop).wait_turn(loop)
    return b""
