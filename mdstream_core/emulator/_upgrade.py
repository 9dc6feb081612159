"""A response that switches to another protocol: after its 101 `serve` owns the connection."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mdstream_core.emulator._response_plan import ResponsePlan
from mdstream_core.emulator.faults import Fault, apply_fault

# Faults that apply to the HTTP response; the others apply to the messages after the upgrade.
_BEFORE_UPGRADE = frozenset({"refuse", "html", "drop", "drop_reset", "slow_head", "raw"})


async def _no_handler(connection: Any, plan: "UpgradePlan") -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradePlan(ResponsePlan):
    """A plan for an upgrade, with the handler of the connection and the faults for the messages after it."""

    serve: Callable[[Any, "UpgradePlan"], Awaitable[None]] = _no_handler
    faults: tuple[Fault, ...] = ()

    def with_faults(self, faults: Sequence[Fault]) -> ResponsePlan:
        """Apply the faults that strike the HTTP response; keep the others for the messages."""

        plan: ResponsePlan = replace(self, faults=tuple(fault for fault in faults if fault.kind not in _BEFORE_UPGRADE))
        for fault in faults:
            plan = apply_fault(fault, plan) if fault.kind in _BEFORE_UPGRADE else plan
        return plan
