"""What OpenAI's reasoning models do not take in a chat completion: a table of facts.

Sources: BerriAI/litellm (`llms/openai/chat/o_series_transformation.py`, `gpt_5_transformation.py`),
run-llama/llama_index#20865 (o1, o3-mini and o4-mini refuse `parallel_tool_calls`), langchain-ai/langchain#29632.
"""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from mdstream_core.dialects._parameter_fallback import renamed, shown, without


@dataclass(frozen=True, slots=True)
class Family:
    """Models that are alike.

    Attributes:
        limit: What they call the most tokens that they may write.
        refused: Parameters that they refuse, but for the value that is their default.
    """

    limit: str = "max_tokens"
    refused: Mapping[str, Any] = field(default_factory=dict)


#: Sampling is fixed in a model that reasons; the value is the one that is taken nevertheless.
_SAMPLING = {
    "temperature": 1,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logprobs": False,
    "top_logprobs": None,
}
_LIMIT = "max_completion_tokens"

#: The first pattern that fits a model's name, which may stand behind a provider's (`openai.o3`, `azure/gpt-5`).
_FAMILIES: tuple[tuple[str, Family], ...] = (
    (r"o1|o[34]-mini", Family(_LIMIT, {**_SAMPLING, "parallel_tool_calls": None})),
    (r"o[34]", Family(_LIMIT, _SAMPLING)),
    (r"gpt-5-chat", Family()),
    (r"gpt-5\.\d+", Family(_LIMIT)),  # with reasoning_effort "none", their default, they take the rest
    (r"gpt-5", Family(_LIMIT, _SAMPLING)),
)
_NAMES = tuple((re.compile(rf"(?:^|[./])(?:{pattern})(?![a-z0-9])"), family) for pattern, family in _FAMILIES)
_PLAIN = Family()


@lru_cache(maxsize=256)
def family_of(model: str) -> Family:
    """The facts about a model.

    >>> family_of("openai.o3").limit, family_of("gpt-5-mini").limit, family_of("openai.gpt-oss-120b").limit
    ('max_completion_tokens', 'max_completion_tokens', 'max_tokens')
    """
    name = model.lower()
    return next((family for pattern, family in _NAMES if pattern.search(name)), _PLAIN)


def adapted(body: dict[str, Any]) -> dict[str, Any]:
    """The body without what its model is known to refuse. Warns of what is not sent."""
    model = body.get("model")
    family = family_of(model) if isinstance(model, str) else _PLAIN
    if family is _PLAIN:
        return body
    if family.limit != "max_tokens" and "max_tokens" in body:
        body = renamed(body, "max_tokens", family.limit)
    spared = tuple(name for name in family.refused if name in body and body[name] != family.refused[name])
    if not spared:
        return body
    refused = ", ".join(shown(name, body[name]) for name in spared)
    warnings.warn(f"the model {model} does not take {refused}: not sent", RuntimeWarning, stacklevel=3)
    return without(body, spared)
