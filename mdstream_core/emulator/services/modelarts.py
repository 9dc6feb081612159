"""Huawei Cloud ModelArts: a real-time service over HTTPS and WebSocket, MaaS, and IAM, which issues tokens.

`/v1/infers/{id}` with the container's path behind it, `/maas/v1/…` (also `/v2`), `POST /v3/auth/tokens`. With a
`HuaweiAccount` each kind of credentials is verified. Error responses have Huawei's format.

`Fault("refuse", …)` has the spellings of `MODELARTS_ERROR_RESPONSES`. Over a WebSocket, faults apply to the messages:
`cut`, `reset`, `stall`, `hold`, `huge_line`, `error_event` and similar ones do the same as elsewhere,
`keepalive_comments` sends pings, `bytewise` sends fragments, `trailer` closes with 1011,
`Fault("trailer", name="close", data=b"1013 later")` with the code in its data; `refuse`, `drop`, `slow_head` and `raw`
apply to the handshake.
"""

from collections.abc import Callable
from itertools import count
from time import time

from mdstream_core import _json
from mdstream_core.emulator._recorded_request import RecordedRequest
from mdstream_core.emulator._request_target import RateLimitScope, RequestTarget, read_model_name
from mdstream_core.emulator._response_plan import ResponsePlan
from mdstream_core.emulator._upgrade import UpgradePlan
from mdstream_core.emulator.faults.error_responses import ERROR_RESPONSES, ErrorResponse
from mdstream_core.emulator.model_server import ModelServer, ModelServerUnreachable
from mdstream_core.emulator.services._modelarts_authentication import (
    AuthenticationRejected,
    HuaweiAccount,
    HuaweiAuthenticator,
)
from mdstream_core.errors import MissingExtra

SERVICE_ID = "8e1bb6be-1111-2222-3333-abcdefabcdef"
MAX_REQUEST_BYTES = 12 * 1024 * 1024  # bytes that API Gateway accepts

#: Service and scope of a rate limit to the error response of a request that exceeds it.
_THROTTLING_RESPONSES: dict[tuple[str, RateLimitScope], str] = {
    ("modelarts", "tenancy"): "apig_throttled",
    ("modelarts", "endpoint"): "modelarts_traffic",
    ("maas", "tenancy"): "maas_rpm",
    ("maas", "endpoint"): "maas_rpm",
}
_INFERS, _MAAS, _IAM = "/v1/infers/", "/maas/", "/v3/auth/tokens"


class _GatewayErrorResponse(ErrorResponse):
    """An error response with the gateway's request id."""

    def build_response(self) -> ResponsePlan:
        return ErrorResponse.build_response(self).with_headers(("X-Request-Id", "0" * 31 + "f"))


def _error_response(status: int, code: str, message: str) -> ErrorResponse:
    return _GatewayErrorResponse(status, {"error_code": code, "error_msg": message})


MODELARTS_ERROR_RESPONSES: dict[str, ErrorResponse] = {
    "modelarts_body": _error_response(413, "ModelArts.4104", "The request body exceeds the limit of the service"),
    "modelarts_gone": _error_response(400, "ModelArts.4203", "The service is unavailable"),
    "modelarts_timeout": _error_response(504, "ModelArts.4205", "Connection timed out"),
    "modelarts_traffic": _error_response(429, "ModelArts.4206", "The request traffic exceeds the API threshold"),
    "modelarts_quota": _error_response(401, "ModelArts.4207", "The free quota has been used up"),
    "modelarts_gateway": _error_response(500, "ModelArts.4302", "Gateway forwarding error: self protection"),
    "modelarts_backend": _error_response(502, "ModelArts.4503", "Failed to find the backend service"),
    "modelarts_key": _error_response(400, "ModelArts.4905", "The API key is incorrect or missing"),
    "apig_throttled": _error_response(429, "APIG.0308", "The throttling threshold has been reached"),
    "apig_backend": _error_response(504, "APIG.0203", "Backend timeout"),
    "maas_parameter": _error_response(400, "ModelArts.81001", "Invalid request parameter"),
    "maas_risk": _error_response(403, "ModelArts.81011", "May contain sensitive information"),
    "maas_model": _error_response(404, "ModelArts.81009", "Invalid model"),
    "maas_rpm": _error_response(429, "ModelArts.81101", "Requests per minute exceeded"),
    "maas_camel": _GatewayErrorResponse(
        429, {"error": {"errorCode": "ModelArts.81103", "errorMsg": "Tokens per minute exceeded"}}
    ),
}
ERROR_RESPONSES.update(MODELARTS_ERROR_RESPONSES)


def _maas_response(plan: ResponsePlan) -> ResponsePlan:
    """Convert the container's response: its errors about a parameter get MaaS's format."""
    if plan.status not in {400, 422}:
        return plan
    try:
        body = _json.loads(b"".join(plan.body_chunks))
    except ValueError:  # an upstream's HTML page
        return plan
    error = body.get("error", body) if isinstance(body, dict) else body
    message = error.get("message", error) if isinstance(error, dict) else error
    return _error_response(400, "ModelArts.81001", f"Invalid request parameter: {message}").build_response()


def _unavailable_response(error: ModelServerUnreachable) -> ResponsePlan:
    return _error_response(503, "ModelArts.4503", str(error)).build_response()


class ModelArtsService:
    """The gateway, MaaS and IAM in front of one container."""

    def __init__(
        self, model_server: ModelServer, account: HuaweiAccount | None = None, now: Callable[[], float] = time
    ) -> None:
        self._model_server = model_server
        self._ids = count(1)
        self.authenticator = HuaweiAuthenticator(account, now)

    def matches(self, path: str) -> bool:
        """Return whether a path belongs to ModelArts."""
        return path.startswith((_INFERS, _MAAS, _IAM))

    def find_target(self, http_request: RecordedRequest) -> RequestTarget | None:
        """Return the real-time service or MaaS's model that the request counts towards; `None` for IAM."""
        if http_request.path == _IAM:
            return None
        if http_request.path.startswith(_MAAS):
            return RequestTarget("maas", read_model_name(http_request))
        return RequestTarget("modelarts", http_request.path.removeprefix(_INFERS).partition("/")[0])

    def build_throttling_response(self, target: RequestTarget, scope: RateLimitScope) -> ResponsePlan:
        """Build the gateway's error response, that of the real-time service, or that of MaaS."""
        plan = MODELARTS_ERROR_RESPONSES[_THROTTLING_RESPONSES[target.service, scope]].build_response()
        return plan.with_headers(("X-Request-Id", f"{next(self._ids):032x}"))

    async def handle_request(self, http_request: RecordedRequest) -> ResponsePlan:
        """Build the response, with its request id."""
        try:
            plan = await self._handle(http_request)
        except AuthenticationRejected as rejection:
            plan = _error_response(rejection.status, rejection.code, rejection.message).build_response()
        except ModelServerUnreachable as error:
            plan = _unavailable_response(error)
        return plan.with_headers(("X-Request-Id", f"{next(self._ids):032x}"))

    async def _handle(self, http_request: RecordedRequest) -> ResponsePlan:
        if http_request.path == _IAM:
            return self.authenticator.issue_token(http_request)
        if (http_request.length or 0) > MAX_REQUEST_BYTES:
            raise AuthenticationRejected("APIG.0201", "Request entity too large", 413)
        if http_request.path.startswith(_MAAS):
            self.authenticator.check_maas(http_request)
            _, _, rest = http_request.path.removeprefix(_MAAS).partition("/")
            return _maas_response(
                await self._model_server.handle_request(http_request.method, f"/v1/{rest}", http_request.body)
            )
        id, _, rest = http_request.path.removeprefix(_INFERS).partition("/")
        if id != SERVICE_ID:
            raise AuthenticationRejected(
                "APIG.0101", "The API does not exist or has not been published in the environment", 404
            )
        self.authenticator.check(http_request)
        if http_request.headers.get("upgrade", "").lower() == "websocket":
            await self._model_server.check_reachable()  # the gateway connects to the server before it accepts
            return self._upgrade(http_request, f"/{rest}")
        plan = await self._model_server.handle_request(http_request.method, f"/{rest}", http_request.body)
        if plan.framing != "chunked":
            return plan
        return plan.with_headers(("content-type", "text/event-stream;charset=UTF-8"))

    def _upgrade(self, http_request: RecordedRequest, path: str) -> ResponsePlan:
        """Switch to a WebSocket, whose messages go to the container's route."""
        try:
            from mdstream_core.emulator.services._modelarts_websocket import serve_websocket  # noqa: PLC0415 (optional)
        except ImportError:
            raise MissingExtra("websockets", "emulator") from None

        async def handle_message(message: bytes) -> ResponsePlan:
            try:
                return await self._model_server.handle_request("POST", path, message)
            except ModelServerUnreachable as error:
                return _unavailable_response(error)

        return UpgradePlan(
            status=101, serve=lambda connection, plan: serve_websocket(connection, http_request, plan, handle_message)
        )


__all__ = ["MAX_REQUEST_BYTES", "MODELARTS_ERROR_RESPONSES", "SERVICE_ID", "HuaweiAccount", "ModelArtsService"]
