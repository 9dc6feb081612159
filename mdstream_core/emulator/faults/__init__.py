"""What can go wrong, as functions from plan to plan; one table names them."""

import inspect
from collections.abc import Callable, Collection

from mdstream_core.emulator._response_plan import ResponsePlan
from mdstream_core.emulator.faults import _bytes, _endings, _events, _frames, _quirks
from mdstream_core.emulator.faults._fault import Fault
from mdstream_core.emulator.faults.error_responses import ERROR_RESPONSES
from mdstream_core.emulator.faults.trailers import REASONS, TRAILERS

ERROR_EVENTS = tuple(_events.ERROR_EVENTS)

_ALL: tuple[Callable[[ResponsePlan, Fault], ResponsePlan], ...] = (
    _bytes.refuse,
    _bytes.html,
    _bytes.json_body,
    _bytes.content_type,
    _bytes.crlf,
    _bytes.cr,
    _bytes.mixed,
    _bytes.bom,
    _bytes.unterminated,
    _bytes.bytewise,
    _bytes.joined,
    _bytes.content_length_too,
    _bytes.fixed_length,
    _bytes.until_eof,
    _bytes.encoded,
    _bytes.interim,
    _bytes.raw,
    _bytes.body,
    _bytes.transcript,
    _endings.trailer,
    _endings.cut,
    _endings.cut_chunk,
    _endings.cut_trailer,
    _endings.reset,
    _endings.stall,
    _endings.hold,
    _endings.slow_head,
    _endings.close,
    _endings.drop,
    _endings.drop_reset,
    _events.error_event,
    _events.no_finish,
    _events.no_done,
    _events.early_done,
    _events.empty,
    _events.malformed_json,
    _events.bad_utf8,
    _events.huge_line,
    _events.insert,
    _events.keepalive_comments,
    _events.usage_missing,
    _events.finish_reason,
    _quirks.pending_finish_reason,
    _quirks.whole_message,
    _quirks.tool_arguments,
    _quirks.choice_error,
    _quirks.split_surrogates,
    _quirks.reasoning_parts,
    _frames.refuse_aws,
    _frames.exception_frame,
    _frames.damaged_frame,
    _frames.partial_frame,
    _frames.split_frames,
)
_TABLE: dict[str, Callable[[ResponsePlan, Fault], ResponsePlan]] = {function.__name__: function for function in _ALL}

KINDS = {name: inspect.getdoc(function) or "" for name, function in _TABLE.items()}
"""Every kind of fault, and what it does."""

_SPELLINGS: dict[str, Collection[str]] = {
    "refuse": ERROR_RESPONSES,
    "trailer": TRAILERS,
    "cut_trailer": TRAILERS,
    "error_event": ERROR_EVENTS,
    "encoded": _bytes.ENCODINGS,
    "whole_message": _quirks.MESSAGES,
    "choice_error": _quirks.CHOICE_ERRORS,
    "tool_arguments": _quirks.ARGUMENTS,
    "reasoning_parts": _quirks.PARTS,
    "refuse_aws": _frames.AWS_ERROR_RESPONSES,
    "exception_frame": _frames.FRAMES,
    "damaged_frame": _frames.DAMAGES,
}
Fault.known.update({name: _SPELLINGS.get(name) for name in _TABLE})


def apply_fault(fault: Fault, plan: ResponsePlan) -> ResponsePlan:
    """The plan as the fault leaves it."""
    return _TABLE[fault.kind](plan, fault)


__all__ = ["ERROR_EVENTS", "ERROR_RESPONSES", "KINDS", "REASONS", "TRAILERS", "Fault", "apply_fault"]
