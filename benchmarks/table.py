"""What is printed: plain aligned tables, with the target beside each figure that has one."""

from dataclasses import asdict, dataclass
from math import isnan
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """A line: a name, its figures, and which of them (counted from 0) may be `most` at most."""

    name: str
    figures: tuple[float | None, ...]
    judged: int | None = None
    most: float = 0.0

    @property
    def verdict(self) -> str:
        """`ok`, `over`, or nothing where there is no target."""
        figure = None if self.judged is None else self.figures[self.judged]
        if figure is None:
            return ""
        return "ok" if figure <= self.most else "over"


@dataclass(frozen=True, slots=True)
class Table:
    """A question and its answers."""

    title: str
    columns: tuple[str, ...]
    rows: list[Row]

    def __str__(self) -> str:
        width = max(len(row.name) for row in self.rows)
        lines = [self.title, " " * width + "".join(f"{column:>14}" for column in self.columns) + "   target"]
        return "\n".join([*lines, *(_line(row, width, self.columns) for row in self.rows), ""])

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        rows = [{**asdict(row), "verdict": row.verdict} for row in self.rows]
        return {"title": self.title, "columns": self.columns, "rows": rows}


def _line(row: Row, width: int, columns: tuple[str, ...]) -> str:
    figures = "".join(f"{_number(figure):>14}" for figure in row.figures)
    if row.judged is None:
        return f"{row.name:{width}}{figures}"
    return f"{row.name:{width}}{figures}   {columns[row.judged]} <= {row.most:g}  {row.verdict}"


def _number(figure: float | None) -> str:
    if figure is None or isnan(figure):
        return "-"
    return f"{figure:,.0f}" if abs(figure) >= 1000 else f"{figure:.2f}" if abs(figure) < 100 else f"{figure:.1f}"
