"""LLM classes of `llamaindex_mdstream` in LlamaIndex's namespace.

Example:
    >>> from llama_index.llms.mdstream import OCIDataScience
    >>> OCIDataScience(endpoint="http://127.0.0.1:8080/ocid1.x", auth_type="none").metadata.model_name
    'odsc-llm'
"""

from llamaindex_mdstream import (
    MDStreamLLM,
    ModelArts,
    OCIDataScience,
    OCIGenAI,
    RateLimit,
    RequestNotSent,
    SageMakerLLM,
    StructuredOutputError,
)

__all__ = [
    "MDStreamLLM",
    "ModelArts",
    "OCIDataScience",
    "OCIGenAI",
    "RateLimit",
    "RequestNotSent",
    "SageMakerLLM",
    "StructuredOutputError",
]
