"""Suites that others run against their own classes; the door to what lives beside the framework it is about.

    from mdstream_core.testing import LLMConformance, EmbeddingConformance    # llamaindex_mdstream.testing

The core imports no framework, so the names are looked up when they are asked for.
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
