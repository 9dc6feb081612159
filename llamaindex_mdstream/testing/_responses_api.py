"""Scripted responses in the format of OpenAI's Responses API."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mdstream_core.emulator import Fault

Json = dict[str, Any]

#: Events before the first text, beside the one that a chat has too.
HEAD_EVENTS = 3

#: Field of a delta to the type of its event, and the id and the index of its item.
_TEXTS = (
    ("reasoning_content", "response.reasoning_text.delta", "rs_1", 0),
    ("content", "response.output_text.delta", "msg_1", 1),
)


def after_head(endings: Mapping[str, Fault]) -> dict[str, Fault]:
    """Return the same failures after the same text."""
    return {
        name: fault if fault.after is None else replace(fault, after=fault.after + HEAD_EVENTS)
        for name, fault in endings.items()
    }


def responses_events(deltas: Sequence[Json], finish: str) -> list[Json]:
    """Convert deltas in the OpenAI format and a finish reason to the events of a stream."""
    events = [{"type": "response.created", "response": _response("in_progress", [])}]
    started: set[int] = set()
    for delta in deltas:
        events += _delta_events(delta, started)
    status = "incomplete" if finish == "length" else "completed"
    return [*events, {"type": f"response.{status}", "response": _response(status, [])}]


def _delta_events(delta: Json, started: set[int]) -> Iterator[Json]:
    for name, kind, id, at in _TEXTS:
        if text := delta.get(name):
            yield {"type": kind, "item_id": id, "output_index": at, "content_index": 0, "delta": text}
    for call in delta.get("tool_calls") or ():
        index = call["index"]
        if index not in started:
            started.add(index)
            item = {**_item(call, index), "arguments": "", "status": "in_progress"}
            yield {"type": "response.output_item.added", "output_index": index + 2, "item": item}
        position = {"item_id": f"fc_{index}", "output_index": index + 2}
        kind = "response.function_call_arguments.delta"
        yield {"type": kind, **position, "delta": call["function"].get("arguments") or ""}


def responses_document(message: Json, finish: str) -> Json:
    """Convert a message in the OpenAI format and a finish reason to the body of a response."""
    status = "incomplete" if finish == "length" else "completed"
    output: list[Json] = []
    if message.get("content"):
        part = {"type": "output_text", "text": message["content"], "annotations": []}
        output.append({"type": "message", "id": "msg_1", "role": "assistant", "status": status, "content": [part]})
    for index, call in enumerate(message.get("tool_calls") or ()):
        output.append({**_item(call, index), "arguments": call["function"]["arguments"], "status": status})
    return _response(status, output)


def _item(call: Json, index: int) -> Json:
    call_id = call.get("id") or f"call_{index}"
    return {"type": "function_call", "id": f"fc_{index}", "call_id": call_id, "name": call["function"].get("name")}


def _response(status: str, output: Sequence[Json]) -> Json:
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    details = {"reason": "max_output_tokens"} if status == "incomplete" else None
    head = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": status}
    counted = None if status == "in_progress" else usage
    return {**head, "output": [*output], "incomplete_details": details, "usage": counted}
