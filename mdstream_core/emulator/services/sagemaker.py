"""Amazon SageMaker's runtime: `/endpoints/{name}/invocations` and `…/invocations-response-stream`.

Signatures are verified, bodies limited, and the container's error responses become `ModelError`. A stream is an event
stream of payload parts; faults apply to the container's output inside it.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic, time
from typing import Any

from mdstream_core.emulator._bounds import read_json
from mdstream_core.emulator._event_stream import EVENT_STREAM, encode_part
from mdstream_core.emulator._recorded_request import RecordedRequest
from mdstream_core.emulator._request_target import RateLimitScope, RequestTarget
from mdstream_core.emulator._response_plan import ResponsePlan, collect_chunks, json_plan
from mdstream_core.emulator._sigv4 import AWSKey, SignatureRejected, SigV4Verifier
from mdstream_core.emulator.faults._frames import AWS_ERROR_RESPONSES, aws_error_response, model_error_response
from mdstream_core.emulator.model import ModelFunction
from mdstream_core.emulator.model_server import BuiltInModelServer, ModelServer, ModelServerUnreachable, ServerLimits
from mdstream_core.emulator.model_server._errors import ModelServerError
from mdstream_core.emulator.services._s3 import PREFIX as S3_PREFIX
from mdstream_core.emulator.services._s3 import S3Service, S3Store, StoredObject
from mdstream_core.emulator.services._sagemaker_containers import CONTAINERS

MAX_REQUEST_BYTES = 25 * 1024 * 1024  # of the body ("Model Hosting FAQs" in the developer guide)
ENDPOINT = "emulated"
REGION = "us-east-1"

AWSKeys = Mapping[str, str | AWSKey]

_INVOKE, _STREAM, _ASYNC = "invocations", "invocations-response-stream", "async-invocations"

#: Where asynchronous inference writes outputs and failures.
_BUCKET = "s3://emulated"
_HEADER_PREFIX = "x-amzn-sagemaker-"


class SageMakerService:
    """The endpoints of one account in one region, one for each row of `CONTAINERS`.

    Args:
        server: The model server behind the endpoint `emulated`.
        model: The model behind the other endpoints.
        limits: Limits of the other endpoints.
        keys: Accepted access keys with their secrets; without them every request is accepted.
        now: The clock, in seconds since 1970.
    """

    def __init__(
        self,
        server: ModelServer,
        model: ModelFunction,
        limits: ServerLimits | None = None,
        keys: AWSKeys | None = None,
        now: Callable[[], float] = time,
    ) -> None:
        self._containers = {
            name: (container, BuiltInModelServer(model, flavour, limits) if flavour else server)
            for name, (container, flavour) in CONTAINERS.items()
        }
        self._signatures = SigV4Verifier(keys, region=REGION, now=now) if keys is not None else None
        #: The objects of asynchronous inference.
        self.objects = S3Store()
        self._s3 = S3Service(self.objects, keys, REGION, now)

    def matches(self, path: str) -> bool:
        """Return whether a path belongs to an endpoint."""
        return path.startswith(("/endpoints/", S3_PREFIX))

    def find_target(self, http_request: RecordedRequest) -> RequestTarget:
        """Return the endpoint that the request counts towards."""
        return RequestTarget("sagemaker", http_request.path.split("/", 3)[2])

    def build_throttling_response(self, target: RequestTarget, scope: RateLimitScope) -> ResponsePlan:
        """Build the error response for too many requests."""
        return AWS_ERROR_RESPONSES["ThrottlingException"].with_headers(("x-amzn-RequestId", str(uuid.uuid4())))

    async def handle_request(self, http_request: RecordedRequest) -> ResponsePlan:
        """Build the response."""
        if http_request.path.startswith(S3_PREFIX):
            return self._s3.respond(http_request).with_headers(("x-amz-request-id", str(uuid.uuid4())))
        _, _, name, operation = [*http_request.path.split("/", 3), "", ""][:4]
        try:
            invoke = self._invoke_async if operation == _ASYNC else self._invoke
            plan = self._find_rejection(http_request, name, operation) or await invoke(http_request, name, operation)
        except ModelServerUnreachable as error:
            plan = aws_error_response(503, "ServiceUnavailable", str(error))
        return plan.with_headers(("x-amzn-RequestId", str(uuid.uuid4())))

    def _find_rejection(self, http_request: RecordedRequest, name: str, operation: str) -> ResponsePlan | None:
        if http_request.method != "POST" or operation not in {_INVOKE, _STREAM, _ASYNC}:
            return aws_error_response(404, "UnknownOperationException", "Unknown operation")
        if (http_request.length or 0) > MAX_REQUEST_BYTES:
            text = "1 validation error detected: Value at 'body' failed to satisfy constraint: Member must have length"
            return aws_error_response(400, "ValidationError", f"{text} less than or equal to {MAX_REQUEST_BYTES}")
        if self._signatures is not None:
            try:
                self._signatures.check(http_request)
            except SignatureRejected as rejection:
                return aws_error_response(403, rejection.code, rejection.message)
        if name not in self._containers:
            return aws_error_response(400, "ValidationError", f"Endpoint {name} of account 123456789012 not found.")
        return None

    async def _invoke_async(self, http_request: RecordedRequest, name: str, operation: str) -> ResponsePlan:
        """Run a job at once, and store its output or failure, which can be read after the store's `job_seconds`."""
        headers = {field.removeprefix(_HEADER_PREFIX): value for field, value in http_request.headers.items()}
        body = http_request.body
        if location := headers.get("inputlocation"):
            stored = self.objects.get(location)
            if stored is None:
                return aws_error_response(400, "ValidationError", f"Could not find the object {location}")
            body = stored.data
        job = str(uuid.uuid4())
        output, failure = f"{_BUCKET}/outputs/{job}.out", f"{_BUCKET}/failures/{job}-error.out"
        plan = await self._invoke(replace(http_request, body=body), name, _INVOKE)
        data = b"".join((await collect_chunks(plan)).body_chunks)
        content_type = dict(plan.headers).get("content-type", "application/json")
        is_failure = plan.status >= 400
        ended_at = monotonic() + self.objects.job_seconds
        if not is_failure or self.objects.has_failure_path:
            self.objects.put(failure if is_failure else output, StoredObject(data, content_type, ended_at))
        headers["inference-id"] = id = headers.get("inference-id", job)
        outcome = {"outputLocation": output, "contentType": content_type} if not is_failure else None
        self.objects.add_notification(ended_at, _notification(name, headers, outcome, data))
        locations = [(f"{_HEADER_PREFIX}outputlocation", output)]
        if self.objects.has_failure_path:
            locations.append((f"{_HEADER_PREFIX}failurelocation", failure))
        return json_plan(202, {"InferenceId": id}, *locations)

    async def _invoke(self, http_request: RecordedRequest, name: str, operation: str) -> ResponsePlan:
        container, server = self._containers[name]
        request = _parse_body(http_request.body)
        try:
            plan = await container(server, http_request, request if isinstance(request, dict) else {})
        except ModelServerError as error:
            plan = json_plan(error.status, {"error": error.message, "error_type": "validation"})
        if plan.status >= 400:
            body = b"".join((await collect_chunks(plan)).body_chunks)
            return model_error_response(plan.status, body.decode("utf-8", "replace"))
        content_type = next(value for field, value in plan.headers if field.lower() == "content-type")
        plan = _add_response_headers(plan, http_request)
        if operation == _STREAM:
            plan = plan.with_headers(("content-type", EVENT_STREAM), (f"{_HEADER_PREFIX}content-type", content_type))
            return replace(plan, envelope=encode_part, framing="chunked")
        plan = await collect_chunks(plan)
        return replace(plan, chunks=(b"".join(plan.body_chunks),), framing="length")


def _notification(
    endpoint_name: str, headers: Mapping[str, str], output: Mapping[str, str] | None, failure: bytes
) -> dict[str, Any]:
    """Build what SageMaker publishes at the end of a job ("Check prediction results" in the developer guide)."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    names = {"accept": "accept", "contentType": "content-type", "inputLocation": "inputlocation"}
    request = {name: headers[header] for name, header in names.items() if header in headers}
    end: dict[str, Any] = {"responseParameters": output}
    if output is None:
        status = _parse_body(failure).get("OriginalStatusCode", 500)
        kind = "server" if status >= 500 else "client"
        logs = "See the SageMaker Endpoint logs in your account for more information."
        end = {"failureReason": f"ClientError: Received {kind} error ({status}) from model. {logs}"}
    return {
        "awsRegion": REGION,
        "eventTime": now,
        "receivedTime": now,
        "invocationStatus": "Completed" if output else "Failed",
        "requestParameters": {"endpointName": endpoint_name, **request},
        **end,
        "inferenceId": headers["inference-id"],
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }


def _parse_body(body: bytes) -> Any:
    try:
        return read_json(body)
    except ValueError:
        return None


def _add_response_headers(plan: ResponsePlan, http_request: RecordedRequest) -> ResponsePlan:
    """Add SageMaker's headers; custom attributes are returned, and a requested session is started."""
    plan = plan.with_headers(("x-Amzn-Invoked-Production-Variant", "AllTraffic"))
    if attributes := http_request.headers.get(f"{_HEADER_PREFIX}custom-attributes"):
        plan = plan.with_headers((f"{_HEADER_PREFIX}custom-attributes", attributes))
    if http_request.headers.get(f"{_HEADER_PREFIX}session-id") == "NEW_SESSION":
        plan = plan.with_headers((f"{_HEADER_PREFIX}new-session-id", "session-1; Expires=2026-11-20T18:00:00Z"))
    return plan


@dataclass(frozen=True, slots=True)
class SageMakerAddress:
    """Address of the SageMaker runtime, with the names of its endpoints."""

    endpoint_url: str
    """URL of the runtime, e.g. `http://127.0.0.1:8080`: `endpoint_url` of boto3."""
    endpoint_name: str = ENDPOINT
    """Name of the default endpoint, whose container has the emulator's flavour."""
    region_name: str = REGION
    """Region that requests have to be signed for."""
    endpoint_names: tuple[str, ...] = tuple(CONTAINERS)
    """Names of all endpoints, one for each kind of container: `emulated`, `tgi`, `lmi`, `tei` …"""

    objects: S3Store = field(default_factory=S3Store, compare=False, repr=False)
    """The objects of the emulated S3: inputs, outputs and failures of asynchronous inference."""

    @property
    def endpoint(self) -> str:
        """URL of the runtime."""
        return self.endpoint_url

    @property
    def s3_endpoint_url(self) -> str:
        """URL of the emulated S3: `endpoint_url` of boto3 with path-style addresses."""
        return f"{self.endpoint_url}{S3_PREFIX}".rstrip("/")
