"""Fairness: the streams of one event loop share its time."""

import asyncio
import sys
from collections import deque
from weakref import WeakKeyDictionary

from mdstream_core import _fork

_SLICE = 0.005  # seconds that streams may keep the loop before it looks at its sockets again
_BATCH = 4  # streams that go on in one round of the loop once there is a queue


class FairScheduler:
    """Who may go on when the loop is busy: in the order in which they asked, a few in each round.

    A reader whose bytes are already there never waits, and what its caller does with them takes time. Without turns a
    flood on many streams keeps the loop for as long as all of them together need for all that has come.
    """

    def __init__(self) -> None:
        self._since: float | None = None
        self._queue: deque[asyncio.Future[None]] = deque()

    def on_poll(self) -> None:
        """The loop has looked at its sockets."""
        self._since = None

    async def wait_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Return when the caller may read what has come."""
        if not self._queue:
            now = loop.time()
            if self._since is None:
                self._since = now
            if now - self._since < _SLICE:
                return
            loop.call_soon(self._run_round, loop)
        turn = loop.create_future()
        self._queue.append(turn)
        await turn

    def _run_round(self, loop: asyncio.AbstractEventLoop) -> None:
        self._since = None
        for _ in range(min(_BATCH, len(self._queue))):
            turn = self._queue.popleft()
            if not turn.done():  # it was cancelled
                turn.set_result(None)
        if self._queue:
            loop.call_soon(self._run_round, loop)


_SCHEDULERS: WeakKeyDictionary[asyncio.AbstractEventLoop, FairScheduler] = WeakKeyDictionary()


_fork.register_function(_SCHEDULERS.clear)


def get_scheduler(loop: asyncio.AbstractEventLoop) -> FairScheduler:
    """The turns of this loop."""
    found = _SCHEDULERS.get(loop)
    if found is None:
        found = _SCHEDULERS[loop] = FairScheduler()
    return found


def runs_on_trio() -> bool:
    """Whether trio runs the calling task."""
    sniffio = sys.modules.get("sniffio")  # trio imports it: where it is not, there is no trio
    return sniffio is not None and sniffio.current_async_library() == "trio"


def checkpoint() -> bytes:
    """Do nothing: threads are scheduled by the operating system. Returns no bytes, as its twin does."""
    return b""


async def acheckpoint() -> bytes:
    """Let other tasks run, if the streams of this loop have kept it long enough.

    Returns no bytes: the client feeds them to its decoder between the portions of a large read.
    """
    if runs_on_trio():
        await sys.modules["trio"].lowlevel.checkpoint()
    else:
        loop = asyncio.get_running_loop()
        await get_scheduler(loop).wait_turn(loop)
    return b""
