"""How a server is asked to go on with an answer that broke, instead of beginning it anew.

vLLM and SGLang continue a chat's last message (`continue_final_message`); a completion is continued by its prompt, with
what was said behind it. What is held to a form (a schema, a forced tool call) begins with that form, so that none of
it can be gone on with.
"""

from collections.abc import Mapping
from typing import Any

from mdstream_core.events import ModelResponse

#: Letters of a token, on average, where the server has not counted.
_CHARACTERS_PER_TOKEN = 4

#: Fields that hold an answer to a form.
_FORMAT_FIELDS = (
    "response_format",
    *("structured_outputs", "guided_json", "guided_regex", "guided_choice", "guided_grammar"),  # vLLM
    *("regex", "ebnf", "json_schema", "structural_tag"),  # SGLang
    *("grammar", "min_tokens"),  # llama.cpp; what is the least of both halves together nobody can say
)
_FREE_FORMATS = (None, {"type": "text"})


def build_continuation(payload: Mapping[str, Any], partial: ModelResponse) -> dict[str, Any] | None:
    """The body that asks for the rest of an answer; `None` where there is none that surely does.

    Args:
        payload: The question as it was asked at first.
        partial: What has been received of the answer.
    """
    if any(payload.get(name) not in _FREE_FORMATS for name in _FORMAT_FIELDS) or (payload.get("n") or 1) != 1:
        return None
    match payload:
        case {"messages": [*messages]} if payload.get("tool_choice") in (None, "auto", "none"):
            chat = _continue_chat(messages, partial.text)
            return _reduce_limits({**payload, **chat}, partial) if chat else None
        case {"prompt": str(prompt)} if not payload.get("echo") and not payload.get("suffix"):
            return _reduce_limits({**payload, "prompt": prompt + partial.text}, partial)
        case {"inputs": str(inputs), "parameters": dict(asked)} if not (
            asked.get("grammar") or asked.get("response_format")
        ):
            return {
                **payload,
                "inputs": inputs + partial.text,
                "parameters": _reduce_limit(asked, "max_new_tokens", partial),
            }
    return None


def _continue_chat(messages: list[Any], text: str) -> dict[str, Any] | None:
    begun = bool(messages) and messages[-1].get("role") == "assistant"
    if begun and (not isinstance(messages[-1].get("content"), str) or messages[-1].get("tool_calls")):
        return None
    last = {**messages[-1], "content": messages[-1]["content"] + text} if begun else None
    rest = messages[:-1] if begun else messages
    return {
        "messages": [*rest, last or {"role": "assistant", "content": text}],
        "continue_final_message": True,
        "add_generation_prompt": False,
    }


def _reduce_limits(body: dict[str, Any], partial: ModelResponse) -> dict[str, Any]:
    return _reduce_limit(_reduce_limit(body, "max_tokens", partial), "max_completion_tokens", partial)


def _reduce_limit(body: dict[str, Any], limit: str, partial: ModelResponse) -> dict[str, Any]:
    """What was said counts towards the longest answer."""
    if not body.get(limit):
        return body
    tokens = (partial.usage.output if partial.usage else 0) or len(partial.text) // _CHARACTERS_PER_TOKEN
    return {**body, limit: max(1, body[limit] - tokens)}
