"""The suite of LLMs."""

from llamaindex_mdstream.testing._answers import Answers
from llamaindex_mdstream.testing._callbacks import Callbacks
from llamaindex_mdstream.testing._copies import Copies
from llamaindex_mdstream.testing._failures import Failures
from llamaindex_mdstream.testing._running import Running
from llamaindex_mdstream.testing._tools import Tools


class LLMConformance(Answers, Tools, Failures, Running, Callbacks, Copies):
    """What LlamaIndex and its users expect of an LLM, one rule a test.

    Write `llm`, and say what the package does not offer; see `LLMRules` for the attributes.

    Example:
        >>> class TestMine(LLMConformance):
        ...     supports_reasoning = False
        ...
        ...     def llm(self, url: str, max_retries: int) -> LLM:
        ...         return OpenAILike(api_base=url, model="m", is_chat_model=True, max_retries=max_retries)
    """
