"""Read the first token in a fresh process, and print the CPU time since its start: a job of `benchmarks.startup`.

It imports nothing that a contender would otherwise have to import.
"""

import sys
import time

from benchmarks.contenders import Entry, NotInstalled
from benchmarks.source import Source


def main(name: str, factory: str, port: str) -> None:
    """Print the seconds, or `null` if the package is missing."""
    try:
        contender = Entry(name, factory).open(Source(int(port), "paced", 3))
    except NotInstalled:
        print("null")
        return
    stream = contender.stream()
    for piece in stream:
        if contender.text(piece):
            print(time.process_time(), flush=True)
            break
    for _ in stream:  # the response is read to its end, so that nothing is reported about it
        pass


if __name__ == "__main__":
    main(*sys.argv[1:])
