"""Jobs of `benchmarks.isolated` for the scaling curves: CPU time and memory at one size, in a process of its own.

Each job returns `cpu`, microseconds of CPU for one unit, and `memory`, KiB for one unit: the peak of the process while
it works, less what it had before. The best of several rounds counts. The memory is that of the first round, in which
connections are opened.
"""

import asyncio
import gc
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks import embedders
from benchmarks.contenders import Contender, Entry
from benchmarks.measure import acheck, aread, check, ignore_unclosed, peak_memory, read
from benchmarks.server import raise_file_limit
from benchmarks.source import Source

#: Tokens of a stream, where the number of streams grows.
TOKENS = 10

#: Tokens a second of all streams together at most, so that a client is not saturated: with more streams each is slower.
RATE = 5000

#: Numbers of a vector: 100,000 vectors of 1,024 Python numbers would be 3 GB.
DIMENSIONS = 128

Figures = dict[str, Any]


def chunks(entry: Entry, port: int, count: int, rounds: int) -> Figures:
    """Read streams of `count` chunks; a unit is a chunk for `cpu`, a stream for `memory`."""
    _warm_up(entry, port)
    source = Source(port, "burst", count)
    contender = entry.open(source)
    memory = _growth(lambda: read(contender))
    check(contender, source.texts)
    times = max(1, 2000 // count)
    cpu = _best(lambda: [read(contender) for _ in range(times)], rounds)
    return {"cpu": cpu / (times * count), "memory": memory}


def streams(entry: Entry, port: int, count: int, rounds: int) -> Figures:
    """Read `count` paced async streams at once; a unit is a stream."""
    raise_file_limit()
    contender = _paced(entry, port, count)
    if contender.astream is None:
        return {"reason": "no async streams"}
    with asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(ignore_unclosed)

        async def read_all() -> None:
            await asyncio.gather(*(aread(contender) for _ in range(count)))

        warm = Source(port, "burst", TOKENS)
        runner.run(acheck(entry.open(warm), warm.texts))
        return _measure(lambda: runner.run(read_all()), count, rounds)


def threads(entry: Entry, port: int, count: int, rounds: int) -> Figures:
    """Read `count` paced streams at once, each in a thread; a unit is a stream."""
    raise_file_limit()
    contender = _paced(entry, port, count)
    _warm_up(entry, port)
    with ThreadPoolExecutor(count) as pool:

        def read_all() -> None:
            for future in [pool.submit(read, contender) for _ in range(count)]:
                future.result()

        return _measure(read_all, count, rounds)


def documents(entry: Entry, port: int, count: int, rounds: int) -> Figures:
    """Embed `count` texts in one call; a unit is a text for `cpu` and `memory`. The factory is one of an embedder."""
    embedders.SIZE = DIMENSIONS  # this process is the job's own
    module, _, name = entry.factory.partition(":")
    embed = embedders.create_embedder(getattr(import_module(module), name), port)
    if embed is None:
        return {}
    texts = [f"text {number}" for number in range(count)]
    memory = _growth(lambda: embed(texts))
    times = max(1, 1000 // count)
    cpu = _best(lambda: [embed(texts) for _ in range(times)], rounds)
    return {"cpu": cpu / (times * count), "memory": memory / count}


def _paced(entry: Entry, port: int, count: int) -> Contender:
    pace = max(1, count * 1000 // RATE)
    return entry.open(Source(port, f"paced-{pace}", TOKENS))


def _warm_up(entry: Entry, port: int) -> None:
    """Read a checked stream of the same kind, so that no import and no cache of the class is measured."""
    source = Source(port, "burst", TOKENS)
    check(entry.open(source), source.texts)


def _measure(read_all: Callable[[], Any], count: int, rounds: int) -> Figures:
    """Measure `count` streams at once; few ones several times in a round, so that a round is long enough."""
    memory = _growth(read_all)
    times = max(1, 64 // count)
    cpu = _best(lambda: [read_all() for _ in range(times)], rounds)
    return {"cpu": cpu / (times * count), "memory": memory / count}


def _best(run: Callable[[], Any], rounds: int) -> float:
    """CPU time in microseconds."""
    best = float("inf")
    for _ in range(rounds):
        gc.collect()
        started = time.process_time()
        run()
        best = min(best, time.process_time() - started)
    return best * 1e6


def _growth(run: Callable[[], Any]) -> float:
    """Growth of the process's memory in KiB, from before a function to its peak."""
    gc.collect()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak is now what is in use
    before = peak_memory()
    run()
    return (peak_memory() - before) * 1024
