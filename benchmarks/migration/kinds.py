"""What the methods of other packages return on the emulator: the kind of each result, or the error's type.

Each package runs in a process of its own, which prints a line for each call. A call that does not end (langchain-aws's
completion model reads some streams forever) is recorded as such, and a new process continues after it.
"""

import asyncio
import json
import os
import subprocess
import sys
import warnings
from importlib import import_module
from queue import Empty, Queue
from threading import Thread
from types import SimpleNamespace
from typing import Any

from _migration_calls import CONSTRUCTORS, calls_of, kind_of_result

from benchmarks.migration.introspect import PACKAGES, stand_in
from mdstream_core.emulator import Emulator

#: Longest time of a call, and of a process until its first call, in seconds.
_TIMEOUT = 45

DOES_NOT_END = "does not end"

#: Beginning of a line with a kind.
_MARK = "kind: "


def record_kinds() -> dict[str, dict[str, str]]:
    """Return the kind of result of each call, by `package Class` and method."""
    calls = [(package, name, method) for package, name in CONSTRUCTORS for method in calls_of(package, name)]
    kinds: dict[tuple[str, str, str], str] = {}
    while remaining := [call for call in calls if call not in kinds]:
        package = remaining[0][0]
        _run([call for call in remaining if call[0] == package], kinds)
    grouped: dict[str, dict[str, str]] = {}
    for (package, name, method), kind in kinds.items():
        grouped.setdefault(f"{package} {name}", {})[method] = kind
    return grouped


def _run(calls: list[tuple[str, str, str]], kinds: dict[tuple[str, str, str], str]) -> None:
    """Run calls of one package in a process until all are done or one does not end."""
    command = [sys.executable, "-m", "benchmarks.migration", "--calls", json.dumps(calls)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        lines: Queue[str] = Queue()
        Thread(target=_read_lines, args=(process, lines), daemon=True).start()
        for call in calls:
            try:
                kinds[call] = lines.get(timeout=_TIMEOUT)
            except Empty:
                kinds[call] = DOES_NOT_END
                process.kill()
                return


def _read_lines(process: subprocess.Popen[str], lines: Queue[str]) -> None:
    """Pass on the kinds; other packages print lines too."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(_MARK):
            lines.put(line.removeprefix(_MARK).strip())


def run_calls(arguments: str) -> None:
    """Make calls, and print the kind of each result as a line; `arguments` is a list as JSON."""
    warnings.simplefilter("ignore")
    stand_in()
    with Emulator() as emulator:
        os.environ["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"] = emulator.url
        for package, name, method in json.loads(arguments):
            print(f"\n{_MARK}{asyncio.run(_record_call(emulator, package, name, method))}", flush=True)


async def _record_call(emulator: Emulator, package: str, name: str, method: str) -> str:
    modules = (vars(import_module(module)) for module in PACKAGES[package])
    names = SimpleNamespace(**{key: value for module in modules for key, value in module.items()})
    model: Any = None
    try:
        model = getattr(names, name)(**CONSTRUCTORS[package, name](emulator, names))
        return await kind_of_result(model, calls_of(package, name)[method])
    except AttributeError as error:
        return "no such method" if getattr(error, "obj", None) is model else f"error: {type(error).__name__}"
    except Exception as error:  # noqa: BLE001  # any error of another package is a result here
        return f"error: {type(error).__name__}"
