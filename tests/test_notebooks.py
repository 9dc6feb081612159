"""The notebooks run from top to bottom, without an account, and are stored with their outputs."""

from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="notebooks run in a kernel; install mdstream-llm[notebooks]")
nbclient = pytest.importorskip("nbclient", reason="notebooks run in a kernel; install mdstream-llm[notebooks]")
for needed in ("ipykernel", "matplotlib"):
    pytest.importorskip(needed, reason="the notebooks use it; install mdstream-llm[notebooks]")

#: Modules that a notebook imports, and their extra.
NEEDED = {"8_scaling_out": (("ray",), "ray")}

#: And those of the others.
OTHERS = (("langgraph", "openai", "botocore"), "notebooks")

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))

#: Paths of the machine on which a notebook was run.
LOCAL_PATHS = ("/tmp/", "/home/", "/root/", "C:\\")


def read(path: Path) -> Any:
    """Read a notebook."""
    return nbformat.read(path, as_version=4)


def cells_with_output(notebook: Any) -> list[str]:
    """The source of the code cells that have an output."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code" and cell.outputs]


def test_there_are_eight_notebooks() -> None:
    """One for each topic."""
    assert 8 == len(NOTEBOOKS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path) -> None:
    """Every cell, in a kernel of its own; the cells with a stored output have an output again."""
    modules, extra = NEEDED.get(path.stem, OTHERS)
    for module in modules:
        pytest.importorskip(module, reason=f"the notebook uses it; install mdstream-llm[{extra}]")
    notebook = read(path)
    stored = cells_with_output(notebook)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()

    assert stored == cells_with_output(notebook)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_with_its_outputs(path: Path) -> None:
    """So that they can be read on a page; without errors, and without paths of the machine where it ran."""
    notebook = read(path)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]

    assert len(cells_with_output(notebook)) >= 3
    assert "error" not in {output.output_type for output in outputs}
    assert not [local_path for local_path in LOCAL_PATHS if local_path in str(outputs)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_only_the_first_code_cell_has_the_endpoint(path: Path) -> None:
    """It is marked, and no other cell creates an emulator."""
    cells = [cell.source for cell in read(path).cells if cell.cell_type == "code"]

    assert [0] == [index for index, source in enumerate(cells) if source.startswith("# The one cell to change")]
    assert not [source for source in cells[1:] if "Emulator(" in source]
