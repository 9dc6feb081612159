"""The conformance suite for LLMs."""

from llamaindex_mdstream.testing._callbacks import CallbackRules
from llamaindex_mdstream.testing._concurrency import ConcurrencyRules
from llamaindex_mdstream.testing._failures import FailureRules
from llamaindex_mdstream.testing._responses import ResponseRules
from llamaindex_mdstream.testing._serialization import SerializationRules
from llamaindex_mdstream.testing._tools import ToolRules


class LLMConformance(ResponseRules, ToolRules, FailureRules, ConcurrencyRules, CallbackRules, SerializationRules):
    """Conformance suite for LLMs: one test per rule of LlamaIndex and its users.

    Subclasses implement `llm`, and declare the features that the package lacks with the attributes of `LLMRules`.

    Example:
        >>> class TestMine(LLMConformance):
        ...     supports_reasoning = False
        ...
        ...     def llm(self, url: str, max_retries: int) -> LLM:
        ...         return OpenAILike(api_base=url, model="m", is_chat_model=True, max_retries=max_retries)
    """
