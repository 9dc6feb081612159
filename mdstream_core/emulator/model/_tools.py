"""Tool calls of the built-in model: which tools to call, with which arguments."""

import hashlib
import json
import re
from functools import lru_cache
from itertools import islice

from mdstream_core.emulator.model._keywords import keywords
from mdstream_core.emulator.model._output import ToolCall, split_tokens
from mdstream_core.emulator.model._request import ParsedRequest, ToolSpec, normalize_arguments
from mdstream_core.emulator.model._schema import Json, resolve_schema
from mdstream_core.emulator.model._schema_filling import SchemaFiller

# Security limits of what is compared.
_MAX_PARTS = 16  # parts of a prompt
_MAX_DESCRIPTION = 1_000  # characters of a tool's description
_MAX_PROPERTIES = 100  # properties of a tool

_MIN_SCORE = 3  # score from which `auto` calls a tool
_AND = re.compile(
    r"\s+(?:and|und|then|as well as)\s+(?:also\s+|in\s+|then\s+)?|;\s*|\?\s+|(?<=[a-z)])\.\s+", re.IGNORECASE
)
_EXAMPLE = re.compile(r"\b(?:in|at|for)\s+(?=[A-Z])")


@lru_cache(maxsize=2)
def _keyword_set(text: str) -> frozenset[str]:
    return frozenset(keywords(text))


def _score_tool(text: str, tool: ToolSpec) -> int:
    """Score how well a tool fits a text: its name counts more than its description."""
    words = _keyword_set(text)
    name_score = 10 * bool(re.search(rf"\b{re.escape(tool.name)}\b", text)) if tool.name else 0
    properties = resolve_schema(tool.schema, tool.schema).get("properties") or {}
    description = keywords(tool.description[:_MAX_DESCRIPTION].partition("\n")[0])
    property_words = {*description, *(word for name in islice(properties, _MAX_PROPERTIES) for word in keywords(name))}
    return name_score + 3 * len(words & set(keywords(tool.name))) + len(words & property_words)


def _split_prompt(text: str) -> list[str]:
    """Split a prompt that needs two calls: `weather in Paris and London`, `3 + 4 and 5 * 6`."""
    parts = [part for part in _AND.split(text, _MAX_PARTS) if part and keywords(part)]
    if len(parts) < 2:
        return [text]
    head = _EXAMPLE.split(parts[0])[0]
    return [parts[0], *(f"{head} {_preposition(parts[0])} {p}" if _is_bare_name(p) else p for p in parts[1:])]


def _is_bare_name(part: str) -> bool:
    """Return whether a part is only a name: `London?`."""
    return len(part.split()) <= 3 and part[:1].isupper()


def _preposition(part: str) -> str:
    match = _EXAMPLE.search(part)
    return match[0].strip() if match else "for"


def choose_calls(request: ParsedRequest) -> list[ToolCall]:
    """Choose the calls to make now; none if the output is to be a text."""
    tools = {tool.name: tool for tool in request.tools}
    choices = {"none": _no_calls, "auto": _match_tools, "required": _match_at_least_one}
    if request.tool_choice in choices:
        calls = choices[request.tool_choice](request)
    else:
        calls = [(tools[request.tool_choice], request.text)] if request.tool_choice in tools else []
    selected = ((tool, _arguments(request, tool, text)) for tool, text in calls)
    unique = {(tool.name, normalize_arguments(arguments)): (tool, arguments) for tool, arguments in selected}
    if request.tool_choice == "auto":
        unique = {key: call for key, call in unique.items() if key not in request.called_tools}
    chosen = list(unique.values())
    chosen = chosen if request.allows_parallel else chosen[:1]
    return [_build_call(request, number, tool, arguments) for number, (tool, arguments) in enumerate(chosen)]


def _no_calls(request: ParsedRequest) -> list[tuple[ToolSpec, str]]:
    return []


def _match_tools(request: ParsedRequest) -> list[tuple[ToolSpec, str]]:
    """Pair each part of the prompt with the tool that fits it best, if one fits well enough."""
    matches: list[tuple[ToolSpec, str]] = []
    for part in _split_prompt(request.text):
        best = max(request.tools, key=lambda tool: _score_tool(part, tool), default=None)
        if best is not None and _score_tool(part, best) >= _MIN_SCORE:
            matches.append((best, part))
    if request.results and len({tool.name for tool, _ in matches}) == 1 and len(matches) == 1:
        return []  # the only call is done
    whole = len(matches) == 1 and len(_split_prompt(request.text)) > 1
    return [(matches[0][0], request.text)] if whole else matches


def _match_at_least_one(request: ParsedRequest) -> list[tuple[ToolSpec, str]]:
    if fitting := _match_tools(request):
        return fitting
    uncalled = [tool for tool in request.tools if tool.name not in {name for name, _ in request.called_tools}]
    candidates = uncalled or request.tools
    best = max(candidates, key=lambda tool: _score_tool(request.text, tool), default=None)
    return [(best, request.text)] if best is not None else []


def _arguments(request: ParsedRequest, tool: ToolSpec, text: str) -> Json:
    filler = SchemaFiller(text, tool.schema, written_text="; ".join(request.results))
    explicit_call = re.search(rf"\b{re.escape(tool.name)}\(([^()]*)\)", text) if tool.name else None
    positional = [part for part in explicit_call[1].split(",") if part.strip()] if explicit_call else None
    return filler.object(tool.schema, positional=positional)


def _build_call(request: ParsedRequest, number: int, tool: ToolSpec, arguments: Json) -> ToolCall:
    seed = f"{len(request.messages)}/{number}/{tool.name}/{normalize_arguments(arguments)}"
    id = f"chatcmpl-tool-{hashlib.sha256(seed.encode()).hexdigest()[:16]}"
    return ToolCall(id, tool.name, split_tokens(json.dumps(arguments, ensure_ascii=False)))
