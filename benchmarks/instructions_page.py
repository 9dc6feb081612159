"""The instruction counts of docs/performance.md, from those of the last runs in benchmarks/instructions.json."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import pages
from benchmarks.instructions_job import SHORT
from benchmarks.pages import Machine
from benchmarks.source import ROOT
from benchmarks.table import Row, Table

FIGURES = ROOT / "benchmarks/instructions.json"
PAGE = ROOT / "docs/performance.md"
BEGIN = "<!-- instructions: written by make bench-instructions -->"

#: The counts of each contender by its name, or the reason why it has none.
Counts = dict[str, dict[str, float] | str]

#: The counts of `benchmarks.instructions_job`, and what they are.
_FIGURES = {
    "chunk": "a chunk of a long stream",
    "call": f"a call of {SHORT} chunks",
    "whole": "a call not streamed",
    "first": "up to the first text",
}

_TITLES = {"core": "No framework", "langchain": "LangChain", "llamaindex": "LlamaIndex", "platforms": "Core, platforms"}

_BASES = "bases of "


def merge(group: str, counts: Counts, names: Sequence[str], path: Path = FIGURES) -> Counts:
    """Add the stored counts of the contenders that were not counted now; all of them in the order of `names`."""
    known = load(path)["groups"].get(group, {}) | counts
    return {name: known[name] for name in names if name in known}


def record(group: str, counts: Counts, machine: Machine, path: Path = FIGURES) -> None:
    """Write the counts of a group to the file; those of other groups stay."""
    recorded = load(path)
    recorded["groups"][group] = {
        name: figures if isinstance(figures, str) else {key: round(count) for key, count in figures.items()}
        for name, figures in counts.items()
    }
    recorded["machine"] = machine.as_dict()
    path.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")


def load(path: Path = FIGURES) -> dict[str, Any]:
    """The recorded counts, by group."""
    recorded: dict[str, Any] = {"groups": {}}
    if path.exists():
        recorded = json.loads(path.read_text(encoding="utf-8"))
    return recorded


def tables(group: str, counts: Counts) -> Iterator[Table]:
    """The tables of a group for the terminal."""
    floor = _floor(counts)
    if not floor:  # no contender was counted
        return
    if group == "imports":
        yield _imports_table(counts)
        return
    for variant in ("", "async "):
        columns = [column for figure in _FIGURES for column in (figure, "x floor")]
        rows = [
            Row(name, tuple(_cells(figures, floor, variant)))
            for name, figures in counts.items()
            if not isinstance(figures, str)
        ]
        yield Table(f"{group} {variant or 'sync'}: thousands of instructions", tuple(columns), rows)


def _floor(counts: Counts) -> dict[str, float]:
    """The counts of the first contender that has any."""
    return next((figures for figures in counts.values() if not isinstance(figures, str)), {})


def _cells(figures: dict[str, float], floor: dict[str, float], variant: str) -> Iterator[float | None]:
    for figure in _FIGURES:
        count, base = figures.get(variant + figure), floor.get(variant + figure)
        yield None if count is None else count / 1e3
        yield None if count is None or base is None else count / base


def _imports_table(counts: Counts) -> Table:
    rows = []
    for name, figures in counts.items():
        if not isinstance(figures, str):
            base = _base(figures)
            rows.append(Row(name, (figures["import"] / 1e6, figures["import"] / base)))
    return Table("Imports: millions of instructions", ("added", "x bases"), rows)


def _base(figures: dict[str, float]) -> float:
    return next(count for key, count in figures.items() if key.startswith(_BASES))


def write_page() -> None:
    """Write the counts into the page, if there are any."""
    if "machine" in (recorded := load()):
        page = pages.replace(PAGE.read_text(encoding="utf-8"), render(recorded), BEGIN)
        PAGE.write_text(page, encoding="utf-8")


def render(recorded: dict[str, Any]) -> str:
    """The counts in Markdown."""
    machine = Machine(**recorded["machine"])
    caption = f"Counted on {machine.date}, {machine.python}, {machine.packages}."
    groups = recorded["groups"]
    parts = [_group(group, groups[group]) for group in _TITLES if group in groups]
    if "imports" in groups:
        parts.append(_imports(groups["imports"]))
    return "\n\n".join([caption, *parts])


def _group(group: str, counts: Counts) -> str:
    figures = [figure for figure in _FIGURES if any(figure in each for each in counts.values())]
    titles = " | ".join(_FIGURES[figure] for figure in figures)
    lines = [f"| {_TITLES[group]}, sync / async (× the first row) | {titles} |", "|---" * (len(figures) + 1) + "|"]
    floor = _floor(counts)
    for name, each in counts.items():
        cells = [_cell(each, floor, figure) for figure in figures]
        if isinstance(each, str):
            cells[0] = each
        lines.append(f"| {pages.title(name)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(figures: dict[str, float] | str, floor: dict[str, float], figure: str) -> str:
    if isinstance(figures, str) or figure not in figures:
        return ""
    counts = [figures.get(variant + figure) for variant in ("", "async ")]
    texts = " / ".join("-" if count is None else _thousands(count) for count in counts)
    return f"{texts} ({figures[figure] / floor[figure]:.2f} ×)" if figure in floor else texts


def _imports(counts: Counts) -> str:
    lines = ["| import, after the framework's bases of models and httpx | millions | × the bases |", "|---|---|---|"]
    for name, figures in counts.items():
        if isinstance(figures, str):
            lines.append(f"| {pages.title(name)} | {figures} | |")
        else:
            added = figures["import"]
            lines.append(f"| {pages.title(name)} | {added / 1e6:,.0f} | {added / _base(figures):.2f} |")
    return "\n".join(lines)


def _thousands(count: float) -> str:
    return f"{count / 1e3:,.0f}" if count >= 1e5 else f"{count / 1e3:.1f}"
