"""The figures of docs/comparison.md, of each contender, from the last run's tables in benchmarks/comparison.json."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import contenders as all_contenders
from benchmarks import embedders, first_token, pages, targets
from benchmarks.calls import SHORT, WITH_CALLBACKS
from benchmarks.contenders import Entry
from benchmarks.pages import Machine
from benchmarks.source import ROOT
from benchmarks.table import Table

FIGURES = ROOT / "benchmarks/comparison.json"
PAGE = ROOT / "docs/comparison.md"

#: The rows of each framework's table.
_ROWS: dict[str, Sequence[Entry]] = {
    "langchain": (
        all_contenders.LANGCHAIN,
        all_contenders.LANGCHAIN_FLOOR,
        all_contenders.LANGCHAIN_SOCKET,
        *all_contenders.LANGCHAIN_PEERS,
        *all_contenders.LITELLM_ROUTES,
    ),
    "llamaindex": (
        all_contenders.LLAMAINDEX,
        all_contenders.LLAMAINDEX_FLOOR,
        all_contenders.LLAMAINDEX_SOCKET,
        *all_contenders.LLAMAINDEX_PEERS,
    ),
}
_TITLES = {"langchain": "LangChain", "llamaindex": "LlamaIndex"}


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of a framework's table.

    Attributes:
        title: Its title.
        key: The key of the tables with its figures, with `{framework}` and `{variant}` to fill in.
        index: The column in those tables.
        async_index: The column with the async figures, if they are in the same table.
    """

    title: str
    key: str
    index: int = 0
    async_index: int | None = None


_COLUMNS = (
    _Column("a chunk in a burst, µs", "{framework} chunk {variant}"),
    _Column("a token each ms, µs", "{framework} paced {variant}"),
    _Column(f"a call of {SHORT} chunks, ms", "{framework} call {variant}"),
    _Column("a call not streamed, ms", "{framework} whole {variant}"),
    _Column("first token, ms (wall)", "first token", 0, 1),
    _Column("256 streams, MB", "many memory"),
    _Column("import, s", "imports", 1),
    _Column("model object, ms", "constructor"),
    _Column("cold process to its first token, s (wall / CPU)", "cold", 0, 1),
)


class Figures:
    """The figures of a run.

    Args:
        recorded: The content of benchmarks/comparison.json.
    """

    def __init__(self, recorded: dict[str, Any]) -> None:
        self.machine = Machine(**recorded["machine"])
        self.quick: bool = recorded["quick"]
        self.tables: dict[str, dict[str, Any]] = recorded["tables"]
        self._rows = {key: {row["name"]: row["figures"] for row in table["rows"]} for key, table in self.tables.items()}

    def rows(self, key: str) -> dict[str, list[float | None]]:
        """The rows of a table; none if it was not measured."""
        return self._rows.get(key, {})

    def figure(self, key: str, name: str, index: int) -> str:
        """One figure as text; `-` if it was not measured."""
        row = self.rows(key).get(name, ())
        return _text(row[index] if index < len(row) else None)


def record(tables: Sequence[Table], machine: Machine, *, quick: bool) -> None:
    """Write the tables of a run to the file; those of sections that were not run stay."""
    recorded = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {"tables": {}}
    dumped = {table.key: _rounded(table) for table in tables if table.key}
    recorded = {
        "machine": machine.as_dict(),
        "quick": quick,
        "tables": recorded["tables"] | dumped,
    }
    FIGURES.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")


def _rounded(table: Table) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for row in table.rows:
        rows.append({"name": row.name, "figures": [_round(figure) for figure in row.figures]})
        if row.targets:
            rows[-1]["targets"] = [[target.column, _round(target.max_value)] for target in row.targets]
    return {"title": table.title, "columns": list(table.columns), "rows": rows}


def _round(figure: float | None) -> float | None:
    """Round to four digits; what cannot be measured is null, because JSON has no NaN."""
    return None if figure is None or figure != figure else float(f"{figure:.4g}")


def write_page() -> None:
    """Write the figures into the page."""
    figures = Figures(json.loads(FIGURES.read_text(encoding="utf-8")))
    PAGE.write_text(pages.replace(PAGE.read_text(encoding="utf-8"), render(figures)), encoding="utf-8")


def render(figures: Figures) -> str:
    """The figures in Markdown."""
    rough = " These are rough figures of `--quick`." if figures.quick else ""
    caption = f"Measured on {figures.machine.date}: {figures.machine.description}.{rough}"
    tables = [_framework(framework, figures) for framework in _ROWS]
    tables += [_with_callbacks(figures), _platforms(figures), _first_tokens(figures), _embeddings(figures)]
    tables.append(targets.render(figures.tables))
    return "\n\n".join([caption, *filter(None, tables)])


def _framework(framework: str, figures: Figures) -> str:
    columns = [column for column in _COLUMNS if figures.rows(column.key.format(framework=framework, variant="sync"))]
    head = [f"{_TITLES[framework]}, sync / async", *(column.title for column in columns), "failures reported"]
    rows = []
    for entry in _ROWS[framework]:
        cells = [_cell(column, framework, entry.name, figures) for column in columns]
        reported = [f"{count:g}" for count in figures.rows("failures").get(entry.name, ())]
        rows.append([pages.title(entry.name), *cells, " of ".join(reported)])
    return _table(head, rows)


def _cell(column: _Column, framework: str, name: str, figures: Figures) -> str:
    key = column.key.format(framework=framework, variant="sync")
    first = figures.figure(key, name, column.index)
    if column.async_index is not None:
        second = figures.figure(key, name, column.async_index)
    elif "{variant}" in column.key:
        second = figures.figure(column.key.format(framework=framework, variant="async"), name, column.index)
    else:
        return "" if first == "-" else first
    return "" if first == second == "-" else f"{first} / {second}"


def _with_callbacks(figures: Figures) -> str:
    """The cost of calls with a callback handler."""
    keys = [f"{WITH_CALLBACKS.name.lower()} {kind}" for kind in ("call", "whole")]
    if not figures.rows(f"{keys[0]} sync"):
        return ""
    rows = []
    for entry in WITH_CALLBACKS.entries:
        name, _, _ = entry.name.partition(", with")
        rows.append([pages.title(name), *(_with_ratios(figures, key, entry.name) for key in keys)])
    head = f"{WITH_CALLBACKS.name}, ms of CPU, sync / async (× the first row)"
    return _table([head, f"a call of {SHORT} chunks", "a call not streamed"], rows)


def _with_ratios(figures: Figures, key: str, name: str) -> str:
    """The figures of both variants, and how many times those of the floor they are."""
    cost, ratio = (
        " / ".join(figures.figure(f"{key} {variant}", name, index) for variant in ("sync", "async")) for index in (0, 1)
    )
    return f"{cost} ({ratio} ×)"


def _platforms(figures: Figures) -> str:
    kinds = ("Core", "LangChain", "LlamaIndex")
    kinds = tuple(kind for kind in kinds if figures.rows(f"platforms {kind} sync"))
    names = list(dict.fromkeys(name for kind in kinds for name in list(figures.rows(f"platforms {kind} sync"))[1:]))
    rows = []
    for name in names:
        cells = []
        for kind in kinds:
            sync, awaited = (figures.figure(f"platforms {kind} {variant}", name, 0) for variant in ("sync", "async"))
            ratio = figures.figure(f"platforms {kind} sync", name, 1)
            cells.append("" if sync == "-" else f"{sync} / {awaited} ({ratio} ×)")
        rows.append([pages.title(name), *cells])
    return _table(["a chunk in a burst, µs, sync / async (× a model deployment's)", *kinds], rows)


def _first_tokens(figures: Figures) -> str:
    """What of the first token of ours is the signature of the request."""
    signed = {bearer.name: ours.name for ours, bearer in first_token.BEARER.items()}
    rows = []
    for name, figure in figures.rows("first token").items():
        package, _, variant = name.partition(", ")
        title = f"{pages.title(package)}, {variant}" if name in signed else pages.title(name)
        title += ", signed" if name in signed.values() else ""
        if name in {*signed, *signed.values(), first_token.WARM, first_token.PAUSED}:
            rows.append([title, " / ".join(_text(value) for value in figure[:2] if value is not None)])
    return _table(["first token and signatures, sync / async", "ms (wall)"], rows) if rows else ""


def _embeddings(figures: Figures) -> str:
    rows = [
        [_embedder(name), _text(None if row[0] is None else row[0] * 1000 / embedders.TEXTS)]
        for name, row in figures.rows("embeddings").items()
    ]
    return _table([f"1,000 vectors of {embedders.SIZE:,} numbers, CPU", "ms"], rows)


def _embedder(name: str) -> str:
    package, _, rest = name.partition(",")
    return pages.title(package) + (f",{rest}" if rest else "")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(_lines(head, rows))


def _lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _text(figure: float | None) -> str:
    if figure is None:
        return "-"
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.1f}" if figure >= 10 else f"{figure:.2f}"
