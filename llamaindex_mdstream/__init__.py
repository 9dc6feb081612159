"""mdstream for LlamaIndex: LLMs, embeddings and rerankers on OCI, SageMaker and ModelArts.

A stream that failed is never reported as a success.

Example:
    >>> llm = OCIDataScience(endpoint="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/<ocid>")
    >>> for response in llm.stream_chat([ChatMessage("Name three rivers.")]):  # doctest: +SKIP
    ...     print(response.delta, end="", flush=True)
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from mdstream_core import MissingExtra
from mdstream_core._lazy import lazy_exports

if find_spec("llama_index") is None or find_spec("llama_index.core") is None:
    raise MissingExtra("llama-index-core", "llamaindex")

from llamaindex_mdstream._base import MDStreamLLM
from llamaindex_mdstream._errors import RequestNotSent, StructuredOutputError
from llamaindex_mdstream._registration import register_lazily

if TYPE_CHECKING:
    from llamaindex_mdstream.embeddings import (
        MDStreamEmbedding,
        ModelArtsEmbedding,
        OCIDataScienceEmbedding,
        OCIGenAIEmbeddings,
        SageMakerEmbedding,
    )
    from llamaindex_mdstream.guardrails import OCIGuardrails
    from llamaindex_mdstream.llms import ModelArts, OCIDataScience, OCIGenAI, SageMakerLLM
    from llamaindex_mdstream.rerankers import (
        MDStreamRerank,
        ModelArtsRerank,
        OCIDataScienceRerank,
        OCIGenAIRerank,
        SageMakerRerank,
    )
    from mdstream_core import RateLimit

__all__ = [
    "MDStreamEmbedding",
    "MDStreamLLM",
    "MDStreamRerank",
    "ModelArts",
    "ModelArtsEmbedding",
    "ModelArtsRerank",
    "OCIDataScience",
    "OCIDataScienceEmbedding",
    "OCIDataScienceRerank",
    "OCIGenAI",
    "OCIGenAIEmbeddings",
    "OCIGenAIRerank",
    "OCIGuardrails",
    "RateLimit",
    "RequestNotSent",
    "SageMakerEmbedding",
    "SageMakerLLM",
    "SageMakerRerank",
    "StructuredOutputError",
]

#: Names by module. A module is imported when one of its names is first used, as building pydantic's models takes
#: most of the time of an import.
_CLASSES = {
    "embeddings": (
        "MDStreamEmbedding",
        "ModelArtsEmbedding",
        "OCIDataScienceEmbedding",
        "OCIGenAIEmbeddings",
        "SageMakerEmbedding",
    ),
    "guardrails": ("OCIGuardrails",),
    "llms": ("ModelArts", "OCIDataScience", "OCIGenAI", "SageMakerLLM"),
    "rerankers": (
        "MDStreamRerank",
        "ModelArtsRerank",
        "OCIDataScienceRerank",
        "OCIGenAIRerank",
        "SageMakerRerank",
    ),
    "_rate_limit": ("RateLimit",),
    "": ("batch", "embeddings", "guardrails", "llms", "rerankers"),  # modules
}

register_lazily()

if not TYPE_CHECKING:  # a type checker would accept any name
    __getattr__, __dir__ = lazy_exports(
        __name__, {name: module for module, names in _CLASSES.items() for name in names}
    )
