"""Built-in tools of `/v1/responses`: the items that a model writes when it uses them, and its citations."""

import base64
import hashlib
import json
import struct
import zlib
from collections.abc import Callable, Iterable
from typing import Any

from mdstream_core.emulator.model._request import Json, ParsedRequest

SOURCE = {"title": "Rivers of the world", "url": "https://example.com/rivers"}
_FILE = {"file_id": "file-emulated", "filename": "rivers.txt"}
_CONTAINER = "cntr_emulated"
_MAX_QUERY = 200  # characters of a prompt that become a query


def _png() -> str:
    """Encode a picture of one grey pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    picture = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\x00\x80")) + chunk(b"IEND", b"")
    return base64.b64encode(picture).decode()


PICTURE = _png()


def _id(prefix: str, request: ParsedRequest, tool: Json) -> str:
    seed = f"{len(request.messages)}/{request.text}/{tool.get('type')}/{tool.get('server_label')}"
    return f"{prefix}_{hashlib.sha256(seed.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"


def _query(request: ParsedRequest) -> str:
    return request.text.strip()[:_MAX_QUERY]


def _web_search(request: ParsedRequest, tool: Json) -> list[Json]:
    action = {"type": "search", "query": _query(request), "queries": [_query(request)]}
    return [{"id": _id("ws", request, tool), "type": "web_search_call", "status": "completed", "action": action}]


def _file_search(request: ParsedRequest, tool: Json) -> list[Json]:
    result = {**_FILE, "attributes": {}, "score": 0.9, "text": "The Nile is a river."}
    fields = {"queries": [_query(request)], "results": [result]}
    return [{"id": _id("fs", request, tool), "type": "file_search_call", "status": "completed", **fields}]


def _code_interpreter(request: ParsedRequest, tool: Json) -> list[Json]:
    code = f"print({_query(request)!r})"
    outputs = [{"type": "logs", "logs": f"{_query(request)}\n"}]
    container = tool.get("container")
    fields = {"code": code, "container_id": container if isinstance(container, str) else _CONTAINER, "outputs": outputs}
    return [{"id": _id("ci", request, tool), "type": "code_interpreter_call", "status": "completed", **fields}]


def _image_generation(request: ParsedRequest, tool: Json) -> list[Json]:
    settings = {"background": "opaque", "output_format": "png", "quality": "low", "size": "1024x1024"}
    fields = {**settings, "revised_prompt": _query(request), "result": PICTURE}
    return [{"id": _id("ig", request, tool), "type": "image_generation_call", "status": "completed", **fields}]


def _mcp(request: ParsedRequest, tool: Json) -> list[Json]:
    """List the server's tools and call one; if calls need an approval, request it first."""
    label = str(tool.get("server_label") or "")
    schema = {"type": "object", "properties": {"question": {"type": "string"}}, "required": ["question"]}
    entry = {"name": "ask", "description": "Ask the server.", "input_schema": schema, "annotations": None}
    listed = {"id": _id("mcpl", request, tool), "type": "mcp_list_tools", "server_label": label, "tools": [entry]}
    arguments = json.dumps({"question": _query(request)}, ensure_ascii=False)
    call = {"name": "ask", "server_label": label, "arguments": arguments}
    approvals = [item for item in _items_since(request) if item.get("type") == "mcp_approval_response"]
    if tool.get("require_approval", "always") != "never" and not approvals:
        return [listed, {"id": _id("mcpr", request, tool), "type": "mcp_approval_request", **call}]
    if approvals and not approvals[-1].get("approve"):
        return []
    approved = {"approval_request_id": approvals[-1].get("approval_request_id") if approvals else None}
    outcome: Json = {"status": "completed", "output": "The server has an answer.", "error": None}
    called = {"id": _id("mcp", request, tool), "type": "mcp_call", **call, **approved, **outcome}
    return [called] if approvals else [listed, called]


def _computer(request: ParsedRequest, tool: Json) -> list[Json]:
    fields: Json = {
        "call_id": _id("call", request, tool),
        "action": {"type": "screenshot"},
        "pending_safety_checks": [],
    }
    return [{"id": _id("cu", request, tool), "type": "computer_call", "status": "completed", **fields}]


def _local_shell(request: ParsedRequest, tool: Json) -> list[Json]:
    action: Json = {"type": "exec", "command": ["ls"], "env": {}}
    fields = {"call_id": _id("call", request, tool), "action": action}
    return [{"id": _id("lsh", request, tool), "type": "local_shell_call", "status": "completed", **fields}]


#: Type of a tool to the function that builds its items, and the types of items that show that it was used.
_TOOLS: dict[str, tuple[Callable[[ParsedRequest, Json], list[Json]], frozenset[str]]] = {
    "web_search": (_web_search, frozenset({"web_search_call"})),
    "web_search_preview": (_web_search, frozenset({"web_search_call"})),
    "file_search": (_file_search, frozenset({"file_search_call"})),
    "code_interpreter": (_code_interpreter, frozenset({"code_interpreter_call"})),
    "image_generation": (_image_generation, frozenset({"image_generation_call"})),
    "mcp": (_mcp, frozenset({"mcp_call"})),
    "computer_use_preview": (_computer, frozenset({"computer_call_output"})),
    "local_shell": (_local_shell, frozenset({"local_shell_call_output"})),
}
#: Items after which the model waits for the client.
_WAITING = {"mcp_approval_request", "computer_call", "local_shell_call"}


def _items_since(request: ParsedRequest) -> list[Json]:
    """Return the items of built-in tools since the user's last message."""
    return [item for item in request.request.get("hosted_items") or () if isinstance(item, dict)]


def use_hosted_tools(request: ParsedRequest) -> tuple[Json, ...]:
    """Use each built-in tool that is offered, once for each message of the user; return the items."""
    used = {str(item.get("type")) for item in _items_since(request)}
    items: list[Json] = []
    for tool in request.hosted_tools if request.tool_choice != "none" else ():
        build, marks = _TOOLS.get(str(tool.get("type")), (None, frozenset()))
        if build is not None and not marks & used:
            items += build(request, tool)
    return tuple(items)


def is_waiting(items: Iterable[Json]) -> bool:
    """Return whether the model waits for the client's part: an approval, or the output of an action."""
    return any(item.get("type") in _WAITING for item in items)


def annotate(items: Iterable[Json], text: str) -> tuple[dict[str, Any], ...]:
    """Cite the sources of a text that was written after a search."""
    used = {item.get("type") for item in items}
    web = {"type": "url_citation", "start_index": 0, "end_index": len(text), **SOURCE}
    file = {"type": "file_citation", "index": len(text), **_FILE}
    cited = (("web_search_call", web), ("file_search_call", file))
    return tuple(annotation for kind, annotation in cited if kind in used and text)
