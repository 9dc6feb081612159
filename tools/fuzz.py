"""Fuzz all decoders and parsers with mutated server data: `python tools/fuzz.py 10 --family wire` (minutes).

Each family has the given minutes of CPU time. Without `--family` all families run one after the other, and then the
grammar of streams with new seeds. A finding is written to `tests/corpus/<family>/`, where the test suite replays it;
the exit code is then 1, at the end of the family's time.
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

from _fuzz_inputs import CORPUS, mutate, seeds  # noqa: E402
from _fuzz_targets import FAMILIES, Finding, Target, examine  # noqa: E402

GRAMMAR = "grammar"
TESTS = ["tests/test_stream_grammar.py", "tests/test_sample_properties.py"]
EXAMPLES = "400"  #: Examples of each property in a round of the grammar.

#: Maximum growth of the peak memory by one input, in KiB.
_MAX_GROWTH = 512 * 1024

#: Number of different findings that ends a family early.
_MAX_FINDINGS = 20


def main() -> int:
    """Run the families; return the exit code."""
    parser = argparse.ArgumentParser(description="Fuzz all decoders and parsers.")
    parser.add_argument("minutes", nargs="?", type=float, default=10, help="CPU minutes for each family (default: 10)")
    parser.add_argument("--family", action="append", choices=[*FAMILIES, GRAMMAR], help="family to run (default: all)")
    parser.add_argument("--seed", type=int, help="seed of the random numbers (default: random)")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(4))
    failed = False
    for family in options.family or [*FAMILIES, GRAMMAR]:
        failed |= run_grammar(options.minutes, seed) if family == GRAMMAR else run_family(family, options.minutes, seed)
    return int(failed)


def run_family(family: str, minutes: float, seed: int) -> bool:
    """Mutate and decode until the time has ended; return whether there were findings."""
    chance, end = random.Random(seed), time.process_time() + 60 * minutes
    findings: set[str] = set()
    executions = 0
    for target, data in inputs(family, chance):
        if time.process_time() > end or len(findings) >= _MAX_FINDINGS:
            break
        executions += 1
        try:
            examine_memory(FAMILIES[family][target], data)
        except Exception as error:  # noqa: BLE001  # any error is a finding
            frame = traceback.extract_tb(error.__traceback__)[-1]
            name = f"{target} {type(error).__name__} {frame.filename} {frame.lineno}"
            if name not in findings:
                findings.add(name)
                report(family, target, data, error)
    print(
        f"{family}: {executions} executions in {minutes:g} CPU minutes, seed {seed}, {len(findings)} findings",
        flush=True,
    )
    return bool(findings)


def inputs(family: str, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """Yield targets and mutated inputs without end."""
    examples = seeds(family)
    targets = list(examples)
    while True:
        target = chance.choice(targets)
        data = chance.choice(examples[target] or [b""])
        yield target, mutate(data, chance, examples[target])


def examine_memory(target: Target, data: bytes) -> None:
    """Run a target; an input that needs much memory is a finding too."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    examine(target, data)
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    if growth > _MAX_GROWTH:
        raise Finding(f"{growth // 1024} MiB of memory for {len(data)} bytes")


def report(family: str, target: str, data: bytes, error: Exception) -> None:
    """Print a finding and write its input to the corpus."""
    folder = CORPUS / family
    folder.mkdir(exist_ok=True)
    path = folder / f"{target}.found-{hashlib.sha256(data).hexdigest()[:10]}"
    path.write_bytes(data)
    print(f"{family} {target}: {type(error).__name__}: {str(error)[:200]}\n  {path.relative_to(ROOT)}: {data[:200]!r}")
    print("".join(traceback.format_tb(error.__traceback__)[-3:]), flush=True)


def run_grammar(minutes: float, seed: int) -> bool:
    """Run the grammar of streams with new seeds; return whether a round failed."""
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
        process = subprocess.run(command, env={**os.environ, "MDSTREAM_FUZZ_EXAMPLES": EXAMPLES}, check=False, cwd=ROOT)
        if process.returncode:
            print(f"round {rounds} failed: --hypothesis-seed={seed + rounds} MDSTREAM_FUZZ_EXAMPLES={EXAMPLES}")
            return True
        rounds += 1
    print(f"{GRAMMAR}: {rounds} rounds of {EXAMPLES} examples for each property, 0 findings")
    return False


if __name__ == "__main__":
    sys.exit(main())
