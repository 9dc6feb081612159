"""What the README says is true: its Python runs, in order, against the emulator."""

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mdstream_core.emulator import Emulator

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
ENDPOINT = re.compile(r'endpoint="https://[^"]*",\n\s*auth_type="resource_principal"')


@pytest.fixture(scope="module")
def cloud() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator() as cloud:
        yield cloud


def test_the_readmes_python_runs(cloud: Emulator) -> None:
    """Each block runs after those before it, with the emulator as the deployment."""
    names: dict[str, Any] = {}
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        for block in BLOCKS:
            here = ENDPOINT.sub(f'endpoint="{cloud.endpoint}", auth_type="none"', block)
            exec(compile(here, "README.md", "exec"), names)

    assert len(BLOCKS) >= 4
    assert 2 == shown.getvalue().count("The Nile, the Amazon and the Danube.")
    assert shown.getvalue().rstrip().endswith("The Nile")


def test_the_readme_names_files_that_exist() -> None:
    """Paths in the README lead somewhere."""
    root = Path(__file__).parent.parent
    for path in re.findall(r"`((?:docs|tests|benchmarks)/[\w./]+)`", README):
        assert (root / path).exists(), path
