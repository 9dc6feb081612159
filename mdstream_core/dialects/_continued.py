"""How a server is asked to go on with an answer that broke, instead of beginning it anew.

vLLM and SGLang continue a chat's last message (`continue_final_message`); a completion is continued by its prompt, with
what was said behind it. What is held to a form (a schema, a forced tool call) begins with that form, so that none of
it can be gone on with.
"""

from collections.abc import Mapping
from typing import Any

from mdstream_core.events import Reply

#: Letters of a token, on average, where the server has not counted.
_LETTERS = 4

#: Fields that hold an answer to a form.
_FORMS = (
    "response_format",
    *("structured_outputs", "guided_json", "guided_regex", "guided_choice", "guided_grammar"),  # vLLM
    *("regex", "ebnf", "json_schema", "structural_tag"),  # SGLang
    *("grammar", "min_tokens"),  # llama.cpp; what is the least of both halves together nobody can say
)
_FREE = (None, {"type": "text"})


def continued(body: Mapping[str, Any], said: Reply) -> dict[str, Any] | None:
    """The body that asks for the rest of an answer; `None` where there is none that surely does.

    Args:
        body: The question as it was asked at first.
        said: What has been received of the answer.
    """
    if any(body.get(name) not in _FREE for name in _FORMS) or (body.get("n") or 1) != 1:
        return None
    match body:
        case {"messages": [*messages]} if body.get("tool_choice") in (None, "auto", "none"):
            chat = _chat(messages, said.text)
            return _shorter({**body, **chat}, said) if chat else None
        case {"prompt": str(prompt)} if not body.get("echo") and not body.get("suffix"):
            return _shorter({**body, "prompt": prompt + said.text}, said)
        case {"inputs": str(inputs), "parameters": dict(asked)} if not (
            asked.get("grammar") or asked.get("response_format")
        ):
            return {**body, "inputs": inputs + said.text, "parameters": _fewer(asked, "max_new_tokens", said)}
    return None


def _chat(messages: list[Any], text: str) -> dict[str, Any] | None:
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


def _shorter(body: dict[str, Any], said: Reply) -> dict[str, Any]:
    return _fewer(_fewer(body, "max_tokens", said), "max_completion_tokens", said)


def _fewer(body: dict[str, Any], limit: str, said: Reply) -> dict[str, Any]:
    """What was said counts towards the longest answer."""
    if not body.get(limit):
        return body
    tokens = (said.usage.output if said.usage else 0) or len(said.text) // _LETTERS
    return {**body, limit: max(1, body[limit] - tokens)}
