"""Faults in how a stream ends or waits: trailers, cuts, resets, silence."""

from dataclasses import replace

from mdstream_core.emulator._response_plan import Pause, ResponsePlan, TruncatedPiece, identity
from mdstream_core.emulator.faults._fault import Fault
from mdstream_core.emulator.faults.trailers import REASONS, TRAILERS


def trailer(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """The body ends properly and `StreamFailure` follows. Without `after` everything was said, `[DONE]` too."""
    value = fault.data.decode() or TRAILERS[fault.spelling or "json"](REASONS[fault.reason])
    promise = tuple(field for field in plan.headers if field[0].lower() != "trailer")
    promise += (("Trailer", fault.name),) if fault.announced else ()
    return replace(_take_events(plan, fault), headers=promise, trailers=(*plan.trailers, (fault.name, value)))


def cut(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """The connection closes (FIN) in mid-body: no last chunk."""
    return replace(_take_events(plan, fault, 2), ending="cut")


def cut_chunk(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """The connection closes within a chunk, and within an event (a frame, a message)."""
    taken = _take_events(plan, fault, 2)
    if plan.framing == "length":  # there are no chunks
        return replace(taken, ending="cut")
    rest = [piece for piece in plan.all_chunks[len(taken.all_chunks) :] if isinstance(piece, bytes)]
    return replace(
        taken, chunks=[*taken.all_chunks, TruncatedPiece(rest[0] if rest else b"data: {}\n\n")], ending="cut"
    )


def cut_trailer(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """The connection closes within the trailer section."""
    return replace(trailer(plan, fault), ending="cut_trailer")


def reset(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """RST in mid-body."""
    taken = _take_events(plan, fault, 2)
    # What the client has not read yet is lost with a reset: give it a moment to read what was meant to arrive.
    return replace(taken, chunks=[*taken.all_chunks, Pause(fault.seconds or 0.05, fault.until)], ending="reset")


def stall(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Silence, until the client goes."""
    return replace(plan, chunks=[*_take_events(plan, fault, 2).all_chunks, Pause()], ending="cut")


def hold(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Silence for a while (`seconds` or `until`), then the rest."""
    taken = _take_events(plan, fault, 1).all_chunks
    pause = Pause(fault.seconds, fault.until)
    return replace(plan, chunks=[*taken, pause, *plan.all_chunks[len(taken) :]])


def slow_head(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Nothing at all for a while, then a healthy answer."""
    return replace(plan, pause_before=Pause(fault.seconds, fault.until))


def close(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """A healthy answer; then the server closes, though it did not say so: the next request meets a stale connection."""
    return replace(plan, ending="close")


def drop(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """The connection closes before the first byte of an answer."""
    return ResponsePlan(framing="bare", ending="cut")


def drop_reset(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """RST before the first byte of an answer."""
    return ResponsePlan(framing="bare", ending="reset")


def _take_events(plan: ResponsePlan, fault: Fault, default: int | None = None) -> ResponsePlan:
    """The first events; of a body with a length the first half, while the whole length stays declared."""
    if plan.framing == "length" and default is not None:
        body = b"".join(plan.wrapped_chunks)
        return replace(plan, chunks=(body[: len(body) // 2],), envelope=identity, declared_length=len(body))
    after = default if fault.after is None else fault.after
    return replace(plan, chunks=plan.all_chunks[:after])
