"""An answer that leaves HTTP behind: after its 101 the connection belongs to whoever `talk`s on it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mdstream_core.emulator._plan import Plan
from mdstream_core.emulator.faults import Fault, apply

_AT_ONCE = frozenset({"refuse", "html", "drop", "drop_reset", "slow_head", "raw"})  # the others strike what is said


async def _nobody(link: Any, plan: "Switch") -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch(Plan):
    """A plan for what is not known yet: what is said after the switch, and the faults that will befall it."""

    talk: Callable[[Any, "Switch"], Awaitable[None]] = _nobody
    faults: tuple[Fault, ...] = ()

    def struck(self, faults: Sequence[Fault]) -> Plan:
        """The plan as the faults leave it; those of the answer are kept for it."""
        plan: Plan = replace(self, faults=tuple(fault for fault in faults if fault.kind not in _AT_ONCE))
        for fault in faults:
            plan = apply(fault, plan) if fault.kind in _AT_ONCE else plan
        return plan
