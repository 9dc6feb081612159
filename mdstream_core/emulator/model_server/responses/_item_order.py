"""Which input items of `/v1/responses` have to be together: calls with outputs, reasoning with what follows it."""

from collections.abc import Sequence
from typing import Any

from mdstream_core.emulator.model_server._errors import ModelServerError
from mdstream_core.emulator.model_server.responses._errors import invalid
from mdstream_core.emulator.model_server.responses._items import item_type
from mdstream_core.emulator.model_server.responses._reasoning import is_genuine
from mdstream_core.emulator.model_server.responses._store import ResponseStore

Json = dict[str, Any]

#: Type of a call to the type of its output.
CALLS = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
    "computer_call": "computer_call_output",
    "local_shell_call": "local_shell_call_output",
}
_OUTPUTS = {output: call for call, output in CALLS.items()}
_OUTPUT_NAMES = {"custom_tool_call_output": "custom tool call", "computer_call_output": "computer call"}


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
