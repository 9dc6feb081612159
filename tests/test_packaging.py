"""What is installed with what, and what an import says where something is missing."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import langchain_mdstream
import mdstream_core

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _without(missing: str, code: str) -> str:
    """What `code` says where the package `missing` is not installed."""
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
    ("missing", "code", "words"),
    [
        (
            "langchain_core",
            "import langchain_mdstream",
            "MissingExtra langchain-core is not installed: pip install 'mdstream-llm[langchain]'",
        ),
        (
            "llama_index",
            "import llamaindex_mdstream",
            "MissingExtra llama-index-core is not installed: pip install 'mdstream-llm[llamaindex]'",
        ),
        (
            "cryptography",
            "import mdstream_core.emulator",
            "MissingExtra cryptography is not installed: pip install 'mdstream-llm[emulator]'",
        ),
        (
            "llama_index.core",
            "import llama_index.llms.mdstream",
            "MissingExtra llama-index-core is not installed: pip install 'mdstream-llm[llamaindex]'",
        ),
        (
            "opentelemetry",
            "import mdstream_core.otel",
            "MissingExtra opentelemetry-api is not installed: pip install 'mdstream-llm[otel]'",
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
def test_what_is_missing_is_stated(missing: str, code: str, words: str) -> None:
    """An import without its extra says what to install; what is not needed is not missed."""
    assert words == _without(missing, code)


def test_every_dependency_has_a_lower_bound_and_no_address() -> None:
    """Without lower bounds a resolver falls back to releases of years ago."""
    every = [*PROJECT["dependencies"], *(name for extra in PROJECT["optional-dependencies"].values() for name in extra)]

    assert [] == [name for name in every if ">=" not in name and not name.startswith("mdstream-llm[")]
    assert [] == [name for name in every if "@" in name or "://" in name]


def test_no_framework_brings_the_other() -> None:
    """A LangChain user does not install llama-index, and the base needs neither."""
    extras = PROJECT["optional-dependencies"]

    assert ["httpx", "httptools", "pydantic"] == [name.split(">=")[0] for name in PROJECT["dependencies"]]
    assert ["langchain-core"] == [name.split(">=")[0] for name in extras["langchain"]]
    assert ["llama-index-core"] == [name.split(">=")[0] for name in extras["llamaindex"]]


def test_every_extra_is_tried_on_its_own() -> None:
    """`make dist` has a program for each, but for the collections and for what is 288 MB."""
    tried = set(re.findall(r'^    "([\w-]*)": ', (ROOT / "tools/smoke.py").read_text(encoding="utf-8"), re.MULTILINE))
    collections = {"all", "test", "judges", "notebooks", "lint", "bench", "conformance", "docs"}

    assert PROJECT["optional-dependencies"].keys() - collections - {"oci", "ads"} == tried - {""}


def test_the_version_stands_in_one_position() -> None:
    """Everything else asks for it."""
    version = re.search(r'= "(.+)"', (ROOT / "mdstream_core/_version.py").read_text(encoding="utf-8"))

    assert version
    assert [mdstream_core.__version__] * 2 == [version[1], langchain_mdstream.__version__]
    assert f"## {version[1]}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "version" in PROJECT["dynamic"]


def test_constraints_are_names_and_versions() -> None:
    """No address of any registry is in the repository."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()

    assert [] == [line for line in lines if not line.startswith("#") and ("==" not in line or "/" in line)]
    assert not list(ROOT.glob("*.lock"))
