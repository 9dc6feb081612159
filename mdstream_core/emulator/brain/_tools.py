"""Which tools to call, and with what."""

import hashlib
import json
import re
from functools import lru_cache
from itertools import islice

from mdstream_core.emulator.brain._answer import ToolCall, tokens
from mdstream_core.emulator.brain._fill import Filler
from mdstream_core.emulator.brain._question import Question, Tool, canonical
from mdstream_core.emulator.brain._schema import Json, resolve
from mdstream_core.emulator.brain._words import words

# Security limits of what is compared with each other.
_PARTS = 16  # things that a question asks for
_DESCRIBED = 1_000  # characters of a tool's description
_NAMES = 100  # properties of a tool

_ENOUGH = 3  # points from which a tool is called without being told to
_AND = re.compile(
    r"\s+(?:and|und|then|as well as)\s+(?:also\s+|in\s+|then\s+)?|;\s*|\?\s+|(?<=[a-z)])\.\s+", re.IGNORECASE
)
_EXAMPLE = re.compile(r"\b(?:in|at|for)\s+(?=[A-Z])")


@lru_cache(maxsize=2)
def _spoken(text: str) -> frozenset[str]:
    return frozenset(words(text))


def _points(text: str, tool: Tool) -> int:
    """How well a tool fits a sentence: its name counts more than its description."""
    spoken = _spoken(text)
    named = 10 * bool(re.search(rf"\b{re.escape(tool.name)}\b", text)) if tool.name else 0
    properties = resolve(tool.schema, tool.schema).get("properties") or {}
    described = words(tool.description[:_DESCRIBED].partition("\n")[0])
    about = {*described, *(word for name in islice(properties, _NAMES) for word in words(name))}
    return named + 3 * len(spoken & set(words(tool.name))) + len(spoken & about)


def _parts(text: str) -> list[str]:
    """A question that asks for two things, cut in two: `weather in Paris and London`, `3 + 4 and 5 * 6`."""
    pieces = [piece for piece in _AND.split(text, _PARTS) if piece and words(piece)]
    if len(pieces) < 2:
        return [text]
    head = _EXAMPLE.split(pieces[0])[0]
    return [pieces[0], *(f"{head} {_preposition(pieces[0])} {p}" if _bare(p) else p for p in pieces[1:])]


def _bare(piece: str) -> bool:
    """Whether a piece is only a name: `London?`."""
    return len(piece.split()) <= 3 and piece[:1].isupper()


def _preposition(piece: str) -> str:
    found = _EXAMPLE.search(piece)
    return found[0].strip() if found else "for"


def wanted(question: Question) -> list[ToolCall]:
    """The calls to make now; none where the answer is to be in words."""
    tools = {tool.name: tool for tool in question.tools}
    choices = {"none": _no_calls, "auto": _fitting, "required": _at_least_one}
    if question.choice in choices:
        calls = choices[question.choice](question)
    else:
        calls = [(tools[question.choice], question.text)] if question.choice in tools else []
    made = [(tool, _arguments(question, tool, text)) for tool, text in calls]
    if question.choice == "auto":
        made = [(tool, filled) for tool, filled in made if (tool.name, canonical(filled)) not in question.called]
    made = list({(tool.name, canonical(filled)): (tool, filled) for tool, filled in made}.values())
    made = made if question.parallel else made[:1]
    return [_call(question, number, tool, filled) for number, (tool, filled) in enumerate(made)]


def _no_calls(question: Question) -> list[tuple[Tool, str]]:
    return []


def _fitting(question: Question) -> list[tuple[Tool, str]]:
    """Each part of the question with the tool that fits it best, if one fits well enough."""
    found: list[tuple[Tool, str]] = []
    for part in _parts(question.text):
        best = max(question.tools, key=lambda tool: _points(part, tool), default=None)
        if best is not None and _points(part, best) >= _ENOUGH:
            found.append((best, part))
    if question.results and len({tool.name for tool, _ in found}) == 1 and len(found) == 1:
        return []  # asked once, answered once
    whole = len(found) == 1 and len(_parts(question.text)) > 1
    return [(found[0][0], question.text)] if whole else found


def _at_least_one(question: Question) -> list[tuple[Tool, str]]:
    if fitting := _fitting(question):
        return fitting
    fresh = [tool for tool in question.tools if tool.name not in {name for name, _ in question.called}]
    pool = fresh or question.tools
    best = max(pool, key=lambda tool: _points(question.text, tool), default=None)
    return [(best, question.text)] if best is not None else []


def _arguments(question: Question, tool: Tool, text: str) -> Json:
    filler = Filler(text, tool.schema, said="; ".join(question.results))
    spelled = re.search(rf"\b{re.escape(tool.name)}\(([^()]*)\)", text) if tool.name else None
    positional = [part for part in spelled[1].split(",") if part.strip()] if spelled else None
    return filler.object(tool.schema, positional=positional)


def _call(question: Question, number: int, tool: Tool, filled: Json) -> ToolCall:
    seed = f"{len(question.messages)}/{number}/{tool.name}/{canonical(filled)}"
    id = f"chatcmpl-tool-{hashlib.sha256(seed.encode()).hexdigest()[:16]}"
    return ToolCall(id, tool.name, tokens(json.dumps(filled, ensure_ascii=False)))
