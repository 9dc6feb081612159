"""Amazon SageMaker's runtime: `/endpoints/{name}/invocations` and `…/invocations-response-stream`.

Signatures are verified, bodies limited, and the container's refusals come as `ModelError`. A stream is an event stream
of payload parts; faults strike the container's answer inside it.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import time
from typing import Any

from mdstream_core.emulator._bounds import read_json
from mdstream_core.emulator._event_stream import EVENT_STREAM, encode_part
from mdstream_core.emulator._recorded_request import RecordedRequest
from mdstream_core.emulator._response_plan import ResponsePlan, collect_chunks, json_plan
from mdstream_core.emulator._sigv4 import AWSKey, SignatureRejected, SigV4Verifier
from mdstream_core.emulator.faults._frames import aws_error_response, model_error_response
from mdstream_core.emulator.model import ModelFunction
from mdstream_core.emulator.model_server import BuiltInModelServer, ModelServer, ModelServerUnreachable, ServerLimits
from mdstream_core.emulator.model_server._errors import ModelServerError
from mdstream_core.emulator.services._sagemaker_containers import CONTAINERS

MAX_REQUEST_BYTES = 6_291_456
ENDPOINT = "emulated"
REGION = "us-east-1"

AWSKeys = Mapping[str, str | AWSKey]

_INVOKE, _STREAM = "invocations", "invocations-response-stream"
_HEADER_PREFIX = "x-amzn-sagemaker-"


class SageMakerService:
    """The endpoints of one account in one region, one for each row of `CONTAINERS`.

    Args:
        server: What stands behind the endpoint `emulated`.
        model: What answers behind the others.
        limits: Of these.
        keys: Access keys that are let in, with their secrets; everybody without.
        now: The clock.
    """

    def __init__(
        self,
        server: ModelServer,
        model: ModelFunction,
        limits: ServerLimits | None = None,
        keys: AWSKeys | None = None,
        now: Callable[[], float] = time,
    ) -> None:
        self._hosts = {
            name: (host, BuiltInModelServer(model, flavour, limits) if flavour else server)
            for name, (host, flavour) in CONTAINERS.items()
        }
        self._signatures = SigV4Verifier(keys, region=REGION, now=now) if keys is not None else None

    def matches(self, path: str) -> bool:
        """Whether a path is meant for an endpoint."""
        return path.startswith("/endpoints/")

    async def handle_request(self, http_request: RecordedRequest) -> ResponsePlan:
        """The service's answer."""
        _, _, name, door = [*http_request.path.split("/", 3), "", ""][:4]
        try:
            plan = self._error_response(http_request, name, door) or await self._invoke(http_request, name, door)
        except ModelServerUnreachable as error:
            plan = aws_error_response(503, "ServiceUnavailable", str(error))
        return plan.with_headers(("x-amzn-RequestId", str(uuid.uuid4())))

    def _error_response(self, http_request: RecordedRequest, name: str, operation: str) -> ResponsePlan | None:
        if http_request.method != "POST" or operation not in {_INVOKE, _STREAM}:
            return aws_error_response(404, "UnknownOperationException", "Unknown operation")
        if (http_request.length or 0) > MAX_REQUEST_BYTES:
            text = "1 validation error detected: Value at 'body' failed to satisfy constraint: Member must have length"
            return aws_error_response(400, "ValidationError", f"{text} less than or equal to {MAX_REQUEST_BYTES}")
        if self._signatures is not None:
            try:
                self._signatures.check(http_request)
            except SignatureRejected as problem:
                return aws_error_response(403, problem.code, problem.message)
        if name not in self._hosts:
            return aws_error_response(400, "ValidationError", f"Endpoint {name} of account 123456789012 not found.")
        return None

    async def _invoke(self, http_request: RecordedRequest, name: str, operation: str) -> ResponsePlan:
        host, server = self._hosts[name]
        request = _read(http_request.body)
        try:
            plan = await host(server, http_request, request if isinstance(request, dict) else {})
        except ModelServerError as refusal:
            plan = json_plan(refusal.status, {"error": refusal.message, "error_type": "validation"})
        if plan.status >= 400:
            body = b"".join((await collect_chunks(plan)).body_chunks)
            return model_error_response(plan.status, body.decode("utf-8", "replace"))
        written = next(value for field, value in plan.headers if field.lower() == "content-type")
        plan = _add_response_headers(plan, http_request)
        if operation == _STREAM:
            plan = plan.with_headers(("content-type", EVENT_STREAM), (f"{_HEADER_PREFIX}content-type", written))
            return replace(plan, envelope=encode_part, framing="chunked")
        plan = await collect_chunks(plan)
        return replace(plan, chunks=(b"".join(plan.body_chunks),), framing="length")


def _read(body: bytes) -> Any:
    try:
        return read_json(body)
    except ValueError:
        return None


def _add_response_headers(plan: ResponsePlan, http_request: RecordedRequest) -> ResponsePlan:
    """The headers of an answer; a container hands its custom attributes back, and begins a session."""
    plan = plan.with_headers(("x-Amzn-Invoked-Production-Variant", "AllTraffic"))
    if attributes := http_request.headers.get(f"{_HEADER_PREFIX}custom-attributes"):
        plan = plan.with_headers((f"{_HEADER_PREFIX}custom-attributes", attributes))
    if http_request.headers.get(f"{_HEADER_PREFIX}session-id") == "NEW_SESSION":
        plan = plan.with_headers((f"{_HEADER_PREFIX}new-session-id", "session-1; Expires=2026-11-20T18:00:00Z"))
    return plan


@dataclass(frozen=True, slots=True)
class SageMakerAddress:
    """Where SageMaker's runtime listens. `endpoint_names` are the images that stand behind it, by endpoint."""

    endpoint_url: str
    endpoint_name: str = ENDPOINT
    region_name: str = REGION
    endpoint_names: tuple[str, ...] = tuple(CONTAINERS)

    @property
    def endpoint(self) -> str:
        """The runtime's URL."""
        return self.endpoint_url
