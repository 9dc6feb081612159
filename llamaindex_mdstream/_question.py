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
    merged = {**said, **additional, **_without_unwanted(given, additional)}
    body = {name: value for name, value in merged.items() if name not in _INTERNAL}
    if "allow_parallel_tool_calls" in merged and body.get("tools"):
        body.setdefault("parallel_tool_calls", merged["allow_parallel_tool_calls"])
    if body.get("tools"):
        body["tools"] = _tools.wire_tools(body["tools"], strict=strict)
        body["tool_choice"] = _tools.tool_choice(body.get("tool_choice"), required=bool(given.get("tool_required")))
        if body["tool_choice"] == "auto" and additional.get("tool_choice", "") is None:
            del body["tool_choice"]
    else:
        body = {name: value for name, value in body.items() if name not in {"tools", "tool_choice"}}
    if isinstance(body.get("response_format"), type):
        body["response_format"] = _structured_methods.response_format(body["response_format"], strict=strict)
    return {**body, **asked, **(merged.get("extra_body") or {})}


#: Whether several tools may be called at once: what LlamaIndex's agents say of it in each call, under two names.
_PARALLEL = ("allow_parallel_tool_calls", "parallel_tool_calls")


def _without_unwanted(given: Mapping[str, Any], additional: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call, without what agents say in each though `additional_kwargs` wants it unsaid (`None`)."""
    if additional.get("parallel_tool_calls", "") is not None:
        return dict(given)
    return {name: value for name, value in given.items() if name not in _PARALLEL}


def parallel(body: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether the model may call several tools at once: as is sent, or else as the caller says."""
    wishes = (body.get("parallel_tool_calls"), given.get("parallel_tool_calls"), given.get("allow_parallel_tool_calls"))
    return next((wish for wish in wishes if wish is not None), None) is not False
