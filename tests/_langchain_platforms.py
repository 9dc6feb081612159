"""What the tests of LangChain's models on every platform share: the emulator, and a chat model on each."""

from typing import Any

import pytest
from _platforms import PLACES, Place, emulator, shared_emulator

from langchain_mdstream import ChatModelArts, ChatOCIGenAI, ChatOCIModelDeployment, ChatSagemakerEndpoint
from mdstream_core.emulator import Emulator

__all__ = ["CHAT", "chat_at", "each_place", "emulator", "shared_emulator"]

CHAT: dict[str, Any] = {
    "oci-model-deployment": ChatOCIModelDeployment,
    "oci-genai": ChatOCIGenAI,
    "sagemaker": ChatSagemakerEndpoint,
    "modelarts": ChatModelArts,
    "modelarts-websocket": ChatModelArts,
    "modelarts-maas": ChatModelArts,
}

each_place = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)


def chat_at(place: Place, emulator: Emulator, **options: Any) -> Any:
    """A chat model on a platform."""
    return CHAT[place.kind](**{**place.fields(emulator), "max_retries": 0, **options})
