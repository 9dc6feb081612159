"""The texts of a model's message that guardrails check: its content, arguments of tool calls, and citations."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.messages import AIMessage

from langchain_mdstream._errors import GuardrailViolation
from mdstream_core.guardrails import (
    CITATIONS,
    GuardrailPolicy,
    cited_texts,
    content_texts,
    replace_cited_texts,
    replace_content_texts,
)


def output_texts(message: AIMessage, policy: GuardrailPolicy) -> list[str]:
    """Return the texts to check."""
    calls = [_arguments(call) for call in message.tool_calls] if policy.check_tool_calls else []
    cited = [text for _, value in _citations(message, policy) for text in cited_texts(value)]
    annotated = cited_texts(_annotations(message)) if policy.check_citations else []
    return [*content_texts(message.content), *calls, *cited, *annotated]


def replace_output_texts(message: AIMessage, texts: Sequence[str], policy: GuardrailPolicy) -> AIMessage:
    """Return the message with other texts, in the order of `output_texts`; the same object if none differs.

    Raises:
        GuardrailViolation: Arguments of a tool call are no JSON any more: what was redacted is no text in them.
    """
    if list(texts) == output_texts(message, policy):
        return message
    remaining = iter(texts)
    content = replace_content_texts(message.content, [next(remaining) for _ in content_texts(message.content)])
    update: dict[str, Any] = {}
    if policy.check_tool_calls:
        update["tool_calls"] = [_with_arguments(call, next(remaining)) for call in message.tool_calls]
    cited = {name: replace_cited_texts(value, remaining) for name, value in _citations(message, policy)}
    if cited:
        update["additional_kwargs"] = {**message.additional_kwargs, **cited}
    if policy.check_citations and isinstance(content, list):
        content = [_with_annotations(part, remaining) for part in content]
    return message.model_copy(update={"content": content, **update})


def _arguments(call: Any) -> str:
    return json.dumps(call["args"], ensure_ascii=False)


def _with_arguments(call: Any, text: str) -> Any:
    if text == _arguments(call):
        return call
    try:
        arguments = json.loads(text)
    except ValueError:
        raise GuardrailViolation(
            f"OCI guardrails blocked the tool call: pii in the arguments of {call['name']} that could not be redacted"
        ) from None
    return {**call, "args": arguments}


def _citations(message: AIMessage, policy: GuardrailPolicy) -> Iterator[tuple[str, Any]]:
    """Yield the lists of citations beside the content."""
    if policy.check_citations:
        yield from (
            (name, message.additional_kwargs[name]) for name in sorted(CITATIONS & {*message.additional_kwargs})
        )


def _annotations(message: AIMessage) -> list[Any]:
    """Return the citations of each part of the content."""
    parts = message.content if isinstance(message.content, list) else []
    return [part["annotations"] for part in parts if isinstance(part, dict) and part.get("annotations")]


def _with_annotations(part: Any, texts: Iterator[str]) -> Any:
    if not (isinstance(part, dict) and part.get("annotations")):
        return part
    return {**part, "annotations": replace_cited_texts(part["annotations"], texts)}
