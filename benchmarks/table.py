"""Tables of the output, with the targets of the figures that have one."""

from dataclasses import asdict, dataclass
from math import isnan
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """The maximum of a figure.

    Attributes:
        column: Index of the figure in its row.
        max_value: The maximum.
    """

    column: int
    max_value: float


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes:
        name: Title of the row.
        figures: Its figures, one for each column.
        targets: The targets of its figures.
    """

    name: str
    figures: tuple[float | None, ...]
    targets: tuple[Target, ...] = ()

    def verdict(self, target: Target) -> str:
        """`met`, `not met`, or empty if the figure was not measured."""
        figure = self.figures[target.column]
        if figure is None or isnan(figure):
            return ""
        return "met" if figure <= target.max_value else "not met"

    @property
    def verdicts(self) -> list[str]:
        """The verdicts of all targets whose figures were measured."""
        return [verdict for target in self.targets if (verdict := self.verdict(target))]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of figures.

    Attributes:
        title: Its title.
        columns: Titles of the columns of figures.
        rows: Its rows.
        key: The name by which `benchmarks.comparison` finds it; empty for a table that is not on the page. The tables
            of the sync and the async variant have keys that end with these words.
    """

    title: str
    columns: tuple[str, ...]
    rows: list[Row]
    key: str = ""

    def __str__(self) -> str:
        width = max(len(row.name) for row in self.rows)
        lines = [self.title, " " * width + "".join(f"{column:>14}" for column in self.columns) + "   target"]
        return "\n".join([*lines, *(_line(row, width, self.columns) for row in self.rows), ""])

    def as_dict(self) -> dict[str, Any]:
        """Return a dict for `--json`."""
        rows = [{**asdict(row), "verdicts": row.verdicts} for row in self.rows]
        return {"key": self.key, "title": self.title, "columns": self.columns, "rows": rows}


def _line(row: Row, width: int, columns: tuple[str, ...]) -> str:
    figures = "".join(f"{_number(figure):>14}" for figure in row.figures)
    targets = (
        f"   {columns[target.column]} <= {target.max_value:.3g}  {row.verdict(target)}" for target in row.targets
    )
    return f"{row.name:{width}}{figures}{''.join(targets)}"


def _number(figure: float | None) -> str:
    if figure is None or isnan(figure):
        return "-"
    return f"{figure:,.0f}" if abs(figure) >= 1000 else f"{figure:.2f}" if abs(figure) < 100 else f"{figure:.1f}"
