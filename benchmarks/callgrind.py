"""Count the instructions of this process, if valgrind's tool callgrind runs it.

A program asks valgrind for a service by a sequence of instructions that does nothing elsewhere (`valgrind.h`). They are
written to memory here, so that neither valgrind's headers nor a C compiler is needed.
"""

import ctypes
import mmap
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: The sequence as a function of a pointer to the request, by processor: `rax` has the request, `rdx` the result.
_SEQUENCES = {
    "x86_64": bytes.fromhex("4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3"),
}

#: The requests of callgrind (`callgrind.h`), from its base on.
_BASE = int.from_bytes(b"CT\0\0", "big")
_DUMP, _ZERO, _START = _BASE, _BASE + 1, _BASE + 4

#: The first line of a dump with the number of its instructions.
_TOTALS = "totals: "


class NotSupported(Exception):
    """The processor has no known sequence."""


class InstructionCounter:
    """Counts the instructions of functions.

    Args:
        dumps: The value of callgrind's option `--callgrind-out-file`: each count is one more file beside it.

    Raises:
        NotSupported: The sequence for this processor is not known.
    """

    def __init__(self, dumps: Path) -> None:
        if (sequence := _SEQUENCES.get(platform.machine())) is None:
            raise NotSupported(f"instructions are counted on {', '.join(_SEQUENCES)} only")
        self._dumps = dumps
        self._number = 0
        self._memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._memory.write(sequence)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._call = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)(address)
        self._requests = {code: (ctypes.c_uint64 * 6)(code) for code in (_DUMP, _ZERO, _START)}
        self._is_started = False

    def count(self, function: Callable[[], Any]) -> int:
        """Call a function, and return the number of instructions that it has taken in all threads."""
        self.start()
        function()
        return self.stop()

    def start(self) -> None:
        """Start to count from zero. Before the first count the program is many times as fast as later."""
        if not self._is_started:
            self._request(_START)
            self._is_started = True
        self._request(_ZERO)

    def stop(self) -> int:
        """Return the number of instructions since `start`."""
        self._request(_DUMP)
        self._number += 1
        dump = self._dumps.with_name(f"{self._dumps.name}.{self._number}")
        with dump.open() as lines:
            return next(int(line[len(_TOTALS) :]) for line in lines if line.startswith(_TOTALS))

    def _request(self, code: int) -> None:
        self._call(ctypes.addressof(self._requests[code]))
