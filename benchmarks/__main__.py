"""Run the sections of the benchmark and print their tables; `--write` writes the figures of docs/comparison.md too."""

import argparse
import gc
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import comparison
from benchmarks.bench import Bench
from benchmarks.pages import Machine
from benchmarks.sections import SECTIONS
from benchmarks.server import Server
from benchmarks.table import Table


def main() -> None:
    """Parse the command line and run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and shorter streams, with rough figures")
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION", help=", ".join(SECTIONS)
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the tables to FILE")
    parser.add_argument("--write", action="store_true", help="write the figures to benchmarks/comparison.json and page")
    parser.add_argument("--table-only", action="store_true", help="write the page from the figures of the last run")
    options = parser.parse_args()
    if not options.table_only:
        _measure(options)
    if options.table_only or options.write:
        comparison.write_page()


def _measure(options: argparse.Namespace) -> None:
    machine = Machine.current()
    load, collector = os.getloadavg()[0], "on" if gc.isenabled() else "off"
    print(f"{machine.description}; load {load:.1f}, gc {collector}\n", flush=True)
    tables = []
    for section_tables in _run(options.only, quick=options.quick):
        tables += section_tables
        if options.write:  # after each section, so that a failure of a later one loses nothing
            comparison.record(section_tables, machine, quick=options.quick)
    verdicts = [verdict for table in tables for row in table.rows for verdict in row.verdicts]
    print(f"{verdicts.count('met')} of {len(verdicts)} targets met")
    if options.json:
        dumped = {"machine": machine.as_dict(), "tables": [table.as_dict() for table in tables]}
        options.json.write_text(json.dumps(dumped, indent=1))


def _run(sections: list[str], *, quick: bool) -> Iterator[list[Table]]:
    with Server() as server, Bench(server, quick=quick) as bench:
        for section in sections:
            tables = []
            started = time.perf_counter()
            for table in SECTIONS[section](bench):
                print(table, flush=True)
                tables.append(table)
            print(f"({section}: {time.perf_counter() - started:.0f} s)\n", flush=True)
            yield tables


main()
