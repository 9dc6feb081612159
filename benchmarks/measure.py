"""How it is measured: CPU time, best of several interleaved rounds, the garbage collector on.

CPU time, because wall time on a shared machine is somebody else's. Interleaved, because a machine has good and bad
minutes. Best, because disturbance only ever adds.
"""

import asyncio
import gc
import inspect
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Self

from benchmarks.contenders import Contender

_BEAT = 0.005  # seconds between two looks at the event loop


class Incomplete(Exception):
    """Who is measured has not read what was sent; its figure would be worth nothing."""


@dataclass(frozen=True, slots=True)
class Track:
    """One thing to be timed, with the number of chunks that it takes in."""

    run: Callable[[], Any]
    chunks: int


def cpu(tracks: Sequence[Track], rounds: int) -> list[float]:
    """Microseconds of CPU time for each chunk. Each round begins with another track."""
    best = [float("inf")] * len(tracks)
    for first in range(rounds):
        for step in range(len(tracks)):
            at = (first + step) % len(tracks)
            gc.collect()  # everybody cleans up after himself, not after his forerunner
            started = time.process_time()
            tracks[at].run()
            best[at] = min(best[at], time.process_time() - started)
    return [seconds / track.chunks * 1e6 for seconds, track in zip(best, tracks, strict=True)]


def read(contender: Contender) -> None:
    """One stream, to its end."""
    for _ in contender.stream():
        pass


async def aread(contender: Contender) -> None:
    """The same, awaited."""
    async for _ in await opened(contender):
        pass


async def opened(contender: Contender) -> Any:
    """The asynchronous iterator; LlamaIndex's has to be awaited first."""
    assert contender.astream is not None
    stream = contender.astream()
    return await stream if inspect.isawaitable(stream) else stream


def check(contender: Contender, texts: list[str]) -> None:
    """Read one stream and see that nothing is missing. This is also everybody's warming up."""
    _compare([contender.text(piece) for piece in contender.stream()], texts)


async def acheck(contender: Contender, texts: list[str]) -> None:
    """The same, awaited."""
    if contender.astream is None:
        return
    _compare([contender.text(piece) async for piece in await opened(contender)], texts)


def _compare(found: list[str], texts: list[str]) -> None:
    if (content := [text for text in found if text]) != texts:
        raise Incomplete(f"{len(content)} pieces of text were read where {len(texts)} were sent, or they differ")


def first_token(contender: Contender, calls: int) -> float:
    """Milliseconds until the first text is there, the median of several calls; each stream is read to its end."""
    waits = []
    for _ in range(calls):
        started, wait = time.perf_counter(), 0.0
        for piece in contender.stream():
            if not wait and contender.text(piece):
                wait = time.perf_counter() - started
        waits.append(wait)
    return median(waits) * 1e3


async def afirst_token(contender: Contender, calls: int) -> float:
    """The same, awaited; not a number where there is no such stream."""
    if contender.astream is None:
        return float("nan")
    waits = []
    for _ in range(calls):
        started, wait = time.perf_counter(), 0.0
        async for piece in await opened(contender):
            if not wait and contender.text(piece):
                wait = time.perf_counter() - started
        waits.append(wait)
    return median(waits) * 1e3


class Lag:
    """How long the event loop kept a task waiting that wanted to go on every 5 ms."""

    async def __aenter__(self) -> Self:
        self._beats: list[float] = []
        self._task = asyncio.create_task(self._beat())
        await asyncio.sleep(2 * _BEAT)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0)  # a beat that is due is counted
        self._task.cancel()

    async def _beat(self) -> None:
        while True:
            started = time.perf_counter()
            await asyncio.sleep(_BEAT)
            self._beats.append(time.perf_counter() - started - _BEAT)

    @property
    def worst(self) -> float:
        """The longest wait, in milliseconds."""
        return max(self._beats) * 1e3

    @property
    def usual(self) -> float:
        """The median wait, in milliseconds."""
        return median(self._beats) * 1e3


def forgiving(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception handler for the loop: what a peer forgets to close is not what we measure."""
    if not context["message"].startswith("Unclosed"):
        loop.default_exception_handler(context)


def peak_memory() -> float:
    """The most memory that this process ever had, in megabytes.

    `ru_maxrss` would begin with the peak of whoever started us: Linux hands it on through `exec`.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
