"""Build requests that resume an interrupted response.

vLLM and SGLang continue the last message of a chat (`continue_final_message`). A completion is continued by a prompt
with the received output appended. Output that is constrained to a format (a schema, a forced tool call) cannot be
resumed: the continuation would start with the format again.
"""

from collections.abc import Mapping
from typing import Any

from mdstream_core.events import ModelResponse

#: Characters per token, on average; used if the server has not reported a usage.
_CHARACTERS_PER_TOKEN = 4

#: Fields that constrain the format of the output.
_FORMAT_FIELDS = (
    "response_format",
    *("structured_outputs", "guided_json", "guided_regex", "guided_choice", "guided_grammar"),  # vLLM
    *("regex", "ebnf", "json_schema", "structural_tag"),  # SGLang
    *("grammar", "min_tokens"),  # llama.cpp; a minimum cannot be divided between the two requests
)
_UNCONSTRAINED = (None, {"type": "text"})


def build_continuation(payload: Mapping[str, Any], partial: ModelResponse) -> dict[str, Any] | None:
    """Build the payload that requests the rest of a response; `None` if it cannot be resumed safely.

    Args:
        payload: The payload of the interrupted request.
        partial: What was received of the response.
    """
    if any(payload.get(name) not in _UNCONSTRAINED for name in _FORMAT_FIELDS) or (payload.get("n") or 1) != 1:
        return None
    match payload:
        case {"messages": [*messages]} if payload.get("tool_choice") in (None, "auto", "none"):
            chat = _continue_chat(messages, partial.text)
            return _reduce_limits({**payload, **chat}, partial) if chat else None
        case {"prompt": str(prompt)} if not payload.get("echo") and not payload.get("suffix"):
            return _reduce_limits({**payload, "prompt": prompt + partial.text}, partial)
        case {"inputs": str(inputs), "parameters": dict(parameters)} if not (
            parameters.get("grammar") or parameters.get("response_format")
        ):
            return {
                **payload,
                "inputs": inputs + partial.text,
                "parameters": _reduce_limit(parameters, "max_new_tokens", partial),
            }
    return None


def _continue_chat(messages: list[Any], text: str) -> dict[str, Any] | None:
    has_prefix = bool(messages) and messages[-1].get("role") == "assistant"
    if has_prefix and (not isinstance(messages[-1].get("content"), str) or messages[-1].get("tool_calls")):
        return None
    last = {**messages[-1], "content": messages[-1]["content"] + text} if has_prefix else None
    earlier = messages[:-1] if has_prefix else messages
    return {
        "messages": [*earlier, last or {"role": "assistant", "content": text}],
        "continue_final_message": True,
        "add_generation_prompt": False,
    }


def _reduce_limits(payload: dict[str, Any], partial: ModelResponse) -> dict[str, Any]:
    return _reduce_limit(_reduce_limit(payload, "max_tokens", partial), "max_completion_tokens", partial)


def _reduce_limit(payload: dict[str, Any], limit: str, partial: ModelResponse) -> dict[str, Any]:
    """Subtract the received tokens from a token limit."""
    if not payload.get(limit):
        return payload
    tokens = (partial.usage.output if partial.usage else 0) or len(partial.text) // _CHARACTERS_PER_TOKEN
    return {**payload, limit: max(1, payload[limit] - tokens)}
