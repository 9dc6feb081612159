"""The JSON objects in the chunks of a response: parse them, change them, encode them in the same framing as before."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from mdstream_core import _json
from mdstream_core.emulator._response_plan import ChunkOrPause, ResponsePlan

Json = dict[str, Any]

_EVENT = re.compile(rb"((?:event: ?[^\n]*\n)?data: ?)(\{.*\})(\s*)", re.DOTALL)
_LINE = re.compile(rb"()(\{.*\})(\s*)", re.DOTALL)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

#: Keys of an object that is itself a choice, as in the formats of OCI, TGI and LMI.
_CHOICE_KEYS = {"apiFormat", "finishReason", "text", "token", "outputs"}


def is_document(plan: ResponsePlan) -> bool:
    """Return whether a response is one JSON object and no stream."""
    return plan.framing == "length" and b"".join(plan.body_chunks).lstrip().startswith(b"{")


def parse_object(chunk: ChunkOrPause) -> Json | None:
    """Parse the JSON object in a chunk; `None` if there is none."""
    found = _match(chunk)
    if found is None:
        return None
    try:
        value = _json.loads(found[2])
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def encode_object(like: ChunkOrPause, document: Json) -> bytes:
    """Encode an object in the framing of the chunk that it replaces; lone surrogates are escaped, as in JavaScript."""
    found = _match(like)
    if found is None:
        raise ValueError(f"{like!r} contains no JSON object")
    text = _json.dumps(document).decode("utf-8", "surrogatepass")
    return found[1] + _LONE_SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text).encode() + found[3]


def _match(chunk: ChunkOrPause) -> re.Match[bytes] | None:
    if type(chunk) is not bytes:  # a pause, or a chunk that is framed or truncated already
        return None
    return _EVENT.fullmatch(chunk) or _LINE.fullmatch(chunk)


def edit_objects(plan: ResponsePlan, change: Callable[[list[Json]], object]) -> ResponsePlan:
    """Apply a function to the list of all objects, which it changes in place."""
    parsed = [(chunk, parse_object(chunk)) for chunk in plan.all_chunks]
    if documents := [document for _, document in parsed if document is not None]:
        change(documents)
    return replace(
        plan, chunks=[chunk if document is None else encode_object(chunk, document) for chunk, document in parsed]
    )


def replace_objects(plan: ResponsePlan, function: Callable[[Json], Iterable[Json]]) -> ResponsePlan:
    """Replace each object with the objects that a function returns for it."""
    chunks: list[ChunkOrPause] = []
    for chunk in plan.all_chunks:
        document = parse_object(chunk)
        chunks += [chunk] if document is None else [encode_object(chunk, item) for item in function(document)]
    return replace(plan, chunks=chunks)


def is_responses_object(document: Json) -> bool:
    """Return whether an object is a response of `/v1/responses`, or one of its events."""
    return document.get("object") == "response" or str(document.get("type")).startswith("response.")


def choices(document: Json) -> list[Json]:
    """Return the choices of an object, streamed or not; an object may be a choice itself."""
    if is_responses_object(document):
        return []
    inner: Json = document.get("chatResponse") or document.get("inferenceResponse") or document
    listed = next((inner[name] for name in ("choices", "generatedTexts") if isinstance(inner.get(name), list)), None)
    if listed is not None:
        return [item for item in listed if isinstance(item, dict)]
    return [inner] if _CHOICE_KEYS & inner.keys() or isinstance(inner.get("message"), dict) else []


def reason_name(document: Json) -> str:
    """Return the name of the finish reason's field in an object."""
    return "finish_reason" if "choices" in document else "finishReason"


def choice_output(choice: Json) -> Json:
    """Return the object that holds the text and the tool calls of a choice."""
    return next((choice[name] for name in ("delta", "message") if isinstance(choice.get(name), dict)), choice)


def tool_call_fragments(documents: Iterable[Json]) -> list[list[Json]]:
    """Return the fragments of each tool call: the objects whose `arguments` is a text."""
    calls: list[list[Json]] = []
    current_calls: dict[Any, tuple[Any, list[Json]]] = {}  # by choice: the id of its last call, its fragments
    for choice, entry in _entries(documents):
        function = entry.get("function") or entry
        id = entry.get("id")
        if choice not in current_calls or (function.get("name") and (not id or id != current_calls[choice][0])):
            calls.append([])
            current_calls[choice] = (id, calls[-1])
        if isinstance(function.get("arguments"), str):
            current_calls[choice][1].append(function)
    return [call for call in calls if call]


def _entries(documents: Iterable[Json]) -> Iterator[tuple[Any, Json]]:
    for document in documents:
        for choice in choices(document):
            output = choice_output(choice)
            for entry in output.get("tool_calls") or output.get("toolCalls") or ():
                yield choice.get("index"), entry
