"""Run `mdstream` in a pseudo-terminal, to test its interactive output."""

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

#: Seconds after which a test gives up.
TIMEOUT = 30.0

#: Makes the pseudo-terminal the controlling terminal, so that Ctrl-C sends SIGINT, and then runs `mdstream`.
_LAUNCHER = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "mdstream_core.cli", *sys.argv[1:]])
"""


class PseudoTerminal:
    """Runs `mdstream` in a terminal with this number of columns. `output` is everything that it has written."""

    def __init__(self, *arguments: str, columns: int = 80, **environment: str) -> None:
        self._controller, terminal = pty.openpty()
        ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        inherited = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCHER, *arguments],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env={**inherited, "TERM": "xterm-256color", **environment},
            start_new_session=True,
        )
        os.close(terminal)
        self.output = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait(TIMEOUT)
        os.close(self._controller)

    def wait_for(self, text: str, *, times: int = 1) -> str:
        """Wait until the text was written `times` times. Returns the output."""
        deadline = time.monotonic() + TIMEOUT
        while self.output.count(text) < times:
            assert time.monotonic() < deadline, f"{text!r} was not written: {self.output!r}"
            self._read(0.1)
        return self.output

    def type(self, keys: str) -> None:
        """Send key presses."""
        os.write(self._controller, keys.encode())

    def wait(self, *, keys: str = "") -> int:
        """Wait for the end and return the exit code.

        Args:
            keys: Keys to press until then: readline misses a signal that arrives just before it waits.
        """
        deadline = time.monotonic() + TIMEOUT
        pressed = 0.0
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"the program did not end: {self.output!r}"
            if keys and time.monotonic() - pressed > 1.0:  # sooner, Ctrl-C would kill an interpreter that is ending
                self.type(keys)
                pressed = time.monotonic()
            self._read(0.1)
        self._read(0.1)
        return self.process.returncode

    def _read(self, seconds: float) -> None:
        while select.select([self._controller], [], [], seconds)[0]:
            try:
                data = os.read(self._controller, 65536)
            except OSError:  # the program closed the terminal
                return
            if not data:
                return
            self.output += data.decode("utf-8", "replace")
            seconds = 0.0
