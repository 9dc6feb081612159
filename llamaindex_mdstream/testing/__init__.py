"""What LlamaIndex expects of an LLM and of an embedding, as pytest classes; imported as `mdstream_core.testing`.

    from mdstream_core.testing import LLMConformance

    class TestMine(LLMConformance):
        def llm(self, url, max_retries):
            return OpenAILike(api_base=url, api_key="none", model="m", is_chat_model=True, max_retries=max_retries)

    LLMConformance         .llm(url, max_retries)         what an LLM is asked, streamed, broken and left for
    EmbeddingConformance   .embedding(url, max_retries)   the same for an embedding

Each test is one rule, and its docstring says what is expected. The server is the emulator on loopback: no network, no
key. `service` says which of its services is asked, a key of `SERVICES`; what a package does not offer is said by a
class attribute (`supports_tools = False` …), and its rules are skipped with this reason.
"""

from mdstream_core.errors import MissingExtra

try:
    import pytest
except ImportError:
    raise MissingExtra("pytest") from None

_RULES = (
    "_responses",
    "_callbacks",
    "_serialization",
    "_failures",
    "_concurrency",
    "_tools",
    "_llm_rules",
    "embeddings",
)
pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in _RULES))

from llamaindex_mdstream.testing._services import SERVICES, Service  # noqa: E402  # asserts are rewritten at import
from llamaindex_mdstream.testing.embeddings import EmbeddingConformance  # noqa: E402
from llamaindex_mdstream.testing.llms import LLMConformance  # noqa: E402

__all__ = ["SERVICES", "EmbeddingConformance", "LLMConformance", "Service"]
