"""Faults in the content of a stream: its events and their payloads."""

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import chain

from mdstream_core import _json
from mdstream_core.emulator import _sse
from mdstream_core.emulator._response_plan import ResponsePlan
from mdstream_core.emulator.faults import _responses
from mdstream_core.emulator.faults._fault import Fault
from mdstream_core.emulator.faults._payloads import Json, choices, edit_objects, is_document, reason_name

#: An event that finishes a choice, in the formats of OpenAI, OCI and TGI; a pending finish reason does not match.
_FINISH = re.compile(
    rb'"(finish_reason|finishReason)":\s?"(?!(null|none|undefined)?")|"generated_text":\s?"|'
    rb'"type":\s?"response\.(completed|incomplete|failed)"',
    re.IGNORECASE,
)
_REASON = re.compile(rb'"(finish_reason|finishReason)":\s?"[^"]*"')
_USAGE_ONLY = re.compile(rb'data: \{"usage":|.*"choices":\[\],', re.DOTALL)  # an event with the usage and nothing else


def _vllm_error(message: str) -> bytes:
    return _sse.event({"error": {"message": message, "type": "InternalServerError", "param": None, "code": 500}})


def _nested_error(message: str) -> bytes:
    error = {"object": "error", "message": message, "type": "BadRequestError", "param": None, "code": 400}
    return _sse.event({"error": error})


def _flat_error(message: str) -> bytes:
    return _sse.event({"object": "error", "message": message, "type": "BadRequestError", "param": None, "code": 400})


def _llamacpp_error(message: str) -> dict[str, object]:
    return {"code": 500, "message": message, "type": "server_error"}


def _responses_error(message: str) -> Json:
    return {"type": "error", "sequence_number": 7, "param": None, **_responses.error_object(message)}


def _failed_response(message: str) -> Json:
    error = _responses.error_object(message)
    head = {"id": "resp_failed", "object": "response", "created_at": 1_795_188_580, "model": "odsc-llm"}
    settings = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "usage": None}
    response: Json = {**head, "status": "failed", "error": error, "output": [], **settings}
    return {"type": "response.failed", "sequence_number": 7, "response": response}


# Spelling to the function that encodes a server's error event, and what that server sends after it.
ERROR_EVENTS: dict[str, tuple[Callable[[str], bytes], bytes]] = {
    "vllm": (_vllm_error, _sse.DONE),
    "vllm-old": (_nested_error, _sse.DONE),
    "flat": (_flat_error, _sse.DONE),
    "sglang": (_nested_error, _sse.DONE),
    "tgi": (lambda text: _sse.event({"error": {"message": text, "http_status_code": 422}}), _sse.DONE),
    "tgi-native": (lambda text: _sse.event({"error": text, "error_type": "overloaded"}), b""),
    "llamacpp": (lambda text: _sse.event({"error": _llamacpp_error(text)}), b""),
    "llamacpp-old": (lambda text: _sse.field("error", _llamacpp_error(text)), b""),
    "named": (lambda text: _sse.event({"message": text}, "error"), b""),
    "named-text": (lambda text: b"event: error\ndata: " + text.encode() + b"\n\n", b""),
    "lmi": (lambda text: _sse.event({"error": text, "code": 424}), b""),
    "oci": (lambda text: _sse.event({"code": "InternalServerError", "message": text}), b""),
    "choice": (
        lambda text: _sse.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}], "error": text}),
        _sse.DONE,
    ),
    "responses": (lambda text: _sse.event(_responses_error(text), "error"), b""),
    "responses-failed": (lambda text: _sse.event(_failed_response(text), "response.failed"), b""),
}


def error_event(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send an error event, as the model server of the `spelling` does, then end the body properly."""
    default = "responses" if _responses.is_responses_plan(plan) else "vllm"
    write, after = ERROR_EVENTS[fault.spelling or default]
    return _truncate_after(plan, fault, min(1, _finish_index(plan)), write(fault.message), after)


def no_finish(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """End the body properly without finish reason, usage and `[DONE]`; a response without a stream lacks the reason."""
    if is_document(plan):
        return edit_objects(plan, _remove_finish_reason)
    return replace(plan, chunks=plan.body_chunks[: _finish_index(plan) if fault.after is None else fault.after])


def _remove_finish_reason(documents: list[Json]) -> None:
    _responses.remove_status(documents)
    for document in documents:
        for choice in choices(document):
            choice.pop(reason_name(document), None)


def no_done(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send the whole stream without `[DONE]`; the client sees a finish reason and a proper end of the body."""
    return replace(plan, chunks=[chunk for chunk in plan.all_chunks if chunk != _sse.DONE])


def early_done(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send `[DONE]` before any finish reason, as llama-cpp-python does when another request interrupts a stream."""
    return _truncate_after(plan, fault, min(2, _finish_index(plan)), _sse.DONE)


def empty(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send status 200 and a stream without events."""
    return replace(plan, chunks=())


def malformed_json(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Insert an event whose JSON is incomplete."""
    return _insert_event(plan, fault, fault.data or b'data: {"id":"chatcmpl-1","choices":[{"index":0,"del\n\n')


def bad_utf8(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Insert an event whose text is not UTF-8."""
    return _insert_event(plan, fault, text_event(plan, b"\xff\xfe"))


def huge_line(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Insert an event of `size` bytes (default 9 MiB) on one line."""
    return _insert_event(plan, fault, text_event(plan, b"x" * (fault.size or 9 * 1024 * 1024)))


def insert(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Insert the bytes of `data` between two events."""
    return _insert_event(plan, fault, fault.data)


def keepalive_comments(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send an SSE comment before every event: that of `vllm`, `tgi` or `llamacpp`, or the text in `spelling`."""
    spellings = {
        "": b": keep-alive\n\n",
        "vllm": b": keep-alive\n\n",
        "tgi": b":\n\n",
        "llamacpp": b": ping - 2026-11-20\n\n",
    }
    comment = spellings.get(fault.spelling, f": {fault.spelling}\n\n".encode())
    return replace(plan, chunks=list(chain.from_iterable((comment, chunk) for chunk in plan.all_chunks)))


def usage_missing(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Leave out the usage that was requested."""
    if _responses.is_responses_plan(plan):
        return edit_objects(plan, _responses.remove_usage)
    return replace(plan, chunks=[_strip_usage(chunk) for chunk in plan.body_chunks if not _USAGE_ONLY.match(chunk)])


def finish_reason(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Replace the finish reason with `spelling` (default `content_filter`): `abort`, `error` …"""
    if _responses.is_responses_plan(plan):
        return _responses.set_finish_reason(plan, fault.spelling or "content_filter")
    reason = _json.dumps(fault.spelling or "content_filter")
    return replace(
        plan, chunks=[_REASON.sub(lambda found: b'"%b":%b' % (found[1], reason), chunk) for chunk in plan.body_chunks]
    )


def is_finishing(chunk: bytes) -> bool:
    """Return whether an event finishes a choice."""
    return _FINISH.search(chunk) is not None


def _finish_index(plan: ResponsePlan) -> int:
    """Return the index of the event that finishes the first choice."""
    chunks = plan.body_chunks
    return next((index for index, chunk in enumerate(chunks) if is_finishing(chunk)), len(chunks))


def _strip_usage(chunk: bytes) -> bytes:
    """Remove the usage from an event that also carries other fields, as Cohere's last event does."""
    line = chunk.removeprefix(b"data: ").strip()
    if b'"finishReason":' not in line or not line.startswith(b"{"):
        return chunk
    return _sse.event({name: value for name, value in _json.loads(line).items() if name != "usage"})


def _truncate_after(plan: ResponsePlan, fault: Fault, default: int, *then: bytes) -> ResponsePlan:
    after = default if fault.after is None else fault.after
    encoded = [encode_like_stream(plan, event) for event in then]
    return replace(plan, chunks=[*plan.all_chunks[:after], *filter(None, encoded)])


def _insert_event(plan: ResponsePlan, fault: Fault, data: bytes) -> ResponsePlan:
    after = 1 if fault.after is None else fault.after
    chunks = plan.all_chunks
    return replace(plan, chunks=[*chunks[:after], encode_like_stream(plan, data), *chunks[after:]])


def encode_like_stream(plan: ResponsePlan, event: bytes) -> bytes:
    """Convert an event to the format of the stream: LMI's lines are JSON alone, without `[DONE]`."""
    if not _first_chunk(plan).startswith(b"{"):
        return event
    _, found, payload = event.partition(b"data: ")
    return (b"" if event == _sse.DONE else payload[:-1]) if found else event


_RESPONSES_TEXT = (
    b'{"content_index":0,"delta":"%b","item_id":"msg_0","output_index":0,"type":"response.output_text.delta"}'
)
# What identifies the format in its first event, and an event of that format that carries a text.
_TEXT_EVENTS = (
    (b'"type":"response.', _RESPONSES_TEXT),
    (b'"apiFormat":"COHEREV2"', b'{"apiFormat":"COHEREV2","message":{"role":"ASSISTANT","content":[{"text":"%b"}]}}'),
    (b'"apiFormat":"COHERE"', b'{"apiFormat":"COHERE","text":"%b"}'),
    (b'"ASSISTANT"', b'{"index":0,"message":{"role":"ASSISTANT","content":[{"type":"TEXT","text":"%b"}]}}'),
    (b'"text_completion"', b'{"choices":[{"index":0,"text":"%b","finish_reason":null}]}'),
    (b'"outputs":', b'{"outputs":["%b"]}'),
    (b'"token":', b'{"token":{"text":"%b","special":false},"generated_text":null}'),
    (b"", b'{"choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}'),
)


def text_event(plan: ResponsePlan, text: bytes) -> bytes:
    """Build an event with a text, which is JSON-encoded already, in the format of the stream."""
    first = _first_chunk(plan)
    return b"data: " + next(event for mark, event in _TEXT_EVENTS if mark in first) % text + b"\n\n"


def _first_chunk(plan: ResponsePlan) -> bytes:
    return next(iter(plan.body_chunks), b"")
