"""The model server without a cloud service in front of it: plain `/v1/…`."""

from collections.abc import Iterable

from mdstream_core.emulator._recorded_request import RecordedRequest
from mdstream_core.emulator._response_plan import ResponsePlan, json_plan
from mdstream_core.emulator.model_server import ModelServer, ModelServerUnreachable


class OpenAICompatibleService:
    """A server such as vLLM, TGI or llama-server, called directly."""

    def __init__(self, model_server: ModelServer, keys: Iterable[str] = ()) -> None:
        self._model_server = model_server
        self._headers = {f"Bearer {key}" for key in keys}

    def matches(self, path: str) -> bool:
        """Return whether the path belongs to the server: every path that no other service serves."""
        return True

    async def handle_request(self, http_request: RecordedRequest) -> ResponsePlan:
        """Forward the request to the model server."""
        if self._headers and http_request.headers.get("authorization") not in self._headers:
            return json_plan(401, {"error": "Unauthorized"})
        try:
            return await self._model_server.handle_request(http_request.method, http_request.path, http_request.body)
        except ModelServerUnreachable as error:
            fields = {"type": "ServiceUnavailableError", "param": None, "code": 503}
            return json_plan(503, {"error": {"message": str(error), **fields}})
