"""Rerankers and guardrails of `llamaindex_mdstream` in LlamaIndex's namespace.

Example:
    >>> from llama_index.postprocessor.mdstream import OCIDataScienceRerank
    >>> OCIDataScienceRerank(endpoint="http://127.0.0.1:8080/ocid1.x", auth_type="none").model
    'odsc-llm'
"""

from llamaindex_mdstream import (
    MDStreamRerank,
    ModelArtsRerank,
    OCIDataScienceRerank,
    OCIGenAIRerank,
    OCIGuardrails,
    SageMakerRerank,
)

__all__ = [
    "MDStreamRerank",
    "ModelArtsRerank",
    "OCIDataScienceRerank",
    "OCIGenAIRerank",
    "OCIGuardrails",
    "SageMakerRerank",
]
