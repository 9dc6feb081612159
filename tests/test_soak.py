"""`make soak` for a few seconds: it runs, finds no growth, and would find some."""

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def soak() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mdstream_soak", ROOT / "tools/soak.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look it up
    spec.loader.exec_module(module)
    return module


def test_a_short_soak_finds_no_growth() -> None:
    """All platforms, both frameworks, threads and tasks; the server is killed in between."""
    command = [sys.executable, "-W", "ignore", str(ROOT / "tools/soak.py"), "0.04"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)

    assert 0 == done.returncode, f"{done.stdout}\n{done.stderr[-2_000:]}"
    assert "every error was an MDStreamError" in done.stdout


def test_constant_measurements_are_no_growth(soak: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """Thirty rounds without growth, after a warm-up with some."""
    assert [] == soak.find_growth(_samples(soak))
    assert "rss: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "each"), [("rss", 100.0), ("blocks", 1_000), ("fds", 1), ("sockets", 1), ("threads", 1), ("tasks", 1)]
)
def test_growth_is_found(soak: ModuleType, name: str, each: float) -> None:
    """By a little with each round of a thousand calls."""
    samples = _samples(soak)
    grown = [replace(one, **{name: getattr(one, name) + each * n}) for n, one in enumerate(samples)]

    (found,) = soak.find_growth(grown)
    assert found.startswith(f"{name}:")


def test_unknown_memory_is_not_checked(soak: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """On macOS; the output says so."""
    assert [] == soak.find_growth([replace(one, rss=None) for one in _samples(soak)])
    assert "rss is not checked" in capsys.readouterr().out


def _samples(soak: ModuleType) -> list[object]:
    warm = [max(0, 8 - n) for n in range(30)]
    return [
        soak.Sample(10.0 * n, 1_000 * n, 200_000.0 - 500 * warm[n], 900_000 - 1_000 * warm[n], 7, 0, 1, 0)
        for n in range(30)
    ]
