"""Measurements that need their own process: peak memory, growth of memory, and the lag of a busy event loop."""

import asyncio
import gc
import json
import sys
import time
import tracemalloc
from typing import Any

from benchmarks.contenders import Contender, Entry, NotInstalled
from benchmarks.measure import Lag, acheck, aread, check, ignore_unclosed, peak_memory
from benchmarks.server import Source

_WARMUP_CHUNKS = 2000  # after these, buffers and caches have their final size


def growth(entry: Entry, port: int, count: int) -> dict[str, float]:
    """Measure the growth of a stream's memory from chunk 2,000 to the last one, in KiB, without keeping the chunks."""
    short, long = Source(port, "burst", 10), Source(port, "burst", count)
    check(entry.open(short), short.texts)
    contender = entry.open(long)
    tracemalloc.start()
    memory = {_WARMUP_CHUNKS: 0, count: 0}
    for number, _ in enumerate(contender.stream(), 1):
        if number in memory:
            gc.collect()
            memory[number] = tracemalloc.get_traced_memory()[0]
    return {"growth": (memory[count] - memory[_WARMUP_CHUNKS]) / 1024, "chunks": count - _WARMUP_CHUNKS}


def concurrent_streams(entry: Entry, port: int, streams: int, count: int) -> dict[str, float]:
    """Measure many concurrent streams in one event loop, as fast as they are read."""
    source = Source(port, "burst", count)
    contender = entry.open(source)
    return asyncio.run(_run_streams(contender, source, streams))


async def _run_streams(contender: Contender, source: Source, streams: int) -> dict[str, float]:
    asyncio.get_running_loop().set_exception_handler(ignore_unclosed)
    await acheck(contender, source.texts)
    gc.collect()
    started = time.process_time()
    async with Lag() as lag:
        await asyncio.gather(*(aread(contender) for _ in range(streams)))
    cpu_time = time.process_time() - started
    cost = cpu_time / (streams * source.count) * 1e6
    return {"lag": lag.worst, "median": lag.median, "peak": peak_memory(), "cost": cost}


_JOBS: dict[str, Any] = {"growth": growth, "concurrent_streams": concurrent_streams}


def main(job: str, name: str, factory: str, *arguments: str) -> None:
    """Print the result as one line of JSON."""
    try:
        result = _JOBS[job](Entry(name, factory), *map(int, arguments))
    except NotInstalled as missing:
        result = {"missing": str(missing)}
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
