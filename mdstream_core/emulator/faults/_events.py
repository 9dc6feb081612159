"""Faults in what is said: the events of a stream."""

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import chain

from mdstream_core import _json
from mdstream_core.emulator import _sse
from mdstream_core.emulator._response_plan import ResponsePlan
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


def error_event(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """The server says in the stream that it failed; the HTTP body then ends as it should."""
    write, after = ERROR_EVENTS[fault.spelling or "vllm"]
    return _until(plan, fault, min(1, _finish(plan)), write(fault.message), after)


def no_finish(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """A clean end of the body, but no finish reason, no usage, no `[DONE]`. A whole answer lacks its reason only."""
    if is_document(plan):
        return edit(plan, _forget_reason)
    return replace(plan, chunks=plan.body_chunks[: _finish(plan) if fault.after is None else fault.after])


def _forget_reason(documents: list[Json]) -> None:
    for document in documents:
        for choice in choices(document):
            choice.pop(reason_name(document), None)


def no_done(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Everything but `[DONE]`."""
    return replace(plan, chunks=[piece for piece in plan.all_chunks if piece != _sse.DONE])


def early_done(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """`[DONE]` without a finish reason, as llama-cpp-python ends a stream that another request interrupts."""
    return _until(plan, fault, min(2, _finish(plan)), _sse.DONE)


def empty(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """200 and no events."""
    return replace(plan, chunks=())


def malformed_json(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """One event's JSON is broken."""
    return _between(plan, fault, fault.data or b'data: {"id":"chatcmpl-1","choices":[{"index":0,"del\n\n')


def bad_utf8(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """One event's text is not UTF-8."""
    return _between(plan, fault, text_event(plan, b"\xff\xfe"))


def huge_line(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """One line of many megabytes."""
    return _between(plan, fault, text_event(plan, b"x" * (fault.size or 9 * 1024 * 1024)))


def insert(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Some bytes more, between two events."""
    return _between(plan, fault, fault.data)


def keepalive_comments(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """A comment before every event: `vllm`, `tgi`, `llamacpp` or any text of your own."""
    known = {
        "": b": keep-alive\n\n",
        "vllm": b": keep-alive\n\n",
        "tgi": b":\n\n",
        "llamacpp": b": ping - 2026-11-20\n\n",
    }
    comment = known.get(fault.spelling, f": {fault.spelling}\n\n".encode())
    return replace(plan, chunks=list(chain.from_iterable((comment, piece) for piece in plan.all_chunks)))


def usage_missing(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """No usage chunk, though it was asked for."""
    return replace(plan, chunks=[_strip_usage(piece) for piece in plan.body_chunks if not _COUNTED.match(piece)])


def finish_reason(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Another finish reason: `content_filter`, `abort`, `error` …"""
    reason = _json.dumps(fault.spelling or "content_filter")
    return replace(
        plan, chunks=[_REASON.sub(lambda found: b'"%b":%b' % (found[1], reason), piece) for piece in plan.body_chunks]
    )


def is_finishing(piece: bytes) -> bool:
    """Whether an event finishes a choice."""
    return _FINISH.search(piece) is not None


def _finish(plan: ResponsePlan) -> int:
    """Where the event stands that finishes the answer."""
    pieces = plan.body_chunks
    return next((at for at, piece in enumerate(pieces) if is_finishing(piece)), len(pieces))


def _strip_usage(piece: bytes) -> bytes:
    """Without the usage that an event brings beside other things, as Cohere's last one does."""
    line = piece.removeprefix(b"data: ").strip()
    if b'"finishReason":' not in line or not line.startswith(b"{"):
        return piece
    return _sse.event({name: value for name, value in _json.loads(line).items() if name != "usage"})


def _until(plan: ResponsePlan, fault: Fault, default: int, *then: bytes) -> ResponsePlan:
    after = default if fault.after is None else fault.after
    written = [as_container_output(plan, event) for event in then]
    return replace(plan, chunks=[*plan.all_chunks[:after], *filter(None, written)])


def _between(plan: ResponsePlan, fault: Fault, data: bytes) -> ResponsePlan:
    after = 1 if fault.after is None else fault.after
    pieces = plan.all_chunks
    return replace(plan, chunks=[*pieces[:after], as_container_output(plan, data), *pieces[after:]])


def as_container_output(plan: ResponsePlan, event: bytes) -> bytes:
    """An event as the container would write it: LMI's lines have JSON alone, and no `[DONE]`."""
    if not _first(plan).startswith(b"{"):
        return event
    _, found, payload = event.partition(b"data: ")
    return (b"" if event == _sse.DONE else payload[:-1]) if found else event


# By what the first event has in it: an event that says something, in the words of the same format.
_TEXT_EVENTS = (
    (b'"apiFormat":"COHEREV2"', b'{"apiFormat":"COHEREV2","message":{"role":"ASSISTANT","content":[{"text":"%b"}]}}'),
    (b'"apiFormat":"COHERE"', b'{"apiFormat":"COHERE","text":"%b"}'),
    (b'"ASSISTANT"', b'{"index":0,"message":{"role":"ASSISTANT","content":[{"type":"TEXT","text":"%b"}]}}'),
    (b'"text_completion"', b'{"choices":[{"index":0,"text":"%b","finish_reason":null}]}'),
    (b'"outputs":', b'{"outputs":["%b"]}'),
    (b'"token":', b'{"token":{"text":"%b","special":false},"generated_text":null}'),
    (b"", b'{"choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}'),
)


def text_event(plan: ResponsePlan, text: bytes) -> bytes:
    """An event that says a text, which is JSON already, in the format of the others."""
    first = _first(plan)
    return b"data: " + next(event for mark, event in _TEXT_EVENTS if mark in first) % text + b"\n\n"


def _first(plan: ResponsePlan) -> bytes:
    return next(iter(plan.body_chunks), b"")
