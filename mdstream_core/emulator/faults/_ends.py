"""Faults in how a stream ends or waits: trailers, cuts, resets, silence."""

from dataclasses import replace

from mdstream_core.emulator._plan import Half, Pause, Plan, plain
from mdstream_core.emulator.faults._fault import Fault
from mdstream_core.emulator.faults.trailers import REASONS, TRAILERS


def trailer(plan: Plan, fault: Fault) -> Plan:
    """The body ends properly and `StreamFailure` follows. Without `after` everything was said, `[DONE]` too."""
    value = fault.data.decode() or TRAILERS[fault.spelling or "json"](REASONS[fault.reason])
    promise = tuple(field for field in plan.headers if field[0].lower() != "trailer")
    promise += (("Trailer", fault.name),) if fault.announced else ()
    return replace(_taken(plan, fault), headers=promise, trailers=(*plan.trailers, (fault.name, value)))


def cut(plan: Plan, fault: Fault) -> Plan:
    """The connection closes (FIN) in mid-body: no last chunk."""
    return replace(_taken(plan, fault, 2), end="cut")


def cut_chunk(plan: Plan, fault: Fault) -> Plan:
    """The connection closes within a chunk, and within an event (a frame, a message)."""
    taken = _taken(plan, fault, 2)
    if plan.framing == "length":  # there are no chunks
        return replace(taken, end="cut")
    rest = [piece for piece in plan.sequence[len(taken.sequence) :] if isinstance(piece, bytes)]
    return replace(taken, pieces=[*taken.sequence, Half(rest[0] if rest else b"data: {}\n\n")], end="cut")


def cut_trailer(plan: Plan, fault: Fault) -> Plan:
    """The connection closes within the trailer section."""
    return replace(trailer(plan, fault), end="cut_trailer")


def reset(plan: Plan, fault: Fault) -> Plan:
    """RST in mid-body."""
    taken = _taken(plan, fault, 2)
    # What the client has not read yet is lost with a reset: give it a moment to read what was meant to arrive.
    return replace(taken, pieces=[*taken.sequence, Pause(fault.seconds or 0.05, fault.until)], end="reset")


def stall(plan: Plan, fault: Fault) -> Plan:
    """Silence, until the client goes."""
    return replace(plan, pieces=[*_taken(plan, fault, 2).sequence, Pause()], end="cut")


def hold(plan: Plan, fault: Fault) -> Plan:
    """Silence for a while (`seconds` or `until`), then the rest."""
    taken = _taken(plan, fault, 1).sequence
    pause = Pause(fault.seconds, fault.until)
    return replace(plan, pieces=[*taken, pause, *plan.sequence[len(taken) :]])


def slow_head(plan: Plan, fault: Fault) -> Plan:
    """Nothing at all for a while, then a healthy answer."""
    return replace(plan, before=Pause(fault.seconds, fault.until))


def close(plan: Plan, fault: Fault) -> Plan:
    """A healthy answer; then the server closes, though it did not say so: the next request meets a stale connection."""
    return replace(plan, end="close")


def drop(plan: Plan, fault: Fault) -> Plan:
    """The connection closes before the first byte of an answer."""
    return Plan(framing="bare", end="cut")


def drop_reset(plan: Plan, fault: Fault) -> Plan:
    """RST before the first byte of an answer."""
    return Plan(framing="bare", end="reset")


def _taken(plan: Plan, fault: Fault, default: int | None = None) -> Plan:
    """The first events; of a body with a length the first half, while the whole length stays declared."""
    if plan.framing == "length" and default is not None:
        body = b"".join(plan.wrapped)
        return replace(plan, pieces=(body[: len(body) // 2],), envelope=plain, declared=len(body))
    after = default if fault.after is None else fault.after
    return replace(plan, pieces=plan.sequence[:after])
