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

from mdstream_core.dialects._parameter_fallback import describe_parameter, remove_parameters, rename_parameter


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """Models that are alike.

    Attributes:
        limit: What they call the most tokens that they may write.
        rejected: Parameters that they refuse, but for the value that is their default.
    """

    limit: str = "max_tokens"
    rejected: Mapping[str, Any] = field(default_factory=dict)


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
_FAMILIES: tuple[tuple[str, ModelFamily], ...] = (
    (r"o1|o[34]-mini", ModelFamily(_LIMIT, {**_SAMPLING, "parallel_tool_calls": None})),
    (r"o[34]", ModelFamily(_LIMIT, _SAMPLING)),
    (r"gpt-5-chat", ModelFamily()),
    (r"gpt-5\.\d+", ModelFamily(_LIMIT)),  # with reasoning_effort "none", their default, they take the rest
    (r"gpt-5", ModelFamily(_LIMIT, _SAMPLING)),
)
_NAMES = tuple((re.compile(rf"(?:^|[./])(?:{pattern})(?![a-z0-9])"), family) for pattern, family in _FAMILIES)
_DEFAULT_FAMILY = ModelFamily()


@lru_cache(maxsize=256)
def find_family(model: str) -> ModelFamily:
    """The facts about a model.

    >>> find_family("openai.o3").limit, find_family("gpt-5-mini").limit, find_family("openai.gpt-oss-120b").limit
    ('max_completion_tokens', 'max_completion_tokens', 'max_tokens')
    """
    name = model.lower()
    return next((family for pattern, family in _NAMES if pattern.search(name)), _DEFAULT_FAMILY)


def adapt_payload(payload: dict[str, Any]) -> dict[str, Any]:
    """The body without what its model is known to refuse. Warns of what is not sent."""
    model = payload.get("model")
    family = find_family(model) if isinstance(model, str) else _DEFAULT_FAMILY
    if family is _DEFAULT_FAMILY:
        return payload
    if family.limit != "max_tokens" and "max_tokens" in payload:
        payload = rename_parameter(payload, "max_tokens", family.limit)
    spared = tuple(name for name in family.rejected if name in payload and payload[name] != family.rejected[name])
    if not spared:
        return payload
    refused = ", ".join(describe_parameter(name, payload[name]) for name in spared)
    warnings.warn(f"the model {model} does not take {refused}: not sent", RuntimeWarning, stacklevel=3)
    return remove_parameters(payload, spared)
