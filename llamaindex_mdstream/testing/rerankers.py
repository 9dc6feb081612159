"""The conformance suite for rerankers."""

from llamaindex_mdstream.testing._rerank_failures import RerankFailureRules
from llamaindex_mdstream.testing._rerank_results import RankingRules
from llamaindex_mdstream.testing._rerank_use import RerankUseRules


class RerankConformance(RankingRules, RerankFailureRules, RerankUseRules):
    """Conformance suite for rerankers (node postprocessors): one test per rule of LlamaIndex and its users.

    Subclasses implement `reranker`, and declare the features that the package lacks with the attributes of
    `RerankRules`.

    Example:
        >>> class TestMine(RerankConformance):
        ...     def reranker(self, url: str, top_n: int, max_retries: int) -> BaseNodePostprocessor:
        ...         return MyRerank(base_url=url, model="m", top_n=top_n, max_retries=max_retries)
    """
