"""State of a run that all sections share: the server, event loops, and the packages that are not installed."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from typing import Any, Self

from benchmarks.contenders import Contender, Entry, NotInstalled
from benchmarks.measure import Track, acheck, aread, check, cpu, ignore_unclosed, read
from benchmarks.server import Server
from benchmarks.source import ROOT, Source
from benchmarks.table import Row, Table, Target


class Bench:
    """A run of the benchmark, as a context manager.

    Args:
        server: The server that all contenders stream from.
        quick: Whether to use fewer rounds and shorter streams, for a test of the benchmark itself.
    """

    def __init__(self, server: Server, *, quick: bool) -> None:
        self.server = server
        self.quick = quick
        self._missing: set[str] = set()
        self._loops = ExitStack()
        self._runners: dict[int, tuple[Any, asyncio.Runner]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runners.clear()
        self._loops.close()

    def get_runner(self, owner: Any) -> asyncio.Runner:
        """Return the event loop of a contender, which stays open with its connections.

        Each has its own: some leave tasks in it (litellm's log), which the others would run.
        """
        if id(owner) not in self._runners:
            runner = self._loops.enter_context(asyncio.Runner())
            runner.get_loop().set_exception_handler(ignore_unclosed)
            self._runners[id(owner)] = owner, runner
        return self._runners[id(owner)][1]

    def run(self, contender: Contender, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the event loop of a contender."""
        return self.get_runner(contender).run(coroutine)

    def open(self, entry: Entry, source: Source, pem: bytes | None = None) -> Contender | None:
        """Create the contender; if its package is missing, print that once and return `None`."""
        try:
            return entry.open(source, pem)
        except NotInstalled as missing:
            if str(missing) not in self._missing:
                self._missing.add(str(missing))
                print(missing, flush=True)
            return None

    def track(self, contender: Contender, source: Source, *, awaited: bool, times: int = 1) -> Track:
        """Create a track that reads `source` so many times, after a checked warm-up."""
        if awaited:
            self.run(contender, acheck(contender, source.texts))
            return Track(lambda: [self.run(contender, aread(contender)) for _ in range(times)], source.count * times)
        check(contender, source.texts)
        return Track(lambda: [read(contender) for _ in range(times)], source.count * times)

    def race(
        self,
        title: str,
        entries: Sequence[Entry],
        source: Source,
        *,
        awaited: bool,
        rounds: int,
        targets: dict[Entry, float],
        key: str = "",
    ) -> Table:
        """Measure the cost of a chunk for all entries; the first of them is the floor.

        An entry without an async stream has no row in the async table.
        """
        contenders = {
            entry: contender
            for entry in entries
            if (contender := self.open(entry, source)) and (contender.astream or not awaited)
        }
        tracks = [self.track(contender, source, awaited=awaited) for contender in contenders.values()]
        costs = cpu(tracks, rounds)
        rows = [
            Row(entry.name, (cost, cost / costs[0]), (Target(1, targets[entry]),) if entry in targets else ())
            for entry, cost in zip(contenders, costs, strict=True)
        ]
        return Table(title, ("µs", "x floor"), rows, key)

    def run_isolated(self, job: str, entry: Entry, *arguments: Any) -> dict[str, float] | None:
        """Run a job of `benchmarks.isolated` for a contender in its own process."""
        return run_isolated(job, entry, *arguments)


#: Return codes of a process that was ended by the limit of its CPU time.
CPU_LIMIT_CODES = (-signal.SIGXCPU, -signal.SIGKILL, 128 + signal.SIGXCPU, 128 + signal.SIGKILL)


def limit_cpu(seconds: float) -> tuple[str, ...]:
    """The beginning of a command whose CPU time is limited: unlike wall time, it does not depend on other processes."""
    return ("sh", "-c", 'ulimit -t "$0"; exec "$@"', f"{seconds:.0f}")


def run_isolated(job: str, entry: Entry, *arguments: Any) -> dict[str, float] | None:
    """Run a job of `benchmarks.isolated` in its own process; `None` if the contender's package is missing."""
    command = [sys.executable, "-m", "benchmarks.isolated", job, entry.name, entry.factory, *map(str, arguments)]
    process = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    if "missing" in result:
        print(result["missing"], flush=True)
        return None
    return result
