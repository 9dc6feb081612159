"""Faults of `/v1/responses`: its terminal event, its calls, and responses that other servers write differently."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

from mdstream_core.emulator import _sse
from mdstream_core.emulator._response_plan import ChunkOrPause, ResponsePlan
from mdstream_core.emulator.faults._fault import Fault
from mdstream_core.emulator.faults._payloads import (
    Json,
    edit_objects,
    is_document,
    is_responses_object,
    parse_object,
)

_TERMINAL = ("response.completed", "response.incomplete", "response.failed")
_CALL = "response.function_call_arguments."


def is_responses_plan(plan: ResponsePlan) -> bool:
    """Return whether a plan is a response of `/v1/responses`, streamed or not."""
    first = next(filter(None, map(parse_object, plan.all_chunks)), None)
    return first is not None and is_responses_object(first)


def response_objects(documents: list[Json]) -> list[Json]:
    """Return the response objects that hold the outcome: the document itself, or that of the terminal event."""
    whole = [document for document in documents if document.get("object") == "response"]
    return whole + [document["response"] for document in documents if document.get("type") in _TERMINAL]


def has_item_call(item: Any) -> bool:
    """Return whether an item is a function call."""
    return isinstance(item, dict) and item.get("type") == "function_call"


def remove_status(documents: list[Json]) -> None:
    """Remove what a response without a stream says about its end."""
    for response in response_objects(documents):
        response.pop("status", None)


def remove_usage(documents: list[Json]) -> None:
    """Remove the usage."""
    for response in response_objects(documents):
        response["usage"] = None


def set_finish_reason(plan: ResponsePlan, reason: str) -> ResponsePlan:
    """End the response as incomplete for a reason; `error` fails it, and `stop` completes it."""
    status = {"error": "failed", "abort": "cancelled", "stop": "completed"}.get(reason, "incomplete")
    known = {"length": "max_output_tokens"}.get(reason, reason)

    def change(documents: list[Json]) -> None:
        for response in response_objects(documents):
            response["status"] = status
            response["incomplete_details"] = {"reason": known} if status == "incomplete" else None
            if status == "failed":
                response["error"] = {"code": "server_error", "message": "the model server failed"}

    return _rename_terminal_event(edit_objects(plan, change), f"response.{status}")


def _rename_terminal_event(plan: ResponsePlan, kind: str) -> ResponsePlan:
    chunks: list[ChunkOrPause] = []
    for chunk in plan.all_chunks:
        document = parse_object(chunk)
        is_end = document is not None and document.get("type") in _TERMINAL
        chunks.append(_event(chunk, {**document, "type": kind}) if document is not None and is_end else chunk)
    return replace(plan, chunks=chunks)


def _event(like: ChunkOrPause, document: Json) -> bytes:
    """Encode an event with the name of its type, if the event that it replaces or follows has one."""
    is_named = isinstance(like, bytes) and like.startswith(b"event:")
    return _sse.event(document, document["type"] if is_named else "")


def error_object(message: str) -> Json:
    """Build the error of a failed response."""
    return {"code": "server_error", "message": message}


def add_error(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Put an error object into the response: it fails, an `error` event precedes its end, or it completes with it."""

    def change(documents: list[Json]) -> None:
        for response in response_objects(documents):
            response["error"] = error_object(fault.message)

    if fault.spelling == "with_stop":
        return edit_objects(plan, change)
    if fault.spelling == "later_stop" and not is_document(plan):
        after = 1 if fault.after is None else fault.after
        chunks = plan.all_chunks
        event: Json = {"type": "error", "param": None, "sequence_number": after, **error_object(fault.message)}
        return replace(plan, chunks=[*chunks[:after], _event(chunks[0], event), *chunks[after:]])
    return edit_objects(set_finish_reason(plan, "error"), change)


# Arguments


def edit_arguments(plan: ResponsePlan, change: Callable[[str], str]) -> ResponsePlan:
    """Change the arguments of each call, in its deltas and wherever they are repeated as a whole."""
    return edit_objects(plan, lambda documents: _edit_arguments(documents, change))


def _edit_arguments(documents: list[Json], change: Callable[[str], str]) -> None:
    deltas: dict[str, list[Json]] = {}
    for document in documents:
        if document.get("type") == f"{_CALL}delta":
            deltas.setdefault(str(document.get("item_id")), []).append(document)
        elif document.get("type") == f"{_CALL}done":
            document["arguments"] = change(document["arguments"])
        for item in _items(document):
            item["arguments"] = change(item["arguments"]) if item["arguments"] else ""
    for fragments in deltas.values():
        before = "".join(fragment["delta"] for fragment in fragments)
        for fragment in fragments:
            fragment["delta"] = ""
        fragments[-1]["delta"] = change(before)


def _items(document: Json) -> Iterator[Json]:
    """Yield the calls of an event or of a response."""
    if has_item_call(document.get("item")):
        yield document["item"]
    for response in response_objects([document]):
        yield from filter(has_item_call, response.get("output") or ())


def has_text_delta(document: Json) -> bool:
    """Return whether an event adds to a text."""
    return is_responses_object(document) and isinstance(document.get("delta"), str)


# Streams of other servers


def _without_deltas(chunks: list[Json]) -> list[Json]:
    return [chunk for chunk in chunks if not str(chunk["type"]).endswith(".delta")]


def _only_ends(chunks: list[Json]) -> list[Json]:
    return [chunk for chunk in chunks if chunk["type"] in {"response.created", *_TERMINAL}]


def _without_items(chunks: list[Json]) -> list[Json]:
    """Remove the output from the terminal event, as proxies do that forward only the deltas."""
    for response in response_objects(chunks):
        response["output"] = []
    return chunks


def _without_done(chunks: list[Json]) -> list[Json]:
    """Remove every event that repeats something."""
    kept = [chunk for chunk in chunks if not str(chunk["type"]).endswith(".done")]
    return _without_items(kept)


def _with_other_text(chunks: list[Json]) -> list[Json]:
    """Change the text in the terminal event, so that it contradicts the deltas."""
    for response in response_objects(chunks):
        for item in response.get("output") or ():
            for part in item.get("content") or () if item.get("type") == "message" else ():
                if part.get("type") == "output_text":
                    part["text"] = "Something else."
    return chunks


def _with_unknown_events(chunks: list[Json]) -> list[Json]:
    return [item for chunk in chunks for item in ({"type": "response.unheard_of", "detail": {"a": 1}}, chunk)]


def _still_running(chunks: list[Json]) -> list[Json]:
    """Complete a response whose status says that it is still in progress."""
    for response in response_objects(chunks):
        response["status"] = "in_progress"
    return chunks


#: Spelling of `responses_events` to the function that changes the list of all events.
STREAMS: dict[str, Callable[[list[Json]], list[Json]]] = {
    "no_deltas": _without_deltas,
    "only_ends": _only_ends,
    "no_output": _without_items,
    "no_done": _without_done,
    "other_text": _with_other_text,
    "unknown_events": _with_unknown_events,
    "still_running": _still_running,
}


def responses_events(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Write a stream of `/v1/responses` as other servers do: without deltas (`no_deltas`, default), with nothing but
    its first and last event (`only_ends`), without the whole output at the end (`no_output`), or without any event
    that repeats something (`no_done`), with `unknown_events`; or contradictory: `other_text` in the last event,
    `still_running` by its status."""
    if is_document(plan) or not is_responses_plan(plan):
        return plan
    chunks = plan.all_chunks
    named = next((chunk for chunk in chunks if isinstance(chunk, bytes)), b"")
    documents = [document for document in map(parse_object, chunks) if document is not None]
    changed = STREAMS[fault.spelling or "no_deltas"](documents)
    numbers = count()
    return replace(plan, chunks=[_event(named, {**item, "sequence_number": next(numbers)}) for item in changed])
