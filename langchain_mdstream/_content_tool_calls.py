"""Tool calls that stand in the content blocks of a message and not in its `tool_calls`, as in stored conversations.

LangChain's core does not look for them, langchain-openai drops them, langchain-anthropic sends them. Here they are sent
where a result follows: without its call a result is refused by servers, and so is a call without a result.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

#: Id, name, and arguments as JSON text.
Call = tuple[Any, Any, str]

#: Blocks that are a call of one of the user's tools, and not of the provider's own.
_CALLS = frozenset(
    {"tool_call", "tool_call_chunk", "invalid_tool_call", "tool_use", "function_call", "custom_tool_call"}
)

#: Where the formats keep the id and the arguments.
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
    found = [call for block in message.content if (call := _read_call(block)) is not None and call[0] not in known]
    if not found:
        return []
    results = _count_results(following)
    return [call for call in found if _take(results, call[0])]


def _count_results(following: Iterable[BaseMessage]) -> Counter[str]:
    """Count the tool results under each id before the next message of a model."""
    counted: Counter[str] = Counter()
    for message in takewhile(lambda message: not isinstance(message, AIMessage), following):
        if isinstance(message, ToolMessage):
            counted[message.tool_call_id] += 1
        elif isinstance(message.content, list):  # Anthropic's results stand in a human message
            blocks = (block for block in message.content if isinstance(block, Mapping))
            counted.update(str(id) for block in blocks if (id := block.get("tool_use_id")) is not None)
    return counted


def _take(results: Counter[str], id: Any) -> bool:
    """Take a result of this id away; false where there is none left."""
    results[id] -= 1
    return results[id] >= 0


def _read_call(block: Any) -> Call | None:
    """Read the call of a content block: LangChain's, Anthropic's, OpenAI's (Responses), Google's or Bedrock's."""
    if not isinstance(block, Mapping):
        return None
    kind = block.get("type")
    if kind == "non_standard":
        return _read_call(block.get("value"))
    if isinstance(inside := block.get("toolUse"), Mapping):
        return _read_call({**inside, "type": "tool_use"})
    if not isinstance(kind, str) or kind not in _CALLS:
        return None
    given = _first(block, _ARGUMENTS) or {}
    if kind == "custom_tool_call":
        given = {"__arg1": given}  # as LangChain writes a call whose input is no JSON
    text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    id = _first(block, _IDS)
    return id if id is None else str(id), block.get("name"), text


def _first(block: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((block[name] for name in names if block.get(name)), None)
