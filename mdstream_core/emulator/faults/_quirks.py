"""Habits of some servers: an answer that is whole, or nearly, in a form that few clients expect."""

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

from mdstream_core import _json
from mdstream_core.emulator import _sse
from mdstream_core.emulator._response_plan import ResponsePlan
from mdstream_core.emulator.faults import _events
from mdstream_core.emulator.faults._fault import Fault
from mdstream_core.emulator.faults._payloads import (
    Json,
    choice_output,
    choices,
    edit,
    is_document,
    read,
    reason_name,
    substitute,
    tool_call_fragments,
)


def pending_finish_reason(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Every event before the finishing one has a finish reason that is none: `null` as a text, any other `spelling`
    (`None`, `undefined` …), or the JSON in `data`, as KoboldCpp writes it."""
    value = _json.loads(fault.data) if fault.data else fault.spelling or "null"

    def change(documents: list[Json]) -> None:
        for document in documents:
            name = reason_name(document)
            for choice in choices(document):
                choice[name] = choice.get(name) or value

    return plan if is_document(plan) else edit(plan, change)


MESSAGES = ("instead", "beside", "after")


def whole_message(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """The stream closes with the whole answer once more, as a `message`: `instead` of the finishing event's `delta`,
    `beside` an empty one, or in one more event `after` it, as MiniMax does. Only formats of OpenAI's have it."""
    document = _json.loads(plan.whole) if plan.whole else {}
    if is_document(plan) or not _is_chat(document):
        return plan
    if fault.spelling == "beside":
        for choice in document["choices"]:
            choice["delta"] = {}
    pieces = plan.all_chunks
    finishing = [at for at, piece in enumerate(pieces) if isinstance(piece, bytes) and _events.is_finishing(piece)]
    frame = _events.as_container_output(plan, _sse.event(document))
    end = finishing[-1] if finishing else len(pieces) - 1
    kept = [piece for at, piece in enumerate(pieces[: end + 1]) if fault.spelling == "after" or at not in finishing]
    return replace(plan, chunks=[*kept, frame, *pieces[end + 1 :]])


def _is_chat(document: Any) -> bool:
    return isinstance(document, dict) and any("message" in choice for choice in document.get("choices") or ())


# Tool arguments


def _suffix(text: str) -> Callable[[str], str]:
    return lambda arguments: arguments + text


#: What becomes of a call's arguments.
ARGUMENTS: dict[str, Callable[[str], str]] = {
    "two_objects": _suffix('{"to":"Bob"}'),
    "trailing_text": _suffix(" Done."),
    "list": lambda arguments: f"[{arguments}]",
    "number": lambda arguments: "7",
    "string": lambda arguments: _json.dumps(arguments).decode(),
}


def tool_arguments(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """The arguments of a tool call are not JSON; or, as a `spelling`, they are not one object: `two_objects` (the
    second may be your own, in `data`), `trailing_text`, `list`, `number`, `string`; these of whole answers too."""
    if not fault.spelling:
        return replace(
            plan, chunks=[piece.replace(b'"arguments":"}"', b'"arguments":"]"') for piece in plan.body_chunks]
        )
    bend = ARGUMENTS[fault.spelling]
    if fault.spelling == "two_objects" and fault.data:
        bend = _suffix(fault.data.decode())

    def change(documents: list[Json]) -> None:
        for call in tool_call_fragments(documents):
            _bend(call, bend)

    return edit(plan, change)


def _bend(fragments: list[Json], bend: Callable[[str], str]) -> None:
    before = "".join(fragment["arguments"] for fragment in fragments)
    after = bend(before)
    if after.startswith(before):
        fragments[-1]["arguments"] += after[len(before) :]
        return
    for fragment in fragments:
        fragment["arguments"] = ""
    fragments[-1]["arguments"] = after


# Errors of a choice

#: Where the error of a choice stands, and what the choice ends with.
CHOICE_ERRORS = ("error", "later_stop", "with_stop")


def choice_error(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """An error object stands inside a choice, as OpenRouter writes it: with the finish reason `error` and nothing after
    it, in an event before a `later_stop`, or in the finishing event, `with_stop`. A whole answer has it beside its
    message."""
    ends = fault.spelling in {"", "error"}
    if is_document(plan):
        return edit(plan, lambda documents: _fail(documents[0], fault.message, ends=ends))
    if fault.spelling == "with_stop":
        return edit(plan, lambda documents: _fail(_finishing(documents), fault.message))
    after = 1 if fault.after is None else fault.after
    pieces = plan.all_chunks
    event = _events.as_container_output(plan, _sse.event(_failing(plan, fault.message, ends=ends)))
    rest = [piece for piece in pieces if piece == _sse.DONE] if ends else pieces[after:]
    return replace(plan, chunks=[*pieces[:after], event, *rest])


def _fail(document: Json, message: str, *, ends: bool = False) -> None:
    for choice in choices(document)[:1]:
        choice["error"] = {"code": 502, "message": message}
        if ends:
            choice[reason_name(document)] = "error"


def _finishing(documents: list[Json]) -> Json:
    ended = (one for one in documents if any(choice.get(reason_name(one)) for choice in choices(one)))
    return next(ended, documents[-1])


def _failing(plan: ResponsePlan, message: str, *, ends: bool) -> Json:
    """An event of the same format as the others that says nothing but the error."""
    first = next(filter(None, map(read, plan.all_chunks)), {})
    event: Json = {"index": 0, "message": {"role": "ASSISTANT"}}
    if "choices" in first:
        event = {**first, "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": None}]}
    _fail(event, message, ends=ends)
    return event


# Halves of characters

_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_TEXTS = {"content", "text", "reasoning", "reasoning_content", "reasoningContent", "thinking", "arguments", "outputs"}
_ONCE = {"id", "name"}  # of a tool call: not said again with its second half
_LAST = ("finish_reason", "finishReason", "generated_text", "details")


def split_surrogates(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    r"""An event ends with the first half of a character, `\ud83d`, and the next begins with the other, `\ude00`: in
    text, reasoning and arguments. Where the answer has no such character, 😀 is put in after `after` events (1)."""
    if is_document(plan):
        return plan
    split = substitute(plan, _split)
    if len(split.all_chunks) > len(plan.all_chunks):
        return split
    after = 1 if fault.after is None else fault.after
    halves = [_events.as_container_output(plan, _events.text_event(plan, half)) for half in (rb"\ud83d", rb"\ude00")]
    pieces = plan.all_chunks
    return replace(plan, chunks=[*pieces[:after], *halves, *pieces[after:]])


def _split(document: Json) -> Iterator[Json]:
    """An object, or two or more, each of which ends within a character."""
    said = choices(document)
    if "chatHistory" in document or not any(map(_has_astral, said)):  # Cohere's last event says everything again
        yield document
        return
    first, second = deepcopy(document), deepcopy(document)
    for before, behind in zip(choices(first), choices(second), strict=True):
        before.update({**_cut(before, first=True), **dict.fromkeys(name for name in _LAST if name in before)})
        behind.update(_cut(behind, first=False))
    first.pop("usage", None)
    yield first
    yield from _split(second)


def _has_astral(value: Any, name: str = "") -> bool:
    match value:
        case dict():
            return any(_has_astral(inner, key) for key, inner in value.items())
        case list():
            return any(_has_astral(inner, name) for inner in value)
        case str():
            return name in _TEXTS and _ASTRAL.search(value) is not None
    return False


def _cut(value: Any, name: str = "", *, first: bool) -> Any:
    match value:
        case dict():
            kept = {key: inner for key, inner in value.items() if first or key not in _ONCE}
            return {key: _cut(inner, key, first=first) for key, inner in kept.items()}
        case list():
            return [_cut(inner, name, first=first) for inner in value]
        case str() if name in _TEXTS:
            return _half(value, first=first)
    return value


def _half(text: str, *, first: bool) -> str:
    found = _ASTRAL.search(text)
    if found is None:
        return text if first else ""
    high, low = divmod(ord(found[0]) - 0x10000, 0x400)
    return f"{text[: found.start()]}{chr(0xD800 + high)}" if first else f"{chr(0xDC00 + low)}{text[found.end() :]}"


# Reasoning among the content

#: How a thought stands among the parts of a message's content.
PARTS: dict[str, Callable[[str], Json]] = {
    "magistral": lambda text: {"type": "thinking", "thinking": [{"type": "text", "text": text}]},
    "thinking": lambda text: {"type": "thinking", "thinking": text},
    "reasoning": lambda text: {"type": "reasoning", "text": text},
}
_FIELDS = ("reasoning", "reasoning_content")
_THOUGHT = "Let me think."


def reasoning_parts(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Reasoning stands in `content`, as parts: `magistral` (Mistral's), `thinking`, `reasoning`, streamed and whole. An
    answer without reasoning gets a thought. Only OpenAI's chats have it."""
    as_part = PARTS[fault.spelling or "magistral"]
    return edit(plan, lambda documents: _as_parts(documents, as_part))


def _as_parts(documents: list[Json], as_part: Callable[[str], Json]) -> None:
    chats = [document for document in documents if "choices" in document]
    said = [(choice.get("index"), choice_output(choice)) for document in chats for choice in choices(document)]
    said = [(index, one) for index, one in said if "text" not in one]
    thinking = {index for index, one in said if any(one.get(name) for name in _FIELDS)}
    begun: set[Any] = set()
    for index, one in said:
        thought = next((one[name] for name in _FIELDS if one.get(name)), None)
        for name in _FIELDS:
            one.pop(name, None)
        text = one.get("content")
        if thought is None and text and index not in thinking:  # nobody thought: it is made up
            thought = _THOUGHT
            thinking.add(index)
        parts = [as_part(thought)] if thought else []
        if text and index not in begun:
            begun.add(index)
            parts.append({"type": "text", "text": text})
        if parts:
            one["content"] = parts
