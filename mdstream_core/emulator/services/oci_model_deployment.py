"""OCI Data Science model deployments: two endpoints before one container.

`/{ocid}/predict` and `/{ocid}/predictWithResponseStream`, bare (the `route` header chooses the container's path) or
with the container's path behind them. A stream that fails after its 200 says so in the trailer `StreamFailure`.
"""

from collections.abc import Callable
from dataclasses import replace

from mdstream_core.emulator._plan import Fields, Plan, gathered
from mdstream_core.emulator._received import Received
from mdstream_core.emulator.container import Server, Unreachable
from mdstream_core.emulator.faults.trailers import REASONS, TRAILERS
from mdstream_core.emulator.services._envelope import refuse

OCID = "ocid1.datasciencemodeldeployment.oc1.iad.emulated"
LIMIT = 10 * 1024 * 1024  # bytes of a request's body
TRAILER = "StreamFailure"
_BODIED = {"POST", "PUT", "PATCH"}
_STREAM = "predictWithResponseStream"
_UNAVAILABLE = {502, 503, 504}  # a server that starts up, or a proxy before one that is down
# Which field of a body belongs to which route. No real deployment guesses; a playground may.
_BY_BODY = (
    (b'"messages"', "/v1/chat/completions"),
    (b'"prompt"', "/v1/completions"),
    (b'"query"', "/v1/rerank"),
    (b'"input"', "/v1/embeddings"),
)


def _failed(reason: str) -> Fields:
    return ((TRAILER, TRAILERS["json"](REASONS[reason])),)


def _no_stream(status: int) -> Plan:
    """The refusal of a streaming endpoint whose container answered so without a stream."""
    if status in _UNAVAILABLE:
        return refuse(503, "ServiceUnavailable", f"The model server is unavailable: it returned {status}.")
    text = "The model server's response is not a stream. Send a request that makes it stream its response."
    return refuse(409, "ExternalServerIncorrectState", text)


class ModelDeployment:
    """One deployment.

    Args:
        container: What stands behind it.
        admit: Judges the credentials: a problem in words, or `None`.
        default_route: Where the bare endpoints lead without a `route` header; `auto` goes by the body.
        strict: Whether an answer that is no stream turns into 409 on the streaming endpoint, as documented.
    """

    def __init__(
        self,
        container: Server,
        admit: Callable[[Received], str | None] = lambda received: None,
        default_route: str = "/v1/chat/completions",
        *,
        strict: bool = True,
    ) -> None:
        self._container = container
        self._admit = admit
        self._default_route = default_route
        self._strict = strict

    def owns(self, path: str) -> bool:
        """Whether a path is meant for a deployment."""
        return path.startswith("/ocid1.datasciencemodeldeployment")

    async def answer(self, received: Received) -> Plan:
        """The deployment's answer."""
        _, ocid, *rest = received.path.split("/", 3)
        operation, suffix = [*rest, "", ""][:2]
        refusal = self._refusal(received, ocid, operation, suffix)
        if refusal is not None:
            return refusal
        try:
            return await self._forward(received, operation, suffix)
        except Unreachable as error:
            return refuse(503, "ServiceUnavailable", str(error))

    def _refusal(self, received: Received, ocid: str, operation: str, suffix: str) -> Plan | None:
        if received.method in _BODIED and received.length is None:
            return refuse(411, "LengthRequired", "Content-Length header is required")
        if (received.length or 0) > LIMIT:
            return refuse(413, "PayloadTooLarge", "Request body exceeds the limit of 10 MB")
        problem = self._admit(received)
        if problem is not None:
            return refuse(401, "NotAuthenticated", problem)
        if ocid != OCID or operation not in {"predict", _STREAM}:
            return refuse(404, "NotAuthorizedOrNotFound", "Authorization failed or requested resource not found")
        if received.method != "POST" and not suffix:
            return refuse(405, "MethodNotAllowed", f"Method {received.method} is not allowed")
        return None

    def _route(self, received: Received) -> str:
        if self._default_route != "auto":
            return self._default_route
        return next((route for field, route in _BY_BODY if field in received.body), "/v1/chat/completions")

    async def _forward(self, received: Received, operation: str, suffix: str) -> Plan:
        path = f"/{suffix}" if suffix else received.headers.get("route") or self._route(received)
        plan = await self._container.answer(received.method, path, received.body)
        streams = plan.framing == "chunked"
        if operation == _STREAM and not streams and self._strict:
            return _no_stream(plan.status)
        wanted = operation == _STREAM or received.headers.get("enable-streaming", "").lower() == "true"
        if streams and not wanted:
            plan = await gathered(plan)
            return replace(plan, pieces=(b"".join(plan.bytes),), framing="length")
        return replace(plan, if_broken=_failed).with_headers(("Trailer", TRAILER)) if streams else plan
