"""Conformance suites for LLMs, embeddings and rerankers of LlamaIndex, from `llamaindex_mdstream.testing`.

    from mdstream_core.testing import LLMConformance, EmbeddingConformance, RerankConformance

The core imports no framework, so these names are imported on first access.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llamaindex_mdstream.testing import (
        SERVICES,
        EmbeddingConformance,
        LLMConformance,
        RerankConformance,
        Service,
    )

__all__ = ["SERVICES", "EmbeddingConformance", "LLMConformance", "RerankConformance", "Service"]

_MODULES = dict.fromkeys(__all__, "llamaindex_mdstream.testing")


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
