"""The model server without a cloud service in front of it: plain `/v1/…`."""

from collections.abc import Iterable

from mdstream_core.emulator._recorded_request import RecordedRequest
from mdstream_core.emulator._request_target import RateLimitScope, RequestTarget, read_model_name
from mdstream_core.emulator._response_plan import ResponsePlan, json_plan
from mdstream_core.emulator.model_server import ModelServer, ModelServerUnreachable

_THROTTLING_ERROR = {
    "message": "Rate limit reached for requests",
    "type": "requests",
    "param": None,
    "code": "rate_limit_exceeded",
}


class OpenAICompatibleService:
    """A server such as vLLM, TGI or llama-server, called directly."""

    def __init__(self, model_server: ModelServer, keys: Iterable[str] = ()) -> None:
        self._model_server = model_server
        self._headers = {f"Bearer {key}" for key in keys}

    def matches(self, path: str) -> bool:
        """Return whether the path belongs to the server: every path that no other service serves."""
        return True

    def find_target(self, http_request: RecordedRequest) -> RequestTarget:
        """Return the model that the request counts towards."""
        return RequestTarget("openai-compatible", read_model_name(http_request))

    def build_throttling_response(self, target: RequestTarget, scope: RateLimitScope) -> ResponsePlan:
        """Build OpenAI's error response for too many requests."""
        return json_plan(429, {"error": _THROTTLING_ERROR})

    async def handle_request(self, http_request: RecordedRequest) -> ResponsePlan:
        """Forward the request to the model server."""
        if self._headers and http_request.headers.get("authorization") not in self._headers:
            return json_plan(401, {"error": "Unauthorized"})
        try:
            return await self._model_server.handle_request(http_request.method, http_request.path, http_request.body)
        except ModelServerUnreachable as error:
            fields = {"type": "ServiceUnavailableError", "param": None, "code": 503}
            return json_plan(503, {"error": {"message": str(error), **fields}})
