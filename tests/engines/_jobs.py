"""Jobs on engines: the recipes of docs/scaling-out.md as programs of their own, and what the emulator received of them."""

import ast
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

from _docs_pages import PAGES, ROOT, Block, addresses, blocks

from mdstream_core.emulator import Emulator, Fault

#: Number of rows of a job.
ROWS = 2_000

#: Seconds until a job must have finished, or made the progress that a test waits for. A limit for a job that hangs.
JOB_TIMEOUT = 300.0

#: How a page's rate limit and directories are written.
_LIMITS, _DATA = "file:///var/tmp/limits", "/data/"


def recipe(heading: str, *, folder: Path, emulator: Emulator, count: int | None = None) -> str:
    """Return the Python blocks of a section of docs/scaling-out.md, with the emulator's endpoint and the test's folder.

    Args:
        heading: The section; the blocks before it that define the rate limit and the columns come first.
        folder: Replaces `/data`, and has the limits.
        emulator: Receives the requests.
        count: Number of the section's blocks; all by default.
    """
    page = PAGES["docs/scaling-out.md"]
    before, _, rest = page.partition(f"\n## {heading}\n")
    section = rest.partition("\n## ")[0]
    code = "\n".join(block.code for text in (before, section) for block in _own_blocks(text, section, count))
    for pattern, address in addresses(emulator).items():
        code = re.sub(pattern, address, code)
    assert "http" in code
    return code.replace(_LIMITS, f"file://{folder}/limits").replace(_DATA, f"{folder}/")


def _own_blocks(text: str, section: str, count: int | None) -> list[Block]:
    """The blocks of a section up to `count`; of the text before it those that need no engine."""
    found = blocks(text, "python")
    return found[:count] if text is section else [block for block in found if not block.test and not block.needs]


class Job:
    """A program in a process group of its own.

    Attributes:
        process: Its process.
    """

    def __init__(self, code: str, folder: Path, environment: Mapping[str, str]) -> None:
        ast.parse(code)
        program = folder / "job.py"
        program.write_text(code, encoding="utf-8")
        self._output = folder / "output.txt"
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(program)],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": path, **environment},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait while the job runs. Fails if it ends before, or takes too long."""
        deadline = time.monotonic() + JOB_TIMEOUT
        while not condition():
            assert self.process.poll() is None, f"the job has ended\n{self.output}"
            assert time.monotonic() < deadline, f"no progress\n{self.output}"
            time.sleep(0.05)

    def finish(self) -> None:
        """Wait for its end, and check its exit code."""
        try:
            code = self.process.wait(JOB_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the job hangs\n{self.output}") from None
        assert 0 == code, self.output

    def kill(self) -> None:
        """Kill the job and its processes with SIGKILL, and wait until they are gone."""
        others = [pid for pid, _ in descendants(self.process.pid)]
        for kill, pid in ((os.killpg, self.process.pid), *((os.kill, other) for other in others)):
            with suppress(ProcessLookupError):
                kill(pid, signal.SIGKILL)
        self.process.wait()
        deadline = time.monotonic() + JOB_TIMEOUT
        while any(Path(f"/proc/{pid}").exists() for pid in others):
            assert time.monotonic() < deadline
            time.sleep(0.05)

    @property
    def output(self) -> str:
        """The end of what it has printed."""
        return self._output.read_text(encoding="utf-8", errors="replace")[-6_000:]


@contextmanager
def running(code: str, folder: Path, environment: Mapping[str, str]) -> Iterator[Job]:
    """Run a job; at the end of the block nothing of it is left."""
    job = Job(code, folder, environment)
    try:
        yield job
    finally:
        if job.process.poll() is None:
            job.kill()


def descendants(pid: int) -> list[tuple[int, str]]:
    """The processes that a process has started, and those that these have started: pids and titles (Linux only)."""
    parents: dict[int, list[tuple[int, str]]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status, title = (folder / "stat").read_text(), (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parent = int(status.rpartition(")")[2].split()[1])
        parents.setdefault(parent, []).append((int(folder.name), title.replace(b"\0", b" ").decode(errors="replace")))
    found = parents.get(pid, [])
    return [*found, *(one for child, _ in found for one in descendants(child))]


def inject_faults(emulator: Emulator, *kinds: Fault, share: float = 0.03) -> int:
    """Script faults for a share of the next requests, evenly mixed; return their number."""
    random = Random(0)
    steps = [random.choice(kinds) if random.random() < share else None for _ in range(2 * ROWS)]
    emulator.script(*steps)
    return sum(step is not None for step in steps)


def requested_texts(emulator: Emulator) -> Counter[str]:
    """How often each text was in a request."""
    return embedded_texts(emulator) + prompts(emulator)


def embedded_texts(emulator: Emulator) -> Counter[str]:
    """How often each text was in a request for embeddings."""
    bodies = [request.json for request in emulator.requests]
    return Counter(text for body in bodies if "input" in body for text in body["input"])


def prompts(emulator: Emulator) -> Counter[str]:
    """How often each prompt was in a request."""
    bodies = [request.json for request in emulator.requests]
    return Counter(body["messages"][-1]["content"] for body in bodies if "messages" in body)
