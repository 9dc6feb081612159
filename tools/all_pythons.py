"""Run the tests on every installed Python: `python tools/all_pythons.py [tests/test_cli.py …]`.

Each version from 3.11 on that is found on PATH or among pyenv's and uv's gets an environment of its own in `.pythons`.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENVIRONMENTS = ROOT / ".pythons"
FIRST = (3, 11)
LAST_MINOR = 20


def main() -> int:
    """Test each Python; the exit code is 1 if the tests fail on one, or if none was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tests", nargs="*", default=[], help="arguments of pytest (default: the whole suite)")
    parser.add_argument("--list", action="store_true", help="print the Pythons, and run nothing")
    options = parser.parse_args()
    pythons = find_pythons()
    for version, path in pythons.items():
        print(f"Python {version}: {path}", flush=True)
    if options.list:
        return 0
    results = {version: run_tests(version, path, options) for version, path in pythons.items()}
    for version, passed in results.items():
        print(f"Python {version}: {'ok' if passed else 'FAILED'}")
    return 0 if results and all(results.values()) else 1


def find_pythons() -> dict[str, Path]:
    """The first Python of each minor version, by version such as `3.12`."""
    found: dict[str, Path] = {}
    for path in list_candidates():
        if (version := read_version(path)) is not None and version >= FIRST:
            found.setdefault(".".join(map(str, version)), path)
    return dict(sorted(found.items(), key=lambda item: int(item[0].partition(".")[2])))


def list_candidates() -> Iterator[Path]:
    """Paths that may be a Python."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        yield from (Path(folder) / f"python3.{minor}" for minor in range(FIRST[1], LAST_MINOR))
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob("versions/3.*/bin/python"), reverse=True)
    yield from sorted((Path.home() / ".local/share/uv/python").glob("cpython-3.*/bin/python3"), reverse=True)


def read_version(path: Path) -> tuple[int, int] | None:
    """The version of a Python, or `None` if the path is none; pyenv's shims of versions that are not selected fail."""
    if not path.is_file():
        return None
    code = "import sys; print(*sys.version_info[:2])"
    shown = subprocess.run([path, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    words = shown.stdout.split()
    return (int(words[0]), int(words[1])) if shown.returncode == 0 and len(words) == 2 else None


def run_tests(version: str, python: Path, options: argparse.Namespace) -> bool:
    """Create the environment and run the tests in it."""
    folder = ENVIRONMENTS / version
    pip = [folder / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    commands = [
        [python, "-m", "venv", "--clear", folder],
        [*pip, "-c", "constraints.txt", "-e", ".[test,reference-clients,notebooks]"],
        [folder / "bin/python", "-m", "pytest", "-n", "auto", "--dist", "loadfile", *options.tests],
    ]
    return all(subprocess.run(command, cwd=ROOT, check=False).returncode == 0 for command in commands)


if __name__ == "__main__":
    sys.exit(main())
