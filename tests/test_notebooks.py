"""The notebooks run from top to bottom, without a cloud account, and are kept with what they showed."""

from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="notebooks run in a kernel; install mdstream-llm[notebooks]")
nbclient = pytest.importorskip("nbclient", reason="notebooks run in a kernel; install mdstream-llm[notebooks]")
for needed in ("ipykernel", "matplotlib", "openai", "botocore"):
    pytest.importorskip(needed, reason="the notebooks use it; install mdstream-llm[notebooks]")

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def read(path: Path) -> Any:
    """A notebook."""
    return nbformat.read(path, as_version=4)


def shown(notebook: Any) -> list[str]:
    """The cells that showed something."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code" and cell.outputs]


def test_there_are_seven() -> None:
    """One for each thing that people want to see first."""
    assert 7 == len(NOTEBOOKS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path) -> None:
    """Every cell, in a kernel of its own; what showed something when it was kept shows something now."""
    notebook = read(path)
    kept = shown(notebook)
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()

    assert kept == shown(notebook)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_with_its_outputs(path: Path) -> None:
    """They are there to be read on a page; no error is among them, and no place of the machine where it ran."""
    notebook = read(path)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]

    assert len(shown(notebook)) >= 3
    assert "error" not in {output.output_type for output in outputs}
    assert not [
        platform_case for platform_case in ("/tmp/", "/home/", "/root/", "C:\\") if platform_case in str(outputs)
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_one_cell_is_to_be_changed(path: Path) -> None:
    """It says so, and is the only one that knows where the models are."""
    cells = [cell.source for cell in read(path).cells if cell.cell_type == "code"]

    assert [0] == [at for at, source in enumerate(cells) if source.startswith("# The one cell to change")]
    assert not [source for source in cells[1:] if "Emulator(" in source]
