"""Faults in how a stream ends or waits: trailers, truncation, resets, pauses."""

from dataclasses import replace

from mdstream_core.emulator._response_plan import Pause, ResponsePlan, TruncatedChunk, identity
from mdstream_core.emulator.faults._fault import Fault
from mdstream_core.emulator.faults.trailers import REASONS, TRAILERS


def trailer(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """End the body properly, then send a `StreamFailure` trailer; by default after all events, `[DONE]` included."""
    value = fault.data.decode() or TRAILERS[fault.spelling or "json"](REASONS[fault.reason])
    headers = tuple(field for field in plan.headers if field[0].lower() != "trailer")
    headers += (("Trailer", fault.name),) if fault.announced else ()
    return replace(_take_events(plan, fault), headers=headers, trailers=(*plan.trailers, (fault.name, value)))


def truncate_body(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Close the connection (FIN) in the middle of the body; the client sees it end without the last HTTP chunk."""
    return replace(_take_events(plan, fault, 2), ending="cut")


def truncate_chunk(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Close the connection in the middle of an HTTP chunk, and so in the middle of an event, frame or message."""
    sent = _take_events(plan, fault, 2)
    if plan.framing == "length":  # there are no chunks
        return replace(sent, ending="cut")
    rest = [chunk for chunk in plan.all_chunks[len(sent.all_chunks) :] if isinstance(chunk, bytes)]
    return replace(sent, chunks=[*sent.all_chunks, TruncatedChunk(rest[0] if rest else b"data: {}\n\n")], ending="cut")


def truncate_trailer(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Close the connection in the middle of the trailer section; the client sees all events, but no trailer."""
    return replace(trailer(plan, fault), ending="cut_trailer")


def reset(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Reset the connection (RST) in the middle of the body; the client sees a connection error after some events."""
    sent = _take_events(plan, fault, 2)
    # A reset discards what the client has not read yet: give it time to read the events before.
    return replace(sent, chunks=[*sent.all_chunks, Pause(fault.seconds or 0.05, fault.until)], ending="reset")


def stall(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Stop sending in the middle of the stream with the connection open; the client waits until its own timeout."""
    return replace(plan, chunks=[*_take_events(plan, fault, 2).all_chunks, Pause()], ending="cut")


def hold(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Pause in the middle of the stream for `seconds`, or until `until` is set, then send the rest."""
    sent = _take_events(plan, fault, 1).all_chunks
    pause = Pause(fault.seconds, fault.until)
    return replace(plan, chunks=[*sent, pause, *plan.all_chunks[len(sent) :]])


def slow_head(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send nothing, not even the status line, for `seconds` or until `until` is set, then a healthy response."""
    return replace(plan, pause_before=Pause(fault.seconds, fault.until))


def close(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send a healthy response, then close the connection unannounced, so that it is stale for the next request."""
    return replace(plan, ending="close")


def drop(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Close the connection (FIN) before the first byte of a response; the client sees no status."""
    return ResponsePlan(framing="bare", ending="cut")


def drop_reset(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Reset the connection (RST) before the first byte of a response; the client sees a connection error."""
    return ResponsePlan(framing="bare", ending="reset")


def _take_events(plan: ResponsePlan, fault: Fault, default: int | None = None) -> ResponsePlan:
    """Keep the first events; of a body with `content-length` the first half, with the whole length declared."""

    if plan.framing == "length" and default is not None:
        body = b"".join(plan.wrapped_chunks)
        return replace(plan, chunks=(body[: len(body) // 2],), envelope=identity, declared_length=len(body))
    after = default if fault.after is None else fault.after
    return replace(plan, chunks=plan.all_chunks[:after])
