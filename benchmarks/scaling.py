"""Cost against size: chunks of a stream, streams at once, threads, and documents, beside other packages.

Each figure is measured in a process of its own, with the server in another one. The figures are written to
benchmarks/scaling.json, and the pictures and tables of docs/performance.md are drawn from it.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter

from benchmarks import scaling_page
from benchmarks.bench import CPU_LIMIT_CODES, limit_cpu
from benchmarks.contenders import Entry
from benchmarks.pages import Machine
from benchmarks.scaling_page import (
    CURVES,
    EMBEDDERS,
    FEWER_COLLECTIONS,
    FIGURES,
    FRAMEWORKS,
    WITH_LARGE_POOLS,
    Curve,
    Point,
)
from benchmarks.server import Server
from benchmarks.source import ROOT

_QUICK_COUNTS = {
    "chunks": (20, 200, 2000),
    "streams": (1, 64, 256),
    "threads": (1, 64),
    "documents": (100, 1000),
}

_SECONDS = 40.0  # a peer that would need more CPU time at the next size is not measured there
#: What takes longer is measured once, without a best of several rounds: peers, and ours and the floors.
_SLOW_PEER_SECONDS, _SLOW_SECONDS = 1.5, 4.0
_HANGING_SECONDS = 120  # of a process, several times what the slowest figure of mdstream takes

Line = dict[str, Point]


def main() -> None:
    """Parse the command line, measure, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes and one round, with rough figures")
    parser.add_argument("--only", nargs="+", choices=[curve.job for curve in CURVES], metavar="CURVE")
    parser.add_argument("--frameworks", nargs="+", choices=FRAMEWORKS, default=list(FRAMEWORKS))
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--without-peers", action="store_true", help="floors and mdstream only")
    which.add_argument("--peers", action="store_true", help="peers only")
    parser.add_argument(
        "--limit", type=float, default=_SECONDS, metavar="SECONDS", help="CPU time of a peer for one figure"
    )
    parser.add_argument(
        "--write", action="store_true", help="write the figures to benchmarks/scaling.json and the page"
    )
    parser.add_argument("--table-only", action="store_true", help="write the page from the figures of the last run")
    options = parser.parse_args()
    if not options.table_only:
        started = perf_counter()
        for framework, curve, name, line in _measure(options):
            for count, point in line.items():
                print(f"{name}: {int(count):,} {curve.title}: {scaling_page.cell(point)}", flush=True)
            if options.write and line:  # after each line, so that an interrupted run loses nothing
                _record(framework, curve, name, line, quick=options.quick)
        print(f"measured in {perf_counter() - started:.0f} s", flush=True)
    if options.table_only or options.write:
        scaling_page.write_page()


def _measure(options: argparse.Namespace) -> Iterator[tuple[str, Curve, str, Line]]:
    with Server() as server:
        for curve in CURVES:
            if options.only and curve.job not in options.only:
                continue
            for framework in options.frameworks:
                for entry, is_peer in _entries(curve, framework):
                    if not (options.without_peers and is_peer) and not (options.peers and not is_peer):
                        limit = options.limit if is_peer else float("inf")
                        run = partial(_run, curve, _job_entry(curve, entry), server.port, limit)
                        yield framework, curve, entry.name, dict(_line(curve, run, limit, quick=options.quick))


def _entries(curve: Curve, framework: str) -> Iterator[tuple[Entry, bool]]:
    """The contenders of a curve, and whether they are peers."""
    ours, floor, *peers = (EMBEDDERS if curve.job == "documents" else FRAMEWORKS)[framework]
    yield ours, False
    if curve.job == "streams":
        yield FEWER_COLLECTIONS[framework], False
    yield floor, False
    yield from ((peer, True) for peer in peers)


def _record(framework: str, curve: Curve, name: str, line: Line, *, quick: bool) -> None:
    """Write a line to the file; those that were not measured stay."""
    recorded = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {"curves": {}}
    recorded["curves"].setdefault(framework, {}).setdefault(curve.job, {})[name] = line
    recorded |= {"machine": Machine.current().as_dict(), "quick": quick}
    FIGURES.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")


def _job_entry(curve: Curve, entry: Entry) -> Entry:
    return WITH_LARGE_POOLS.get(entry, entry) if curve.job in {"streams", "threads"} else entry


def _line(
    curve: Curve, run: Callable[[int, int], Point | None], limit: float, *, quick: bool
) -> Iterator[tuple[str, Point]]:
    """Measure one contender at all sizes, up to one at which it takes too long or fails.

    Args:
        curve: The sizes.
        run: Measures one figure, given the size and the number of rounds.
        limit: The maximum of its CPU time in seconds.
        quick: Whether to use smaller sizes and one round.
    """
    cost = 0.0
    slow = _SLOW_SECONDS if limit == float("inf") else _SLOW_PEER_SECONDS
    for count in _QUICK_COUNTS[curve.job] if quick else curve.counts:
        rounds = 1 if quick or cost * count / 1e6 > slow else 3
        seconds = cost * count * (rounds + 1) / 1e6
        if seconds > limit:
            result: Point | None = {"reason": f"would take {seconds:.0f} s"}
        else:
            result = run(count, rounds)
        if not result:  # the package is missing
            return
        cost = result.get("cpu", 0.0)
        yield str(count), result
        if "reason" in result:
            return


def _run(curve: Curve, entry: Entry, port: int, limit: float, count: int, rounds: int) -> Point | None:
    """Measure one figure; the result has a reason instead of figures if that is not possible."""
    command = [sys.executable, "-m", "benchmarks.isolated", curve.job, entry.name, entry.factory]
    command += map(str, (port, count, rounds))
    if limit != float("inf"):
        command = [*limit_cpu(2 * limit), *command]  # with imports; the cost may be above that at the size before
    try:
        process = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=_HANGING_SECONDS
        )
    except subprocess.TimeoutExpired:
        return {"reason": f"no end after {_HANGING_SECONDS} s"}
    if process.returncode in CPU_LIMIT_CODES:
        return {"reason": f"takes more than {2 * limit:.0f} s"}
    if process.returncode:
        print(process.stderr[-2000:], flush=True)
        return {"reason": f"fails: `{_exception_name(process.stderr)}`"}
    result: Point = json.loads(process.stdout.splitlines()[-1])
    if "missing" in result:
        print(result["missing"], flush=True)
        return None
    return {
        figure: float(f"{value:.4g}") if isinstance(value, float | int) else value for figure, value in result.items()
    }


def _exception_name(stderr: str) -> str:
    """The class of the exception whose traceback is the last one of the output."""
    lines = [line for line in stderr.splitlines() if line and not line[0].isspace()]
    names = [line.partition(":")[0] for line in lines]
    return next((name.rpartition(".")[2] for name in reversed(names) if " " not in name), "an error")


if __name__ == "__main__":
    main()
