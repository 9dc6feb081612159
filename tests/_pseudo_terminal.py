"""A program in a terminal that nobody looks at: what it writes is kept, what is typed is sent."""

import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl
from types import TracebackType
from typing import Self

LIMIT = 30.0

#: Makes the terminal its own before it becomes `mdstream`, so that Ctrl-C is a signal.
_TAKES_IT = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "mdstream_core.cli", *sys.argv[1:]])
"""


class PseudoTerminal:
    """Runs `mdstream` in a terminal of so many columns."""

    def __init__(self, *arguments: str, columns: int = 80, **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        kept = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKES_IT, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**kept, "TERM": "xterm-256color", **environment},
            start_new_session=True,
        )
        os.close(theirs)
        self.written = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait(LIMIT)
        os.close(self._ours)

    def until(self, words: str, *, times: int = 1) -> str:
        """What was written when `words` have come."""
        end = time.monotonic() + LIMIT
        while self.written.count(words) < times:
            assert time.monotonic() < end, f"{words!r} did not come: {self.written!r}"
            self._read(0.1)
        return self.written

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def ended(self, *, pressing: str = "") -> int:
        """The exit code. A key may be pressed again: readline does not see a signal that comes just before it waits."""
        end = time.monotonic() + LIMIT
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it does not end: {self.written!r}"
            if pressing:
                self.type(pressing)
            self._read(0.5 if pressing else 0.1)
        self._read(0.1)
        return self.process.returncode

    def _read(self, seconds: float) -> None:
        while select.select([self._ours], [], [], seconds)[0]:
            try:
                data = os.read(self._ours, 65536)
            except OSError:  # the other side is closed
                return
            if not data:
                return
            self.written += data.decode("utf-8", "replace")
            seconds = 0.0
