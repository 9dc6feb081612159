"""Count instructions instead of CPU time: a figure that other processes do not change. It needs valgrind.

Each contender runs in its own process under valgrind's tool callgrind, with the garbage collector off and a fixed hash
seed. The cost of a call is the difference between 14 warm calls and 4. The kernel's instructions are not counted, so
that system calls cost nothing here: compare ratios with those of CPU time.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import perf_counter

from benchmarks import contenders, instructions_page, startup
from benchmarks.bench import CPU_LIMIT_CODES, limit_cpu
from benchmarks.contenders import Entry
from benchmarks.instructions_page import Counts
from benchmarks.logging_removed import copy_without_logging
from benchmarks.pages import Machine
from benchmarks.server import Server
from benchmarks.source import ROOT
from benchmarks.table import Row, Table, Target

#: Groups of contenders: the first of each is the one that the others are compared with.
_GROUPS = {
    "core": (contenders.SOCKET, contenders.CORE, contenders.HTTPX),
    "langchain": (
        contenders.LANGCHAIN_SOCKET,
        contenders.LANGCHAIN_FLOOR,
        contenders.LANGCHAIN,
        *contenders.LANGCHAIN_PEERS,
    ),
    "llamaindex": (
        contenders.LLAMAINDEX_SOCKET,
        contenders.LLAMAINDEX_FLOOR,
        contenders.LLAMAINDEX,
        *contenders.LLAMAINDEX_PEERS,
    ),
    "platforms": (contenders.CORE, *contenders.CORE_PLATFORMS),
}

_OURS = {contenders.CORE, contenders.LANGCHAIN, contenders.LLAMAINDEX, *contenders.CORE_PLATFORMS}
_PEERS = {*contenders.LANGCHAIN_PEERS, *contenders.LLAMAINDEX_PEERS, contenders.HTTPX}

#: The contenders whose logging is measured.
_LOGGED = (contenders.CORE, contenders.LANGCHAIN, contenders.LLAMAINDEX)

#: Imports of each framework, and of a class of each package after them.
_IMPORTS = {
    "langchain": (startup.LANGCHAIN_BASES, (contenders.LANGCHAIN, *contenders.LANGCHAIN_PEERS)),
    "llamaindex": (startup.LLAMAINDEX_BASES, (contenders.LLAMAINDEX, *contenders.LLAMAINDEX_PEERS)),
}

_VALGRIND = ("valgrind", "--tool=callgrind", "--instr-atstart=no", "--quiet")

_SECONDS = 900  # CPU time of one contender; one that needs more is skipped


#: Counts one contender.
Job = Callable[[], dict[str, float]]


class Skipped(Exception):
    """A contender was not counted; the message is the reason."""


class Missing(Skipped):
    """The package of a contender is not installed."""


def main() -> None:
    """Parse the command line, count, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    groups = [*_GROUPS, "imports", "logging"]
    parser.add_argument("--only", nargs="+", choices=groups, default=groups, metavar="GROUP", help=", ".join(groups))
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--without-peers", action="store_true", help="count floors and mdstream only")
    which.add_argument("--ours", action="store_true", help="count mdstream only, beside the stored figures of the rest")
    which.add_argument("--peers", action="store_true", help="count floors and peers only")
    parser.add_argument("--write", action="store_true", help="write benchmarks/instructions.json and the page")
    parser.add_argument("--table-only", action="store_true", help="write the page from the figures of the last run")
    parser.add_argument(
        "--quick", action="store_true", help="shorter streams and fewer calls, with rough figures that are not written"
    )
    parser.add_argument("--match", default="", metavar="TEXT", help="count contenders whose names contain it")
    parser.add_argument("--limit", type=int, default=_SECONDS, metavar="SECONDS", help="CPU time of one contender")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="contenders at once")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the tables to FILE")
    options = parser.parse_args()
    if options.table_only:
        instructions_page.write_page()
        return
    if not is_available():
        parser.exit(1, "valgrind is not installed (hint: install the package valgrind of your system)\n")
    tables = []
    for table in _count(options):
        print(table, flush=True)
        tables.append(table.as_dict())
    if options.json:
        options.json.write_text(json.dumps({"tables": tables}, indent=1))
    if options.write:
        instructions_page.write_page()


def is_available() -> bool:
    """Whether valgrind is installed."""
    return shutil.which("valgrind") is not None


def _count(options: argparse.Namespace) -> Iterator[Table]:
    with Server() as server:
        for group in options.only:
            if group == "logging":
                yield count_logging(server.port)
                continue
            known: Counts = {}
            for known in _count_group(group, options, server.port):
                if (
                    options.write and not options.quick
                ):  # after each contender, so that an interrupted run loses nothing
                    instructions_page.record(group, known, Machine.current())
            yield from instructions_page.tables(group, known)


def _count_group(group: str, options: argparse.Namespace, port: int) -> Iterator[Counts]:
    """Count the contenders of a group; yield the known counts after each."""
    jobs = _import_jobs(options.limit) if group == "imports" else _call_jobs(group, port, options)
    names = [entry.name for entry in jobs]
    with ThreadPoolExecutor(options.jobs) as pool:
        wanted = [(entry, job) for entry, job in jobs.items() if _is_wanted(entry, options)]
        counts: Counts = {}
        for counted in pool.map(lambda pair: _or_reason(*pair), wanted):
            counts |= counted
            yield instructions_page.merge(group, counts, names)


def _call_jobs(group: str, port: int, options: argparse.Namespace) -> dict[Entry, Job]:
    run = partial(_run_entry, port=port, limit=options.limit, quick=options.quick)
    return {entry: partial(run, entry) for entry in _GROUPS[group]}


def _import_jobs(limit: int) -> dict[Entry, Job]:
    return {
        entry: partial(_count_import, framework, bases, entry, limit)
        for framework, (bases, entries) in _IMPORTS.items()
        for entry in entries
    }


def _is_wanted(entry: Entry, options: argparse.Namespace) -> bool:
    if options.match not in entry.name:
        return False
    if options.ours:
        return entry in _OURS
    return not (options.without_peers and entry in _PEERS) and not (options.peers and entry in _OURS)


def _count_import(framework: str, bases: str, entry: Entry, limit: int) -> dict[str, float]:
    statement = startup.STATEMENTS[entry]
    with startup.bytecode_cache() as environment:
        startup.import_in_new_process(bases, statement, environment)  # compiles the modules
        result = _run("import", bases, statement, limit=limit, environment=environment)
    return {f"bases of {framework}": result["base"], "import": result["import"]}


def _or_reason(entry: Entry, count: Job) -> Counts:
    """The figures of an entry, or the reason why there are none; none of both if its package is missing."""
    started = perf_counter()
    try:
        figures = count()
    except Skipped as skipped:
        print(f"{entry.name}: {skipped}", flush=True)
        return {} if isinstance(skipped, Missing) else {entry.name: str(skipped)}
    print(f"{entry.name}: counted in {perf_counter() - started:.0f} s", flush=True)
    return {entry.name: figures}


def count_logging(port: int, entries: Iterable[Entry] = _LOGGED) -> Table:
    """Count what logging costs while nobody listens: the packages as they are, and a copy without the log's checks.

    Args:
        port: Port of the benchmark's server.
        entries: The contenders, of mdstream.
    """
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        copy = copy_without_logging(Path(directory))
        for entry in entries:
            result, baseline = _run_entry(entry, port), _run_entry(entry, port, copy)
            for variant, name in (("", "sync"), ("async ", "async")):
                rows.append(Row(f"{entry.name}, {name}", tuple(_added(result, baseline, variant)), (Target(3, 1.0),)))
    return Table("Logging that is off: thousands of instructions", ("call", "call +%", "chunk", "chunk +%"), rows)


def _added(result: dict[str, float], baseline: dict[str, float], variant: str) -> Iterator[float]:
    for figure in ("call", "chunk"):
        count, without = result[variant + figure], baseline[variant + figure]
        yield count / 1e3
        yield (count / without - 1) * 100


def _run_entry(
    entry: Entry, port: int, root: Path = ROOT, limit: int = _SECONDS, *, quick: bool = False
) -> dict[str, float]:
    options = ("quick",) if quick else ()
    return _run("calls", entry.name, entry.factory, str(port), *options, root=root, limit=limit)


def _run(
    *arguments: str, limit: int, root: Path = ROOT, environment: Mapping[str, str] = os.environ
) -> dict[str, float]:
    """Run a job under callgrind with the packages in a directory.

    Raises:
        Missing: A package is not installed.
        Skipped: The job failed or took too long.
    """
    with tempfile.TemporaryDirectory() as directory:
        dumps = Path(directory) / "dump"
        command = [
            *limit_cpu(limit),
            *_VALGRIND,
            f"--callgrind-out-file={dumps}",
            sys.executable,
            "-m",
            "benchmarks.instructions_job",
            str(dumps),
            *arguments,
        ]
        environment = {**environment, "PYTHONHASHSEED": "0"}
        process = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    if process.returncode in CPU_LIMIT_CODES:
        raise Skipped(f"not counted, it takes more than {limit} s")
    if process.returncode:
        raise Skipped("not counted, it failed (see the error above)")
    result: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    if "missing" in result:
        raise Missing(str(result["missing"]))
    return result


if __name__ == "__main__":
    main()
