"""Measurement of CPU time: the best of several interleaved rounds, with the garbage collector on.

CPU time, because wall time depends on other processes. Interleaved rounds, because the speed of a machine varies. The
best round, because disturbances only ever add time. Contenders that take many times as long as the quickest run in
some of the rounds only: one of them would need more time than all others together, and the best of fewer rounds
differs by less than its distance.
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

_INTERVAL = 0.005  # seconds between two measurements of the event loop

#: A track that takes so many times as long as the quickest, and so many seconds, runs in every fourth round only.
_SLOW_RATIO, _SLOW_SECONDS, _SLOW_STRIDE = 10, 0.1, 4


class Incomplete(Exception):
    """A contender did not read all texts, so that its figure is invalid."""


@dataclass(frozen=True, slots=True)
class Track:
    """A function to be timed, with the number of chunks that it reads."""

    run: Callable[[], Any]
    chunks: int


def cpu(tracks: Sequence[Track], rounds: int, clock: Callable[[], float] = time.process_time) -> list[float]:
    """Measure the CPU time of a chunk in microseconds. Each round starts with another track."""
    best = [float("inf")] * len(tracks)
    for number in range(rounds):
        slow = max(_SLOW_RATIO * min(best), _SLOW_SECONDS)
        for step in range(len(tracks)):
            index = (number + step) % len(tracks)
            if number % _SLOW_STRIDE and slow < best[index] < float("inf"):
                continue
            gc.collect()  # the garbage of the previous track is not counted
            started = clock()
            tracks[index].run()
            best[index] = min(best[index], clock() - started)
    return [seconds / track.chunks * 1e6 for seconds, track in zip(best, tracks, strict=True)]


def read(contender: Contender) -> None:
    """Read one stream to its end."""
    for _ in contender.stream():
        pass


async def aread(contender: Contender) -> None:
    """Read one async stream to its end."""
    async for _ in await open_stream(contender):
        pass


async def open_stream(contender: Contender) -> Any:
    """Return the async iterator; that of LlamaIndex must be awaited first."""
    assert contender.astream is not None
    stream = contender.astream()
    return await stream if inspect.isawaitable(stream) else stream


def check(contender: Contender, texts: list[str]) -> None:
    """Read one stream and check that no text is missing; this is the warm-up too."""
    _compare([contender.text(piece) for piece in contender.stream()], texts)


async def acheck(contender: Contender, texts: list[str]) -> None:
    """Read one async stream and check that no text is missing."""
    if contender.astream is None:
        return
    _compare([contender.text(piece) async for piece in await open_stream(contender)], texts)


def _compare(received: list[str], texts: list[str]) -> None:
    if (content := [text for text in received if text]) != texts:
        raise Incomplete(f"{len(content)} texts were read and {len(texts)} were sent, or they differ")


def first_token(contender: Contender, calls: int) -> list[float]:
    """Measure the time to the first text in milliseconds, of several calls, each read to its end."""
    waits = []
    for _ in range(calls):
        started, wait = time.perf_counter(), 0.0
        for piece in contender.stream():
            if not wait and contender.text(piece):
                wait = time.perf_counter() - started
        waits.append(wait * 1e3)
    return waits


async def afirst_token(contender: Contender, calls: int) -> list[float]:
    """Measure the time to the first text of async streams; no times if the contender has none."""
    if contender.astream is None:
        return []
    waits = []
    for _ in range(calls):
        started, wait = time.perf_counter(), 0.0
        async for piece in await open_stream(contender):
            if not wait and contender.text(piece):
                wait = time.perf_counter() - started
        waits.append(wait * 1e3)
    return waits


class Lag:
    """Measures the lag of the event loop, with a task that sleeps for 5 ms again and again."""

    async def __aenter__(self) -> Self:
        self._lags: list[float] = []
        self._task = asyncio.create_task(self._measure())
        await asyncio.sleep(2 * _INTERVAL)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0)  # counts a measurement that is due
        self._task.cancel()

    async def _measure(self) -> None:
        while True:
            started = time.perf_counter()
            await asyncio.sleep(_INTERVAL)
            self._lags.append(time.perf_counter() - started - _INTERVAL)

    @property
    def worst(self) -> float:
        """The largest lag in milliseconds."""
        return max(self._lags) * 1e3

    @property
    def median(self) -> float:
        """The median lag in milliseconds."""
        return median(self._lags) * 1e3


def ignore_unclosed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Exception handler of the event loop that ignores resources which a peer has not closed."""
    if not context["message"].startswith("Unclosed"):
        loop.default_exception_handler(context)


def peak_memory() -> float:
    """Return the peak memory of this process in MiB.

    `ru_maxrss` would include the peak of the parent process: on Linux it is inherited through `exec`.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
