"""What the README and the documentation say is true: their code runs, their links lead somewhere, their tables are the code's."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from _docs_pages import DOCS, PAGES, ROOT, Block, blocks, emulator_environment, run_page

from langchain_mdstream import _errors as langchain_errors
from mdstream_core import MDStreamError, errors
from mdstream_core.cli import main
from mdstream_core.cli.check import CHECKS
from mdstream_core.cli.check._finding import Status
from mdstream_core.emulator import FLAVOURS, KINDS, Emulator
from mdstream_core.platforms import _modelarts_errors, _sagemaker_errors, oci_generative_ai, oci_model_deployment

#: Placeholders of a page that mean something else there: its handlers are TGI's.
OTHERS = {"docs/migrating.md": {'"my-endpoint"': '"tgi"'}}

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
each_page = pytest.mark.parametrize("page", PAGES)


def with_blocks(language: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", [name for name, text in PAGES.items() if blocks(text, language)])


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulator without memories, on a machine without credentials of anybody's."""
    shared_emulator.reset()
    for name in [name for name in os.environ if name.startswith(("AWS_", "OCI_", "MDSTREAM_", "MODELARTS_", "HUAWEI"))]:
        monkeypatch.delenv(name)
    for name, value in {**emulator_environment(shared_emulator), "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return shared_emulator


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@with_blocks("python")
def test_the_python_of_a_page_runs(page: str, emulator: Emulator) -> None:
    """
    Each block after those before it, against the emulator; where a block of text follows at once, it prints that.
    """
    pytest.importorskip("botocore", reason="botocore signs for AWS; install mdstream-llm[aws]")
    for block, printed in run_page(PAGES[page], emulator, OTHERS.get(page)):
        if block.shown is not None:
            assert block.shown.strip() == printed.strip(), f"{page}:{block.line}"


def test_the_readme_and_the_guide_have_responses(emulator: Emulator) -> None:
    """
    What they ask is answered.
    """
    readme = "".join(printed for _, printed in run_page(PAGES["README.md"], emulator))
    guide = "".join(
        printed for _, printed in run_page(PAGES["docs/migrating.md"], emulator, OTHERS["docs/migrating.md"])
    )

    assert 3 == readme.count("The Nile, the Amazon and the Danube.")
    assert readme.rstrip().endswith("The Nile")
    assert 3 == guide.count("The Nile, the Amazon and the Danube.")
    assert "input_tokens" in guide


@pytest.mark.parametrize(
    ("page", "block"),
    [(name, block) for name, text in PAGES.items() for block in blocks(text, "python") if block.title],
    ids=lambda value: value.title if isinstance(value, Block) else value,
)
def test_tests_on_a_page_pass(page: str, block: Block, tmp_path: Path) -> None:
    """
    A block with a file's name is a test of the reader's own, with the plugin alone and strict about markers.
    """
    (tmp_path / block.title).write_text(block.code, encoding="utf-8")
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": path}
    words = ["-m", "pytest", "-q", "-p", "pytest_mdstream", "-p", "no:cacheprovider", "-Werror", "--strict-markers"]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert 0 == done.returncode, f"{page}:{block.line}\n{done.stdout}"


def test_few_blocks_are_not_run() -> None:
    """
    And each says why.
    """
    kept = [f"{page}:{block.line} {block.why}" for page, text in PAGES.items() for block in blocks(text, "python") if block.why]  # fmt: skip

    assert len(kept) <= 3, kept


@with_blocks("sh")
def test_commands_of_a_page_exist(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    """
    Extras, targets of the Makefile, and subcommands of `mdstream`; the README's own commands are run by .ci.
    """
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for block in blocks(PAGES[page], "sh"):
        for command in re.split(r"&&|\n", block.code.replace("\\\n", " ")):
            words = shlex.split(command, comments=True)
            name = Path(words[0]).name if words else ""
            for extras in re.findall(r"(?:mdstream-llm|\.)\[([\w,-]+)\]", command):
                assert set() == set(extras.split(",")) - EXTRAS.keys(), command
            if name == "make":
                assert set() == set(words[1:]) - {*targets}, command
            if name == "mdstream":
                with pytest.raises(SystemExit) as ended:
                    main([words[1], "--help"])
                assert 0 == ended.value.code, command
                known = capsys.readouterr().out
                assert [] == [word for word in words if word.startswith("--") and word not in known], command


@each_page
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    """
    Files and headings of our own; what lies elsewhere is not fetched.
    """
    folder = (ROOT / page).parent
    text = re.sub(r"^```.*?^```$", "", PAGES[page], flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        path, _, heading = unquote(link).partition("#")
        target = (folder / path).resolve() if path else ROOT / page
        assert target.is_file(), f"{page}: {link}"
        if heading and target.suffix == ".md":
            assert heading in anchors(target.read_text(encoding="utf-8")), f"{page}: {link}"
    for path in re.findall(r"`((?:docs|tests|benchmarks)/[\w./]+)`", text):
        assert (ROOT / path).exists(), f"{page}: {path}"


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


def test_the_readmes_sample_of_check_has_its_lines() -> None:
    """
    The checks' names, in their order, and states that there are.
    """
    (sample,) = [block.code for block in blocks(PAGES["README.md"], "text") if block.code.startswith("credentials")]
    lines = [line.split() for line in sample.splitlines() if not line.startswith(" ")]

    assert [check.name for check in CHECKS][: len(lines)] == [name for name, *_ in lines]
    assert {state for _, state, *_ in lines} <= {state.value for state in Status}


def test_pages_are_plain() -> None:
    """
    No picture is drawn, font fetched or script run from another host.
    """
    written = [*DOCS.rglob("*.svg"), *DOCS.rglob("*.css"), ROOT / "mkdocs.yml"]
    found = {str(path): re.findall(r"(?:src|href|url\(|@import)[^\n]{0,3}https?:[^\n]*", path.read_text(encoding="utf-8")) for path in written}  # fmt: skip

    assert {} == {path: urls for path, urls in found.items() if urls}


def test_the_picture_is_whole_and_small() -> None:
    """
    It parses, loads nothing from elsewhere, and has the end of each of its scenes.
    """
    picture = (DOCS / "pictures/demo.svg").read_text(encoding="utf-8")
    words = " ".join("".join(line.itertext()) for line in ET.fromstring(picture).iter() if line.tag.endswith("text"))

    assert len(picture) < 300_000
    assert [] == re.findall(r'(?:href|src)="[^#]', picture)
    assert "The service said that the answer failed." in words
    assert "All checks passed" in words


@pytest.mark.parametrize(
    ("page", "cures"),
    [
        ("oci-model-deployment", [hint for _, _, hint in oci_model_deployment._HINTS]),
        ("oci-generative-ai", [hint for _, _, hint in oci_generative_ai._HINTS]),
        ("sagemaker", [f"{code}` | `{kind.__name__}" for code, (kind, _) in _sagemaker_errors._ERROR_TYPES.items()]),
        ("modelarts", [f"{code}` | `{kind.__name__}" for code, (kind, _) in _modelarts_errors.CODES.items()]),
    ],
    ids=["oci-model-deployment", "oci-generative-ai", "sagemaker", "modelarts"],
)
def test_a_platforms_page_has_its_cures(page: str, cures: list[str]) -> None:
    """
    The tables that the errors' messages come from, row by row.
    """
    text = PAGES[f"docs/platforms/{page}.md"]

    assert [] == [hint for hint in cures if hint and hint not in text]


def test_the_page_of_errors_has_each_class() -> None:
    """
    With the class of LangChain that it also is, and whether it may be asked again.
    """
    page = PAGES["docs/errors.md"]
    for base, variant in langchain_errors._LANGCHAIN_CLASSES.items():
        theirs = next(kind.__name__ for kind in variant.__mro__ if kind.__module__ == "langchain_core.exceptions")
        again = "yes" if base.retryable else "no"

        assert f"| `{base.__name__}` | `{theirs}` | {again} |" in page
    tree = (errors.__doc__ or "").split("\n\n")[1]
    assert tree in page
    assert MDStreamError.__name__ in page


def test_the_page_of_the_emulator_has_each_fault_and_server() -> None:
    """
    Nothing that can be broken is a secret.
    """
    page = PAGES["docs/emulator.md"]

    assert [] == [kind for kind in KINDS if f"`{kind}`" not in page]
    assert [] == [flavour for flavour in FLAVOURS if f"`{flavour}`" not in page]
