"""What is asked, in the OpenAI shape: a model's fields, its `additional_kwargs`, and what one call brings."""

from collections.abc import Mapping
from typing import Any

from llamaindex_mdstream import _structured_methods, _tools

#: Words that LlamaIndex says to LLMs and that no server knows.
_INTERNAL = frozenset(
    {
        "allow_parallel_tool_calls",
        "chat_history",
        "error_on_no_tool_call",
        "error_on_tool_error",
        "extra_body",
        "extra_headers",
        "formatted",
        "headers",
        "stream",
        "tool_required",
        "user_msg",
        "verbose",
    }
)


def question(
    fields: Mapping[str, Any],
    additional: Mapping[str, Any],
    given: Mapping[str, Any],
    asked: Mapping[str, Any],
    *,
    strict: bool = False,
) -> dict[str, Any]:
    """The question. What stands further right counts more; `extra_body` counts most, and is sent as it is.

    Args:
        fields: What the model object says; what is empty there is not sent.
        additional: Its `additional_kwargs`.
        given: The keyword arguments of this call.
        asked: `messages` or `prompt`.
        strict: Whether the server shall hold tool calls and schemas to the letter.
    """
    said = {name: value for name, value in fields.items() if value not in (None, "", [])}
    merged = {**said, **additional, **given}
    body = {name: value for name, value in merged.items() if name not in _INTERNAL}
    if "allow_parallel_tool_calls" in given and body.get("tools"):
        body.setdefault("parallel_tool_calls", given["allow_parallel_tool_calls"])
    if body.get("tools"):
        body["tools"] = _tools.wire_tools(body["tools"], strict=strict)
        body["tool_choice"] = _tools.tool_choice(body.get("tool_choice"), required=bool(given.get("tool_required")))
    else:
        body = {name: value for name, value in body.items() if name not in {"tools", "tool_choice"}}
    if isinstance(body.get("response_format"), type):
        body["response_format"] = _structured_methods.response_format(body["response_format"], strict=strict)
    return {**body, **asked, **(merged.get("extra_body") or {})}


def parallel(body: Mapping[str, Any]) -> bool:
    """Whether the model may call several tools at once."""
    return body.get("parallel_tool_calls") is not False
