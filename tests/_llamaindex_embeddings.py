"""LlamaIndex LLMs, embeddings and rerankers on the platforms of all tests."""

from typing import Any

from _embedding_platforms import EMBEDDING, RANKING
from _platforms import PLATFORM_CASES, PlatformCase

import llamaindex_mdstream as ours
from mdstream_core.emulator import Emulator

_LLMS: dict[str, Any] = {
    "oci-model-deployment": ours.OCIDataScience,
    "oci-genai": ours.OCIGenAI,
    "sagemaker": ours.SageMakerLLM,
    "modelarts": ours.ModelArts,
    "modelarts-websocket": ours.ModelArts,
    "modelarts-maas": ours.ModelArts,
}
_EMBEDDINGS: dict[str, Any] = {
    "oci-model-deployment": ours.OCIDataScienceEmbedding,
    "oci-genai": ours.OCIGenAIEmbeddings,
    "sagemaker": ours.SageMakerEmbedding,
    "modelarts": ours.ModelArtsEmbedding,
    "modelarts-maas": ours.ModelArtsEmbedding,
}
_RERANKERS: dict[str, Any] = {
    "oci-model-deployment": ours.OCIDataScienceRerank,
    "oci-genai": ours.OCIGenAIRerank,
    "sagemaker": ours.SageMakerRerank,
    "modelarts": ours.ModelArtsRerank,
    "modelarts-maas": ours.ModelArtsRerank,
}


def llm_at(
    emulator: Emulator, platform_case: PlatformCase = PLATFORM_CASES["OCI model deployment"], **options: Any
) -> ours.MDStreamLLM:
    """An LLM on a platform."""
    made = _LLMS[platform_case.kind](**{**platform_case.fields(emulator), "max_retries": 0, **options})
    assert isinstance(made, ours.MDStreamLLM)
    return made


def embedding_at(
    emulator: Emulator, platform_case: PlatformCase = EMBEDDING["OCI model deployment, vLLM"], **options: Any
) -> ours.MDStreamEmbedding:
    """An embedding model on a platform."""
    made = _EMBEDDINGS[platform_case.kind](**{**platform_case.fields(emulator), "max_retries": 0, **options})
    assert isinstance(made, ours.MDStreamEmbedding)
    return made


def reranker_at(
    emulator: Emulator, platform_case: PlatformCase = RANKING["OCI model deployment"], **options: Any
) -> ours.MDStreamRerank:
    """A reranker on a platform."""
    made = _RERANKERS[platform_case.kind](**{**platform_case.fields(emulator), "max_retries": 0, **options})
    assert isinstance(made, ours.MDStreamRerank)
    return made
