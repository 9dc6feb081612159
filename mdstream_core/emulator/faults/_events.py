"""Faults in what is said: the events of a stream."""

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import chain

from mdstream_core import _json
from mdstream_core.emulator import _sse
from mdstream_core.emulator._plan import Plan
from mdstream_core.emulator.faults._fault import Fault

_FINISH = re.compile(rb'"finish_reason":\s?"')


def _vllm(message: str) -> bytes:
    return _sse.event({"error": {"message": message, "type": "InternalServerError", "param": None, "code": 500}})


def _nested(message: str) -> bytes:
    error = {"object": "error", "message": message, "type": "BadRequestError", "param": None, "code": 400}
    return _sse.event({"error": error})


def _flat(message: str) -> bytes:
    return _sse.event({"object": "error", "message": message, "type": "BadRequestError", "param": None, "code": 400})


def _llamacpp(message: str) -> dict[str, object]:
    return {"code": 500, "message": message, "type": "server_error"}


# Which server writes an error into a stream how, and what it writes after it.
ERROR_EVENTS: dict[str, tuple[Callable[[str], bytes], bytes]] = {
    "vllm": (_vllm, _sse.DONE),
    "vllm-old": (_nested, _sse.DONE),
    "flat": (_flat, _sse.DONE),
    "sglang": (_nested, _sse.DONE),
    "tgi": (lambda text: _sse.event({"error": {"message": text, "http_status_code": 422}}), _sse.DONE),
    "tgi-native": (lambda text: _sse.event({"error": text, "error_type": "overloaded"}), b""),
    "llamacpp": (lambda text: _sse.event({"error": _llamacpp(text)}), b""),
    "llamacpp-old": (lambda text: _sse.field("error", _llamacpp(text)), b""),
    "named": (lambda text: _sse.event({"message": text}, "error"), b""),
    "named-text": (lambda text: b"event: error\ndata: " + text.encode() + b"\n\n", b""),
    "lmi": (lambda text: _sse.event({"error": text, "code": 424}), b""),
    "choice": (
        lambda text: _sse.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}], "error": text}),
        _sse.DONE,
    ),
}


def error_event(plan: Plan, fault: Fault) -> Plan:
    """The server says in the stream that it failed; the HTTP body then ends as it should."""
    write, after = ERROR_EVENTS[fault.spelling or "vllm"]
    return _until(plan, fault, 1, write(fault.message), after)


def no_finish(plan: Plan, fault: Fault) -> Plan:
    """A clean end of the body, but no finish reason, no usage, no `[DONE]`."""
    pieces = plan.bytes
    finish = next((at for at, piece in enumerate(pieces) if _FINISH.search(piece)), len(pieces))
    return replace(plan, pieces=pieces[: finish if fault.after is None else fault.after])


def no_done(plan: Plan, fault: Fault) -> Plan:
    """Everything but `[DONE]`."""
    return replace(plan, pieces=[piece for piece in plan.sequence if piece != _sse.DONE])


def early_done(plan: Plan, fault: Fault) -> Plan:
    """`[DONE]` without a finish reason, as llama-cpp-python ends a stream that another request interrupts."""
    return _until(plan, fault, 2, _sse.DONE)


def empty(plan: Plan, fault: Fault) -> Plan:
    """200 and no events."""
    return replace(plan, pieces=())


def malformed_json(plan: Plan, fault: Fault) -> Plan:
    """One event's JSON is broken."""
    return _between(plan, fault, fault.data or b'data: {"id":"chatcmpl-1","choices":[{"index":0,"del\n\n')


def bad_utf8(plan: Plan, fault: Fault) -> Plan:
    """One event's text is not UTF-8."""
    return _between(
        plan, fault, b'data: {"choices":[{"index":0,"delta":{"content":"\xff\xfe"},"finish_reason":null}]}\n\n'
    )


def huge_line(plan: Plan, fault: Fault) -> Plan:
    """One line of many megabytes."""
    text = "x" * (fault.size or 9 * 1024 * 1024)
    return _between(
        plan, fault, _sse.event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})
    )


def insert(plan: Plan, fault: Fault) -> Plan:
    """Some bytes more, between two events."""
    return _between(plan, fault, fault.data)


def keepalive_comments(plan: Plan, fault: Fault) -> Plan:
    """A comment before every event: `vllm`, `tgi`, `llamacpp` or any text of your own."""
    known = {
        "": b": keep-alive\n\n",
        "vllm": b": keep-alive\n\n",
        "tgi": b":\n\n",
        "llamacpp": b": ping - 2026-11-20\n\n",
    }
    comment = known.get(fault.spelling, f": {fault.spelling}\n\n".encode())
    return replace(plan, pieces=list(chain.from_iterable((comment, piece) for piece in plan.sequence)))


def tool_arguments(plan: Plan, fault: Fault) -> Plan:
    """The arguments of a tool call are not JSON."""
    return replace(plan, pieces=[piece.replace(b'"arguments":"}"', b'"arguments":"]"') for piece in plan.bytes])


def usage_missing(plan: Plan, fault: Fault) -> Plan:
    """No usage chunk, though it was asked for."""
    return replace(plan, pieces=[piece for piece in plan.bytes if b'"choices":[],' not in piece])


def finish_reason(plan: Plan, fault: Fault) -> Plan:
    """Another finish reason: `content_filter`, `abort`, `error` …"""
    reason = _json.dumps(fault.spelling or "content_filter")
    written = b'"finish_reason":' + reason
    return replace(plan, pieces=[re.sub(rb'"finish_reason":\s?"[^"]*"', written, piece) for piece in plan.bytes])


def _until(plan: Plan, fault: Fault, default: int, *then: bytes) -> Plan:
    after = default if fault.after is None else fault.after
    return replace(plan, pieces=[*plan.sequence[:after], *(piece for piece in then if piece)])


def _between(plan: Plan, fault: Fault, data: bytes) -> Plan:
    after = 1 if fault.after is None else fault.after
    pieces = plan.sequence
    return replace(plan, pieces=[*pieces[:after], data, *pieces[after:]])
