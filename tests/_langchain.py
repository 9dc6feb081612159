"""What the tests of LangChain's models share: the emulator, and a chat model on it."""

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.tools import tool

from langchain_mdstream import ChatOCIModelDeployment
from mdstream_core.emulator import Emulator

ANSWER = "The Nile, the Amazon and the Danube."
QUESTION = "Name three rivers."
SECRET = "sesame-open-1234567890"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator() as cloud:
        yield cloud


@pytest.fixture
def cloud(emulator: Emulator) -> Emulator:
    """The emulator without memories."""
    emulator.reset()
    return emulator


def chat_at(cloud: Emulator, **options: Any) -> ChatOCIModelDeployment:
    """A chat model on the emulator."""
    return ChatOCIModelDeployment(**{"endpoint": cloud.endpoint, "auth_type": "none", **options})


@tool
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"It is sunny in {city}."
