"""The model server itself, without a cloud before it: plain `/v1/…`."""

from mdstream_core.emulator._plan import Plan
from mdstream_core.emulator._received import Received
from mdstream_core.emulator.container import Server


class OpenAICompatible:
    """What vLLM, TGI or llama-server answer when they are asked directly."""

    def __init__(self, container: Server) -> None:
        self._container = container

    def owns(self, path: str) -> bool:
        """It takes what nobody else wants."""
        return True

    async def answer(self, received: Received) -> Plan:
        """The server's answer."""
        return await self._container.answer(received.method, received.path, received.body)
