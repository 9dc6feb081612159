"""Conformance suites for LlamaIndex LLMs, embeddings and rerankers, as pytest classes.

Import them from `mdstream_core.testing`:

    from mdstream_core.testing import LLMConformance

    class TestMine(LLMConformance):
        def llm(self, url, max_retries):
            return OpenAILike(api_base=url, api_key="none", model="m", is_chat_model=True, max_retries=max_retries)

    LLMConformance         requires llm(url, max_retries)
    EmbeddingConformance   requires embedding(url, max_retries)
    RerankConformance      requires reranker(url, top_n, max_retries)

Each test is one rule; its docstring describes the expected behaviour. The server is the emulator on loopback, so no
network and no key is needed. `service` selects the emulated service, a key of `SERVICES`. Features that a package
lacks are declared with class attributes (`supports_tools = False` …), and their rules are skipped.
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
    "_image_rules",
    "_rerank_rules",
    "_rerank_results",
    "_rerank_failures",
    "_rerank_use",
)
pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in _RULES))

from llamaindex_mdstream.testing._services import SERVICES, Service  # noqa: E402  # pytest rewrites asserts at import
from llamaindex_mdstream.testing.embeddings import EmbeddingConformance  # noqa: E402
from llamaindex_mdstream.testing.llms import LLMConformance  # noqa: E402
from llamaindex_mdstream.testing.rerankers import RerankConformance  # noqa: E402

__all__ = ["SERVICES", "EmbeddingConformance", "LLMConformance", "RerankConformance", "Service"]
