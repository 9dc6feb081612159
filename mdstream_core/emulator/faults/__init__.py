"""Faults: functions from a response plan to a changed plan, one for each kind, in one table."""

import inspect
from collections.abc import Callable, Collection

from mdstream_core.emulator._response_plan import ResponsePlan
from mdstream_core.emulator.faults import _bytes, _endings, _events, _frames, _quirks, _responses
from mdstream_core.emulator.faults._fault import Fault
from mdstream_core.emulator.faults.error_responses import ERROR_RESPONSES
from mdstream_core.emulator.faults.trailers import REASONS, TRAILERS

ERROR_EVENTS = tuple(_events.ERROR_EVENTS)

_TABLE: dict[str, Callable[[ResponsePlan, Fault], ResponsePlan]] = {
    "refuse": _bytes.refuse,
    "html": _bytes.html,
    "json_body": _bytes.json_body,
    "content_type": _bytes.content_type,
    "crlf": _bytes.crlf,
    "cr": _bytes.cr,
    "mixed": _bytes.mixed,
    "bom": _bytes.bom,
    "unterminated": _bytes.unterminated,
    "bytewise": _bytes.bytewise,
    "joined": _bytes.joined,
    "content_length_too": _bytes.content_length_too,
    "fixed_length": _bytes.fixed_length,
    "until_eof": _bytes.until_eof,
    "encoded": _bytes.encoded,
    "interim": _bytes.interim,
    "raw": _bytes.raw,
    "body": _bytes.body,
    "transcript": _bytes.transcript,
    "trailer": _endings.trailer,
    "cut": _endings.truncate_body,
    "cut_chunk": _endings.truncate_chunk,
    "cut_trailer": _endings.truncate_trailer,
    "reset": _endings.reset,
    "stall": _endings.stall,
    "hold": _endings.hold,
    "slow_head": _endings.slow_head,
    "close": _endings.close,
    "drop": _endings.drop,
    "drop_reset": _endings.drop_reset,
    "error_event": _events.error_event,
    "no_finish": _events.no_finish,
    "no_done": _events.no_done,
    "early_done": _events.early_done,
    "empty": _events.empty,
    "malformed_json": _events.malformed_json,
    "bad_utf8": _events.bad_utf8,
    "huge_line": _events.huge_line,
    "insert": _events.insert,
    "keepalive_comments": _events.keepalive_comments,
    "usage_missing": _events.usage_missing,
    "finish_reason": _events.finish_reason,
    "pending_finish_reason": _quirks.pending_finish_reason,
    "whole_message": _quirks.whole_message,
    "tool_arguments": _quirks.tool_arguments,
    "choice_error": _quirks.choice_error,
    "split_surrogates": _quirks.split_surrogates,
    "reasoning_parts": _quirks.reasoning_parts,
    "responses_events": _responses.responses_events,
    "refuse_aws": _frames.refuse_aws,
    "exception_frame": _frames.exception_frame,
    "damaged_frame": _frames.damaged_frame,
    "partial_frame": _frames.partial_frame,
    "split_frames": _frames.split_frames,
}

KINDS = {name: inspect.getdoc(function) or "" for name, function in _TABLE.items()}
"""Every kind of fault, with its description."""

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
    "responses_events": _responses.STREAMS,
    "refuse_aws": _frames.AWS_ERROR_RESPONSES,
    "exception_frame": _frames.FRAMES,
    "damaged_frame": _frames.DAMAGES,
}
Fault.known.update({name: _SPELLINGS.get(name) for name in _TABLE})


def apply_fault(fault: Fault, plan: ResponsePlan) -> ResponsePlan:
    """Return the plan with the fault applied."""
    return _TABLE[fault.kind](plan, fault)


__all__ = ["ERROR_EVENTS", "ERROR_RESPONSES", "KINDS", "REASONS", "TRAILERS", "Fault", "apply_fault"]
