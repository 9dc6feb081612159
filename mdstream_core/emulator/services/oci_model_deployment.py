"""OCI Data Science model deployments: two endpoints in front of one container.

`/{ocid}/predict` and `/{ocid}/predictWithResponseStream`, alone (the `route` header chooses the container's path) or
with the container's path behind them. A stream that fails after its 200 reports it in the trailer `StreamFailure`.
"""

from collections.abc import Callable
from dataclasses import replace

from mdstream_core.emulator._recorded_request import RecordedRequest
from mdstream_core.emulator._request_target import RateLimitScope, RequestTarget, read_json_object
from mdstream_core.emulator._response_plan import Fields, ResponsePlan, collect_chunks
from mdstream_core.emulator.faults.error_responses import ERROR_RESPONSES, oci_error_response
from mdstream_core.emulator.faults.trailers import REASONS, TRAILERS
from mdstream_core.emulator.model_server import ModelServer, ModelServerUnreachable
from mdstream_core.emulator.model_server.responses import is_responses_request

OCID = "ocid1.datasciencemodeldeployment.oc1.iad.emulated"
MAX_REQUEST_BYTES = 10 * 1024 * 1024  # bytes of a request's body
TRAILER = "StreamFailure"
_METHODS_WITH_BODY = {"POST", "PUT", "PATCH"}
_STREAM = "predictWithResponseStream"
_UNAVAILABLE = {502, 503, 504}  # of a server that starts, or of a proxy whose server is down
# Field of a body to its route. A real deployment does not infer routes; the emulator may.
_ROUTES_BY_FIELD = (
    (b'"messages"', "/v1/chat/completions"),
    (b'"prompt"', "/v1/completions"),
    (b'"query"', "/v1/rerank"),
    (b'"input"', "/v1/embeddings"),
)


def _failure_trailer(reason: str) -> Fields:
    return ((TRAILER, TRAILERS["json"](REASONS[reason])),)


def _no_stream_response(status: int) -> ResponsePlan:
    """Build the error response of a streaming endpoint whose container responded without a stream."""
    if status in _UNAVAILABLE:
        return oci_error_response(503, "ServiceUnavailable", f"The model server is unavailable: it returned {status}.")
    text = "The model server's response is not a stream. Send a request that makes it stream its response."
    return oci_error_response(409, "ExternalServerIncorrectState", text)


class ModelDeploymentService:
    """One model deployment.

    Args:
        model_server: The model server in the container.
        find_problem: Checks the credentials; returns what is wrong with them, or `None`.
        default_route: The container's path for a bare endpoint without a `route` header; `auto` infers it.
        strict: Return 409 from the streaming endpoint, as documented, if the container does not stream.
    """

    def __init__(
        self,
        model_server: ModelServer,
        find_problem: Callable[[RecordedRequest], str | None] = lambda http_request: None,
        default_route: str = "/v1/chat/completions",
        *,
        strict: bool = True,
    ) -> None:
        self._model_server = model_server
        self._authenticate = find_problem
        self._default_route = default_route
        self._strict = strict

    def matches(self, path: str) -> bool:
        """Return whether a path belongs to a deployment."""
        return path.startswith("/ocid1.datasciencemodeldeployment")

    def find_target(self, http_request: RecordedRequest) -> RequestTarget:
        """Return the deployment that the request counts towards."""
        return RequestTarget("oci-model-deployment", http_request.path.split("/", 2)[1])

    def build_throttling_response(self, target: RequestTarget, scope: RateLimitScope) -> ResponsePlan:
        """Build the error response for a rate above the tenancy's limit, or above that of the load balancer."""
        return ERROR_RESPONSES["tenancy_rate" if scope == "tenancy" else "lb_bandwidth"].build_response()

    async def handle_request(self, http_request: RecordedRequest) -> ResponsePlan:
        """Build the response."""
        _, ocid, *rest = http_request.path.split("/", 3)
        operation, suffix = [*rest, "", ""][:2]
        rejection = self._find_rejection(http_request, ocid, operation, suffix)
        if rejection is not None:
            return rejection
        try:
            return await self._forward(http_request, operation, suffix)
        except ModelServerUnreachable as error:
            return oci_error_response(503, "ServiceUnavailable", str(error))

    def _find_rejection(
        self, http_request: RecordedRequest, ocid: str, operation: str, suffix: str
    ) -> ResponsePlan | None:
        if http_request.method in _METHODS_WITH_BODY and http_request.length is None:
            return oci_error_response(411, "LengthRequired", "Content-Length header is required")
        if (http_request.length or 0) > MAX_REQUEST_BYTES:
            return oci_error_response(413, "PayloadTooLarge", "Request body exceeds the limit of 10 MB")
        problem = self._authenticate(http_request)
        if problem is not None:
            return oci_error_response(401, "NotAuthenticated", problem)
        if ocid != OCID or operation not in {"predict", _STREAM}:
            return oci_error_response(
                404, "NotAuthorizedOrNotFound", "Authorization failed or requested resource not found"
            )
        if http_request.method != "POST" and not suffix:
            return oci_error_response(405, "MethodNotAllowed", f"Method {http_request.method} is not allowed")
        return None

    def _route(self, http_request: RecordedRequest) -> str:
        if self._default_route != "auto":
            return self._default_route
        if is_responses_request(read_json_object(http_request)):
            return "/v1/responses"
        return next((route for field, route in _ROUTES_BY_FIELD if field in http_request.body), "/v1/chat/completions")

    async def _forward(self, http_request: RecordedRequest, operation: str, suffix: str) -> ResponsePlan:
        path = f"/{suffix}" if suffix else http_request.headers.get("route") or self._route(http_request)
        plan = await self._model_server.handle_request(http_request.method, path, http_request.body)
        is_stream = plan.framing == "chunked"
        if operation == _STREAM and not is_stream and self._strict:
            return _no_stream_response(plan.status)
        wants_stream = operation == _STREAM or http_request.headers.get("enable-streaming", "").lower() == "true"
        if is_stream and not wants_stream:
            plan = await collect_chunks(plan)
            return replace(plan, chunks=(b"".join(plan.body_chunks),), framing="length")
        return (
            replace(plan, trailers_if_interrupted=_failure_trailer).with_headers(("Trailer", TRAILER))
            if is_stream
            else plan
        )
