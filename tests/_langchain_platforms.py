"""Shared by tests of LangChain models on every platform: the emulator, and a chat model on each."""

from typing import Any

import pytest
from _platforms import PLATFORM_CASES, PlatformCase, emulator, shared_emulator

from langchain_mdstream import ChatModelArts, ChatOCIGenAI, ChatOCIModelDeployment, ChatSagemakerEndpoint
from mdstream_core.emulator import Emulator

__all__ = ["CHAT", "chat_at", "each_platform", "emulator", "shared_emulator"]

CHAT: dict[str, Any] = {
    "oci-model-deployment": ChatOCIModelDeployment,
    "oci-genai": ChatOCIGenAI,
    "sagemaker": ChatSagemakerEndpoint,
    "modelarts": ChatModelArts,
    "modelarts-websocket": ChatModelArts,
    "modelarts-maas": ChatModelArts,
}

each_platform = pytest.mark.parametrize("platform_case", PLATFORM_CASES.values(), ids=PLATFORM_CASES)


def chat_at(platform_case: PlatformCase, emulator: Emulator, **options: Any) -> Any:
    """Chat model on a platform."""
    return CHAT[platform_case.kind](**{**platform_case.fields(emulator), "max_retries": 0, **options})
