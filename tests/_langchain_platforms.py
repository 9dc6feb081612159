"""Shared by tests of LangChain models on every platform: the emulator, a chat model and an embedding model on each."""

from typing import Any

import pytest
from _embedding_platforms import EMBEDDING
from _platforms import PLATFORM_CASES, PlatformCase, emulator, shared_emulator

from langchain_mdstream import (
    ChatModelArts,
    ChatOCIGenAI,
    ChatOCIModelDeployment,
    ChatSagemakerEndpoint,
    ModelArtsEmbeddings,
    OCIGenAIEmbeddings,
    OCIModelDeploymentEmbeddings,
    SagemakerEndpointEmbeddings,
)
from mdstream_core.emulator import Emulator

__all__ = ["CHAT", "EMBEDDINGS", "chat_at", "each_platform", "embeddings_at", "emulator", "shared_emulator"]

CHAT: dict[str, Any] = {
    "oci-model-deployment": ChatOCIModelDeployment,
    "oci-genai": ChatOCIGenAI,
    "sagemaker": ChatSagemakerEndpoint,
    "modelarts": ChatModelArts,
    "modelarts-websocket": ChatModelArts,
    "modelarts-maas": ChatModelArts,
}

EMBEDDINGS: dict[str, Any] = {
    "oci-model-deployment": OCIModelDeploymentEmbeddings,
    "oci-genai": OCIGenAIEmbeddings,
    "sagemaker": SagemakerEndpointEmbeddings,
    "modelarts": ModelArtsEmbeddings,
    "modelarts-maas": ModelArtsEmbeddings,
}

each_platform = pytest.mark.parametrize("platform_case", PLATFORM_CASES.values(), ids=PLATFORM_CASES)


def chat_at(platform_case: PlatformCase, emulator: Emulator, **options: Any) -> Any:
    """Chat model on a platform."""
    return CHAT[platform_case.kind](**{**platform_case.fields(emulator), "max_retries": 0, **options})


def embeddings_at(
    emulator: Emulator, platform_case: PlatformCase = EMBEDDING["OCI model deployment, vLLM"], **options: Any
) -> Any:
    """Embedding model on a platform."""
    return EMBEDDINGS[platform_case.kind](**{**platform_case.fields(emulator), "max_retries": 0, **options})
