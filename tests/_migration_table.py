"""Each public name of other packages beside this one: same, another name, or missing with the reason."""

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _migration_facts as facts

import langchain_mdstream
import llamaindex_mdstream

ROOT = Path(__file__).parent.parent

#: Names and kinds of results, recorded from the installed packages by `make migration`.
RECORDED_FILE = Path(__file__).parent / "_migration_recorded.json"
RECORDED: dict[str, Any] = json.loads(RECORDED_FILE.read_text(encoding="utf-8"))

#: The pages with the tables, each with the beginning of the distributions' names.
PAGES = {"docs/migration-langchain.md": "langchain-", "docs/migration-llamaindex.md": "llama-index-"}

BEGIN, END = "<!-- names: written by make migration -->", "<!-- end of names -->"

SAME = "same"


class UnknownName(Exception):
    """A name of another package is not here, and `_migration_facts.py` does not say why."""


@dataclass(frozen=True)
class Row:
    """One name.

    Attributes:
        owner: The class it belongs to; empty for a class, a function or a value.
        name: The name.
        status: `same`, `other name: …` or `missing: …`.
    """

    owner: str
    name: str
    status: str


def rows(package: str) -> Iterator[Row]:
    """Yield a row for each name of a package.

    Raises:
        UnknownName: A name is neither here nor in the table of facts.
    """
    ours = namespace(package)
    for name, description in RECORDED["names"][package]["names"].items():
        value = getattr(ours, name, None)
        yield Row("", name, SAME if value is not None else _other(name))
        if value is None or description["kind"] != "class":
            continue
        for argument in description["arguments"]:
            yield Row(name, argument, SAME if accepts(value, argument) else _member(name, argument))
        for method in description["methods"]:
            yield Row(name, method, SAME if hasattr(value, method) or accepts(value, method) else _member(name, method))


def namespace(package: str) -> Any:
    """Our package for users of another one."""
    return llamaindex_mdstream if package.startswith("llama-index") else langchain_mdstream


def accepts(cls: Any, argument: str) -> bool:
    """Whether the constructor accepts an argument under this name."""
    name = f"{cls.__name__}.{argument}"
    if name in facts.TRANSLATED_ARGUMENTS or name in facts.REJECTED_ARGUMENTS:
        return name in facts.TRANSLATED_ARGUMENTS
    names: Mapping[str, Any] = cls._accepted_names() if hasattr(cls, "_accepted_names") else vars(cls)
    return argument in names or argument in inspect.signature(cls).parameters


def _other(name: str) -> str:
    if name in facts.OTHER_NAMES:
        return f"other name: {facts.OTHER_NAMES[name]}"
    if name in facts.MISSING:
        return f"missing: {facts.MISSING[name]}"
    raise UnknownName(f"{name} is not here (hint: add it to tests/_migration_facts.py with the reason)")


def _member(owner: str, name: str) -> str:
    known = {**facts.MEMBERS, **facts.REJECTED_ARGUMENTS}
    status = known.get(f"{owner}.{name}") or known.get(f"*.{name}")
    if not status:
        raise UnknownName(f"{owner}.{name} is not here (hint: add it to tests/_migration_facts.py with the reason)")
    return status


def render(prefix: str) -> str:
    """The tables of the packages whose names begin with a prefix, in Markdown."""
    return "\n\n".join(_render_package(package) for package in RECORDED["names"] if package.startswith(prefix))


def _render_package(package: str) -> str:
    version = RECORDED["names"][package]["version"]
    lines = [f"**{package} {version}**", "", "| name | here |", "|---|---|"]
    found = list(rows(package))
    for row in found:
        if row.owner:
            continue
        members = [one for one in found if one.owner == row.name]
        lines.append(f"| `{row.name}` | {_summary(row, members)} |")
        lines += [f"| `{row.name}`: `{one.name}` | {one.status} |" for one in members if one.status != SAME]
    return "\n".join(lines)


def _summary(row: Row, members: list[Row]) -> str:
    if row.status != SAME or not members:
        return row.status
    same = ", ".join(f"`{one.name}`" for one in members if one.status == SAME)
    return f"same: {same}" if same else SAME


def with_tables(page: str, text: str) -> str:
    """The text of a page with the current tables between the markers."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{render(PAGES[page])}\n\n{END}{after}"
