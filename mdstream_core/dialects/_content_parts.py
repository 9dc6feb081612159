"""Decode the parts of a message's content, in any dialect: text, reasoning, tool calls, media.

| part | server |
|---|---|
| `{"type": "text", "text"}`, `{"type": "output_text", "text"}`, a bare string | gateways; OCI in upper case |
| `{"type": "thinking", "thinking": [{"type": "text", "text"}]}` | Magistral (Mistral) |
| `{"type": "thinking", "thinking": "…"}` | Anthropic's shape, COHEREV2 |
| `{"type": "reasoning", "reasoning" or "text" or "summary"}` | OpenAI's Responses shape |
| `{"type": "reasoning_content", "reasoning_content": {"text"}}` | Bedrock's shape |
| `{"type": "refusal", "refusal"}` | OpenAI |
| `{"type": "tool_use", "id", "name", "input"}` | Anthropic's shape |

A part of any other type becomes a text delta, if it has a text, and `ProviderData` with the name of its type. So no
part is lost.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mdstream_core.dialects._choice_decoder import ChoiceState
from mdstream_core.dialects._limits import MAX_ENTRIES, over_limit
from mdstream_core.events import Event

_PartReader = Callable[[Mapping[str, Any], ChoiceState, list[Event]], None]


def read_content(value: Any, choice: ChoiceState, events: list[Event]) -> None:
    """Append the events of a message's content, a string or a list of parts. Raises `TypeError` for anything else."""
    if isinstance(value, str):
        choice.add_text(value, events)
        return
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list):
        raise TypeError(f"content is a {type(value).__name__}, neither a string nor a list of parts")
    if len(value) > MAX_ENTRIES:
        raise over_limit("content parts in one payload", MAX_ENTRIES)
    for part in value:
        if isinstance(part, str):
            choice.add_text(part, events)
        elif part:
            before, media = len(events), choice.media and choice.media.size
            _PARTS.get(str(part.get("type") or "text").lower(), _other)(part, choice, events)
            is_read = len(events) > before or media != (choice.media and choice.media.size)
            if not is_read and any(value for name, value in part.items() if name not in _METADATA_FIELDS):
                _other({"type": "text", **part}, choice, events)  # all of its values are in unknown fields


#: Fields of a part that have no content.
_METADATA_FIELDS = frozenset({"type", "index", "id"})


def _text(part: Mapping[str, Any], choice: ChoiceState, events: list[Event]) -> None:
    for text in _texts(part.get("text") or part.get("content") or part.get("value") or ""):
        choice.add_text(text, events)
    if refusal := part.get("refusal"):
        choice.add_refusal(refusal, events)
    if thinking := part.get("thinking"):
        _reasoning({"thinking": thinking}, choice, events)


#: The fields that may have the text of a reasoning part.
_REASONING_FIELDS = ("thinking", "reasoning", "reasoning_content", "text", "content", "summary")


def _reasoning(part: Mapping[str, Any], choice: ChoiceState, events: list[Event]) -> None:
    for text in _texts(next((part[name] for name in _REASONING_FIELDS if part.get(name)), "")):
        choice.add_reasoning(text, events)
    if details := {name: part[name] for name in ("signature", "data") if part.get(name)}:
        choice.add_media("reasoning_details", [{"type": part.get("type"), **details}], events)


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts of a value: a string, an object with a text, or a list of these."""
    if isinstance(value, str):
        yield from [value] if value else ()
    elif isinstance(value, Mapping):
        yield from _texts(next((value[name] for name in _REASONING_FIELDS if value.get(name)), ""))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    else:
        raise TypeError(f"a {type(value).__name__} is not a text")


def _tool_use(part: Mapping[str, Any], choice: ChoiceState, events: list[Event]) -> None:
    function = {"name": part.get("name"), "arguments": part.get("input", part.get("arguments"))}
    events += choice.calls.read([{"id": part.get("id"), "function": function}])


def _image(part: Mapping[str, Any], choice: ChoiceState, events: list[Event]) -> None:
    choice.add_media("images", [dict(part)], events)


def _other(part: Mapping[str, Any], choice: ChoiceState, events: list[Event]) -> None:
    if isinstance(text := part.get("text"), str) and text:
        choice.add_text(text, events)
    if part.keys() - {"type", "text"}:
        choice.add_media(str(part["type"]), [dict(part)], events)


_PARTS: dict[str, _PartReader] = {
    **dict.fromkeys(("text", "output_text", "refusal"), _text),
    **dict.fromkeys(("thinking", "redacted_thinking", "reasoning", "reasoning_text", "reasoning_content"), _reasoning),
    **dict.fromkeys(("image_url", "image", "output_image"), _image),
    "tool_use": _tool_use,
}
