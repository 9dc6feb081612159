"""Asynchronous inference of SageMaker: a request is queued, and its output appears as an object in S3.

`run_job` is the exchange as a generator, without sockets and without a clock: it yields what to send and how long to
wait, and receives the responses. The clients drive it.

Sources: botocore's model `sagemaker-runtime` 2017-05-13 (`InvokeEndpointAsync`, where `FailureLocation` and a request
body are newer than the operation); the Amazon S3 API reference ("GetObject", "Virtual hosting of buckets").
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from uuid import uuid4

from mdstream_core._addresses import check_url
from mdstream_core.errors import AuthenticationError, InvalidRequest, MalformedStream, MDStreamError, StreamStalled
from mdstream_core.http import Request, ResponseHead
from mdstream_core.platforms._s3 import JobResponse, object_url, parse_s3_error, raise_for_s3, split_location
from mdstream_core.platforms._sagemaker_errors import parse_error

#: Maximum size of a request body without an object in S3, in bytes (shape `InlineBodyBlob`).
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

#: What an exchange yields, and what it receives: `None` after a `Wait`.
Exchange = Generator["Send | Wait", "JobResponse | None", "JobResponse"]


@dataclass(frozen=True, slots=True)
class Send:
    """A request to send now."""

    request: Request
    """The request, unsigned."""
    to_s3: bool
    """Whether it is signed for S3."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A pause before the next request."""

    seconds: float
    """Its length."""


def run_job(
    job: AsyncInference, region: str | None, request: Request
) -> Generator[Send | Wait, JobResponse | None, JobResponse]:
    """Run an asynchronous inference. Returns the output as a response, or the error response of the service.

    Args:
        job: The options.
        region: The region of the bucket; required without `s3_endpoint_url`.
        request: The request of `InvokeEndpointAsync`, with the payload as its content.

    Raises:
        MDStreamError: S3 rejected a request, or the output was not there in time. Once the job was accepted, errors are
            not retryable: the model would run again.
    """
    used = []
    if job.input_location is not None:
        location = f"{job.input_location.rstrip('/')}/{uuid4().hex}"
        media_type = {"content-type": request.headers.get(f"{_PREFIX}content-type", "application/json")}
        url = object_url(location, region, job.s3_endpoint_url)
        response = yield Send(Request("PUT", url, media_type, request.content), to_s3=True)
        raise_for_s3(response, f"the input cannot be written to {location}")
        request = replace(request, content=b"", headers={**request.headers, _INPUT: location})
        used.append(location)
    accepted = yield Send(request, to_s3=False)
    assert accepted is not None  # noqa: S101  # each request has a response
    if accepted.error is not None:
        raise accepted.error
    if accepted.head.status >= 300:
        return accepted
    output, failure = (accepted.head.headers.get(name) for name in (_OUTPUT, _FAILURE))
    if not output:
        raise MalformedStream(f"the response of InvokeEndpointAsync has no header {_OUTPUT}")
    try:
        result = yield from _poll(job, region, output, failure)
    except MDStreamError as error:
        error.retryable = False
        raise
    headers = {name: value for name, value in result.head.headers.items() if name != "content-encoding"}
    headers |= {name: value for name, value in accepted.head.headers.items() if name.startswith("x-amzn-")}
    if result.head.status == _FAILED:
        failed = parse_error(ResponseHead(_FAILED, {**headers, "x-amzn-errortype": "ModelError"}), result.body)
        failed.retryable = False
        raise failed
    if job.delete_objects:
        for location in (*used, output):
            yield Send(Request("DELETE", object_url(location, region, job.s3_endpoint_url)), to_s3=True)
    return replace(result, head=ResponseHead(200, headers))


#: The status of a `ModelError`.
_FAILED = 424


def _poll(job: AsyncInference, region: str | None, output: str, failure: str | None) -> Exchange:
    """Request the output and the failure until one of them is there."""
    waited, problem = 0.0, ""
    while True:
        for location, status in ((output, 200), (failure, _FAILED)):
            if not location:
                continue
            response = yield Send(Request("GET", object_url(location, region, job.s3_endpoint_url)), to_s3=True)
            assert response is not None  # noqa: S101  # each request has a response
            waited += response.seconds
            if response.error is None and response.head.status == 200:
                return replace(response, head=ResponseHead(status, response.head.headers))
            problem = _describe_problem(response, location)
        if waited >= job.timeout:
            raise StreamStalled(
                f"the job was not complete within {job.timeout:g} s; its output will be at {output}{problem} "
                "(hint: raise async_inference.timeout, and check that the role may read the output)",
                code="Timeout",
            )
        delay = min(job.poll_interval, job.timeout - waited)
        yield Wait(delay)
        waited += delay


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
