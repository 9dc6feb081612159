"""The curves, and the pictures and tables of docs/performance.md, from benchmarks/scaling.json."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from typing import Any

from benchmarks import contenders, pages
from benchmarks.chart import Panel, render
from benchmarks.contenders import Entry
from benchmarks.ours import GC_THRESHOLDS
from benchmarks.pages import Machine
from benchmarks.scaling_jobs import DIMENSIONS, RATE, TOKENS
from benchmarks.source import ROOT

FIGURES = ROOT / "benchmarks/scaling.json"
PAGE = ROOT / "docs/performance.md"
PICTURES = ROOT / "docs/pictures"


@dataclass(frozen=True, slots=True)
class Curve:
    """What grows.

    Attributes:
        job: The job of `benchmarks.isolated`.
        counts: The sizes.
        title: What the horizontal axis counts.
        unit: What `cpu` is the cost of.
        memory_unit: What `memory` is the memory of.
        compared: Pairs of sizes between which the cost of a unit must not grow, beside the last two.
    """

    job: str
    counts: tuple[int, ...]
    title: str
    unit: str
    memory_unit: str
    compared: tuple[tuple[int, int], ...] = ()


CURVES = (
    Curve("chunks", (20, 200, 2000, 20_000), "chunks of a stream, in a burst", "chunk", "stream"),
    Curve(
        "streams",
        (1, 64, 256, 1000, 4000),
        "streams at once, async",
        "stream",
        "stream",
        ((1, 1000), (64, 1000)),
    ),
    Curve("threads", (1, 64, 200), "streams at once, in threads", "stream", "stream"),
    Curve("documents", (100, 1000, 10_000, 100_000), "documents embedded in one call", "document", "document"),
)


def _embedder(name: str, function: str) -> Entry:
    return Entry(name, f"benchmarks.embedders:{function}")


def _fewer_collections(entry: Entry, function: str) -> Entry:
    thresholds = ", ".join(f"{threshold:_}" for threshold in GC_THRESHOLDS)
    return Entry(f"{entry.name}, gc.set_threshold({thresholds})", f"benchmarks.ours:{function}_fewer_collections")


#: The contenders by framework; ours is the first, and a floor the second. An embedder has the name of its package's
#: chat model, so that both are one line of the legend.
FRAMEWORKS: dict[str, tuple[Entry, ...]] = {
    "langchain": (contenders.LANGCHAIN, contenders.LANGCHAIN_SOCKET, *contenders.LANGCHAIN_PEERS[:4]),
    "llamaindex": (contenders.LLAMAINDEX, contenders.LLAMAINDEX_SOCKET, *contenders.LLAMAINDEX_PEERS[:2]),
}
#: Ours with pools for thousands of streams, under the same names.
WITH_LARGE_POOLS = {
    contenders.LANGCHAIN: Entry(contenders.LANGCHAIN.name, "benchmarks.ours:langchain_many"),
    contenders.LLAMAINDEX: Entry(contenders.LLAMAINDEX.name, "benchmarks.ours:llamaindex_many"),
}
#: Ours again, for streams at once: with fewer runs of Python's garbage collector than by default.
FEWER_COLLECTIONS: dict[str, Entry] = {
    "langchain": _fewer_collections(contenders.LANGCHAIN, "langchain"),
    "llamaindex": _fewer_collections(contenders.LLAMAINDEX, "llamaindex"),
}
EMBEDDERS: dict[str, tuple[Entry, ...]] = {
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

#: `cpu` in microseconds and `memory` in KiB; or the `reason` why there are none.
Point = dict[str, Any]

BEGIN = "<!-- figures: written by make scaling -->"

_MAX_GROWTH = 1.1


def write_page() -> None:
    """Write the pictures, and the tables of the page."""
    recorded = json.loads(FIGURES.read_text(encoding="utf-8"))
    for framework in FRAMEWORKS:
        path = PICTURES / f"scaling-{framework}.svg"
        path.write_text(picture(framework, recorded["curves"][framework]), encoding="utf-8")
    PAGE.write_text(pages.replace(PAGE.read_text(encoding="utf-8"), tables(recorded), BEGIN), encoding="utf-8")


def picture(framework: str, curves: Figures) -> str:
    """Draw the curves of a framework: CPU on the left, memory on the right."""
    names = [entry.name for entry in FRAMEWORKS[framework]]
    panels = []
    for curve in CURVES:
        measured = {name: _measured(line) for name, line in curves.get(curve.job, {}).items() if name in names}
        counts = tuple(sorted({count for points in measured.values() for count in points}))
        for figure, unit, label in (("cpu", curve.unit, _time), ("memory", curve.memory_unit, _decimal_size)):
            lines = {name: drawn for name, points in measured.items() if (drawn := _drawn(points, figure))}
            if lines:
                title = f"CPU of a {unit}" if figure == "cpu" else f"memory of a {unit}"
                panels.append(Panel(title, curve.title, label, lines, counts))
    return render(f"Cost and memory against size, {framework}", names, panels)


def _measured(line: dict[str, Point]) -> dict[int, Point]:
    return {int(count): point for count, point in line.items() if "reason" not in point}


def _drawn(points: dict[int, Point], figure: str) -> dict[int, float]:
    """The values of a line; not of memory below 1 KiB, which the process had before: a logarithmic axis has no zero."""
    factor = 1.024 if figure == "memory" else 1.0  # kB, so that powers of ten are round numbers
    return {count: point[figure] * factor for count, point in points.items() if figure == "cpu" or point[figure] >= 1}


def _decimal_size(kilobytes: float) -> str:
    return _scaled(kilobytes, ("kB", "MB", "GB"), 1000)


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
                cells = [cell(line.get(count)) for count in counts]
                lines.append(f"| {_row_title(curve, name)} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, _growth_table(recorded["curves"])])


def _growth_table(curves: Figures) -> str:
    """How the cost of a unit grows with the number of units, beside the floor, with the targets."""
    lines = ["| growth of the CPU of a unit | from | to | mdstream | its floor | maximum | |", "|---" * 7 + "|"]
    for curve in CURVES:
        for start, end in dict.fromkeys((*curve.compared, curve.counts[-2:])):
            lines += _growth_rows(curve, curves, start, end)
    return "\n".join(lines)


def _growth_rows(curve: Curve, curves: Figures, start: int, end: int) -> Iterator[str]:
    for framework, (first, second, *_) in FRAMEWORKS.items():
        measured = curves[framework].get(curve.job, {})
        floor = _growth(measured.get(second.name, {}), start, end)
        for entry in (first, FEWER_COLLECTIONS[framework]):
            ours = _growth(measured.get(entry.name, {}), start, end)
            if ours is not None:
                yield _growth_row(curve, entry, start, end, ours, floor)


def _growth_row(curve: Curve, entry: Entry, start: int, end: int, ours: float, floor: float | None) -> str:
    # At the last step the floor may grow too, such as by what the framework itself keeps; ours not more than it.
    base = 1.0 if (start, end) in curve.compared else max(1.0, floor or 1.0)
    verdict = "met" if ours <= _MAX_GROWTH * base else "**not met**"
    cells = (f"{_title(entry.name)}: {curve.title}", f"{start:,}", f"{end:,}", _ratio(ours), _ratio(floor))
    return f"| {' | '.join(cells)} | {_MAX_GROWTH * base:.2f} × | {verdict} |"


def _growth(line: dict[str, Point], start: int, end: int) -> float | None:
    """The CPU time of a unit at one size, in that at another one."""
    first, last = (line.get(str(count), {}).get("cpu") for count in (start, end))
    return last / first if first and last else None


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} ×"


def _row_title(curve: Curve, name: str) -> str:
    """The title of a row: an embedder is named by its package, because its line has the name of the chat model."""
    if curve.job != "documents":
        return _title(name)
    package = name.split(maxsplit=1)[0]
    return "floor: `http.client`, `json` and `array`" if package == "floor:" else pages.title(package)


def _title(name: str) -> str:
    """The title of a contender; what its program sets is code."""
    package, _, settings = name.partition(", gc.")
    return pages.title(package) + (f", `gc.{settings}`" if settings else "")


def cell(point: Point | None) -> str:
    """A figure as text, or why there is none."""
    if point is None:
        return ""
    return point["reason"] if "reason" in point else f"{_time(point['cpu'])}, {_size(point['memory'])}"


def _time(microseconds: float) -> str:
    return _scaled(microseconds, ("µs", "ms", "s"), 1000)


def _size(kibibytes: float) -> str:
    return _scaled(kibibytes, ("KiB", "MiB", "GiB"), 1024)


def _scaled(value: float, units: tuple[str, ...], step: int) -> str:
    power = min(len(units) - 1, max(0, int(log(max(value, 1), step) + 1e-9)))
    scaled = value / step**power
    return f"{scaled:,.0f} {units[power]}" if scaled >= 100 else f"{scaled:.3g} {units[power]}"
