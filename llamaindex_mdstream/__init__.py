"""mdstream for LlamaIndex: LLMs, embeddings and rerankers on OCI, SageMaker and ModelArts.

A stream that failed is never reported as a success.

Example:
    >>> llm = OCIDataScience(endpoint="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/<ocid>")
    >>> for response in llm.stream_chat([ChatMessage("Name three rivers.")]):  # doctest: +SKIP
    ...     print(response.delta, end="", flush=True)
"""

from importlib.util import find_spec

from mdstream_core import MissingExtra, RateLimit

if find_spec("llama_index") is None or find_spec("llama_index.core") is None:
    raise MissingExtra("llama-index-core", "llamaindex")

from llamaindex_mdstream._base import MDStreamLLM
from llamaindex_mdstream._errors import RequestNotSent, StructuredOutputError
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
