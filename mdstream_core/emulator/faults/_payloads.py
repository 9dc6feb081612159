"""The JSON inside an answer, read, changed, and written again as what it was: an event, a line, a whole document."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from mdstream_core import _json
from mdstream_core.emulator._response_plan import ChunkOrPause, ResponsePlan

Json = dict[str, Any]

_EVENT = re.compile(rb"(data: ?)(\{.*\})(\s*)", re.DOTALL)
_LINE = re.compile(rb"()(\{.*\})(\s*)", re.DOTALL)
_HALF = re.compile("[\ud800-\udfff]")

#: What tells that an object of a stream is a choice itself, as in OCI's formats and those of TGI and LMI.
_OWN_CHOICE = {"apiFormat", "finishReason", "text", "token", "outputs"}


def is_document(plan: ResponsePlan) -> bool:
    """Whether an answer is one JSON object and no stream."""
    return plan.framing == "length" and b"".join(plan.body_chunks).lstrip().startswith(b"{")


def read(piece: ChunkOrPause) -> Json | None:
    """The JSON object of a piece; `None` where it is something else."""
    found = _match(piece)
    if found is None:
        return None
    try:
        value = _json.loads(found[2])
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def write(like: ChunkOrPause, document: Json) -> bytes:
    """An object in the place of another. Half a surrogate pair is written as an escape, as JavaScript does it."""
    found = _match(like)
    if found is None:
        raise ValueError(f"{like!r} holds no JSON object")
    text = _json.dumps(document).decode("utf-8", "surrogatepass")
    return found[1] + _HALF.sub(lambda half: f"\\u{ord(half[0]):04x}", text).encode() + found[3]


def _match(piece: ChunkOrPause) -> re.Match[bytes] | None:
    if type(piece) is not bytes:  # a pause; a piece that is framed, or cut, already
        return None
    return _EVENT.fullmatch(piece) or _LINE.fullmatch(piece)


def edit(plan: ResponsePlan, change: Callable[[list[Json]], object]) -> ResponsePlan:
    """The plan after a function changed its objects."""
    read_ = [(piece, read(piece)) for piece in plan.all_chunks]
    if documents := [document for _, document in read_ if document is not None]:
        change(documents)
    return replace(plan, chunks=[piece if document is None else write(piece, document) for piece, document in read_])


def substitute(plan: ResponsePlan, function: Callable[[Json], Iterable[Json]]) -> ResponsePlan:
    """The plan with those objects in the place of each that a function gives for it."""
    pieces: list[ChunkOrPause] = []
    for piece in plan.all_chunks:
        document = read(piece)
        pieces += [piece] if document is None else [write(piece, one) for one in function(document)]
    return replace(plan, chunks=pieces)


def choices(document: Json) -> list[Json]:
    """The choices in an object, streamed or whole; an object may be a choice itself."""
    inner: Json = document.get("chatResponse") or document.get("inferenceResponse") or document
    listed = next((inner[name] for name in ("choices", "generatedTexts") if isinstance(inner.get(name), list)), None)
    if listed is not None:
        return [one for one in listed if isinstance(one, dict)]
    return [inner] if _OWN_CHOICE & inner.keys() or isinstance(inner.get("message"), dict) else []


def reason_name(document: Json) -> str:
    """What the finish reason is called in an object."""
    return "finish_reason" if "choices" in document else "finishReason"


def choice_output(choice: Json) -> Json:
    """Where the words and calls of a choice stand."""
    return next((choice[name] for name in ("delta", "message") if isinstance(choice.get(name), dict)), choice)


def tool_call_fragments(documents: Iterable[Json]) -> list[list[Json]]:
    """The fragments of each tool call: those objects that hold its `arguments` as a text."""
    calls: list[list[Json]] = []
    open_: dict[Any, tuple[Any, list[Json]]] = {}  # choice: (the id of its last call, its fragments)
    for choice, entry in _entries(documents):
        function = entry.get("function") or entry
        id = entry.get("id")
        if choice not in open_ or (function.get("name") and (not id or id != open_[choice][0])):
            calls.append([])
            open_[choice] = (id, calls[-1])
        if isinstance(function.get("arguments"), str):
            open_[choice][1].append(function)
    return [call for call in calls if call]


def _entries(documents: Iterable[Json]) -> Iterator[tuple[Any, Json]]:
    for document in documents:
        for choice in choices(document):
            said = choice_output(choice)
            for entry in said.get("tool_calls") or said.get("toolCalls") or ():
                yield choice.get("index"), entry
