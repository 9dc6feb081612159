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
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from benchmarks import contenders, startup
from benchmarks.contenders import Entry
from benchmarks.instructions_job import SHORT
from benchmarks.logging_removed import copy_without_logging
from benchmarks.server import ROOT, Server
from benchmarks.table import Row, Table

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
}

#: The contenders whose logging is measured.
_LOGGED = (contenders.CORE, contenders.LANGCHAIN, contenders.LLAMAINDEX)

#: The figures of `benchmarks.instructions_job`, and what they are.
_FIGURES = {
    "call": f"a streamed call of {SHORT} chunks",
    "whole": "a call that is not streamed",
    "first": "from the call to the first text",
    "chunk": "a chunk of a long stream",
}

#: Imports of each framework, and of one of our classes after them.
_IMPORTS = {
    "langchain": (startup.LANGCHAIN_BASES, startup.STATEMENTS[contenders.LANGCHAIN]),
    "llamaindex": (startup.LLAMAINDEX_BASES, startup.STATEMENTS[contenders.LLAMAINDEX]),
}

_VALGRIND = ("valgrind", "--tool=callgrind", "--instr-atstart=no", "--quiet")


def main() -> None:
    """Parse the command line, count, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    groups = [*_GROUPS, "imports", "logging"]
    parser.add_argument("--only", nargs="+", choices=groups, default=groups, metavar="GROUP", help=", ".join(groups))
    parser.add_argument("--without-peers", action="store_true", help="count floors and mdstream only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the tables to FILE")
    options = parser.parse_args()
    if not is_available():
        parser.exit(1, "valgrind is not installed (hint: install the package valgrind of your system)\n")
    tables = []
    for table in _count(options.only, peers=not options.without_peers):
        print(table, flush=True)
        tables.append(table.as_dict())
    if options.json:
        options.json.write_text(json.dumps(tables, indent=1))


def is_available() -> bool:
    """Whether valgrind is installed."""
    return shutil.which(_VALGRIND[0]) is not None


def _count(groups: Iterable[str], *, peers: bool) -> Iterator[Table]:
    with Server() as server:
        for group in groups:
            if group == "imports":
                yield _count_imports()
            elif group == "logging":
                yield count_logging(server.port)
            else:
                yield from _count_group(group, server.port, peers=peers)


def _count_group(group: str, port: int, *, peers: bool) -> Iterator[Table]:
    others = {*contenders.LANGCHAIN_PEERS, *contenders.LLAMAINDEX_PEERS, contenders.HTTPX}
    entries = [entry for entry in _GROUPS[group] if peers or entry not in others]
    results = {entry: result for entry in entries if (result := _run_entry(entry, port))}
    floor = results[entries[0]]
    for variant in ("", "async "):
        columns = [column for figure in _FIGURES for column in (figure, "x floor")]
        rows = [Row(entry.name, tuple(_cells(result, floor, variant))) for entry, result in results.items()]
        yield Table(f"{group} {variant or 'sync'}: thousands of instructions", tuple(columns), rows)


def _cells(result: dict[str, float], floor: dict[str, float], variant: str) -> Iterator[float | None]:
    for figure in _FIGURES:
        count = result.get(variant + figure)
        yield None if count is None else count / 1e3
        yield None if count is None else count / floor[variant + figure]


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
            if result is None or baseline is None:
                continue
            for variant, name in (("", "sync"), ("async ", "async")):
                rows.append(Row(f"{entry.name}, {name}", tuple(_added(result, baseline, variant)), 3, 1.0))
    return Table("Logging that is off: thousands of instructions", ("call", "call +%", "chunk", "chunk +%"), rows)


def _added(result: dict[str, float], baseline: dict[str, float], variant: str) -> Iterator[float]:
    for figure in ("call", "chunk"):
        count, without = result[variant + figure], baseline[variant + figure]
        yield count / 1e3
        yield (count / without - 1) * 100


def _count_imports() -> Table:
    rows = []
    with startup.bytecode_cache() as environment:
        for framework, (before, statement) in _IMPORTS.items():
            startup.import_in_new_process(before, statement, environment)  # compiles the modules
            result = _run("import", before, statement, environment=environment)
            if result is not None:
                base, added = result["base"], result["import"]
                rows += [
                    Row(f"{framework}: bases and httpx", (base / 1e6, None)),
                    Row(statement, (added / 1e6, added / base)),
                ]
    return Table("Imports: millions of instructions", ("alone", "x bases"), rows)


def _run_entry(entry: Entry, port: int, root: Path = ROOT) -> dict[str, float] | None:
    return _run("calls", entry.name, entry.factory, str(port), root=root)


def _run(*arguments: str, root: Path = ROOT, environment: Mapping[str, str] = os.environ) -> dict[str, float] | None:
    """Run a job under callgrind with the packages in a directory; `None` if a package is missing."""
    with tempfile.TemporaryDirectory() as directory:
        dumps = Path(directory) / "dump"
        command = [
            *_VALGRIND,
            f"--callgrind-out-file={dumps}",
            sys.executable,
            "-m",
            "benchmarks.instructions_job",
            str(dumps),
            *arguments,
        ]
        environment = {**environment, "PYTHONHASHSEED": "0"}
        process = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    result: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    if "missing" in result:
        print(result["missing"], flush=True)
        return None
    return result


if __name__ == "__main__":
    main()
