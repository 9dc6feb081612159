"""The classes in LlamaIndex's namespace: `llama_index.llms.mdstream` and others."""

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import llamaindex_mdstream

ROOT = Path(__file__).parent.parent
PLATFORM_CASES = {
    "llama_index.llms.mdstream": "LLM",
    "llama_index.embeddings.mdstream": "Embedding",
    "llama_index.postprocessor.mdstream": "Rerank",
}


@pytest.mark.parametrize("platform_case", PLATFORM_CASES)
def test_namespace_names_are_our_classes(platform_case: str) -> None:
    """The modules export exactly our classes."""
    module = import_module(platform_case)

    assert f"MDStream{PLATFORM_CASES[platform_case]}" in module.__all__
    assert [] == [name for name in module.__all__ if getattr(module, name) is not getattr(llamaindex_mdstream, name)]


def test_each_name_is_in_one_module() -> None:
    """All exports of the package are in LlamaIndex's namespace too."""
    names = [name for platform_case in PLATFORM_CASES for name in import_module(platform_case).__all__]

    assert sorted(names) == sorted(llamaindex_mdstream.__all__)


def test_the_namespace_can_be_shared() -> None:
    """An `__init__.py` in the namespace would hide LlamaIndex and other integrations; the wheel has none."""
    found = {path.relative_to(ROOT).as_posix() for path in (ROOT / "llama_index").rglob("*") if path.is_file()}
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert {
        f"{platform_case.replace('.', '/')}/{name}"
        for platform_case in PLATFORM_CASES
        for name in ("__init__.py", "py.typed")
    } == {path for path in found if "__pycache__" not in path}
    assert "llama_index" in wheel["packages"]


@pytest.mark.parametrize("first", ["llama_index.core", *PLATFORM_CASES])
def test_any_import_order_works(first: str) -> None:
    """LlamaIndex and our modules are found in any import order."""
    code = f"import {first}, llama_index.core, {', '.join(PLATFORM_CASES)}; print(llama_index.core.__version__)"

    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip()
