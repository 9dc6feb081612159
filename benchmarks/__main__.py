"""Run the sections of the benchmark and print their tables."""

import argparse
import asyncio
import gc
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.measure import ignore_unclosed
from benchmarks.sections import SECTIONS
from benchmarks.server import Server
from benchmarks.table import Table

_VERSIONS = (
    "mdstream-llm",
    "httpx",
    "langchain-core",
    "llama-index-core",
    "langchain-oci",
    "langchain-openai",
    "langchain-litellm",
    "litellm",
    "llama-index-llms-oci-data-science",
    "llama-index-llms-openai-like",
    "oci",
    "openai",
)


def main() -> None:
    """Parse the command line and run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and shorter streams, with rough figures")
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION", help=", ".join(SECTIONS)
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the tables to FILE")
    options = parser.parse_args()
    machine = _machine()
    print("\n".join(machine) + "\n", flush=True)
    tables = _run(options.only, quick=options.quick)
    verdicts = [row.verdict for table in tables for row in table.rows if row.verdict]
    print(f"{verdicts.count('ok')} of {len(verdicts)} targets met")
    if options.json:
        options.json.write_text(
            json.dumps({"machine": machine, "tables": [table.as_dict() for table in tables]}, indent=1)
        )


def _run(sections: list[str], *, quick: bool) -> list[Table]:
    tables = []
    with Server() as server, asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(ignore_unclosed)
        bench = Bench(server, runner, quick=quick)
        for section in sections:
            for table in SECTIONS[section](bench):
                print(table, flush=True)
                tables.append(table)
    return tables


def _machine() -> list[str]:
    """The machine and the versions that the figures depend on."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    collector = "on" if gc.isenabled() else "off"
    load = os.getloadavg()[0]
    return [
        f"{python}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, gc {collector}",
        ", ".join(f"{name} {_version(name)}" for name in _VERSIONS),
    ]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "-"


main()
