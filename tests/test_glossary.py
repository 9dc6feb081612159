"""The vocabulary of the project: identifiers and headings use the field's terms, not the words of `retired_words.toml`."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RETIRED = tomllib.loads((ROOT / "tests" / "retired_words.toml").read_text(encoding="utf-8"))
SOURCES = ["benchmarks", "langchain_mdstream", "llama_index", "llamaindex_mdstream", "mdstream_core", "pytest_mdstream"]
FILES = sorted(path for folder in [*SOURCES, "docs", "tests", "tools"] for path in (ROOT / folder).rglob("*.py"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]

#: The words of an identifier: `read_SSEEvents2` is read, SSE, Events.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def identifiers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The names that a module defines, with their lines; a function or class has parentheses: `read()`."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield f"{name}()", node.lineno
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno


def retired_word(identifier: str) -> str | None:
    """The retired word that an identifier uses, with its replacement."""
    name = identifier.removesuffix("()")
    if name != identifier and (replacement := RETIRED["alone"].get(name.strip("_").lower())):
        return f"{name}: {replacement}"
    for word in _WORD.findall(identifier):
        if replacement := RETIRED["anywhere"].get(word.lower()):
            return f"{word.lower()}: {replacement}"
    return None


def headings(page: str) -> Iterator[str]:
    """The headings of a Markdown page, without its code blocks."""
    yield from re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL), flags=re.MULTILINE
    )


def retired_phrase(heading: str) -> str | None:
    """The retired word or phrase of a heading, with its replacement."""
    for phrase, replacement in RETIRED["headings"].items():
        if phrase.lower() in heading.lower():
            return f"{phrase}: {replacement}"
    words = re.findall(r"[a-z]+", re.sub(r"`[^`]*`", "", heading.lower()))
    return next((f"{word}: {RETIRED['anywhere'][word]}" for word in words if word in RETIRED["anywhere"]), None)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_identifiers_use_the_terms_of_the_field(path: Path) -> None:
    """Each name that a module defines, and the module's own name."""
    names = [*identifiers(ast.parse(path.read_text(encoding="utf-8"))), (path.stem, 0)]
    retired = [f"{name} (line {line}): {found}" for name, line in names if (found := retired_word(name))]
    assert not retired, "\n".join(retired)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_headings_use_the_words_that_people_search_for(path: Path) -> None:
    """Of every page of the documentation."""
    retired = [
        f"{text}: {found}" for text in headings(path.read_text(encoding="utf-8")) if (found := retired_phrase(text))
    ]
    assert not retired, "\n".join(retired)


@pytest.mark.parametrize(
    ("identifier", "word"),
    [
        ("read_answer", "answer"),
        ("AnswerReader", "answer"),
        ("_told", "told"),
        ("kept()", "kept"),
        ("MAX_ANSWERS", "answers"),
    ],
)
def test_a_retired_word_is_found_in_every_case(identifier: str, word: str) -> None:
    """In functions, classes, constants and private names."""
    assert word in str(retired_word(identifier))


@pytest.mark.parametrize("identifier", ["retold", "kept", "kept_alive()", "cutoff", "askew"])
def test_a_part_of_a_word_is_no_retired_word(identifier: str) -> None:
    """Only whole words count."""
    assert retired_word(identifier) is None
