"""Embedding classes of `llamaindex_mdstream` in LlamaIndex's namespace.

Example:
    >>> from llama_index.embeddings.mdstream import OCIDataScienceEmbedding
    >>> OCIDataScienceEmbedding(endpoint="http://127.0.0.1:8080/ocid1.x", auth_type="none").model_name
    'odsc-llm'
"""

from llamaindex_mdstream import (
    MDStreamEmbedding,
    ModelArtsEmbedding,
    OCIDataScienceEmbedding,
    OCIGenAIEmbeddings,
    SageMakerEmbedding,
)

__all__ = [
    "MDStreamEmbedding",
    "ModelArtsEmbedding",
    "OCIDataScienceEmbedding",
    "OCIGenAIEmbeddings",
    "SageMakerEmbedding",
]
