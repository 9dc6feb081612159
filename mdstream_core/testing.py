"""Conformance suites for LLM and embedding classes of LlamaIndex, re-exported from `llamaindex_mdstream.testing`.

    from mdstream_core.testing import LLMConformance, EmbeddingConformance

The core imports no framework, so these names are imported on first access.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llamaindex_mdstream.testing import SERVICES, EmbeddingConformance, LLMConformance, Service

_MODULES = dict.fromkeys(
    ("SERVICES", "EmbeddingConformance", "LLMConformance", "Service"), "llamaindex_mdstream.testing"
)

__all__ = ["SERVICES", "EmbeddingConformance", "LLMConformance", "Service"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
