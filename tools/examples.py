"""Run the tests of the web apps in examples/: `python tools/examples.py [streamlit …]`.

Each app gets an environment of its own in `.examples`, as the frameworks exclude each other's versions, and versions in
constraints.txt. So it has the newest versions that pip finds, as a user's environment. One that exists is used again.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENVIRONMENTS = ROOT / ".examples"

#: The packages that each app needs beside mdstream.
APPS = {
    "fastapi": ("fastapi", "uvicorn", "langgraph"),
    "streamlit": ("streamlit",),
    "gradio": ("gradio", "uvicorn"),
    "chainlit": ("chainlit",),
}

#: Few packages for tests, not the extra `test`: beside it, pip found no Chainlit that fits in 15 minutes.
TEST_PACKAGES = ("-e", ".[langchain,llamaindex,emulator]", "pytest>=8.4", "pytest-asyncio>=1.0", "pytest-socket>=0.7")

#: Without the options of pyproject.toml: some are those of plugins that are not installed here.
PYTEST = ("pytest", "-q", "-o", "addopts=", "--allow-hosts=127.0.0.1,::1,localhost", "-p", "no:cacheprovider", "-rs")


def main() -> int:
    """Test each app; the exit code is 1 if the tests of one fail."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("apps", nargs="*", default=[], help=f"apps to test (default: {' '.join(APPS)})")
    apps = parser.parse_args().apps or list(APPS)
    if unknown := set(apps) - set(APPS):
        parser.error(f"unknown app {', '.join(sorted(unknown))} (hint: choose from {', '.join(APPS)})")
    results = {}
    for app in apps:
        start = time.monotonic()
        passed = run_tests(app)
        results[app] = f"{'ok' if passed else 'FAILED'} ({time.monotonic() - start:.0f} s)"
        print(f"{app}: {results[app]}", flush=True)
    print(", ".join(f"{app} {result}" for app, result in results.items()))
    return int(any(result.startswith("FAILED") for result in results.values()))


def run_tests(app: str) -> bool:
    """Create the environment, and run the app's tests in it. A test that is skipped counts as failed."""
    folder = ENVIRONMENTS / app
    python = folder / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *TEST_PACKAGES, *APPS[app]]
    if subprocess.run(install, cwd=ROOT, check=False).returncode != 0:
        return False
    test = [python, "-m", *PYTEST, f"tests/test_examples_{app}.py"]
    tested = subprocess.run(test, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    print(tested.stdout, end="", flush=True)
    return tested.returncode == 0 and " skipped" not in tested.stdout


if __name__ == "__main__":
    sys.exit(main())
