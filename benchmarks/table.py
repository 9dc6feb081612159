"""Tables of the output, with the target of each figure that has one."""

from dataclasses import asdict, dataclass
from math import isnan
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes:
        name: Title of the row.
        figures: Its figures, one for each column.
        target_column: Index of the figure that has a target; `None` if none has.
        max_value: The target: the maximum of that figure.
    """

    name: str
    figures: tuple[float | None, ...]
    target_column: int | None = None
    max_value: float = 0.0

    @property
    def verdict(self) -> str:
        """`ok`, `over`, or empty without a target."""
        figure = None if self.target_column is None else self.figures[self.target_column]
        if figure is None:
            return ""
        return "ok" if figure <= self.max_value else "over"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of figures.

    Attributes:
        title: Its title.
        columns: Titles of the columns of figures.
        rows: Its rows.
        key: The name by which `benchmarks.comparison` finds it; empty for a table that is not on the page.
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
        rows = [{**asdict(row), "verdict": row.verdict} for row in self.rows]
        return {"key": self.key, "title": self.title, "columns": self.columns, "rows": rows}


def _line(row: Row, width: int, columns: tuple[str, ...]) -> str:
    figures = "".join(f"{_number(figure):>14}" for figure in row.figures)
    if row.target_column is None:
        return f"{row.name:{width}}{figures}"
    return f"{row.name:{width}}{figures}   {columns[row.target_column]} <= {row.max_value:g}  {row.verdict}"


def _number(figure: float | None) -> str:
    if figure is None or isnan(figure):
        return "-"
    return f"{figure:,.0f}" if abs(figure) >= 1000 else f"{figure:.2f}" if abs(figure) < 100 else f"{figure:.1f}"
