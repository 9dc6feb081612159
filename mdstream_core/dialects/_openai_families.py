"""Parameters that OpenAI's reasoning models reject in a chat completion, by model family.

Sources: BerriAI/litellm (`llms/openai/chat/o_series_transformation.py`, `gpt_5_transformation.py`),
run-llama/llama_index#20865 (o1, o3-mini and o4-mini reject `parallel_tool_calls`), langchain-ai/langchain#29632.
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
    """A family of models that accept the same parameters.

    Attributes:
        max_tokens_name: The name of the limit of output tokens, for example `max_completion_tokens`.
        rejected_parameters: The parameters that the models reject, each with the one value that they accept.
    """

    max_tokens_name: str = "max_tokens"
    rejected_parameters: Mapping[str, Any] = field(default_factory=dict)


#: Sampling parameters, which reasoning models reject, and the value of each that they accept nevertheless.
_SAMPLING = {
    "temperature": 1,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logprobs": False,
    "top_logprobs": None,
}
_MAX_COMPLETION_TOKENS = "max_completion_tokens"

#: The first pattern that matches the model name, which may have a provider prefix (`openai.o3`, `azure/gpt-5`).
_FAMILIES: tuple[tuple[str, ModelFamily], ...] = (
    (r"o1|o[34]-mini", ModelFamily(_MAX_COMPLETION_TOKENS, {**_SAMPLING, "parallel_tool_calls": None})),
    (r"o[34]", ModelFamily(_MAX_COMPLETION_TOKENS, _SAMPLING)),
    (r"gpt-5-chat", ModelFamily()),
    (
        r"gpt-5\.\d+",
        ModelFamily(_MAX_COMPLETION_TOKENS),
    ),  # with reasoning_effort "none", their default, they accept the rest
    (r"gpt-5", ModelFamily(_MAX_COMPLETION_TOKENS, _SAMPLING)),
)
_NAMES = tuple((re.compile(rf"(?:^|[./])(?:{pattern})(?![a-z0-9])"), family) for pattern, family in _FAMILIES)
_DEFAULT_FAMILY = ModelFamily()


@lru_cache(maxsize=256)
def find_family(model: str) -> ModelFamily:
    """Return the family of a model.

    >>> find_family("openai.o3").max_tokens_name, find_family("openai.gpt-oss-120b").max_tokens_name
    ('max_completion_tokens', 'max_tokens')
    """
    name = model.lower()
    return next((family for pattern, family in _NAMES if pattern.search(name)), _DEFAULT_FAMILY)


def adapt_payload(payload: dict[str, Any]) -> dict[str, Any]:
    """Drop the parameters that the model of a payload is known to reject, with a warning."""
    model = payload.get("model")
    family = find_family(model) if isinstance(model, str) else _DEFAULT_FAMILY
    if family is _DEFAULT_FAMILY:
        return payload
    if family.max_tokens_name != "max_tokens" and "max_tokens" in payload:
        payload = rename_parameter(payload, "max_tokens", family.max_tokens_name)
    dropped = tuple(
        name
        for name in family.rejected_parameters
        if name in payload and payload[name] != family.rejected_parameters[name]
    )
    if not dropped:
        return payload
    descriptions = ", ".join(describe_parameter(name, payload[name]) for name in dropped)
    warnings.warn(f"the model {model} does not accept {descriptions}: not sent", RuntimeWarning, stacklevel=3)
    return remove_parameters(payload, dropped)
