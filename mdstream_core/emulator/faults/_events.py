"""Faults in what is said: the events of a stream."""

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import chain

from mdstream_core import _json
from mdstream_core.emulator import _sse
from mdstream_core.emulator._plan import Plan
from mdstream_core.emulator.faults._fault import Fault
from mdstream_core.emulator.faults._payloads import Json, choices, edit, is_document, reason_name

#: What an answer's last words have in them: OpenAI's formats, those of OCI, TGI's own. A reason may be none.
_FINISH = re.compile(
    rb'"(finish_reason|finishReason)":\s?"(?!(null|none|undefined)?")|"generated_text":\s?"', re.IGNORECASE
)
_REASON = re.compile(rb'"(finish_reason|finishReason)":\s?"[^"]*"')
_COUNTED = re.compile(rb'data: \{"usage":|.*"choices":\[\],', re.DOTALL)  # an event that brings nothing but the usage


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
    "oci": (lambda text: _sse.event({"code": "InternalServerError", "message": text}), b""),
    "choice": (
        lambda text: _sse.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}], "error": text}),
        _sse.DONE,
    ),
}


def error_event(plan: Plan, fault: Fault) -> Plan:
    """The server says in the stream that it failed; the HTTP body then ends as it should."""
    write, after = ERROR_EVENTS[fault.spelling or "vllm"]
    return _until(plan, fault, min(1, _finish(plan)), write(fault.message), after)


def no_finish(plan: Plan, fault: Fault) -> Plan:
    """A clean end of the body, but no finish reason, no usage, no `[DONE]`. A whole answer lacks its reason only."""
    if is_document(plan):
        return edit(plan, _forget_reason)
    return replace(plan, pieces=plan.bytes[: _finish(plan) if fault.after is None else fault.after])


def _forget_reason(documents: list[Json]) -> None:
    for document in documents:
        for choice in choices(document):
            choice.pop(reason_name(document), None)


def no_done(plan: Plan, fault: Fault) -> Plan:
    """Everything but `[DONE]`."""
    return replace(plan, pieces=[piece for piece in plan.sequence if piece != _sse.DONE])


def early_done(plan: Plan, fault: Fault) -> Plan:
    """`[DONE]` without a finish reason, as llama-cpp-python ends a stream that another request interrupts."""
    return _until(plan, fault, min(2, _finish(plan)), _sse.DONE)


def empty(plan: Plan, fault: Fault) -> Plan:
    """200 and no events."""
    return replace(plan, pieces=())


def malformed_json(plan: Plan, fault: Fault) -> Plan:
    """One event's JSON is broken."""
    return _between(plan, fault, fault.data or b'data: {"id":"chatcmpl-1","choices":[{"index":0,"del\n\n')


def bad_utf8(plan: Plan, fault: Fault) -> Plan:
    """One event's text is not UTF-8."""
    return _between(plan, fault, saying(plan, b"\xff\xfe"))


def huge_line(plan: Plan, fault: Fault) -> Plan:
    """One line of many megabytes."""
    return _between(plan, fault, saying(plan, b"x" * (fault.size or 9 * 1024 * 1024)))


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


def usage_missing(plan: Plan, fault: Fault) -> Plan:
    """No usage chunk, though it was asked for."""
    return replace(plan, pieces=[_uncounted(piece) for piece in plan.bytes if not _COUNTED.match(piece)])


def finish_reason(plan: Plan, fault: Fault) -> Plan:
    """Another finish reason: `content_filter`, `abort`, `error` …"""
    reason = _json.dumps(fault.spelling or "content_filter")
    return replace(
        plan, pieces=[_REASON.sub(lambda found: b'"%b":%b' % (found[1], reason), piece) for piece in plan.bytes]
    )


def finishes(piece: bytes) -> bool:
    """Whether an event finishes a choice."""
    return _FINISH.search(piece) is not None


def _finish(plan: Plan) -> int:
    """Where the event stands that finishes the answer."""
    pieces = plan.bytes
    return next((at for at, piece in enumerate(pieces) if finishes(piece)), len(pieces))


def _uncounted(piece: bytes) -> bytes:
    """Without the usage that an event brings beside other things, as Cohere's last one does."""
    line = piece.removeprefix(b"data: ").strip()
    if b'"finishReason":' not in line or not line.startswith(b"{"):
        return piece
    return _sse.event({name: value for name, value in _json.loads(line).items() if name != "usage"})


def _until(plan: Plan, fault: Fault, default: int, *then: bytes) -> Plan:
    after = default if fault.after is None else fault.after
    written = [as_written(plan, event) for event in then]
    return replace(plan, pieces=[*plan.sequence[:after], *filter(None, written)])


def _between(plan: Plan, fault: Fault, data: bytes) -> Plan:
    after = 1 if fault.after is None else fault.after
    pieces = plan.sequence
    return replace(plan, pieces=[*pieces[:after], as_written(plan, data), *pieces[after:]])


def as_written(plan: Plan, event: bytes) -> bytes:
    """An event as the container would write it: LMI's lines have JSON alone, and no `[DONE]`."""
    if not _first(plan).startswith(b"{"):
        return event
    _, found, payload = event.partition(b"data: ")
    return (b"" if event == _sse.DONE else payload[:-1]) if found else event


# By what the first event has in it: an event that says something, in the words of the same format.
_SAYING = (
    (b'"apiFormat":"COHEREV2"', b'{"apiFormat":"COHEREV2","message":{"role":"ASSISTANT","content":[{"text":"%b"}]}}'),
    (b'"apiFormat":"COHERE"', b'{"apiFormat":"COHERE","text":"%b"}'),
    (b'"ASSISTANT"', b'{"index":0,"message":{"role":"ASSISTANT","content":[{"type":"TEXT","text":"%b"}]}}'),
    (b'"text_completion"', b'{"choices":[{"index":0,"text":"%b","finish_reason":null}]}'),
    (b'"outputs":', b'{"outputs":["%b"]}'),
    (b'"token":', b'{"token":{"text":"%b","special":false},"generated_text":null}'),
    (b"", b'{"choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}'),
)


def saying(plan: Plan, text: bytes) -> bytes:
    """An event that says a text, which is JSON already, in the format of the others."""
    first = _first(plan)
    return b"data: " + next(event for mark, event in _SAYING if mark in first) % text + b"\n\n"


def _first(plan: Plan) -> bytes:
    return next(iter(plan.bytes), b"")
