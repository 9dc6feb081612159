"""Cost against size: chunks of a stream, streams at once, threads, and documents, beside other packages.

Each figure is measured in a process of its own, with the server in another one. The figures are written to
benchmarks/scaling.json, and the pictures and tables of docs/performance.md are drawn from it.
"""

import argparse
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from typing import Any

from benchmarks import contenders, pages
from benchmarks.bench import run_isolated
from benchmarks.chart import Panel, render
from benchmarks.contenders import Entry
from benchmarks.pages import Machine
from benchmarks.scaling_jobs import DIMENSIONS, RATE, TOKENS
from benchmarks.server import Server
from benchmarks.source import ROOT

FIGURES = ROOT / "benchmarks/scaling.json"
PAGE = ROOT / "docs/performance.md"
PICTURES = ROOT / "docs/pictures"

_SECONDS = 40.0  # a contender that would need longer at the next size is not measured there


@dataclass(frozen=True, slots=True)
class Curve:
    """What grows.

    Attributes:
        job: The job of `benchmarks.isolated`.
        counts: The sizes.
        title: What the horizontal axis counts.
        unit: What `cpu` is the cost of.
        memory_unit: What `memory` is the memory of.
    """

    job: str
    counts: tuple[int, ...]
    title: str
    unit: str
    memory_unit: str


CURVES = (
    Curve("chunks", (20, 200, 2000, 20_000), "chunks of a stream, in a burst", "chunk", "stream"),
    Curve("streams", (1, 64, 256, 1000, 4000), "streams at once, async", "stream", "stream"),
    Curve("threads", (1, 64, 200), "streams at once, in threads", "stream", "stream"),
    Curve("documents", (100, 1000, 10_000, 100_000), "documents embedded in one call", "document", "document"),
)

_QUICK_COUNTS = {
    "chunks": (20, 200, 2000),
    "streams": (1, 64, 256),
    "threads": (1, 64),
    "documents": (100, 1000),
}


def _embedder(name: str, function: str) -> Entry:
    return Entry(name, f"benchmarks.embedders:{function}")


#: The contenders by framework; ours is the first, and a floor the second. An embedder has the name of its package's
#: chat model, so that both are one line of the legend.
FRAMEWORKS: dict[str, tuple[Entry, ...]] = {
    "langchain": (contenders.LANGCHAIN, contenders.LANGCHAIN_SOCKET, *contenders.LANGCHAIN_PEERS[:4]),
    "llamaindex": (contenders.LLAMAINDEX, contenders.LLAMAINDEX_SOCKET, *contenders.LLAMAINDEX_PEERS[:2]),
}
#: Ours with pools for thousands of streams, under the same names.
_MANY = {
    contenders.LANGCHAIN: Entry(contenders.LANGCHAIN.name, "benchmarks.ours:langchain_many"),
    contenders.LLAMAINDEX: Entry(contenders.LLAMAINDEX.name, "benchmarks.ours:llamaindex_many"),
}
_EMBEDDERS: dict[str, tuple[Entry, ...]] = {
    "langchain": (
        _embedder(contenders.LANGCHAIN.name, "ours"),
        _embedder(contenders.LANGCHAIN_SOCKET.name, "floor"),
        _embedder(contenders.LANGCHAIN_PEERS[0].name, "langchain_oci"),
        _embedder(contenders.LANGCHAIN_PEERS[2].name, "langchain_openai"),
    ),
    "llamaindex": (
        _embedder(contenders.LLAMAINDEX.name, "ours_llamaindex"),
        _embedder(contenders.LLAMAINDEX_SOCKET.name, "floor"),
        _embedder(contenders.LLAMAINDEX_PEERS[0].name, "llamaindex_oci"),
    ),
}

Figures = dict[str, Any]
Line = dict[str, dict[str, float]]


def main() -> None:
    """Parse the command line, measure, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes and one round, with rough figures")
    parser.add_argument("--only", nargs="+", choices=[curve.job for curve in CURVES], metavar="CURVE")
    parser.add_argument("--frameworks", nargs="+", choices=FRAMEWORKS, default=list(FRAMEWORKS))
    parser.add_argument("--without-peers", action="store_true", help="floors and mdstream only")
    parser.add_argument(
        "--write", action="store_true", help="write the figures to benchmarks/scaling.json and the page"
    )
    parser.add_argument("--table-only", action="store_true", help="write the page from the figures of the last run")
    options = parser.parse_args()
    if not options.table_only:
        for framework, curve, name, line in _measure(options):
            if options.write:  # after each line, so that an interrupted run loses nothing
                _record(framework, curve, name, line, quick=options.quick)
    if options.table_only or options.write:
        write_page(json.loads(FIGURES.read_text(encoding="utf-8")))


def _measure(options: argparse.Namespace) -> Iterator[tuple[str, Curve, str, Line]]:
    with Server() as server:
        for curve in CURVES:
            if options.only and curve.job not in options.only:
                continue
            counts = _QUICK_COUNTS[curve.job] if options.quick else curve.counts
            for framework in options.frameworks:
                entries = (_EMBEDDERS if curve.job == "documents" else FRAMEWORKS)[framework]
                for entry in entries[:2] if options.without_peers else entries:
                    line = dict(_line(curve, entry, server.port, counts, quick=options.quick))
                    yield framework, curve, entry.name, line


def _record(framework: str, curve: Curve, name: str, line: Line, *, quick: bool) -> None:
    """Write a line to the file; those that were not measured stay."""
    recorded = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {"curves": {}}
    recorded["curves"].setdefault(framework, {}).setdefault(curve.job, {})[name] = line
    recorded |= {"machine": Machine.current().as_dict(), "quick": quick}
    FIGURES.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")


def _line(
    curve: Curve, entry: Entry, port: int, counts: tuple[int, ...], *, quick: bool
) -> Iterator[tuple[str, dict[str, float]]]:
    """Measure one contender at all sizes, as long as the next one does not take too long."""
    cost = 0.0
    for count in counts:
        rounds = 1 if quick or count >= 1000 else 3
        if cost * count * (rounds + 1) / 1e6 > _SECONDS:
            print(f"{entry.name}: {count:,} {curve.title}: not measured, it would take too long", flush=True)
            return
        job_entry = _MANY.get(entry, entry) if curve.job in {"streams", "threads"} else entry
        try:
            result = run_isolated(curve.job, job_entry, port, count, rounds)
        except subprocess.CalledProcessError:
            print(f"{entry.name}: {count:,} {curve.title}: failed, see the error above", flush=True)
            return
        if result is None:
            return
        cost = result["cpu"]
        print(
            f"{entry.name}: {count:,} {curve.title}: {_time(cost)} a {curve.unit}, "
            f"{_size(result['memory'])} a {curve.memory_unit}",
            flush=True,
        )
        yield str(count), {figure: float(f"{value:.4g}") for figure, value in result.items()}


def write_page(recorded: Figures) -> None:
    """Write the pictures, and the tables of the page."""
    for framework in FRAMEWORKS:
        path = PICTURES / f"scaling-{framework}.svg"
        path.write_text(picture(framework, recorded["curves"][framework]), encoding="utf-8")
    PAGE.write_text(pages.replace(PAGE.read_text(encoding="utf-8"), tables(recorded)), encoding="utf-8")


def picture(framework: str, curves: Figures) -> str:
    """Draw the curves of a framework: CPU on the left, memory on the right."""
    names = [entry.name for entry in FRAMEWORKS[framework]]
    panels = []
    for curve in CURVES:
        for figure, unit, label in (("cpu", curve.unit, _time), ("memory", curve.memory_unit, _size)):
            lines = {
                name: {int(count): max(result[figure], _SMALLEST[figure]) for count, result in line.items()}
                for name, line in curves.get(curve.job, {}).items()
                if line
            }
            if not lines:
                continue
            title = f"CPU of a {unit}" if figure == "cpu" else f"memory of a {unit}"
            panels.append(Panel(title, curve.title, label, lines))
    return render(f"Cost and memory against size, {framework}", names, panels)


_SMALLEST = {"cpu": 0.1, "memory": 1.0}  # a logarithmic axis has no zero; a page of memory is 4 KiB


def tables(recorded: Figures) -> str:
    """The tables of the page, in Markdown."""
    machine = Machine(**recorded["machine"])
    rough = " These are rough figures of `--quick`." if recorded["quick"] else ""
    caption = (
        f"Measured on {machine.date}: {machine.description}. A stream of the second and third table has {TOKENS} "
        f"tokens; all streams together receive {RATE:,} tokens a second at most. A vector has {DIMENSIONS} "
        f"numbers.{rough}"
    )
    parts = [caption]
    for curve in CURVES:
        if not any(curve.job in curves for curves in recorded["curves"].values()):
            continue
        counts = [str(count) for count in curve.counts]
        lines = [
            f"| {curve.title}: CPU of a {curve.unit}, memory of a {curve.memory_unit} | "
            + " | ".join(f"{count:,}" for count in curve.counts)
            + " |",
            "|---" * (len(counts) + 1) + "|",
        ]
        for framework in FRAMEWORKS:
            for name, line in recorded["curves"][framework].get(curve.job, {}).items():
                cells = [_cell(line.get(count)) for count in counts]
                lines.append(f"| {_row_title(curve, name)} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _row_title(curve: Curve, name: str) -> str:
    """The title of a row: an embedder is named by its package, because its line has the name of the chat model."""
    if curve.job != "documents":
        return pages.title(name)
    package = name.split(maxsplit=1)[0]
    return "floor: `http.client`, `json` and `array`" if package == "floor:" else pages.title(package)


def _cell(result: dict[str, float] | None) -> str:
    return "" if result is None else f"{_time(result['cpu'])}, {_size(result['memory'])}"


def _time(microseconds: float) -> str:
    return _scaled(microseconds, ("µs", "ms", "s"), 1000)


def _size(kibibytes: float) -> str:
    return _scaled(kibibytes, ("KiB", "MiB", "GiB"), 1024)


def _scaled(value: float, units: tuple[str, ...], step: int) -> str:
    power = min(len(units) - 1, max(0, int(log(max(value, 1), step))))
    scaled = value / step**power
    return f"{scaled:,.0f} {units[power]}" if scaled >= 100 else f"{scaled:.3g} {units[power]}"


if __name__ == "__main__":
    main()
