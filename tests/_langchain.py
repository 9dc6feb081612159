"""Shared by tests of LangChain models: the emulator, and a chat model on it."""

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.tools import tool

from langchain_mdstream import ChatOCIModelDeployment
from mdstream_core.emulator import Emulator

OUTPUT = "The Nile, the Amazon and the Danube."
REQUEST = "Name three rivers."
SECRET = "sesame-open-1234567890"


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The emulator, without recorded requests."""
    shared_emulator.reset()
    return shared_emulator


def chat_at(emulator: Emulator, **options: Any) -> ChatOCIModelDeployment:
    """Chat model on the emulator."""
    return ChatOCIModelDeployment(**{"endpoint": emulator.endpoint, "auth_type": "none", **options})


@tool
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"It is sunny in {city}."
