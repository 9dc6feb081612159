"""Run the grammar of streams with new seeds for as long as asked: `python tools/fuzz.py 10` (minutes).

A failure prints hypothesis' smallest example and the seed that brings it back, and ends the run with exit code 1.
"""

import os
import subprocess
import sys
import time

TESTS = ["tests/test_stream_grammar.py", "tests/test_sample_properties.py"]
EXAMPLES = "400"  #: of each property in a round


def main(minutes: float) -> int:
    """Run rounds until the time is over; the exit code of the first that fails."""
    end = time.monotonic() + 60 * minutes
    rounds = 0
    while time.monotonic() < end:
        seed = str(int.from_bytes(os.urandom(4)))
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", f"--hypothesis-seed={seed}", *TESTS]
        done = subprocess.run(command, env={**os.environ, "MDSTREAM_FUZZ_EXAMPLES": EXAMPLES}, check=False)
        if done.returncode:
            print(f"round {rounds} failed: --hypothesis-seed={seed} MDSTREAM_FUZZ_EXAMPLES={EXAMPLES}")
            return done.returncode
        rounds += 1
    print(f"{rounds} rounds of {EXAMPLES} examples for each property: nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 10))
