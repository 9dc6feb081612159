"""Bend what servers send and read it, for as long as asked: `python tools/fuzz.py 10 --family wire`.

Each family has the given minutes of CPU time; without `--family` all of them run, one after the other, and then the
grammar of streams with new seeds for as long. A finding is written to `tests/corpus/<family>/`, where the test suite
replays it, and ends the run with exit code 1 once the family's time is over.
"""

import argparse
import hashlib
import os
import random
import resource
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from _fuzz_inputs import CORPUS, bent, seeds  # noqa: E402
from _fuzz_targets import FAMILIES, Finding, Target, examine  # noqa: E402

GRAMMAR = "grammar"
TESTS = ["tests/test_stream_grammar.py", "tests/test_sample_properties.py"]
EXAMPLES = "400"  #: of each property in a round of the grammar

#: How much more memory the process may have after an input than before it, in KiB.
_MAX_GROWTH = 512 * 1024

#: How many different findings end a family early.
_MAX_FINDINGS = 20


def main() -> int:
    """Run the families; the exit code."""
    parser = argparse.ArgumentParser(description="Read bent input with every decoder and parser.")
    parser.add_argument("minutes", nargs="?", type=float, default=10, help="CPU minutes for each family")
    parser.add_argument("--family", action="append", choices=[*FAMILIES, GRAMMAR], help="which family (default: all)")
    parser.add_argument("--seed", type=int, help="of the random numbers")
    requested = parser.parse_args()
    seed = requested.seed if requested.seed is not None else int.from_bytes(os.urandom(4))
    failed = False
    for family in requested.family or [*FAMILIES, GRAMMAR]:
        failed |= (
            run_grammar(requested.minutes, seed) if family == GRAMMAR else run_family(family, requested.minutes, seed)
        )
    return int(failed)


def run_family(family: str, minutes: float, seed: int) -> bool:
    """Bend and read until the time is over. Whether something was found."""
    chance, end = random.Random(seed), time.process_time() + 60 * minutes
    found: set[str] = set()
    executions = 0
    for target, data in inputs(family, chance):
        if time.process_time() > end or len(found) >= _MAX_FINDINGS:
            break
        executions += 1
        try:
            examine_memory(FAMILIES[family][target], data)
        except Exception as error:  # noqa: BLE001  # whatever comes out is what is looked for
            where = traceback.extract_tb(error.__traceback__)[-1]
            name = f"{target} {type(error).__name__} {where.filename} {where.lineno}"
            if name not in found:
                found.add(name)
                report(family, target, data, error)
    print(
        f"{family}: {executions} executions in {minutes:g} CPU minutes, seed {seed}, {len(found)} findings", flush=True
    )
    return bool(found)


def inputs(family: str, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """Targets and bent inputs, without end."""
    known = seeds(family)
    targets = list(known)
    while True:
        target = chance.choice(targets)
        data = chance.choice(known[target] or [b""])
        yield target, bent(data, chance, known[target])


def examine_memory(target: Target, data: bytes) -> None:
    """Run a target. An input that takes very much memory is a finding too."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    examine(target, data)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    if grown > _MAX_GROWTH:
        raise Finding(f"{grown // 1024} MiB of memory for {len(data)} bytes")


def report(family: str, target: str, data: bytes, error: Exception) -> None:
    """Print a finding, and write its input into the corpus."""
    folder = CORPUS / family
    folder.mkdir(exist_ok=True)
    path = folder / f"{target}.found-{hashlib.sha256(data).hexdigest()[:10]}"
    path.write_bytes(data)
    print(f"{family} {target}: {type(error).__name__}: {str(error)[:200]}\n  {path.relative_to(ROOT)}: {data[:200]!r}")
    print("".join(traceback.format_tb(error.__traceback__)[-3:]), flush=True)


def run_grammar(minutes: float, seed: int) -> bool:
    """Run the grammar of streams with new seeds. Whether a round failed; hypothesis prints its smallest example."""
    end = time.monotonic() + 60 * minutes
    rounds = 0
    while time.monotonic() < end:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "--no-header",
            f"--hypothesis-seed={seed + rounds}",
            *TESTS,
        ]
        done = subprocess.run(command, env={**os.environ, "MDSTREAM_FUZZ_EXAMPLES": EXAMPLES}, check=False, cwd=ROOT)
        if done.returncode:
            print(f"round {rounds} failed: --hypothesis-seed={seed + rounds} MDSTREAM_FUZZ_EXAMPLES={EXAMPLES}")
            return True
        rounds += 1
    print(f"{GRAMMAR}: {rounds} rounds of {EXAMPLES} examples for each property, 0 findings")
    return False


if __name__ == "__main__":
    sys.exit(main())
