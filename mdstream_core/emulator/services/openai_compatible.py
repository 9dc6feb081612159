"""The model server itself, without a cloud before it: plain `/v1/…`."""

from collections.abc import Iterable

from mdstream_core.emulator._plan import Plan, json_plan
from mdstream_core.emulator._received import Received
from mdstream_core.emulator.container import Server, Unreachable


class OpenAICompatible:
    """What vLLM, TGI or llama-server answer when they are asked directly."""

    def __init__(self, container: Server, keys: Iterable[str] = ()) -> None:
        self._container = container
        self._headers = {f"Bearer {key}" for key in keys}

    def owns(self, path: str) -> bool:
        """It takes what nobody else wants."""
        return True

    async def answer(self, received: Received) -> Plan:
        """The server's answer."""
        if self._headers and received.headers.get("authorization") not in self._headers:
            return json_plan(401, {"error": "Unauthorized"})
        try:
            return await self._container.answer(received.method, received.path, received.body)
        except Unreachable as error:
            facts = {"type": "ServiceUnavailableError", "param": None, "code": 503}
            return json_plan(503, {"error": {"message": str(error), **facts}})
