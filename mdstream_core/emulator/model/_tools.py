"""Which tools to call, and with what."""

import hashlib
import json
import re
from functools import lru_cache
from itertools import islice

from mdstream_core.emulator.model._keywords import keywords
from mdstream_core.emulator.model._output import ToolCall, split_tokens
from mdstream_core.emulator.model._request import ParsedRequest, ToolSpec, canonical
from mdstream_core.emulator.model._schema import Json, resolve
from mdstream_core.emulator.model._schema_filling import SchemaFiller

# Security limits of what is compared with each other.
_PARTS = 16  # things that a question asks for
_DESCRIBED = 1_000  # characters of a tool's description
_NAMES = 100  # properties of a tool

_MIN_SCORE = 3  # points from which a tool is called without being told to
_AND = re.compile(
    r"\s+(?:and|und|then|as well as)\s+(?:also\s+|in\s+|then\s+)?|;\s*|\?\s+|(?<=[a-z)])\.\s+", re.IGNORECASE
)
_EXAMPLE = re.compile(r"\b(?:in|at|for)\s+(?=[A-Z])")


@lru_cache(maxsize=2)
def _spoken(text: str) -> frozenset[str]:
    return frozenset(keywords(text))


def _score_tool(text: str, tool: ToolSpec) -> int:
    """How well a tool fits a sentence: its name counts more than its description."""
    spoken = _spoken(text)
    named = 10 * bool(re.search(rf"\b{re.escape(tool.name)}\b", text)) if tool.name else 0
    properties = resolve(tool.schema, tool.schema).get("properties") or {}
    described = keywords(tool.description[:_DESCRIBED].partition("\n")[0])
    about = {*described, *(word for name in islice(properties, _NAMES) for word in keywords(name))}
    return named + 3 * len(spoken & set(keywords(tool.name))) + len(spoken & about)


def _split_question(text: str) -> list[str]:
    """A question that asks for two things, cut in two: `weather in Paris and London`, `3 + 4 and 5 * 6`."""
    pieces = [piece for piece in _AND.split(text, _PARTS) if piece and keywords(piece)]
    if len(pieces) < 2:
        return [text]
    head = _EXAMPLE.split(pieces[0])[0]
    return [pieces[0], *(f"{head} {_preposition(pieces[0])} {p}" if _is_bare_name(p) else p for p in pieces[1:])]


def _is_bare_name(piece: str) -> bool:
    """Whether a piece is only a name: `London?`."""
    return len(piece.split()) <= 3 and piece[:1].isupper()


def _preposition(piece: str) -> str:
    found = _EXAMPLE.search(piece)
    return found[0].strip() if found else "for"


def choose_calls(request: ParsedRequest) -> list[ToolCall]:
    """The calls to make now; none where the answer is to be in words."""
    tools = {tool.name: tool for tool in request.tools}
    choices = {"none": _no_calls, "auto": _match_tools, "required": _at_least_one}
    if request.tool_choice in choices:
        calls = choices[request.tool_choice](request)
    else:
        calls = [(tools[request.tool_choice], request.text)] if request.tool_choice in tools else []
    made = [(tool, _arguments(request, tool, text)) for tool, text in calls]
    if request.tool_choice == "auto":
        made = [(tool, filled) for tool, filled in made if (tool.name, canonical(filled)) not in request.called_tools]
    made = list({(tool.name, canonical(filled)): (tool, filled) for tool, filled in made}.values())
    made = made if request.allows_parallel else made[:1]
    return [_build_call(request, number, tool, filled) for number, (tool, filled) in enumerate(made)]


def _no_calls(question: ParsedRequest) -> list[tuple[ToolSpec, str]]:
    return []


def _match_tools(question: ParsedRequest) -> list[tuple[ToolSpec, str]]:
    """Each part of the question with the tool that fits it best, if one fits well enough."""
    found: list[tuple[ToolSpec, str]] = []
    for part in _split_question(question.text):
        best = max(question.tools, key=lambda tool: _score_tool(part, tool), default=None)
        if best is not None and _score_tool(part, best) >= _MIN_SCORE:
            found.append((best, part))
    if question.results and len({tool.name for tool, _ in found}) == 1 and len(found) == 1:
        return []  # asked once, answered once
    whole = len(found) == 1 and len(_split_question(question.text)) > 1
    return [(found[0][0], question.text)] if whole else found


def _at_least_one(question: ParsedRequest) -> list[tuple[ToolSpec, str]]:
    if fitting := _match_tools(question):
        return fitting
    fresh = [tool for tool in question.tools if tool.name not in {name for name, _ in question.called_tools}]
    pool = fresh or question.tools
    best = max(pool, key=lambda tool: _score_tool(question.text, tool), default=None)
    return [(best, question.text)] if best is not None else []


def _arguments(question: ParsedRequest, tool: ToolSpec, text: str) -> Json:
    filler = SchemaFiller(text, tool.schema, written_text="; ".join(question.results))
    spelled = re.search(rf"\b{re.escape(tool.name)}\(([^()]*)\)", text) if tool.name else None
    positional = [part for part in spelled[1].split(",") if part.strip()] if spelled else None
    return filler.object(tool.schema, positional=positional)


def _build_call(question: ParsedRequest, number: int, tool: ToolSpec, filled: Json) -> ToolCall:
    seed = f"{len(question.messages)}/{number}/{tool.name}/{canonical(filled)}"
    id = f"chatcmpl-tool-{hashlib.sha256(seed.encode()).hexdigest()[:16]}"
    return ToolCall(id, tool.name, split_tokens(json.dumps(filled, ensure_ascii=False)))
