"""Estimate the tokens of a request before it is sent, for limits of tokens per minute."""

from collections.abc import Mapping
from typing import Any

#: Characters of a token in English text, on average (OpenAI's rule of thumb:
#: https://help.openai.com/en/articles/4936856).
_CHARACTERS_PER_TOKEN = 4

#: Parameters that limit the tokens of a response.
_OUTPUT_LIMITS = ("max_completion_tokens", "max_tokens", "max_new_tokens")


def estimate_input_tokens(params: Mapping[str, Any]) -> int:
    """Estimate the tokens of the texts in the parameters of a request. Images and other data URIs count nothing.

    >>> estimate_input_tokens({"messages": [{"role": "user", "content": "How long is the Nile?"}]})
    6
    """
    pending: list[Any] = list(params.values())
    characters = 0
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            characters += 0 if value.startswith("data:") else len(value)
        elif isinstance(value, Mapping):
            pending.extend(value.values())
        elif isinstance(value, list | tuple):
            pending.extend(value)
    return -(-characters // _CHARACTERS_PER_TOKEN)


def max_output_tokens(params: Mapping[str, Any]) -> int | None:
    """Return the limit of the response's tokens; `None` if the request has none."""
    return next((value for name in _OUTPUT_LIMITS if isinstance(value := params.get(name), int)), None)


def is_without_output(params: Mapping[str, Any]) -> bool:
    """Whether the response has no generated text: embeddings and rankings."""
    return not ("messages" in params or "prompt" in params)
