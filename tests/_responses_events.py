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


def stream_of(*output: Json) -> list[Json]:
    """The events of a response with these items, each delta half of a text."""
    events = [created()]
    for at, item in enumerate(output):
        empty = {"content": [], "summary": [], "arguments": "", "code": "", "input": "", "encrypted_content": None}
        start = {name: empty.get(name, value) for name, value in item.items()}
        events.append(added({**start, "status": "in_progress"} if "status" in item else start, at))
        events += [{**event, "item_id": item.get("id"), "output_index": at} for event in _deltas(item)]
        events.append(done(item, at))
    return [*events, completed(*output)]


def _halves(text: str) -> list[str]:
    middle = len(text) // 2
    return [text[:middle], text[middle:]]


def _deltas(item: Json) -> list[Json]:
    """The events between the start and the end of an item."""
    events: list[Json] = []
    if item["type"] == "reasoning":
        for at, part in enumerate(item.get("summary") or []):
            position = {"summary_index": at}
            empty = {**part, "text": ""}
            events.append({"type": "response.reasoning_summary_part.added", **position, "part": empty})
            events += [summary_delta(text, part=at) for text in _halves(part["text"])]
            events.append({"type": "response.reasoning_summary_text.done", **position, "text": part["text"]})
            events.append({"type": "response.reasoning_summary_part.done", **position, "part": part})
    elif item["type"] == "message":
        for at, part in enumerate(item["content"]):
            position = {"content_index": at}
            name = "text" if "text" in part else "refusal"
            kind = "output_text" if name == "text" else "refusal"
            events.append(
                {"type": "response.content_part.added", **position, "part": {**part, name: "", "annotations": []}}
            )
            for text in _halves(part[name]):
                events.append({**text_delta(text, part=at), "type": f"response.{kind}.delta"})
            for number, note in enumerate(part.get("annotations") or []):
                about = {**position, "annotation_index": number, "annotation": note}
                events.append({"type": "response.output_text.annotation.added", **about})
            events.append({"type": f"response.{kind}.done", **position, name: part[name], "logprobs": []})
            events.append({"type": "response.content_part.done", **position, "part": part})
    elif item["type"] == "function_call":
        events += [arguments_delta(text) for text in _halves(item["arguments"])]
        known = {"name": item["name"], "arguments": item["arguments"]}
        events.append({"type": "response.function_call_arguments.done", **known})
    return events


_URL_NOTE = {"type": "url_citation", "url": "https://example.com", "title": "A", "start_index": 0, "end_index": 2}
_FILE_NOTE = {"type": "file_citation", "file_id": "file_1", "filename": "a.pdf", "index": 2}
_SEARCH = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "rivers", "sources": [{"type": "url", "url": "https://example.com"}]},
}

#: name: the items of a response. `tests/samples/responses-content-blocks.json` has langchain-openai's content
#: blocks of each.
OUTPUTS: dict[str, list[Json]] = {
    "text": [message("Hello")],
    "two parts": [message("Hello ", "World")],
    "citations": [_SEARCH, message("Hello", annotations=[_URL_NOTE, _FILE_NOTE])],
    "a refusal": [{**message(), "content": [{"type": "refusal", "refusal": "I will not."}]}],
    "reasoning": [reasoning("One", "Two", encrypted_content="gAAA"), message("Hello")],
    "reasoning without a summary": [reasoning(), message("Hello")],
    "parallel calls": [call('{"city": "Rome"}'), call('{"city": "Oslo"}', at=2)],
    "text, a call, text": [message("Wait."), call("{}"), message("Done.", id="msg_2")],
    "a custom tool": [
        {
            "type": "custom_tool_call",
            "id": "ct_1",
            "call_id": "call_1",
            "name": "shell",
            "input": "ls",
            "status": "completed",
        }
    ],
    "file search": [
        {
            "type": "file_search_call",
            "id": "fs_1",
            "status": "completed",
            "queries": ["rivers"],
            "results": [{"file_id": "file_1", "filename": "a.pdf", "score": 0.5, "text": "Rhine"}],
        },
        message("Hello"),
    ],
    "the code interpreter": [
        {
            "type": "code_interpreter_call",
            "id": "ci_1",
            "status": "completed",
            "code": "1+1",
            "container_id": "cntr_1",
            "outputs": [{"type": "logs", "logs": "2"}],
        },
        message("2"),
    ],
    "MCP": [
        {
            "type": "mcp_list_tools",
            "id": "mcpl_1",
            "server_label": "wiki",
            "tools": [{"name": "ask", "input_schema": {}}],
        },
        {
            "type": "mcp_call",
            "id": "mcp_1",
            "server_label": "wiki",
            "name": "ask",
            "arguments": '{"about": "rivers"}',
            "output": "Rhine",
            "status": "completed",
        },
        {
            "type": "mcp_call",
            "id": "mcp_2",
            "server_label": "wiki",
            "name": "ask",
            "arguments": "{}",
            "error": {"code": 1},
        },
        {"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "wiki", "name": "ask", "arguments": "{}"},
    ],
    "an image": [
        {
            "type": "image_generation_call",
            "id": "ig_1",
            "status": "completed",
            "result": "iVBORw0KGgo=",
            "output_format": "png",
            "revised_prompt": "A river",
        }
    ],
}
