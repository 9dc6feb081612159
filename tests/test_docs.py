"""The README and the documentation: their code runs, their links resolve, their tables match the code."""

import importlib.util
import os
import pkgutil
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from _docs_pages import DOCS, PAGES, ROOT, Block, blocks, emulator_environment, run_page

import langchain_mdstream
import llamaindex_mdstream
import mdstream_core
from langchain_mdstream import _errors as langchain_errors
from mdstream_core import MDStreamError, errors
from mdstream_core.cli import main
from mdstream_core.cli.check import CHECKS
from mdstream_core.cli.check._finding import Status
from mdstream_core.emulator import FLAVOURS, KINDS, Emulator
from mdstream_core.platforms import _modelarts_errors, _sagemaker_errors, oci_genai, oci_model_deployment

#: Placeholders that have another value on one page: its content handlers are written for TGI.
REPLACEMENTS = {"docs/migration-langchain.md": {'"my-endpoint"': '"tgi"'}}

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
    """The emulator without earlier requests, in an environment without credentials."""
    shared_emulator.reset()
    for name in [name for name in os.environ if name.startswith(("AWS_", "OCI_", "MDSTREAM_", "MODELARTS_", "HUAWEI"))]:
        monkeypatch.delenv(name)
    for name, value in {**emulator_environment(shared_emulator), "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return shared_emulator


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@with_blocks("python")
def test_the_python_blocks_of_a_page_run(page: str, emulator: Emulator) -> None:
    """
    Each block runs after those before it, against the emulator; a text block that follows directly is its output.
    """
    pytest.importorskip("botocore", reason="botocore signs for AWS; install mdstream-llm[aws]")
    for block, printed in run_page(PAGES[page], emulator, REPLACEMENTS.get(page)):
        if block.output is not None:
            assert block.output.strip() == printed.strip(), f"{page}:{block.line}"


def test_the_readme_and_the_migration_guide_get_responses(emulator: Emulator) -> None:
    """
    Their code prints what the emulator's model returns.
    """
    guide_name = "docs/migration-langchain.md"
    readme = "".join(printed for _, printed in run_page(PAGES["README.md"], emulator))
    guide = "".join(printed for _, printed in run_page(PAGES[guide_name], emulator, REPLACEMENTS[guide_name]))

    assert 2 == readme.count("The Nile, the Amazon and the Danube.")
    assert 3 == guide.count("The Nile, the Amazon and the Danube.")
    assert "input_tokens" in guide


def test_the_readme_is_short() -> None:
    """
    Details belong into the documentation.
    """
    assert PAGES["README.md"].count("\n") <= 160


@pytest.mark.parametrize(
    ("page", "block"),
    [(name, block) for name, text in PAGES.items() for block in blocks(text, "python") if block.title],
    ids=lambda value: value.title if isinstance(value, Block) else value,
)
def test_the_test_files_of_a_page_pass(page: str, block: Block, tmp_path: Path) -> None:
    """
    A block with a file name as its title is a test file; only our plugin is loaded, and markers are strict.
    """
    (tmp_path / block.title).write_text(block.code, encoding="utf-8")
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": path}
    arguments = ["-m", "pytest", "-q", "-p", "pytest_mdstream", "-p", "no:cacheprovider", "-Werror", "--strict-markers"]
    completed = subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert 0 == completed.returncode, f"{page}:{block.line}\n{completed.stdout}"


def test_few_blocks_are_not_run() -> None:
    """
    Each states its reason.
    """
    skipped = [f"{page}:{block.line} {block.skip_reason}" for page, text in PAGES.items() for block in blocks(text, "python") if block.skip_reason]  # fmt: skip

    assert len(skipped) <= 3, skipped


def test_the_recipes_for_engines_are_run_by_tests() -> None:
    """
    Blocks that only `.ci/run` runs, in the environment with the engines: their test files exist and read the page.
    """
    files = {block.test for text in PAGES.values() for block in blocks(text, "python") if block.test}

    assert files
    assert [] == [name for name in files if "recipe(" not in (ROOT / name).read_text(encoding="utf-8")]


@with_blocks("sh")
def test_the_commands_of_a_page_exist(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    """
    Extras, targets of the Makefile, subcommands and options of `mdstream`; .ci/run runs the README's test command.
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
                with pytest.raises(SystemExit) as exited:
                    main([words[1], "--help"])
                assert 0 == exited.value.code, command
                options = capsys.readouterr().out
                assert [] == [word for word in words if word.startswith("--") and word not in options], command


@each_page
def test_the_links_of_a_page_resolve(page: str) -> None:
    """
    To files and headings in this repository; external links are not fetched.
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


def test_the_site_has_every_page_in_its_navigation() -> None:
    """
    And no entry without its page.
    """
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    listed = re.findall(r": (\S+\.md)$", navigation, re.MULTILINE)

    assert sorted(listed) == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


def test_the_sample_of_check_has_its_lines() -> None:
    """
    Statuses and checks that exist, failures first, and each check once.
    """
    samples = [
        block.code for text in PAGES.values() for block in blocks(text, "text") if block.code.startswith("FAIL ")
    ]
    assert samples
    for sample in samples:
        lines = re.findall(r"^([A-Z]+)  +(\S+(?:, [\w ]+)*|[\w ]+?)(?:  | \()", sample, re.MULTILINE)
        statuses = [status for status, _ in lines]
        checks = [name for _, names in lines for name in names.split(", ")]
        assert statuses == sorted(statuses, key=["FAIL", "WARN", "OK", "SKIP"].index)
        assert {status.value for status in Status} >= set(statuses)
        assert {check.name for check in CHECKS} >= set(checks)
        assert len(checks) == len(set(checks))


def test_the_site_loads_nothing_from_other_hosts() -> None:
    """
    No pictures, fonts or scripts.
    """
    paths = [*DOCS.rglob("*.svg"), *DOCS.rglob("*.css"), ROOT / "mkdocs.yml"]
    found = {str(path): re.findall(r"(?:src|href|url\(|@import)[^\n]{0,3}https?:[^\n]*", path.read_text(encoding="utf-8")) for path in paths}  # fmt: skip

    assert {} == {path: urls for path, urls in found.items() if urls}


def test_the_picture_is_complete_and_small() -> None:
    """
    It parses, loads nothing from other hosts, and shows the end of each of its scenes.
    """
    picture = (DOCS / "pictures/demo.svg").read_text(encoding="utf-8")
    words = " ".join("".join(line.itertext()) for line in ET.fromstring(picture).iter() if line.tag.endswith("text"))

    assert len(picture) < 300_000
    assert [] == re.findall(r'(?:href|src)="[^#]', picture)
    assert "The service reported that the response failed." in words
    assert "All checks passed" in words


@pytest.mark.parametrize(
    ("page", "hints"),
    [
        ("oci-model-deployment", [hint for _, _, hint in oci_model_deployment._HINTS]),
        ("oci-generative-ai", [hint for _, _, hint in oci_genai._HINTS]),
        (
            "sagemaker",
            [
                f"| `{code}` | `{kind.__name__}` | {hint} |"
                for code, (kind, hint) in _sagemaker_errors._ERROR_CODES.items()
            ],
        ),
        (
            "modelarts",
            [f"| `{code}` | `{kind.__name__}` | {hint} |" for code, (kind, hint) in _modelarts_errors.CODES.items()],
        ),
    ],
    ids=["oci-model-deployment", "oci-generative-ai", "sagemaker", "modelarts"],
)
def test_a_platforms_page_has_its_hints(page: str, hints: list[str]) -> None:
    """
    Every row of the tables that the error messages are built from.
    """
    text = PAGES[f"docs/platforms/{page}.md"]

    assert [] == [hint for hint in hints if hint and hint not in text]


def test_the_page_of_exceptions_has_each_class() -> None:
    """
    With its LangChain class, and whether it is retryable.
    """
    page = PAGES["docs/errors.md"]
    for base, variant in langchain_errors._LANGCHAIN_CLASSES.items():
        langchain_class = next(
            kind.__name__ for kind in variant.__mro__ if kind.__module__ == "langchain_core.exceptions"
        )
        retryable = "yes" if base.retryable else "no"

        assert f"| `{base.__name__}` | `{langchain_class}` | {retryable} |" in page
    tree = (errors.__doc__ or "").split("\n\n")[1]
    assert tree in page
    assert MDStreamError.__name__ in page


def test_the_files_and_names_of_the_architecture_exist() -> None:
    """
    Files on the whole page, by their path or its end; functions, classes and tables on the paths of a token and of a
    failure, and in the steps for a new platform.
    """
    page = PAGES["docs/architecture.md"]
    sources = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for package in ("mdstream_core", "langchain_mdstream", "llamaindex_mdstream", "llama_index", "tests")
        for path in (ROOT / package).rglob("*.py")
    }
    text = page.partition("## The path of a token")[2].partition("## Errors")[0]
    tree = page.partition("## Packages and files")[2].partition("\n## ")[0]
    files = {*re.findall(r"`((?:\w+/)*\w+\.py)`", page), *re.findall(r"\b\w+\.py\b", tree)}
    classes_of_frameworks = {"ExceptionEvent", "ModelError"}
    names = set(re.findall(r"`(?:[A-Z]\w+\.)?(\w+)(?:\([^`]*\))?`", text)) - classes_of_frameworks
    defined = set(
        re.findall(
            r"\b(?:def |class |self\.)(\w+)|^(?:    )?(\w+)(?:: |,$| = )", "\n".join(sources.values()), re.MULTILINE
        )
    )
    known = (
        {name for pair in defined for name in pair}
        | {Path(name).stem for name in sources}
        | {Path(name).parent.name for name in sources}
    )

    assert [] == sorted(file for file in files if not any(f"/{path}".endswith(f"/{file}") for path in sources))
    assert [] == sorted(name for name in names - known if "_" in name or not name.islower())


def test_the_page_of_the_emulator_has_each_fault_and_server() -> None:
    """
    Every kind of fault, and every flavour of model server.
    """
    page = PAGES["docs/emulator.md"]

    assert [] == [kind for kind in KINDS if f"`{kind}`" not in page]
    assert [] == [flavour for flavour in FLAVOURS if f"`{flavour}`" not in page]


# ---------------------------------------------------------------------------------------------- API reference


def load_parameters_hook() -> ModuleType:
    """The hook that documents classes in the API reference."""
    spec = importlib.util.spec_from_file_location("parameters", DOCS / "_site/parameters.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["parameters"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


HOOK = load_parameters_hook()
REFERENCE = {path: HOOK.on_page_markdown(text) for path, text in PAGES.items() if path.startswith("docs/api/")}
PUBLIC_CLASSES = [
    f"{package.__name__}.{name}"
    for package in (langchain_mdstream, llamaindex_mdstream, mdstream_core)
    for name in package.__all__
    if isinstance(getattr(package, name), type)
]
documented_class = pytest.mark.parametrize(
    "path", sorted({path for text in PAGES.values() for path in HOOK.named_classes(text)})
)


def test_the_reference_has_every_public_class() -> None:
    """
    Of both framework packages and of the core; a class with two names is documented under one.
    """
    documented = {HOOK.load(path) for text in PAGES.values() for path in HOOK.named_classes(text)}

    assert [] == [path for path in PUBLIC_CLASSES if HOOK.load(path) not in documented]


def test_the_names_in_the_reference_exist() -> None:
    """
    Modules and functions that mkdocstrings documents, by their public path.
    """
    paths = [path for text in REFERENCE.values() for path in re.findall(r"^::: (\S+)$", text, re.MULTILINE)]

    assert paths
    assert [] == [path for path in paths if not pkgutil.resolve_name(path).__doc__]
    assert [] == [path for path in paths if "._" in path]


def test_the_reference_shows_no_private_module() -> None:
    """
    Mixins are flattened into the classes that users import.
    """
    private = {path: re.findall(r"\b(?:\w*mdstream\w*)(?:\.\w+)*\._\w+", text) for path, text in REFERENCE.items()}

    assert {} == {path: found for path, found in private.items() if found}


@documented_class
def test_the_table_of_a_class_has_every_parameter(path: str) -> None:
    """
    Every field of a pydantic model, including those of the framework's base class.
    """
    cls = HOOK.load(path)
    text = HOOK.document_class(cls, path)

    assert text.startswith(f"```python\nfrom {path.rpartition('.')[0]} import ")
    assert [] == [name for name in getattr(cls, "model_fields", {}) if f"\n| `{name}` |" not in text]


@documented_class
def test_every_parameter_of_a_class_has_a_description(path: str) -> None:
    """
    By a docstring below the field, an entry in a docstring, or pydantic's `description`.
    """
    missing = [one.name for one in HOOK.list_parameters(HOOK.load(path)) if one.is_own and not one.description]

    assert [] == missing
