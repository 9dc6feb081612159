"""Embedding models and chat models of both frameworks on the platforms, for the tests of columns."""

from typing import Any

from _embedding_platforms import EMBEDDING
from _llamaindex_embeddings import embedding_at, llm_at
from _platforms import AWS, PLATFORM_CASES, PlatformCase

import langchain_mdstream as lc
from mdstream_core.emulator import Emulator
from mdstream_core.emulator.model import ModelFunction, respond

#: Longest text in tokens that the emulator of these tests accepts.
CONTEXT = 20

#: A text that is rejected for its length.
TOO_LONG = "long " * 30

_CHATS: dict[str, Any] = {
    "oci-model-deployment": lc.ChatOCIModelDeployment,
    "oci-genai": lc.ChatOCIGenAI,
    "sagemaker": lc.ChatSagemakerEndpoint,
    "modelarts": lc.ChatModelArts,
    "modelarts-websocket": lc.ChatModelArts,
    "modelarts-maas": lc.ChatModelArts,
}
_EMBEDDINGS: dict[str, Any] = {
    "oci-model-deployment": lc.OCIModelDeploymentEmbeddings,
    "oci-genai": lc.OCIGenAIEmbeddings,
    "sagemaker": lc.SagemakerEndpointEmbeddings,
    "modelarts": lc.ModelArtsEmbeddings,
    "modelarts-maas": lc.ModelArtsEmbeddings,
}

FRAMEWORKS = ("langchain", "llamaindex")
CHAT_CASES = {
    name: PLATFORM_CASES[name]
    for name in ("OCI model deployment", "OCI GenAI GENERIC", "SageMaker vLLM", "ModelArts WebSocket", "MaaS")
}
EMBEDDING_CASES = {
    name: EMBEDDING[name] for name in ("OCI model deployment, vLLM", "OCI GenAI", "SageMaker vLLM", "ModelArts", "MaaS")
}
DEPLOYMENT = CHAT_CASES["OCI model deployment"]


def emulator_of_rows(model: ModelFunction = respond) -> Emulator:
    """An emulator that rejects long texts; it is not started."""
    return Emulator(model=model, aws_keys=AWS, embedding_size=8, context=None if model is not respond else CONTEXT)


def chat_of(framework: str, emulator: Emulator, case: PlatformCase = DEPLOYMENT, **options: Any) -> Any:
    """A chat model."""
    if framework == "llamaindex":
        return llm_at(emulator, case, **options)
    return _CHATS[case.kind](**{**case.fields(emulator), "max_retries": 0, **options})


def embeddings_of(
    framework: str, emulator: Emulator, case: PlatformCase = EMBEDDING["OCI model deployment, vLLM"], **options: Any
) -> Any:
    """An embedding model."""
    if framework == "llamaindex":
        return embedding_at(emulator, case, **options)
    return _EMBEDDINGS[case.kind](**{**case.fields(emulator), "max_retries": 0, **options})
