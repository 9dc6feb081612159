"""Input items of `/v1/responses`: their shapes, and which items have to be together."""

from collections.abc import Callable, Sequence
from typing import Any

from mdstream_core.emulator.model_server._errors import ModelServerError
from mdstream_core.emulator.model_server.responses._errors import invalid, missing, unsupported_value, wrong_type
from mdstream_core.emulator.model_server.responses._reasoning import is_genuine
from mdstream_core.emulator.model_server.responses._store import ResponseStore

Json = dict[str, Any]

_ROLES = ("assistant", "system", "developer", "user")
_INPUT_PARTS = ("input_text", "input_image", "input_file", "input_audio")
_OUTPUT_PARTS = ("output_text", "refusal")
#: Type of an item to its required fields.
_REQUIRED: dict[str, tuple[str, ...]] = {
    "message": ("role", "content"),
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "custom_tool_call": ("call_id", "name", "input"),
    "custom_tool_call_output": ("call_id", "output"),
    "reasoning": ("summary",),
    "item_reference": ("id",),
    "web_search_call": ("id",),
    "file_search_call": ("id", "queries"),
    "code_interpreter_call": ("id", "container_id"),
    "image_generation_call": ("id",),
    "mcp_list_tools": ("id", "server_label", "tools"),
    "mcp_call": ("id", "server_label", "name", "arguments"),
    "mcp_approval_request": ("id", "server_label", "name", "arguments"),
    "mcp_approval_response": ("approval_request_id", "approve"),
    "computer_call": ("id", "call_id", "action"),
    "computer_call_output": ("call_id", "output"),
    "local_shell_call": ("id", "call_id", "action"),
    "local_shell_call_output": ("call_id", "output"),
    "compaction": ("encrypted_content",),
}
#: Type of a call to the type of its output.
CALLS = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
    "computer_call": "computer_call_output",
    "local_shell_call": "local_shell_call_output",
}
_OUTPUTS = {output: call for call, output in CALLS.items()}
_OUTPUT_NAMES = {"custom_tool_call_output": "custom tool call", "computer_call_output": "computer call"}
#: Type of an item to the prefix of its id.
PREFIXES = {"message": "msg", "function_call": "fc", "reasoning": "rs", "custom_tool_call": "ctc"}


def check_item(item: Any, param: str, *, is_strict: bool) -> None:
    """Reject an item whose type is unknown, or that lacks a field."""
    if not isinstance(item, dict):
        raise wrong_type(param, "an object", item)
    kind = item_type(item)
    if kind not in _REQUIRED:
        raise unsupported_value(kind, param, _REQUIRED)
    absent = next((name for name in _REQUIRED[kind] if item.get(name) is None and not _may_be_null(item, name)), None)
    if absent is not None:
        raise missing(f"{param}.{absent}")
    if kind in _CHECKS:
        _CHECKS[kind](item, param)
    if is_strict:
        _check_id(item, kind, param)


def _may_be_null(item: Json, name: str) -> bool:
    return name == "content" and name in item and item.get("role") == "assistant"


def item_type(item: Json) -> str:
    """Return the type of an item; one without a type is a message."""
    return str(item.get("type") or "message")


def _check_message(item: Json, param: str) -> None:
    if item["role"] not in _ROLES:
        raise unsupported_value(item["role"], f"{param}.role", _ROLES)
    known = _OUTPUT_PARTS if item["role"] == "assistant" else _INPUT_PARTS
    _check_content(item["content"], f"{param}.content", known)


def _check_call(item: Json, param: str) -> None:
    for name in _REQUIRED[item["type"]]:
        if not isinstance(item[name], str):
            raise wrong_type(f"{param}.{name}", "a string", item[name])


def _check_output(item: Json, param: str) -> None:
    if not isinstance(item["call_id"], str):
        raise wrong_type(f"{param}.call_id", "a string", item["call_id"])
    _check_content(item["output"], f"{param}.output", _INPUT_PARTS)


#: Type of an item to the check of its fields.
_CHECKS: dict[str, Callable[[Json, str], None]] = {
    "message": _check_message,
    "function_call": _check_call,
    "custom_tool_call": _check_call,
    "function_call_output": _check_output,
    "custom_tool_call_output": _check_output,
}


def _check_content(content: Any, param: str, known: Sequence[str]) -> None:
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        raise wrong_type(param, "one of an array of objects or a string", content)
    for index, part in enumerate(content):
        here = f"{param}[{index}]"
        if not isinstance(part, dict):
            raise wrong_type(here, "an object", part)
        if part.get("type") not in known:
            raise unsupported_value(part.get("type"), here, known)
        _PARTS[part["type"]](part, here)


def _check_text(part: Json, param: str) -> None:
    name = "refusal" if part["type"] == "refusal" else "text"
    value = part.get(name)
    if value is None:
        raise missing(f"{param}.{name}")
    if not isinstance(value, str):
        raise wrong_type(f"{param}.{name}", "a string", value)


def _check_image(part: Json, param: str) -> None:
    url = part.get("image_url")
    if url is None and part.get("file_id") is None:
        raise missing(f"{param}.image_url")
    if url is not None and not isinstance(url, str):
        raise wrong_type(f"{param}.image_url", "a string", url)
    if url is not None and not url.startswith(("data:image/", "https://", "http://")):
        text = f"Invalid '{param}.image_url'. Expected a valid URL, but got a value with an invalid format."
        raise invalid(text, f"{param}.image_url", "invalid_value")


def _check_file(part: Json, param: str) -> None:
    if not any(isinstance(part.get(name), str) for name in ("file_data", "file_id", "file_url")):
        raise missing(f"{param}.file_data")
    if part.get("file_data") is not None and not part.get("filename"):
        raise missing(f"{param}.filename")


def _check_audio(part: Json, param: str) -> None:
    audio = part.get("input_audio")
    if not isinstance(audio, dict) or not audio.get("data") or not audio.get("format"):
        raise missing(f"{param}.input_audio")


_PARTS: dict[str, Callable[[Json, str], None]] = {
    "input_text": _check_text,
    "output_text": _check_text,
    "refusal": _check_text,
    "input_image": _check_image,
    "input_file": _check_file,
    "input_audio": _check_audio,
}


def _check_id(item: Json, kind: str, param: str) -> None:
    prefix, id = PREFIXES.get(kind), item.get("id")
    if prefix is None or id is None or (isinstance(id, str) and id.startswith(prefix)):
        return
    text = f"Invalid '{param}.id': '{str(id)[:100]}'. Expected an ID that begins with '{prefix}'."
    raise invalid(text, f"{param}.id", "invalid_value")


def check_pairs(items: Sequence[Json], *, is_strict: bool) -> None:
    """Reject an output without its call; if strict, also a call without its output."""
    calls = {(item_type(item), item["call_id"]) for item in items if item_type(item) in CALLS}
    outputs = {(_OUTPUTS[item_type(item)], item["call_id"]) for item in items if item_type(item) in _OUTPUTS}
    for item in items:
        kind, id = item_type(item), item.get("call_id")
        if kind in _OUTPUTS and (_OUTPUTS[kind], id) not in calls:
            name = _OUTPUT_NAMES.get(kind, "function call")
            raise invalid(f"No tool call found for {name} output with call_id {str(id)[:100]}.", "input")
        if is_strict and kind in CALLS and (kind, id) not in outputs:
            raise invalid(f"No tool output found for {kind.replace('_', ' ')} {str(id)[:100]}.", "input")


def check_order(items: Sequence[Json], new_items: Sequence[Json], store: ResponseStore) -> None:
    """Reject what OpenAI's service rejects: duplicates, reasoning that is unknown or alone, calls without reasoning."""
    seen: set[str] = set()
    for item in items:
        id = item.get("id")
        if isinstance(id, str) and id in seen:
            text = f"Duplicate item found with id {id[:100]}. Remove duplicate items from your input and try again."
            raise invalid(text, "input")
        seen.update([id] if isinstance(id, str) else [])
    for index, item in enumerate(items):
        if item_type(item) == "reasoning":
            _check_reasoning(item, items[index + 1 : index + 2], store)
    for item in new_items:
        if item_type(item) in {"function_call", "message"}:
            _check_has_reasoning(item, seen, store)


def _check_reasoning(item: Json, following: Sequence[Json], store: ResponseStore) -> None:
    id, encrypted = item.get("id"), item.get("encrypted_content")
    if encrypted is not None and not is_genuine(encrypted):
        text = f"The encrypted content for item {str(id)[:100]} could not be verified."
        raise invalid(text, None, "invalid_encrypted_content")
    if encrypted is None and (not isinstance(id, str) or store.find_item(id) is None):
        raise not_persisted(str(id))
    if not following or item_type(following[0]) == "function_call_output" or following[0].get("role") == "user":
        text = f"Item '{str(id)[:100]}' of type 'reasoning' was provided without its required following item."
        raise invalid(text, "input")


def _check_has_reasoning(item: Json, present: set[str], store: ResponseStore) -> None:
    """Reject an output item of a stored response whose reasoning, directly before it, was left out."""
    found = store.find_item(item["id"]) if isinstance(item.get("id"), str) else None
    if found is None:
        return
    siblings = found[1].items
    position = siblings.index(found[0])
    before = siblings[position - 1] if position > found[1].input_count else None
    if before is not None and before.get("type") == "reasoning" and before.get("id") not in present:
        text = f"Item '{item['id'][:100]}' of type '{item_type(item)}' was provided without its required 'reasoning' "
        text += f"item: '{before.get('id')}'."
        raise invalid(text, "input")


def not_persisted(id: str) -> ModelServerError:
    """Build the error for an item that is not stored."""
    text = (
        f"Item with id '{id[:100]}' not found. Items are not persisted when `store` is set to false. Try again with "
        "`store` set to true, or remove this item from your input."
    )
    return invalid(text, "input", status=404)
