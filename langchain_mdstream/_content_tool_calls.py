"""Find tool calls in the content blocks of a message that are not in its `tool_calls`, as in stored conversations.

LangChain does not look for them, langchain-openai drops them, langchain-anthropic sends them. Here they are sent if a
result follows, because servers reject a result without its call, and a call without a result.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

#: Id, name, and arguments as JSON.
Call = tuple[Any, Any, str]

#: Types of blocks that call a tool of the user, and not one of the provider.
_CALLS = frozenset(
    {"tool_call", "tool_call_chunk", "invalid_tool_call", "tool_use", "function_call", "custom_tool_call"}
)

#: Keys of the id and of the arguments, in the various formats.
_IDS = ("call_id", "toolUseId", "id")
_ARGUMENTS = ("args", "input", "arguments", "partial_json")


def find_calls_in_content(message: AIMessage, known: set[Any], following: Iterable[BaseMessage]) -> list[Call]:
    """Find the calls that only a content block has and that a result follows; of one id, as many as there are results.

    Args:
        message: A message of a model.
        known: The ids of the calls that are known already.
        following: The messages after it.
    """
    if isinstance(message.content, str):
        return []
    calls = [call for block in message.content if (call := _read_call(block)) is not None and call[0] not in known]
    if not calls:
        return []
    results = _count_results(following)
    return [call for call in calls if _take(results, call[0])]


def _count_results(following: Iterable[BaseMessage]) -> Counter[str]:
    """Count the tool results under each id before the next message of a model."""
    counted: Counter[str] = Counter()
    for message in takewhile(lambda message: not isinstance(message, AIMessage), following):
        if isinstance(message, ToolMessage):
            counted[message.tool_call_id] += 1
        elif isinstance(message.content, list):  # Anthropic's results are blocks of a human message
            blocks = (block for block in message.content if isinstance(block, Mapping))
            counted.update(str(id) for block in blocks if (id := block.get("tool_use_id")) is not None)
    return counted


def _take(results: Counter[str], id: Any) -> bool:
    """Remove a result of this id; `False` if none remains."""
    results[id] -= 1
    return results[id] >= 0


def _read_call(block: Any) -> Call | None:
    """Read the call of a content block: LangChain's, Anthropic's, OpenAI's (Responses), Google's or Bedrock's."""
    if not isinstance(block, Mapping):
        return None
    kind = block.get("type")
    if kind == "non_standard":
        return _read_call(block.get("value"))
    if isinstance(nested := block.get("toolUse"), Mapping):
        return _read_call({**nested, "type": "tool_use"})
    if not isinstance(kind, str) or kind not in _CALLS:
        return None
    arguments = _first(block, _ARGUMENTS) or {}
    if kind == "custom_tool_call":
        arguments = {"__arg1": arguments}  # as LangChain represents a call whose input is not JSON
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    id = _first(block, _IDS)
    return id if id is None else str(id), block.get("name"), text


def _first(block: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((block[name] for name in names if block.get(name)), None)
