"""What all sections share: the server, one event loop for the whole run, and who could not be measured."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.contenders import Contender, Entry, NotInstalled
from benchmarks.measure import Track, acheck, aread, check, cpu, read
from benchmarks.server import ROOT, Server, Source
from benchmarks.table import Row, Table


class Bench:
    """One run.

    Args:
        server: Who is asked.
        runner: The event loop of everybody, so that their connections stay warm.
        quick: Fewer rounds and shorter streams: for seeing that it works.
    """

    def __init__(self, server: Server, runner: asyncio.Runner, *, quick: bool) -> None:
        self.server = server
        self.runner = runner
        self.quick = quick
        self._missing: set[str] = set()

    def open(self, entry: Entry, source: Source, pem: bytes | None = None) -> Contender | None:
        """The contender, or `None`, and a line once, where its package is missing."""
        try:
            return entry.open(source, pem)
        except NotInstalled as missing:
            if str(missing) not in self._missing:
                self._missing.add(str(missing))
                print(missing, flush=True)
            return None

    def track(self, contender: Contender, source: Source, *, awaited: bool, times: int = 1) -> Track:
        """A warm track that reads `source` so many times over, checked to read all of it."""
        if awaited:
            self.runner.run(acheck(contender, source.texts))
            return Track(lambda: [self.runner.run(aread(contender)) for _ in range(times)], source.count * times)
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
    ) -> Table:
        """A table of costs for each chunk; the first of `entries` is the floor."""
        opened = {entry: contender for entry in entries if (contender := self.open(entry, source))}
        tracks = [self.track(contender, source, awaited=awaited) for contender in opened.values()]
        costs = cpu(tracks, rounds)
        rows = [
            Row(entry.name, (cost, cost / costs[0]), 1 if entry in targets else None, targets.get(entry, 0.0))
            for entry, cost in zip(opened, costs, strict=True)
        ]
        return Table(title, ("µs", "x floor"), rows)

    def alone(self, job: str, entry: Entry, *arguments: Any) -> dict[str, float] | None:
        """What `benchmarks.alone` finds out about a contender in a process of its own."""
        words = [sys.executable, "-m", "benchmarks.alone", job, entry.name, entry.platform_case, *map(str, arguments)]
        done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        if "missing" in found:
            print(found["missing"], flush=True)
            return None
        return found
