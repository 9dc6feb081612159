"""What can only be seen in a process of one's own: peak memory, growth, and how an event loop fares in a crowd."""

import asyncio
import gc
import json
import sys
import time
import tracemalloc
from typing import Any

from benchmarks.contenders import Contender, Entry, NotInstalled
from benchmarks.measure import Lag, acheck, aread, check, forgiving, peak_memory
from benchmarks.server import Source

_WARMUP_CHUNKS = 2000  # chunks after which buffers and caches have their size


def growth(entry: Entry, port: int, count: int) -> dict[str, float]:
    """Kilobytes that a stream holds more at its last chunk than at its 2,000th, while the reader keeps nothing."""
    short, long = Source(port, "flood", 10), Source(port, "flood", count)
    check(entry.open(short), short.texts)
    contender = entry.open(long)
    tracemalloc.start()
    held = {_WARMUP_CHUNKS: 0, count: 0}
    for at, _ in enumerate(contender.stream(), 1):
        if at in held:
            gc.collect()
            held[at] = tracemalloc.get_traced_memory()[0]
    return {"growth": (held[count] - held[_WARMUP_CHUNKS]) / 1024, "chunks": count - _WARMUP_CHUNKS}


def crowd(entry: Entry, port: int, streams: int, count: int) -> dict[str, float]:
    """Many streams at once in one event loop, in a flood."""
    source = Source(port, "flood", count)
    contender = entry.open(source)
    return asyncio.run(_crowd(contender, source, streams))


async def _crowd(contender: Contender, source: Source, streams: int) -> dict[str, float]:
    asyncio.get_running_loop().set_exception_handler(forgiving)
    await acheck(contender, source.texts)
    gc.collect()
    started = time.process_time()
    async with Lag() as lag:
        await asyncio.gather(*(aread(contender) for _ in range(streams)))
    used = time.process_time() - started
    cost = used / (streams * source.count) * 1e6
    return {"lag": lag.worst, "usual": lag.usual, "peak": peak_memory(), "cost": cost}


_JOBS: dict[str, Any] = {"growth": growth, "crowd": crowd}


def main(job: str, name: str, platform_case: str, *arguments: str) -> None:
    """Print what was found as one line of JSON."""
    try:
        found = _JOBS[job](Entry(name, platform_case), *map(int, arguments))
    except NotInstalled as missing:
        found = {"missing": str(missing)}
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
