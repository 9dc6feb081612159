"""Asynchronous inference of SageMaker: a request is queued, and its output appears as an object in S3.

`run_job` is the exchange as a generator, without sockets and without a clock: it yields what to send and how long to
wait, and receives the responses. The clients drive it.

Sources: botocore's model `sagemaker-runtime` 2017-05-13 (`InvokeEndpointAsync`, where `FailureLocation` and a request
body are newer than the operation); the developer guide ("Asynchronous inference": up to 1 GB and one hour; "Invoke an
Asynchronous Endpoint": 128,000 bytes in the request, 15 minutes by default); the Amazon S3 API reference ("GetObject",
"Virtual hosting of buckets").
"""

import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar
from uuid import uuid4

from mdstream_core import _json
from mdstream_core._addresses import check_url
from mdstream_core.errors import AuthenticationError, InvalidRequest, MalformedStream, MDStreamError, StreamStalled
from mdstream_core.http import Request, ResponseHead
from mdstream_core.platforms._s3 import (
    JobResponse,
    object_url,
    parse_s3_error,
    raise_for_s3,
    rejects_credentials,
    split_location,
)
from mdstream_core.platforms._sagemaker_errors import parse_error
from mdstream_core.platforms._sagemaker_notifications import (
    ExpectedNotification,
    InferenceJob,
    InferenceNotification,
    JobNotifications,
)

#: Maximum size of a request body without an object in S3, in bytes ("Invoke an Asynchronous Endpoint").
MAX_INLINE_BYTES = 128_000

#: Maximum size of an input object, in bytes ("Asynchronous inference" in the developer guide: up to 1 GB).
MAX_INPUT_BYTES = 1024**3

_PREFIX = "x-amzn-sagemaker-"
_INPUT, _OUTPUT, _FAILURE = (f"{_PREFIX}{name}location" for name in ("input", "output", "failure"))

#: What S3 returns for an object that is not there yet: 403 if the caller may not list the bucket ("GetObject").
_NOT_YET = frozenset({"NoSuchKey", "AccessDenied"})


@dataclass(frozen=True, slots=True)
class AsyncInference:
    """Asynchronous inference: requests are queued by `InvokeEndpointAsync`, and their output is read from S3.

    The endpoint must have an `AsyncInferenceConfig` with an `S3OutputPath`, and for typed errors an `S3FailurePath`.

    Raises:
        ValueError: A value is invalid; the message names it.

    Example:
        >>> AsyncInference("s3://my-bucket/inputs", timeout=1800).poll_interval
        5.0
    """

    input_location: str | None = None
    """Prefix of the objects that hold the inputs, such as `s3://my-bucket/inputs`. `None` sends the payload in the
    request, which can have 128,000 bytes at most."""
    poll_interval: float = 5.0
    """Seconds between two requests for the output."""
    timeout: float = 3600.0
    """Maximum number of seconds to wait for the output, the time in the queue included."""
    invocation_timeout: int | None = None
    """Maximum number of seconds that the model may take, from 1 to 3,600. Default: the service's, 900."""
    request_ttl: int | None = None
    """Maximum number of seconds that the request may stay in the queue, from 60 to 21,600. Default: the service's,
    21,600."""
    s3_endpoint_url: str | None = None
    """URL of S3, for VPC endpoints and tests; buckets are then part of the path. Default: that of the region."""
    delete_objects: bool = False
    """Whether the input and the output are deleted once the output was read. Default: false."""
    notifications: JobNotifications | None = None
    """Notifications of SNS, which end the wait. Default: the output is polled only."""
    on_submitted: Callable[[InferenceJob], object] | None = None
    """Called with each job as soon as the service has queued it, so that its output is not lost with this process. Must
    not block."""
    job: InferenceJob | None = None
    """A job that was queued before: its output is read, and no request is queued."""

    __pydantic_config__: ClassVar[Mapping[str, bool]] = {"arbitrary_types_allowed": True}  # of models with this field

    def __post_init__(self) -> None:
        if self.input_location is not None:
            split_location("async_inference.input_location", self.input_location)
        if self.s3_endpoint_url is not None:
            check_url("async_inference.s3_endpoint_url", self.s3_endpoint_url, problem="is not a URL", userinfo_hint="")
        for name in ("poll_interval", "timeout"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"async_inference.{name} must be a positive number of seconds")
        for name, (least, most) in {"invocation_timeout": (1, 3600), "request_ttl": (60, 21_600)}.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise ValueError(f"async_inference.{name} must be from {least} to {most} seconds")

    @property
    def max_request_bytes(self) -> int:
        """Maximum size of a payload in bytes."""
        return MAX_INLINE_BYTES if self.input_location is None else MAX_INPUT_BYTES

    def adapt_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers of `InvokeEndpoint` under the names of `InvokeEndpointAsync`.

        Raises:
            InvalidRequest: The operation has no such header.
        """
        adapted = dict(headers)
        for name in ("content-type", "accept"):
            if name in adapted:
                adapted[f"{_PREFIX}{name}"] = adapted.pop(name)
        adapted["content-type"] = "application/octet-stream"
        seconds = {"invocationtimeoutseconds": self.invocation_timeout, "requestttlseconds": self.request_ttl}
        adapted |= {f"{_PREFIX}{name}": str(value) for name, value in seconds.items() if value is not None}
        if unsupported := sorted(name for name in adapted if name.startswith(_PREFIX) and name not in _SUPPORTED):
            names = ", ".join(name.removeprefix(_PREFIX).replace("-", "_") for name in unsupported)
            raise InvalidRequest(
                f"asynchronous inference does not support {names} (hint: remove it, or async_inference)",
                code="ValidationError",
            )
        return adapted


#: The headers of `InvokeEndpointAsync` (botocore).
_SUPPORTED = frozenset(
    f"{_PREFIX}{name}"
    for name in (
        "content-type accept custom-attributes inference-id inputlocation requestttlseconds invocationtimeoutseconds "
        "s3outputpathextension filename"
    ).split()
)

#: What an exchange yields, and what it receives: responses, and how long a `Wait` was.
Exchange = Generator["Send | Wait", "JobResponse | None", "JobResponse"]


@dataclass(frozen=True, slots=True)
class Send:
    """A request to send now."""

    request: Request
    """The request, unsigned."""
    to_s3: bool
    """Whether it is signed for S3."""
    refreshes: bool = False
    """Whether the credentials are refreshed before, because they were rejected."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A pause before the next request."""

    seconds: float
    """Its maximum length."""
    expected: ExpectedNotification | None = None
    """The notification that ends it."""


def run_job(options: AsyncInference, region: str | None, request: Request) -> Exchange:
    """Run an asynchronous inference. Returns the output as a response, or the error response of the service.

    Args:
        options: The options.
        region: The region of the bucket; required without `s3_endpoint_url`.
        request: The request of `InvokeEndpointAsync`, with the payload as its content.

    Raises:
        MDStreamError: S3 rejected a request, or the output was not there in time. Once the job was accepted, errors are
            not retryable, because the model would run again, and name the job (`inference_job`).
    """
    accepted = ResponseHead(202)
    job = options.job
    if job is None:
        response = yield from _submit(options, region, request)
        if response.head.status >= 300:
            return response
        job, accepted = _parse_job(response), response.head
        job = replace(job, input_location=accepted.headers.get(_INPUT))
        if options.on_submitted is not None:
            options.on_submitted(job)
    has_own_id = f"{_PREFIX}inference-id" not in request.headers
    try:
        result = yield from _wait_for_output(options, region, job, has_own_id=has_own_id)
    except MDStreamError as error:
        error.retryable = False
        error.inference_job = job
        raise
    if options.delete_objects:
        for location in filter(None, (job.input_location, job.output_location)):
            yield Send(Request("DELETE", object_url(location, region, options.s3_endpoint_url)), to_s3=True)
    headers = {name: value for name, value in result.head.headers.items() if name != "content-encoding"}
    headers |= {name: value for name, value in accepted.headers.items() if name.startswith("x-amzn-")}
    return replace(result, head=ResponseHead(200, {**headers, _OUTPUT: job.output_location}))


def _submit(options: AsyncInference, region: str | None, request: Request) -> Exchange:
    """Write the input, and queue the request; return the service's response, with the location of the input."""
    location = None
    if options.input_location is not None:
        location = f"{options.input_location.rstrip('/')}/{uuid4().hex}"
        media_type = {"content-type": request.headers.get(f"{_PREFIX}content-type", "application/json")}
        url = object_url(location, region, options.s3_endpoint_url)
        response = yield Send(Request("PUT", url, media_type, request.content), to_s3=True)
        raise_for_s3(response, f"the input cannot be written to {location}")
        request = replace(request, content=b"", headers={**request.headers, _INPUT: location})
    accepted = yield Send(request, to_s3=False)
    assert accepted is not None  # noqa: S101  # each request has a response
    if accepted.error is not None:
        raise accepted.error
    if accepted.head.status >= 300 and location and options.delete_objects:
        yield Send(Request("DELETE", object_url(location, region, options.s3_endpoint_url)), to_s3=True)
    headers = {**accepted.head.headers, **({_INPUT: location} if location else {})}
    return replace(accepted, head=ResponseHead(accepted.head.status, headers))


def _parse_job(response: JobResponse) -> InferenceJob:
    """Return the job that the service has queued."""
    output, failure = (response.head.headers.get(name) for name in (_OUTPUT, _FAILURE))
    if not output:
        raise MalformedStream(f"the response of InvokeEndpointAsync has no header {_OUTPUT}")
    try:
        body = _json.loads(response.body)
    except ValueError:
        body = None
    id = body.get("InferenceId") if isinstance(body, dict) else None
    return InferenceJob(output, failure or None, id if isinstance(id, str) else None)


#: The status of a `ModelError`.
_FAILED = 424


def _wait_for_output(
    options: AsyncInference, region: str | None, job: InferenceJob, *, has_own_id: bool
) -> Generator[Send | Wait, JobResponse | None, JobResponse]:
    """Return the output; raise the error of a job that failed."""
    expected = options.notifications.expect(job) if options.notifications else None
    try:
        result = yield from _poll(options, region, job, expected, has_own_id=has_own_id)
    finally:
        if options.notifications and expected:
            options.notifications.discard(expected)
    if result.head.status == _FAILED:
        raise parse_error(ResponseHead(_FAILED, {**result.head.headers, "x-amzn-errortype": "ModelError"}), result.body)
    return result


def _poll(
    options: AsyncInference,
    region: str | None,
    job: InferenceJob,
    expected: ExpectedNotification | None,
    *,
    has_own_id: bool,
) -> Exchange:
    """Request the output and the failure until one of them is there, or a notification reports that the job failed."""
    waited, problem = 0.0, ""
    while True:
        notification = expected.notification if expected else None
        for location, status in ((job.output_location, 200), (job.failure_location, _FAILED)):
            if not location:
                continue
            response = yield from _read_object(object_url(location, region, options.s3_endpoint_url))
            waited += response.seconds
            if response.error is None and response.head.status == 200:
                return replace(response, head=ResponseHead(status, response.head.headers))
            problem = _describe_problem(response, location)
        if notification is not None:
            _raise_for_notification(notification, job, has_own_id=has_own_id)
            expected = None  # it was delivered, and must not end the next pause at once
        if waited >= options.timeout:
            raise StreamStalled(
                f"the job was not complete within {options.timeout:g} s; its output will be at {job.output_location}"
                f"{problem} (hint: raise async_inference.timeout, and check that the role may read the output; "
                "AsyncInference(job=error.inference_job) reads it later)",
                code="Timeout",
            )
        delay = min(options.poll_interval, options.timeout - waited)
        waited += (yield Wait(delay, expected)).seconds  # type: ignore[union-attr]  # how long it was


def _read_object(url: str) -> Exchange:
    """Read an object, with new credentials if S3 rejects those that have expired in the meantime."""
    response = yield Send(Request("GET", url), to_s3=True)
    assert response is not None  # noqa: S101  # each request has a response
    if not rejects_credentials(response):
        return response
    repeated = yield Send(Request("GET", url), to_s3=True, refreshes=True)
    assert repeated is not None  # noqa: S101
    return repeated


def _raise_for_notification(notification: InferenceNotification, job: InferenceJob, *, has_own_id: bool) -> None:
    """Raise the error of a failed job that has written no failure object.

    An id of the user's may be that of several requests, so that it alone does not tell which of them has failed.
    """
    is_certain = has_own_id or notification.output_location or (notification.input_location and job.input_location)
    if not (notification.is_failure and is_certain):
        return
    reason = notification.failure_reason or "no reason"
    status = re.search(r"error \((\d{3})\) from ", reason)
    envelope = {"OriginalStatusCode": int(status[1]) if status else None, "OriginalMessage": reason}
    raise parse_error(ResponseHead(_FAILED, {"x-amzn-errortype": "ModelError"}), _json.dumps(envelope))


def _describe_problem(response: JobResponse, location: str) -> str:
    """Return why the object could not be read, which may change. Raises an error that does not."""
    if response.error is not None:
        if isinstance(response.error, AuthenticationError):
            raise response.error
        return f"; the last request failed: {response.error}"
    code, _ = parse_s3_error(response)
    if code in _NOT_YET or response.head.status in {404, 429} or response.head.status >= 500:
        return f"; S3 returned {response.head.status} {code}"
    raise_for_s3(response, f"the output cannot be read from {location}")
    return ""
