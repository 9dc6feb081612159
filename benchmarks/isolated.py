"""Measurements that need their own process: memory, the lag of a busy event loop, and the scaling curves."""

import asyncio
import gc
import json
import sys
import time
import tracemalloc
from typing import Any

from benchmarks import scaling_jobs
from benchmarks.contenders import Contender, Entry, NotInstalled
from benchmarks.measure import Lag, acheck, aread, check, ignore_unclosed, peak_memory
from benchmarks.source import Source

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


def embed_stream(entry: Entry, port: int, count: int, as_array: int) -> dict[str, float]:
    """Embed texts of a generator without keeping the vectors; `entry` is not used, because only mdstream can do so."""
    from benchmarks.embedders import SIZE  # noqa: PLC0415
    from langchain_mdstream import OCIModelDeploymentEmbeddings  # noqa: PLC0415

    url = f"http://127.0.0.1:{port}/embed/{SIZE}/openai"
    embeddings = OCIModelDeploymentEmbeddings(endpoint=url, auth_type="none")

    def run(number: int) -> None:
        for _ in embeddings.embed_stream((f"text {index}" for index in range(number)), as_array=bool(as_array)):
            pass

    run(_WARMUP_CHUNKS)
    started, cpu_started = time.perf_counter(), time.process_time()
    run(count)
    seconds, cpu_time = time.perf_counter() - started, time.process_time() - cpu_started
    tracemalloc.start()
    run(count)
    peak = tracemalloc.get_traced_memory()[1] / 1024
    return {"rate": count / seconds, "cost": cpu_time / count * 1e6, "peak": peak}


_JOBS: dict[str, Any] = {
    "growth": growth,
    "concurrent_streams": concurrent_streams,
    "embed_stream": embed_stream,
    "chunks": scaling_jobs.chunks,
    "streams": scaling_jobs.streams,
    "threads": scaling_jobs.threads,
    "documents": scaling_jobs.documents,
}


def main(job: str, name: str, factory: str, *arguments: str) -> None:
    """Print the result as one line of JSON."""
    try:
        result = _JOBS[job](Entry(name, factory), *map(int, arguments))
    except NotInstalled as missing:
        result = {"missing": str(missing)}
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
