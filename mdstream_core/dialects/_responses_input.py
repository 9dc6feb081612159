"""The `input` of requests to OpenAI's Responses API: messages become items.

The items of an earlier response (`output_items` of an assistant message) are sent back: reasoning with its id and its
encrypted content, ids of messages and calls, calls of built-in tools. The message decides what is sent of its text and
its calls, because a user may have changed it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mdstream_core.dialects._assistant_content import filter_assistant_content
from mdstream_core.dialects._oci_requests import serialize_arguments
from mdstream_core.dialects._responses_items import restore_texts
from mdstream_core.dialects._responses_parts import build_tool_output, convert_part
from mdstream_core.dialects._tool_results import with_call_ids
from mdstream_core.errors import InvalidRequest

Json = dict[str, Any]


def build_input(messages: Sequence[Mapping[str, Any]], *, is_stored: bool) -> list[Json]:
    """Convert a conversation to items.

    Args:
        messages: The conversation, in the shape of chat completions.
        is_stored: Whether the service stores the response and has stored the earlier ones. If not, it knows no ids.

    Raises:
        InvalidRequest: The API does not support a part or a role of a message.
    """
    items: list[Json] = []
    kinds: dict[Any, str] = {}
    for message in with_call_ids(messages, across_turns=True):
        role = message.get("role")
        if role == "assistant":
            converted = list(_assistant(message, len(items), is_stored=is_stored))
            kinds |= {item.get("call_id"): f"{item['type']}_output" for item in converted if item["type"] in _CALLS}
            items += converted
        elif role in ("tool", "function"):
            items.append(build_tool_output(message, kinds.get(message.get("tool_call_id"))))
        elif role in _ROLES:
            items += _input_message(str(role), message.get("content"))
        else:
            hint = f"use one of {', '.join((*_ROLES, 'assistant', 'tool'))}"
            raise InvalidRequest(f"the role {role!r} of a message is unknown (hint: {hint})", code="InvalidParameter")
    return items


_ROLES = ("system", "developer", "user")


def _input_message(role: str, content: Any) -> Iterator[Json]:
    """Yield a message; parts that are items of their own, such as the approval of an MCP call, precede it."""
    if content is None or isinstance(content, str):
        yield {"type": "message", "role": role, "content": content or ""}
        return
    parts = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
    yield from (dict(part) for part in parts if part.get("type") in _ITEMS_OF_USERS)
    if rest := [convert_part(part) for part in parts if part.get("type") not in _ITEMS_OF_USERS]:
        yield {"type": "message", "role": role, "content": rest}


#: Calls whose results have a type of their own.
_CALLS = frozenset({"custom_tool_call", "computer_call"})

#: Content parts that are items of the input, not parts of a message.
_ITEMS_OF_USERS = frozenset({"mcp_approval_response", "computer_call_output", "item_reference"})


def _assistant(message: Mapping[str, Any], position: int, *, is_stored: bool) -> Iterator[Json]:
    """Yield the items of an assistant message."""
    calls = {call.get("id"): call for call in message.get("tool_calls") or ()}
    text = _text(message)
    known = [item for item in message.get("output_items") or () if isinstance(item, Mapping)]
    if not known and (reasoning := message.get("reasoning_content") or message.get("reasoning")):
        part = {"type": "reasoning_text", "text": reasoning}
        yield {"type": "reasoning", "id": f"rs_{position}", "summary": [], "content": [part]}
    restored = restore_texts(known, text)
    is_text_sent = False
    for item in known if restored is None else restored:
        kind = item.get("type")
        if kind == "message":
            if restored is not None:
                yield _message_item(item, is_stored=is_stored)
            elif text and not is_text_sent:
                yield _new_message(text)
            is_text_sent = True
        elif kind in ("function_call", "custom_tool_call"):
            if call := calls.pop(item.get("call_id"), None):
                yield _call_item(item, call, is_stored=is_stored)
        elif sent := _other_item(item, is_stored=is_stored):
            yield sent
    if text and not is_text_sent:
        yield _new_message(text)
    yield from (_new_call(call) for call in calls.values())


def _new_message(text: str) -> Json:
    return {"type": "message", "role": "assistant", "content": text}


def _new_call(call: Mapping[str, Any]) -> Json:
    name, arguments = call["function"]["name"], serialize_arguments(call)
    return {"type": "function_call", "call_id": call.get("id"), "name": name, "arguments": arguments}


def _message_item(item: Mapping[str, Any], *, is_stored: bool) -> Json:
    content = [_output_part(part) for part in item.get("content") or ()]
    return {**_known_fields(item, is_stored=is_stored), "role": "assistant", "content": content}


def _output_part(part: Mapping[str, Any]) -> Json:
    if part.get("refusal"):
        return {"type": "refusal", "refusal": part["refusal"]}
    return {"type": "output_text", "text": part.get("text") or "", "annotations": part.get("annotations") or []}


def _call_item(item: Mapping[str, Any], call: Mapping[str, Any], *, is_stored: bool) -> Json:
    fields = _known_fields(item, is_stored=is_stored)
    return fields if item.get("type") == "custom_tool_call" else {**fields, **_new_call(call)}


def _other_item(item: Mapping[str, Any], *, is_stored: bool) -> Json | None:
    """Return reasoning or the call of a built-in tool as it is sent; `None` if the service could not read it.

    A service that stores nothing knows reasoning only by its content, and images not by their ids.
    """
    kind = item.get("type")
    fields = {name: value for name, value in item.items() if value is not None}
    if kind == "reasoning":
        return (
            {"summary": [], **fields} if is_stored or fields.get("encrypted_content") or fields.get("content") else None
        )
    if kind == "image_generation_call" and is_stored:
        return {"type": kind, "id": item.get("id")}
    return fields


def _known_fields(item: Mapping[str, Any], *, is_stored: bool) -> Json:
    """Return the fields of an item that have a value; without its id if the service does not know it."""
    return {name: value for name, value in item.items() if value is not None and (is_stored or name != "id")}


def _text(message: Mapping[str, Any]) -> str:
    """Return the text of an assistant message. Parts that other providers generated are not sent."""
    content = filter_assistant_content(message)
    return content if isinstance(content, str) else "".join(part["text"] for part in content or ())
