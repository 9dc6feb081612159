"""The extras and dependencies of the distribution, and the error of an import whose extra is not installed."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import langchain_mdstream
import mdstream_core

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _run_without(missing: str, code: str) -> str:
    """Run `code` in a process without the package `missing`; return its error, or "imported"."""
    blocked = f"""
import sys
class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, *rest):
        return None if (name + ".").startswith({missing + "."!r}) else self.finder.find_spec(name, *rest)
sys.meta_path[:] = map(Hiding, sys.meta_path)
try:
    {code}
except ImportError as error:
    print(type(error).__name__, error)
else:
    print("imported")
"""
    return subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    ("missing", "code", "output"),
    [
        (
            "langchain_core",
            "import langchain_mdstream",
            "MissingExtra langchain-core is not installed (hint: pip install 'mdstream-llm[langchain]')",
        ),
        (
            "llama_index",
            "import llamaindex_mdstream",
            "MissingExtra llama-index-core is not installed (hint: pip install 'mdstream-llm[llamaindex]')",
        ),
        (
            "cryptography",
            "import mdstream_core.emulator",
            "MissingExtra cryptography is not installed (hint: pip install 'mdstream-llm[emulator]')",
        ),
        (
            "llama_index.core",
            "import llama_index.llms.mdstream",
            "MissingExtra llama-index-core is not installed (hint: pip install 'mdstream-llm[llamaindex]')",
        ),
        (
            "opentelemetry",
            "import mdstream_core.otel",
            "MissingExtra opentelemetry-api is not installed (hint: pip install 'mdstream-llm[otel]')",
        ),
        ("opentelemetry", "import mdstream_core, mdstream_core.hooks", "imported"),
        ("llama_index", "import langchain_mdstream", "imported"),
        ("langchain_core", "import llamaindex_mdstream", "imported"),
        ("cryptography", "import langchain_mdstream, llamaindex_mdstream", "imported"),
        ("oci", "import langchain_mdstream, llamaindex_mdstream, mdstream_core.emulator", "imported"),
        ("h11", "import mdstream_core, mdstream_core.auth.oci", "imported"),
        ("orjson", "import langchain_mdstream, mdstream_core.client", "imported"),
    ],
)
def test_an_import_without_its_extra_names_the_command_that_installs_it(missing: str, code: str, output: str) -> None:
    """Modules that do not need the missing package can be imported."""
    assert output == _run_without(missing, code)


def test_every_dependency_has_a_lower_bound_and_no_url() -> None:
    """Without lower bounds a resolver may choose releases that are years old."""
    every = [*PROJECT["dependencies"], *(name for extra in PROJECT["optional-dependencies"].values() for name in extra)]

    assert [] == [name for name in every if ">=" not in name and not name.startswith("mdstream-llm[")]
    assert [] == [name for name in every if "@" in name or "://" in name]


#: The extras that mdstream itself imports; the engines for many rows and `ads` are not installed with the others.
USED_EXTRAS = ("langchain", "llamaindex", "oci-lite", "oci", "aws", "redis", "progress", "display", "httpx2", "otel", "emulator")  # fmt: skip


def lower_bounds(requirements: Iterable[str]) -> dict[str, str]:
    """The lowest version by the name of the package."""
    found = (re.match(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", requirement) for requirement in requirements)
    return {match[1]: match[2] for match in found if match}


def test_the_lowest_versions_are_those_of_the_project() -> None:
    """`.ci/lowest` installs what pyproject.toml promises."""
    extras = PROJECT["optional-dependencies"]
    promised = lower_bounds([*PROJECT["dependencies"], *(each for extra in USED_EXTRAS for each in extras[extra])])
    lines = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8").splitlines()

    assert promised == dict(line.split("==") for line in lines if not line.startswith("#"))
    assert {*USED_EXTRAS} == {*re.findall(r"[\w-]+", extras["all"][0].partition("[")[2])} | {"oci-lite"}


def test_an_extra_has_the_same_lower_bounds_as_the_others() -> None:
    """A package in several extras has one lower bound, so that the file of lowest versions has one line for it."""
    extras = PROJECT["optional-dependencies"]
    bounds = {bound for extra in USED_EXTRAS for bound in lower_bounds(extras[extra]).items()}

    assert len(bounds) == len(dict(bounds))


def test_the_compatibility_page_has_the_lower_bounds() -> None:
    """docs/compatibility.md names the lowest version of each package."""
    rows = (ROOT / "docs/compatibility.md").read_text(encoding="utf-8").split("## Platforms")[0]
    listed = {
        name: bound
        for row in re.findall(r"^\| ([\w, -]+?) \| ([^|]+) \|", rows, re.MULTILINE)
        for name, bound in zip(row[0].split(", "), re.findall(r"≥ ([\d.]+)", row[1]), strict=False)
    }
    lines = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8").splitlines()
    lowest = dict(line.split("==") for line in lines if not line.startswith("#"))

    assert {name: listed.get(name) for name in lowest} == lowest


def test_no_framework_installs_the_other() -> None:
    """A LangChain user does not install llama-index, and the base package needs neither."""
    extras = PROJECT["optional-dependencies"]

    assert ["httpx", "httptools", "pydantic"] == [name.split(">=")[0] for name in PROJECT["dependencies"]]
    assert ["langchain-core"] == [name.split(">=")[0] for name in extras["langchain"]]
    assert ["llama-index-core"] == [name.split(">=")[0] for name in extras["llamaindex"]]


def test_every_extra_is_tested_on_its_own() -> None:
    """`make dist` runs a program for each extra, except for collections, the engines, `oci` (288 MB) and `ads`."""
    tested = set(re.findall(r'^    "([\w-]*)": ', (ROOT / "tools/smoke.py").read_text(encoding="utf-8"), re.MULTILINE))
    collections = {"all", "test", "reference-clients", "notebooks", "lint", "bench", "conformance", "docs", "engines"}
    collections |= {"migration"}

    assert PROJECT["optional-dependencies"].keys() - collections - {"oci", "ads", "ray", "spark", "dask"} == tested - {
        ""
    }


def test_the_version_is_defined_once() -> None:
    """In `_version.py`; the packages import it, and the changelog has a section for it."""
    version = re.search(r'= "(.+)"', (ROOT / "mdstream_core/_version.py").read_text(encoding="utf-8"))

    assert version
    assert [mdstream_core.__version__] * 2 == [version[1], langchain_mdstream.__version__]
    assert f"## {version[1]}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "version" in PROJECT["dynamic"]


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-lowest.txt"])
def test_constraints_are_names_and_versions(name: str) -> None:
    """The repository names no package registry."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()

    assert [] == [line for line in lines if not line.startswith("#") and ("==" not in line or "/" in line)]
    assert not list(ROOT.glob("*.lock"))
