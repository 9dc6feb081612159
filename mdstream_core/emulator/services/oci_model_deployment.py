"""OCI Data Science model deployments: two endpoints before one container.

`/{ocid}/predict` and `/{ocid}/predictWithResponseStream`, bare (the `route` header chooses the container's path) or
with the container's path behind them. A stream that fails after its 200 says so in the trailer `StreamFailure`.
"""

from collections.abc import Callable
from dataclasses import replace

from mdstream_core.emulator._recorded_request import RecordedRequest
from mdstream_core.emulator._response_plan import Fields, ResponsePlan, collect_chunks
from mdstream_core.emulator.faults.trailers import REASONS, TRAILERS
from mdstream_core.emulator.model_server import ModelServer, ModelServerUnreachable
from mdstream_core.emulator.services._oci_errors import error_response

OCID = "ocid1.datasciencemodeldeployment.oc1.iad.emulated"
MAX_REQUEST_BYTES = 10 * 1024 * 1024  # bytes of a request's body
TRAILER = "StreamFailure"
_METHODS_WITH_BODY = {"POST", "PUT", "PATCH"}
_STREAM = "predictWithResponseStream"
_UNAVAILABLE = {502, 503, 504}  # a server that starts up, or a proxy before one that is down
# Which field of a body belongs to which route. No real deployment guesses; a playground may.
_BY_BODY = (
    (b'"messages"', "/v1/chat/completions"),
    (b'"prompt"', "/v1/completions"),
    (b'"query"', "/v1/rerank"),
    (b'"input"', "/v1/embeddings"),
)


def _failure_trailer(reason: str) -> Fields:
    return ((TRAILER, TRAILERS["json"](REASONS[reason])),)


def _no_stream_response(status: int) -> ResponsePlan:
    """The refusal of a streaming endpoint whose container answered so without a stream."""
    if status in _UNAVAILABLE:
        return error_response(503, "ServiceUnavailable", f"The model server is unavailable: it returned {status}.")
    text = "The model server's response is not a stream. Send a request that makes it stream its response."
    return error_response(409, "ExternalServerIncorrectState", text)


class ModelDeploymentService:
    """One deployment.

    Args:
        model_server: What stands behind it.
        admit: Judges the credentials: a problem in words, or `None`.
        default_route: Where the bare endpoints lead without a `route` header; `auto` goes by the body.
        strict: Whether an answer that is no stream turns into 409 on the streaming endpoint, as documented.
    """

    def __init__(
        self,
        model_server: ModelServer,
        admit: Callable[[RecordedRequest], str | None] = lambda http_request: None,
        default_route: str = "/v1/chat/completions",
        *,
        strict: bool = True,
    ) -> None:
        self._model_server = model_server
        self._authenticate = admit
        self._default_route = default_route
        self._strict = strict

    def matches(self, path: str) -> bool:
        """Whether a path is meant for a deployment."""
        return path.startswith("/ocid1.datasciencemodeldeployment")

    async def handle_request(self, http_request: RecordedRequest) -> ResponsePlan:
        """The deployment's answer."""
        _, ocid, *rest = http_request.path.split("/", 3)
        operation, suffix = [*rest, "", ""][:2]
        refusal = self._error_response(http_request, ocid, operation, suffix)
        if refusal is not None:
            return refusal
        try:
            return await self._forward(http_request, operation, suffix)
        except ModelServerUnreachable as error:
            return error_response(503, "ServiceUnavailable", str(error))

    def _error_response(
        self, http_request: RecordedRequest, ocid: str, operation: str, suffix: str
    ) -> ResponsePlan | None:
        if http_request.method in _METHODS_WITH_BODY and http_request.length is None:
            return error_response(411, "LengthRequired", "Content-Length header is required")
        if (http_request.length or 0) > MAX_REQUEST_BYTES:
            return error_response(413, "PayloadTooLarge", "Request body exceeds the limit of 10 MB")
        problem = self._authenticate(http_request)
        if problem is not None:
            return error_response(401, "NotAuthenticated", problem)
        if ocid != OCID or operation not in {"predict", _STREAM}:
            return error_response(
                404, "NotAuthorizedOrNotFound", "Authorization failed or requested resource not found"
            )
        if http_request.method != "POST" and not suffix:
            return error_response(405, "MethodNotAllowed", f"Method {http_request.method} is not allowed")
        return None

    def _route(self, http_request: RecordedRequest) -> str:
        if self._default_route != "auto":
            return self._default_route
        return next((route for field, route in _BY_BODY if field in http_request.body), "/v1/chat/completions")

    async def _forward(self, http_request: RecordedRequest, operation: str, suffix: str) -> ResponsePlan:
        path = f"/{suffix}" if suffix else http_request.headers.get("route") or self._route(http_request)
        plan = await self._model_server.handle_request(http_request.method, path, http_request.body)
        streams = plan.framing == "chunked"
        if operation == _STREAM and not streams and self._strict:
            return _no_stream_response(plan.status)
        wanted = operation == _STREAM or http_request.headers.get("enable-streaming", "").lower() == "true"
        if streams and not wanted:
            plan = await collect_chunks(plan)
            return replace(plan, chunks=(b"".join(plan.body_chunks),), framing="length")
        return (
            replace(plan, trailers_if_interrupted=_failure_trailer).with_headers(("Trailer", TRAILER))
            if streams
            else plan
        )
