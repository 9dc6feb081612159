"""Quirks of some servers: complete or nearly complete responses in a form that few clients expect."""

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

from mdstream_core import _json
from mdstream_core.emulator import _sse
from mdstream_core.emulator._response_plan import ResponsePlan
from mdstream_core.emulator.faults import _events, _responses
from mdstream_core.emulator.faults._fault import Fault
from mdstream_core.emulator.faults._payloads import (
    Json,
    choice_output,
    choices,
    edit_objects,
    is_document,
    parse_object,
    reason_name,
    replace_objects,
    tool_call_fragments,
)


def pending_finish_reason(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send a finish reason that means "not finished" in every event before the last: the text `null`, another
    `spelling` (`None`, `undefined` …), or the JSON in `data`, as KoboldCpp does."""
    value = _json.loads(fault.data) if fault.data else fault.spelling or "null"

    def change(documents: list[Json]) -> None:
        for document in documents:
            name = reason_name(document)
            for choice in choices(document):
                choice[name] = choice.get(name) or value

    return plan if is_document(plan) else edit_objects(plan, change)


MESSAGES = ("instead", "beside", "after")


def whole_message(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Repeat the whole response as a `message` at the end of the stream: `instead` of the finishing event's `delta`
    (default), `beside` an empty one, or in an event `after` it, as MiniMax does; only in OpenAI's format."""
    document = _json.loads(plan.whole) if plan.whole else {}
    if is_document(plan) or not _is_chat(document):
        return plan
    if fault.spelling == "beside":
        for choice in document["choices"]:
            choice["delta"] = {}
    chunks = plan.all_chunks
    finishing = [at for at, chunk in enumerate(chunks) if isinstance(chunk, bytes) and _events.is_finishing(chunk)]
    frame = _events.encode_like_stream(plan, _sse.event(document))
    end = finishing[-1] if finishing else len(chunks) - 1
    remaining = [
        chunk for at, chunk in enumerate(chunks[: end + 1]) if fault.spelling == "after" or at not in finishing
    ]
    return replace(plan, chunks=[*remaining, frame, *chunks[end + 1 :]])


def _is_chat(document: Any) -> bool:
    return isinstance(document, dict) and any("message" in choice for choice in document.get("choices") or ())


# Tool arguments


def _suffix(text: str) -> Callable[[str], str]:
    return lambda arguments: arguments + text


#: Spelling of `tool_arguments` to the function that changes the arguments of a call.
ARGUMENTS: dict[str, Callable[[str], str]] = {
    "two_objects": _suffix('{"to":"Bob"}'),
    "trailing_text": _suffix(" Done."),
    "list": lambda arguments: f"[{arguments}]",
    "number": lambda arguments: "7",
    "string": lambda arguments: _json.dumps(arguments).decode(),
}


def tool_arguments(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send tool call arguments that are not JSON; or, by `spelling`, not one object: `two_objects` (the second may be
    given in `data`), `trailing_text`, `list`, `number`, `string`, which apply to responses without a stream too."""
    if _responses.is_responses_plan(plan):
        return _responses.edit_arguments(plan, _argument_transform(fault))
    if not fault.spelling:
        return replace(
            plan, chunks=[chunk.replace(b'"arguments":"}"', b'"arguments":"]"') for chunk in plan.body_chunks]
        )
    transform = _argument_transform(fault)

    def change(documents: list[Json]) -> None:
        for call in tool_call_fragments(documents):
            _replace_arguments(call, transform)

    return edit_objects(plan, change)


def _argument_transform(fault: Fault) -> Callable[[str], str]:
    if fault.spelling == "two_objects" and fault.data:
        return _suffix(fault.data.decode())
    return ARGUMENTS[fault.spelling] if fault.spelling else lambda arguments: arguments[:-1] + "]"


def _replace_arguments(fragments: list[Json], transform: Callable[[str], str]) -> None:
    before = "".join(fragment["arguments"] for fragment in fragments)
    after = transform(before)
    if after.startswith(before):
        fragments[-1]["arguments"] += after[len(before) :]
        return
    for fragment in fragments:
        fragment["arguments"] = ""
    fragments[-1]["arguments"] = after


# Errors of a choice

#: Spellings of `choice_error`: the position of the error, and how the choice ends.
CHOICE_ERRORS = ("error", "later_stop", "with_stop")


def choice_error(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Put an error object inside a choice, as OpenRouter does: with the finish reason `error` and nothing after it
    (default), in an event before a `later_stop`, or in the finishing event, `with_stop`; without a stream it is beside
    the message."""
    if _responses.is_responses_plan(plan):
        return _responses.add_error(plan, fault)
    ends = fault.spelling in {"", "error"}
    if is_document(plan):
        return edit_objects(plan, lambda documents: _add_error(documents[0], fault.message, ends=ends))
    if fault.spelling == "with_stop":
        return edit_objects(plan, lambda documents: _add_error(_finishing_event(documents), fault.message))
    after = 1 if fault.after is None else fault.after
    chunks = plan.all_chunks
    event = _events.encode_like_stream(plan, _sse.event(_error_event(plan, fault.message, ends=ends)))
    rest = [chunk for chunk in chunks if chunk == _sse.DONE] if ends else chunks[after:]
    return replace(plan, chunks=[*chunks[:after], event, *rest])


def _add_error(document: Json, message: str, *, ends: bool = False) -> None:
    for choice in choices(document)[:1]:
        choice["error"] = {"code": 502, "message": message}
        if ends:
            choice[reason_name(document)] = "error"


def _finishing_event(documents: list[Json]) -> Json:
    finished = (item for item in documents if any(choice.get(reason_name(item)) for choice in choices(item)))
    return next(finished, documents[-1])


def _error_event(plan: ResponsePlan, message: str, *, ends: bool) -> Json:
    """Build an event in the format of the stream with nothing but the error."""
    first = next(filter(None, map(parse_object, plan.all_chunks)), {})
    event: Json = {"index": 0, "message": {"role": "ASSISTANT"}}
    if "choices" in first:
        event = {**first, "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": None}]}
    _add_error(event, message, ends=ends)
    return event


# Split surrogate pairs

_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_TEXTS = {"content", "text", "reasoning", "reasoning_content", "reasoningContent", "thinking", "arguments", "outputs"}
_FIRST_HALF_ONLY = {"id", "name"}  # of a tool call: not repeated with the second half
_FINISH_FIELDS = ("finish_reason", "finishReason", "generated_text", "details")


def split_surrogates(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    r"""Split surrogate pairs over two events, `\ud83d` at the end of one and `\ude00` at the start of the next, in
    text, reasoning and arguments; a response without such a pair gets 😀 after `after` events (default 1)."""
    if is_document(plan):
        return plan
    split = replace_objects(plan, _split)
    if len(split.all_chunks) > len(plan.all_chunks):
        return split
    after = 1 if fault.after is None else fault.after
    halves = [_events.encode_like_stream(plan, _events.text_event(plan, half)) for half in (rb"\ud83d", rb"\ude00")]
    chunks = plan.all_chunks
    return replace(plan, chunks=[*chunks[:after], *halves, *chunks[after:]])


def _split(document: Json) -> Iterator[Json]:
    """Split an object within each character outside the BMP: one object, or two and more."""
    if _responses.has_text_delta(document):
        yield from _split_delta(document)
        return
    choice_list = choices(document)
    if "chatHistory" in document or not any(map(_has_astral, choice_list)):  # Cohere's last event repeats everything
        yield document
        return
    first, second = deepcopy(document), deepcopy(document)
    for before, behind in zip(choices(first), choices(second), strict=True):
        before.update(
            {**_split_value(before, first=True), **dict.fromkeys(name for name in _FINISH_FIELDS if name in before)}
        )
        behind.update(_split_value(behind, first=False))
    first.pop("usage", None)
    yield first
    yield from _split(second)


def _split_delta(document: Json) -> Iterator[Json]:
    if _ASTRAL.search(document["delta"]) is None:
        yield document
        return
    yield {**document, "delta": _split_text(document["delta"], first=True)}
    yield from _split_delta({**document, "delta": _split_text(document["delta"], first=False)})


def _has_astral(value: Any, name: str = "") -> bool:
    match value:
        case dict():
            return any(_has_astral(inner, key) for key, inner in value.items())
        case list():
            return any(_has_astral(inner, name) for inner in value)
        case str():
            return name in _TEXTS and _ASTRAL.search(value) is not None
    return False


def _split_value(value: Any, name: str = "", *, first: bool) -> Any:
    match value:
        case dict():
            remaining = {key: inner for key, inner in value.items() if first or key not in _FIRST_HALF_ONLY}
            return {key: _split_value(inner, key, first=first) for key, inner in remaining.items()}
        case list():
            return [_split_value(inner, name, first=first) for inner in value]
        case str() if name in _TEXTS:
            return _split_text(value, first=first)
    return value


def _split_text(text: str, *, first: bool) -> str:
    found = _ASTRAL.search(text)
    if found is None:
        return text if first else ""
    high, low = divmod(ord(found[0]) - 0x10000, 0x400)
    return f"{text[: found.start()]}{chr(0xD800 + high)}" if first else f"{chr(0xDC00 + low)}{text[found.end() :]}"


# Reasoning in the content

#: Spelling of `reasoning_parts` to the function that builds a content part with reasoning.
PARTS: dict[str, Callable[[str], Json]] = {
    "magistral": lambda text: {"type": "thinking", "thinking": [{"type": "text", "text": text}]},
    "thinking": lambda text: {"type": "thinking", "thinking": text},
    "reasoning": lambda text: {"type": "reasoning", "text": text},
}
_FIELDS = ("reasoning", "reasoning_content")
_THOUGHT = "Let me think."


def reasoning_parts(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send reasoning as parts of `content`: `magistral` (Mistral's, default), `thinking`, `reasoning`, streamed or not;
    a response without reasoning gets a sentence; only in OpenAI's chat format."""
    as_part = PARTS[fault.spelling or "magistral"]
    return edit_objects(plan, lambda documents: _as_parts(documents, as_part))


def _as_parts(documents: list[Json], as_part: Callable[[str], Json]) -> None:
    chats = [document for document in documents if "choices" in document]
    outputs = [(choice.get("index"), choice_output(choice)) for document in chats for choice in choices(document)]
    outputs = [(index, output) for index, output in outputs if "text" not in output]
    thinking = {index for index, output in outputs if any(output.get(name) for name in _FIELDS)}
    started: set[Any] = set()
    for index, output in outputs:
        thought = next((output[name] for name in _FIELDS if output.get(name)), None)
        for name in _FIELDS:
            output.pop(name, None)
        text = output.get("content")
        if thought is None and text and index not in thinking:  # the response has no reasoning: invent some
            thought = _THOUGHT
            thinking.add(index)
        parts = [as_part(thought)] if thought else []
        if text and index not in started:
            started.add(index)
            parts.append({"type": "text", "text": text})
        if parts:
            output["content"] = parts
