"""The output items of a response of OpenAI's Responses API while it is received."""

from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from typing import Any

from mdstream_core import _json
from mdstream_core.dialects._choice_decoder import require_text
from mdstream_core.dialects._limits import MAX_ENTRIES, MAX_TOOL_CALLS, over_limit
from mdstream_core.dialects._whole_message import remaining_text

Json = dict[str, Any]

#: How many times as long a streamed text may be as the whole text that is compared with it: a security limit, because
#: each comparison reads all that was streamed.
_MAX_LENGTH_RATIO = 16


def restore_texts(items: Sequence[Mapping[str, Any]], text: str) -> list[Json] | None:
    """Return output items with the text that they do not repeat: the only one of a response.

    Args:
        items: The value of `ProviderData("output_items", …)`.
        text: The text of the response.

    Returns:
        The items; `None` if the text is not that of the response, because a user has changed it.

    >>> restore_texts([{"type": "message", "content": [{"type": "output_text"}]}], "Hi")
    [{'type': 'message', 'content': [{'type': 'output_text', 'text': 'Hi'}]}]
    """
    restored = [_with_text(item, text) for item in items]
    parts = [
        part
        for item in restored
        if item.get("type") == "message"
        for part in item["content"]
        if isinstance(part, Mapping)
    ]
    known = "".join(str(part.get("text") or "") for part in parts)
    refusals = "".join(str(part.get("refusal") or "") for part in parts)
    return restored if text in (known, known or refusals) else None


def _with_text(item: Mapping[str, Any], text: str) -> Json:
    if item.get("type") != "message":
        return dict(item)
    content = item.get("content")
    parts = content if isinstance(content, list) else []
    return {
        **item,
        "content": [
            {**part, "text": text} if isinstance(part, Mapping) and not part.keys() & {"text", "refusal"} else part
            for part in parts
        ],
    }


class InconsistentText(ValueError):
    """A whole text or call is not what was streamed before; `MalformedStream` repeats the message."""


class ItemPart:
    """One text of an item: a content part, a part of a summary, or a field such as `code`."""

    __slots__ = ("annotations", "has_logprobs", "text")

    def __init__(self) -> None:
        self.text = StringIO()
        #: How many annotations of the text were received.
        self.annotations = 0
        self.has_logprobs = False

    def add_rest(self, whole: Any, name: str) -> str:
        """Add what a whole text has beyond the deltas, and return it.

        Raises:
            InconsistentText: The whole text is not what was streamed.
        """
        size = self.text.tell()
        if not require_text(whole).strip() and size:
            return ""
        if len(whole) * _MAX_LENGTH_RATIO < size:
            raise InconsistentText(f"a whole {name} of {len(whole)} characters, after {size} were streamed")
        try:
            rest = remaining_text(whole, self.text.getvalue(), name) if size else str(whole)
        except ValueError as error:
            raise InconsistentText(str(error)) from error
        self.text.write(rest)
        return rest


class OutputItem:
    """One item of the output: a message, reasoning, a call of a function, or of a tool that the service runs."""

    __slots__ = ("fields", "is_call_started", "is_done", "kind", "number", "parts")

    def __init__(self, number: int, kind: str, fields: Json) -> None:
        #: The position of the item in the order of arrival; unique, which `output_index` is not on every server.
        self.number = number
        self.kind = kind
        #: The item as it was received last, whole or not.
        self.fields = fields
        self.parts: dict[tuple[str, Any], ItemPart] = {}
        self.is_done = False
        self.is_call_started = False

    def to_tool_call(self) -> Json:
        """Return a call in the form of chat completions. The free text of a custom tool is its argument `__arg1`."""
        arguments: Any = self.fields.get("arguments") or ""
        if self.kind == "custom_tool_call":
            arguments = {"__arg1": self.fields.get("input") or ""}
        id = self.fields.get("call_id") or self.fields.get("id")
        function = {"name": self.fields.get("name"), "arguments": arguments}
        return {"index": self.number, "id": id, "function": function}

    def to_json(self) -> Json:
        """Return the item as the server sent it; of an item whose end was not received, what is known of it."""
        fields = {name: value for name, value in self.fields.items() if value is not None}
        if self.is_call_started:
            fields.pop("arguments", None)  # the tool call has them
        if self.is_done:
            return fields
        for (field, _), part in self.parts.items():
            name, build = _UNFINISHED_PARTS.get(field, (field, None))
            text = part.text.getvalue()
            fields[name] = [*_parts(fields.get(name)), build(text)] if build else text
        return fields


def _parts(value: Any) -> list[Any]:
    """Return the parts that were built from deltas, and not the empty list of the item's start."""
    return value if isinstance(value, list) else []


#: The field of an unfinished item that has a text, and how the text is wrapped.
_UNFINISHED_PARTS: Mapping[str, Any] = {
    "text": ("content", lambda text: {"type": "output_text", "text": text}),
    "refusal": ("content", lambda text: {"type": "refusal", "refusal": text}),
    "reasoning": ("content", lambda text: {"type": "reasoning_text", "text": text}),
    "summary": ("summary", lambda text: {"type": "summary_text", "text": text}),
}


class OutputItems:
    """The items of one response, by id and by position.

    An id is trusted first. Some servers send another id in later events (vLLM to 0.11), others the same `output_index`
    for two items (transformers), so an item is also found by its position if its type fits.
    """

    def __init__(self) -> None:
        self._items: list[OutputItem] = []
        self._by_id: dict[str, OutputItem] = {}
        self._by_position: dict[Any, OutputItem] = {}
        self._parts = 0

    def __iter__(self) -> Iterator[OutputItem]:
        return iter(self._items)

    def find(self, payload: Mapping[str, Any], kind: str) -> OutputItem:
        """Return the item that a delta belongs to; a new one if the event that starts it was not received."""
        id, position = payload.get("item_id"), payload.get("output_index")
        return self._find(id, position, kind) or self._add(kind, {"type": kind, "id": id}, position)

    def start(self, fields: Json, position: Any) -> OutputItem:
        """Return the item that an event starts; the known one if the event is repeated."""
        kind, id = _read_kind(fields), fields.get("id")
        item = self._by_id.get(id) if id else None
        return item if item is not None and item.kind == kind else self._add(kind, fields, position)

    def end(self, fields: Json, position: Any) -> OutputItem:
        """Return the item that an event completes, with these fields."""
        kind = _read_kind(fields)
        item = self._find(fields.get("id"), position, kind) or self._add(kind, fields, position)
        return self._set_whole(item, fields)

    def match_output(self, output: list[Any]) -> list[OutputItem]:
        """Return the items of the whole output: by their ids, else the next item of the same type."""
        matched: list[OutputItem] = []
        used: set[int] = set()
        remaining: dict[str, Iterator[OutputItem]] = {}
        ids = {fields.get("id") for fields in output}
        for fields in output:
            kind = _read_kind(fields)
            item = self._by_id.get(fields.get("id") or "")
            if item is None or item.kind != kind or item.number in used:
                others = remaining.setdefault(kind, self._others(kind, ids))
                item = next(others, None) or self._add(kind, fields, None)
            used.add(item.number)
            matched.append(self._set_whole(item, fields))
        return matched

    def part(self, item: OutputItem, field: str, position: Any) -> ItemPart:
        """Return a text of an item; a new one if nothing of it was received."""
        part = item.parts.get((field, position))
        if part is None:
            self._parts += 1
            if self._parts > MAX_ENTRIES:
                raise over_limit("parts of output items", MAX_ENTRIES)
            part = item.parts[field, position] = ItemPart()
        return part

    def to_json(self) -> list[Json]:
        """Return all items. The only text of a response is not repeated: the text of the response is the same."""
        items = [item.to_json() for item in self._items]
        texts = [
            (item, at)
            for item in items
            if item.get("type") == "message" and isinstance(item.get("content"), list)
            for at, part in enumerate(item["content"])
            if isinstance(part, Mapping) and "text" in part
        ]
        if len(texts) == 1:
            item, at = texts[0]
            content = list(item["content"])
            content[at] = {name: value for name, value in content[at].items() if name != "text"}
            item["content"] = content
        return items

    def _find(self, id: Any, position: Any, kind: str) -> OutputItem | None:
        item = self._by_id.get(id) if id else None
        if item is not None and item.kind == kind:
            return item
        item = self._by_position.get(position)
        if item is None or item.kind != kind or item.is_done:
            return None
        if id:
            self._by_id[id] = item
        return item

    def _others(self, kind: str, ids: set[Any]) -> Iterator[OutputItem]:
        """Yield the items of a type that were received before, and whose ids are not in the whole output."""
        return iter([item for item in self._items if item.kind == kind and item.fields.get("id") not in ids])

    def _add(self, kind: str, fields: Json, position: Any) -> OutputItem:
        if len(self._items) >= MAX_TOOL_CALLS:
            raise over_limit("output items", MAX_TOOL_CALLS)
        _json.check_depth([fields])  # here, because `to_json` must not fail
        item = OutputItem(len(self._items), kind, fields)
        self._items.append(item)
        if id := fields.get("id"):
            self._by_id[id] = item
        if position is not None:
            self._by_position[position] = item
        return item

    def _set_whole(self, item: OutputItem, fields: Json) -> OutputItem:
        _json.check_depth([fields])
        if id := fields.get("id"):
            self._by_id.setdefault(id, item)
        item.fields, item.is_done = fields, True
        return item


def _read_kind(fields: Mapping[str, Any]) -> str:
    """Return the type of an item; an empty text if it is `null`, as of an unknown one."""
    return "" if (kind := fields["type"]) is None else require_text(kind)


def reasoning_position(payload: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the field of the item that a delta of reasoning belongs to, and the index of its part."""
    if "summary_index" in payload:
        return "summary", payload["summary_index"]
    return "reasoning", payload.get("content_index")
