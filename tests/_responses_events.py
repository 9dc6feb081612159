"""Events of OpenAI's Responses API, as the API reference documents them, and helpers that decode them."""

import json
from collections.abc import Iterable
from typing import Any

from _samples import Outcome, read

from mdstream_core import OpenAIResponses
from mdstream_core.http import ResponseHead

Json = dict[str, Any]

DOCUMENT = ResponseHead(200, {"content-type": "application/json"})
USAGE = {
    "input_tokens": 11,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 18,
}


def sse(*events: Json, names: bool = True) -> bytes:
    """Server-sent events with these payloads, numbered as the service numbers them."""
    numbered = [{**event, "sequence_number": at} for at, event in enumerate(events)]
    return b"".join(
        (f"event: {event.get('type', '')}\n" if names else "").encode()
        + b"data: "
        + json.dumps(event).encode()
        + b"\n\n"
        for event in numbered
    )


def response(status: str | None = "completed", output: Iterable[Json] = (), **fields: Any) -> Json:
    """The response object of the first and the last event, and of a document."""
    known = {"id": "resp_1", "object": "response", "model": "m-1", "error": None, "incomplete_details": None}
    return {**known, "status": status, "output": list(output), **fields}


def created() -> Json:
    return {"type": "response.created", "response": response("in_progress")}


def completed(*output: Json, **fields: Any) -> Json:
    return {"type": "response.completed", "response": response("completed", output, usage=USAGE, **fields)}


def incomplete(reason: str | None, *output: Json) -> Json:
    details = {"reason": reason} if reason else None
    return {"type": "response.incomplete", "response": response("incomplete", output, incomplete_details=details)}


def failed(code: str = "server_error", message: str = "it died") -> Json:
    error = {"code": code, "message": message}
    return {"type": "response.failed", "response": response("failed", error=error)}


def message(*texts: str, id: str = "msg_1", status: str = "completed", **part: Any) -> Json:
    parts = [{"type": "output_text", "text": text, "annotations": [], **part} for text in texts]
    return {"type": "message", "id": id, "role": "assistant", "status": status, "content": parts}


def reasoning(*summary: str, id: str = "rs_1", **fields: Any) -> Json:
    return {
        "type": "reasoning",
        "id": id,
        "summary": [{"type": "summary_text", "text": text} for text in summary],
        **fields,
    }


def call(arguments: str, *, at: int = 1, name: str = "weather", status: str = "completed") -> Json:
    known = {"type": "function_call", "id": f"fc_{at}", "call_id": f"call_{at}", "name": name}
    return {**known, "arguments": arguments, "status": status}


def added(item: Json, at: int = 0) -> Json:
    return {"type": "response.output_item.added", "output_index": at, "item": item}


def done(item: Json, at: int = 0) -> Json:
    return {"type": "response.output_item.done", "output_index": at, "item": item}


def text_delta(text: str, *, item: str = "msg_1", at: int = 0, part: int = 0, **fields: Any) -> Json:
    position = {"item_id": item, "output_index": at, "content_index": part}
    return {"type": "response.output_text.delta", **position, "delta": text, "logprobs": [], **fields}


def text_done(text: str, *, item: str = "msg_1", at: int = 0, part: int = 0) -> Json:
    position = {"item_id": item, "output_index": at, "content_index": part}
    return {"type": "response.output_text.done", **position, "text": text}


def summary_delta(text: str, *, part: int = 0, item: str = "rs_1", at: int = 0) -> Json:
    position = {"item_id": item, "output_index": at, "summary_index": part}
    return {"type": "response.reasoning_summary_text.delta", **position, "delta": text}


def reasoning_delta(text: str, *, item: str = "rs_1", at: int = 0) -> Json:
    position = {"item_id": item, "output_index": at, "content_index": 0}
    return {"type": "response.reasoning_text.delta", **position, "delta": text}


def arguments_delta(text: str, *, at: int = 1) -> Json:
    position = {"item_id": f"fc_{at}", "output_index": at}
    return {"type": "response.function_call_arguments.delta", **position, "delta": text}


def decode(*events: Json, names: bool = True, tail: bytes = b"", step: int = 4096) -> Outcome:
    """Decode a stream of these events."""
    return read(sse(*events, names=names) + tail, dialect=OpenAIResponses(), step=step)


def decode_document(document: Json) -> Outcome:
    """Decode the response to a request that is not streamed."""
    return read(json.dumps(document).encode(), DOCUMENT, dialect=OpenAIResponses())
