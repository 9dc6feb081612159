"""Items of built-in tools: their events, and the parts of them that a response shows only on request."""

from collections.abc import Collection, Iterator
from typing import Any

from mdstream_core.emulator.model import split_tokens

Json = dict[str, Any]

#: Type of an item to the prefix of its events, and the steps that it goes through.
_STEPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "web_search_call": ("response.web_search_call", ("in_progress", "searching", "completed")),
    "file_search_call": ("response.file_search_call", ("in_progress", "searching", "completed")),
    "image_generation_call": ("response.image_generation_call", ("in_progress", "generating", "partials", "completed")),
    "code_interpreter_call": (
        "response.code_interpreter_call",
        ("in_progress", "code", "interpreting", "completed"),
    ),
    "mcp_list_tools": ("response.mcp_list_tools", ("in_progress", "completed")),
    "mcp_call": ("response.mcp_call", ("in_progress", "arguments", "completed")),
}
#: Type of an item to its fields that are empty at first.
_LATE: dict[str, Json] = {
    "web_search_call": {},
    "file_search_call": {"queries": [], "results": None},
    "image_generation_call": {"result": None, "revised_prompt": None},
    "code_interpreter_call": {"code": "", "outputs": None},
    "mcp_list_tools": {"tools": []},
    "mcp_call": {"arguments": "", "output": None},
}
#: Field that is null unless `include` names it: type and field to the name.
_ON_REQUEST = {
    ("file_search_call", "results"): "file_search_call.results",
    ("code_interpreter_call", "outputs"): "code_interpreter_call.outputs",
}


def visible_item(item: Json, include: Collection[str]) -> Json:
    """Return the item without what the request does not include."""
    hidden = {
        name: None
        for (kind, name), included in _ON_REQUEST.items()
        if kind == item.get("type") and name in item and included not in include
    }
    return {**item, **hidden}


def opening_fields(item: Json) -> Json:
    """Return the item as it is when it is added."""
    late = _LATE.get(str(item.get("type")))
    if late is None:
        return item
    status = {"status": "in_progress"} if "status" in item else {}
    return {**item, **{name: value for name, value in late.items() if name in item}, **status}


def hosted_events(item: Json, partial_images: int) -> Iterator[tuple[str, Json]]:
    """Yield the events of an item; types without events of their own have none."""
    prefix, steps = _STEPS.get(str(item.get("type")), ("", ()))
    position: Json = {"item_id": item.get("id")}
    for step in steps:
        match step:
            case "partials":
                for index in range(partial_images):
                    fields = {"partial_image_index": index, "partial_image_b64": item.get("result")}
                    yield f"{prefix}.partial_image", {**position, **fields}
            case "code":
                yield from _text_events(f"{prefix}_code", position, "code", str(item.get("code") or ""))
            case "arguments":
                yield from _text_events(f"{prefix}_arguments", position, "arguments", str(item.get("arguments") or ""))
            case "completed":
                outcome = "failed" if item.get("status") == "failed" and "mcp" in prefix else step
                yield f"{prefix}.{outcome}", position
            case _:
                yield f"{prefix}.{step}", position


def _text_events(prefix: str, position: Json, name: str, text: str) -> Iterator[tuple[str, Json]]:
    for token in split_tokens(text):
        yield f"{prefix}.delta", {**position, "delta": token}
    yield f"{prefix}.done", {**position, name: text}
