"""An answer that leaves HTTP behind: after its 101 the connection belongs to whoever `serve`s on it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mdstream_core.emulator._response_plan import ResponsePlan
from mdstream_core.emulator.faults import Fault, apply_fault

_BEFORE_UPGRADE = frozenset(
    {"refuse", "html", "drop", "drop_reset", "slow_head", "raw"}
)  # the others strike what is said


async def _no_handler(link: Any, plan: "UpgradePlan") -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradePlan(ResponsePlan):
    """A plan for what is not known yet: what is said after the switch, and the faults that will befall it."""

    serve: Callable[[Any, "UpgradePlan"], Awaitable[None]] = _no_handler
    faults: tuple[Fault, ...] = ()

    def with_faults(self, faults: Sequence[Fault]) -> ResponsePlan:
        """The plan as the faults leave it; those of the answer are kept for it."""
        plan: ResponsePlan = replace(self, faults=tuple(fault for fault in faults if fault.kind not in _BEFORE_UPGRADE))
        for fault in faults:
            plan = apply_fault(fault, plan) if fault.kind in _BEFORE_UPGRADE else plan
        return plan
