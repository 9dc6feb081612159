"""The table of the targets on the page: each figure that has one, the maximum, and whether it is met."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks import contenders as all_contenders
from benchmarks import pages

_VARIANTS = (" sync", " async")

_MANY = 3  # more rows with one maximum are one line


@dataclass(frozen=True, slots=True)
class _Goal:
    """A target of a table. If many rows have it, the worst one counts.

    Attributes:
        what: What is measured, without the variant.
        name: The row, or how many rows there are.
        unit: The unit of the figure: the title of its column.
        figure: The figure.
        max_value: Its maximum.
    """

    what: str
    name: str
    unit: str
    figure: float
    max_value: float

    @property
    def is_met(self) -> bool:
        """Whether the figure is at most the maximum."""
        return self.figure <= self.max_value


def render(tables: dict[str, dict[str, Any]]) -> str:
    """The table in Markdown, from the recorded tables; the figures of sync and async variants are in one cell."""
    merged: dict[tuple[str, str, str, float], list[_Goal]] = {}
    for table in tables.values():
        for goal in _goals(table):
            merged.setdefault((goal.what, goal.name, goal.unit, goal.max_value), []).append(goal)
    lines = ["| target | of | figure | maximum | |", "|---|---|---|---|---|"]
    for (what, name, unit, max_value), goals in merged.items():
        cells = " / ".join(_number(goal.figure) for goal in goals)
        lines.append(
            f"| {what} | {_contender(name)} | {_in_unit(cells, unit)} | {_number(max_value)} | {_verdict(goals)} |"
        )
    goals = [goal for variants in merged.values() for goal in variants]
    if not goals:
        return ""
    lines[0] = lines[0].replace("| |", f"| {sum(goal.is_met for goal in goals)} of {len(goals)} met |")
    return "\n".join(lines)


def _goals(table: dict[str, Any]) -> Iterator[_Goal]:
    """The targets of one table; those of many rows with the same maximum are one, of the worst row."""
    rows: dict[tuple[int, float], list[tuple[float, str]]] = {}
    for row in table["rows"]:
        for column, max_value in row.get("targets", ()):
            if (figure := row["figures"][column]) is not None:
                rows.setdefault((column, max_value), []).append((figure, row["name"]))
    for (column, max_value), found in rows.items():
        if len(found) > _MANY:
            found = [(max(found)[0], f"the worst of {len(found)}")]
        for figure, name in found:
            yield _Goal(_without_variant(table["title"]), name, table["columns"][column], figure, max_value)


def _without_variant(title: str) -> str:
    for variant in _VARIANTS:
        title = title.replace(f",{variant},", ",").replace(f"{variant},", ",").replace(f",{variant}:", ":")
    return title


def _verdict(goals: Iterable[_Goal]) -> str:
    verdicts = ["met" if goal.is_met else "**not met**" for goal in goals]
    return verdicts[0] if len(set(verdicts)) == 1 else " / ".join(verdicts)


def _contender(name: str) -> str:
    return pages.title("mdstream_core") if name == all_contenders.CORE.name else pages.title(name)


def _in_unit(figures: str, unit: str) -> str:
    """The unit of a ratio is the title of its column, such as `x floor`."""
    return f"{figures} × {unit.removeprefix('x ')}" if unit.startswith("x ") else f"{figures} {unit}"


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
