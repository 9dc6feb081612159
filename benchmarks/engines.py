"""Throughput of columns on an engine, beside a hand-written asyncio loop with the same number of concurrent requests.

    python -m benchmarks.engines --engine ray|spark|dask

An emulator in a process of its own returns each response after a fixed time, and injects faults into a share of the
requests. The loop sends one request for each row, in tasks of one process. The engine has two workers, and each sends
half as many requests at once. Rows are read from Parquet, and the results are written to Parquet. The start of the
engine and of its workers is not counted: a small job runs first. Ray starts its actors for each job, which is counted:
some seconds, so compare it with more rows. Both are measured in turn, and the best of the rounds counts.
"""
# ruff: noqa: PLC0415  (a benchmark imports only the engine that it measures)

import argparse
import asyncio
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from langchain_mdstream import ChatOCIModelDeployment
from mdstream_core.batch import GenerateColumn, summarize
from mdstream_core.emulator import Emulator, Fault

#: Number of workers of an engine.
WORKERS = 2

#: Rows of the job that starts the workers.
_WARM_UP = 64

#: Runs a job: the directories of its input and its output.
Run = Callable[[str, str], None]


def serve(pipe: Connection, seconds: float, share: float, requests: int) -> None:
    """Run the emulator until the other end of the pipe is closed.

    Args:
        pipe: Receives the endpoint.
        seconds: Time until each response starts.
        share: Share of the requests that fail.
        requests: Number of requests that get faults.
    """
    slow = Fault("slow_head", seconds=seconds)
    faults = [(slow, Fault("trailer", after=1)), Fault("refuse", "internal"), (slow, Fault("cut", after=1))]
    every = round(1 / share) if share else requests + 1
    with Emulator() as emulator:
        emulator.always(slow)
        emulator.script(*(slow if i % every else faults[i // every % len(faults)] for i in range(1, requests + 1)))
        pipe.send(emulator.endpoint)
        try:
            pipe.recv()
        except EOFError:
            return


@contextmanager
def emulator_process(seconds: float, share: float, requests: int) -> Iterator[str]:
    """Run the emulator in another process, and return its endpoint."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, seconds, share, requests), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours.recv()
    finally:
        ours.close()
        process.join(10)
        process.kill()


def asyncio_loop(model: ChatOCIModelDeployment, concurrency: int) -> Run:
    """The hand-written loop: as many tasks as there are concurrent requests take the rows one after the other."""

    async def generate(rows: list[dict[str, Any]]) -> None:
        pending = iter(rows)

        async def run_task() -> None:
            for row in pending:
                row["answer"] = (await model.ainvoke(row["text"])).text

        async with asyncio.TaskGroup() as tasks:
            for _ in range(concurrency):
                tasks.create_task(run_task())

    def run(source: str, target: str) -> None:
        rows = pq.read_table(source).to_pylist()
        asyncio.run(generate(rows))
        Path(target).mkdir()
        table = pa.Table.from_pylist(rows)
        pq.write_table(table.append_column("error", pa.nulls(len(rows), pa.string())), f"{target}/part.parquet")

    return run


@contextmanager
def spark(column: GenerateColumn, partitions: int) -> Iterator[Run]:
    """Spark in local mode: two tasks at once, each with a Python worker."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    from pyspark.sql import SparkSession
    from pyspark.sql.pandas.types import from_arrow_schema
    from pyspark.sql.types import StructType

    builder = SparkSession.builder.master(f"local[{WORKERS}]").config("spark.ui.enabled", "false")
    for name in ("spark.driver.bindAddress", "spark.driver.host"):
        builder = builder.config(name, "127.0.0.1")
    session = builder.config("spark.log.level", "ERROR").config("spark.ui.showConsoleProgress", "false").getOrCreate()

    def run(source: str, target: str) -> None:
        rows = session.read.parquet(source).repartition(partitions)
        schema = StructType([*rows.schema, *from_arrow_schema(column.arrow_schema())])
        rows.mapInArrow(lambda batches: map(column, batches), schema).write.parquet(target)

    try:
        yield run
    finally:
        session.stop()


@contextmanager
def dask(column: GenerateColumn, partitions: int) -> Iterator[Run]:
    """Dask's distributed scheduler with two worker processes of two threads, so that two partitions overlap."""
    import dask.dataframe as dd
    from distributed import Client, LocalCluster

    cluster = LocalCluster(n_workers=WORKERS, threads_per_worker=2, host="127.0.0.1", dashboard_address=None)

    def run(source: str, target: str) -> None:
        rows = dd.read_parquet(source).repartition(npartitions=partitions)
        out = rows.map_partitions(column, meta=column.pandas_meta(rows._meta))
        schema = column.arrow_schema(pa.Schema.from_pandas(rows._meta, preserve_index=False))
        out.to_parquet(target, write_index=False, schema=schema)

    with cluster, Client(cluster):
        yield run


@contextmanager
def ray(column: GenerateColumn, partitions: int) -> Iterator[Run]:
    """Ray Data with a pool of two actors, with the settings of the documentation."""
    import ray as engine
    from ray.data import ActorPoolStrategy, DataContext

    engine.init(address="local", num_cpus=WORKERS, include_dashboard=False, log_to_driver=False)
    DataContext.get_current().enable_progress_bars = False

    def run(source: str, target: str) -> None:
        size = max(1, -(-pq.read_table(source).num_rows // partitions))
        concurrency = dict.fromkeys(("max_concurrent_calls_per_actor", "max_tasks_in_flight_per_actor"), 2)
        pool = ActorPoolStrategy(size=WORKERS, enable_true_multi_threading=True, **concurrency)
        arguments = {"batch_size": size, "batch_format": "pyarrow", "compute": pool, "num_cpus": 0}
        constructor = (column.model, "text")
        rows = engine.data.read_parquet(source).repartition(target_num_rows_per_block=size)
        options = {"max_concurrency": column.max_concurrency}
        rows.map_batches(
            GenerateColumn, fn_constructor_args=constructor, fn_constructor_kwargs=options, **arguments
        ).write_parquet(target)

    try:
        yield run
    finally:
        engine.shutdown()


ENGINES = {"ray": ray, "spark": spark, "dask": dask}


def measure(run: Run, folder: Path, rows: int, name: str) -> float:
    """Run a job once, and return its rows per second. Raises `ValueError` if a row is lost or has failed."""
    source, target = folder / f"texts-{rows}", folder / f"out-{name}"
    if not source.exists():
        source.mkdir()
        pq.write_table(pa.table({"id": range(rows), "text": [f"Text {i}." for i in range(rows)]}), source / "a.parquet")
    started = perf_counter()
    run(str(source), str(target))
    seconds = perf_counter() - started
    table = pq.read_table(target)
    if set(range(rows)) != set(table["id"].to_pylist()) or table.num_rows != rows:
        raise ValueError(f"{name}: {table.num_rows} rows of {rows}")
    if (totals := summarize(table)).failed:
        raise ValueError(f"{name}: {totals}")
    return rows / seconds


def main() -> None:
    """Parse the command line, measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__.partition("\n")[0])
    parser.add_argument("--engine", choices=ENGINES, required=True)
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--concurrency", type=int, default=32, help="requests at once, of all workers together")
    parser.add_argument("--latency", type=float, default=0.5, help="seconds until a response starts")
    parser.add_argument("--faults", type=float, default=0.03, help="share of the requests that fail")
    parser.add_argument("--partitions", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    requests = 4 * options.rows * options.rounds
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        endpoint = stack.enter_context(emulator_process(options.latency, options.faults, requests))
        model = ChatOCIModelDeployment(endpoint=endpoint, auth_type="none", streaming=False)
        streaming = model.model_copy(update={"streaming": True})
        column = GenerateColumn(streaming, "text", max_concurrency=options.concurrency // WORKERS)
        engine = stack.enter_context(ENGINES[options.engine](column, options.partitions))
        runs = {"asyncio loop": asyncio_loop(model, options.concurrency), options.engine: engine}
        best = dict.fromkeys(runs, 0.0)
        for name, run in runs.items():
            measure(run, folder, _WARM_UP, f"{name}-warm-up")
        for number in range(options.rounds):
            for name, run in runs.items():
                best[name] = max(best[name], measure(run, folder, options.rows, f"{name}-{number}"))
    ideal = options.concurrency / options.latency
    print(f"{options.rows} rows, {options.concurrency} requests at once, {options.latency} s each, ideal {ideal:.0f}/s")
    for name, rate in best.items():
        print(f"{name:14}{rate:8.1f} rows/s{rate / best['asyncio loop']:8.2f} of the loop")


if __name__ == "__main__":
    main()
