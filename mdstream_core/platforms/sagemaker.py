"""Amazon SageMaker real-time endpoints.

An endpoint has two routes: `invocations`, which returns a whole response, and `invocations-response-stream`, which
returns a binary event stream (`application/vnd.amazon.eventstream`) of payload parts. A failure after the 200 is an
exception frame: a message with `:message-type: exception`, usually the last one.
SageMaker removes all headers but its own, and has no routes of the container's: every image serves `/invocations`.

Sources: the announcement of InvokeEndpointWithResponseStream (2023-08-31), botocore's model `sagemaker-runtime`
2017-05-13 for shapes, limits and errors, and its `partitions.json` for the hosts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal

from mdstream_core._addresses import check_name, check_url
from mdstream_core.errors import InvalidRequest, MalformedStream, ServiceError
from mdstream_core.http import DEFAULT_TIMEOUT, Request, ResponseHead, Timeout, check_sendable
from mdstream_core.platforms._aws_domains import aws_domain
from mdstream_core.platforms._platform import SERVER_INFO_ROUTES, USER_AGENT, Trailers
from mdstream_core.platforms._sagemaker_async import AsyncInference
from mdstream_core.platforms._sagemaker_errors import parse_error
from mdstream_core.platforms._sagemaker_headers import (
    FIELDS,
    HEADER_PREFIX,
    NAME,
    describe_header_problem,
    filter_headers,
    reject_unstreamed,
)
from mdstream_core.platforms._sagemaker_payload_parts import (
    ContainerDecoder,
    PartDecoder,
    PayloadPartDecoder,
    RawDecoder,
)
from mdstream_core.wire import FrameDecoder

#: Maximum size of a request body in bytes: 25 MB ("Model Hosting FAQs" and "Adapt your own inference container" in the
#: developer guide). botocore's shape `BodyBlob` still has the earlier limit of 6,291,456, which boto3 does not apply.
MAX_REQUEST_BYTES = 25 * 1024 * 1024

EVENT_STREAM = "application/vnd.amazon.eventstream"

#: Headers of a response, by the names of `InvokeEndpoint`'s output (botocore), and what differs in a stream.
_RESPONSE_FIELDS = {
    "InvokedProductionVariant": "x-amzn-invoked-production-variant",
    "CustomAttributes": f"{HEADER_PREFIX}custom-attributes",
    "ContentType": "content-type",
    "NewSessionId": f"{HEADER_PREFIX}new-session-id",
    "ClosedSessionId": f"{HEADER_PREFIX}closed-session-id",
    "OutputLocation": f"{HEADER_PREFIX}outputlocation",
}
_STREAM_FIELDS = {**_RESPONSE_FIELDS, "ContentType": f"{HEADER_PREFIX}content-type"}

#: A model must respond within 60 s, and the client's timeout should be 70 s (`InvokeEndpoint` in the API reference); a
#: stream may take 8 minutes ("Model Hosting FAQs" and "Adapt your own inference container" in the developer guide),
#: which may pass without data.
_TIMEOUT = replace(DEFAULT_TIMEOUT, read=70.0, total=330.0)
_STREAM_TIMEOUT = replace(DEFAULT_TIMEOUT, read=490.0, total=520.0)


@dataclass(frozen=True, slots=True)
class SageMaker:
    """A real-time endpoint of Amazon SageMaker. All fields but the first are optional.

    Args:
        endpoint_name: Name of the endpoint, such as `my-endpoint`: up to 63 letters, digits and single hyphens.
        region_name: Region such as `us-east-1`. Required without `endpoint_url`.
        endpoint_url: URL of the runtime service, for FIPS, VPC endpoints and tests; by botocore's rules and settings:
            `mdstream_core.auth.aws.resolve_connection(…).endpoint_url`. Default: that of the region.
        inference_component: Name of an inference component, for an endpoint with several.
        target_model: File of a model such as `model.tar.gz`, for a multi-model endpoint, which does not stream.
        target_variant: Name of a production variant, for an endpoint with several.
        target_container_hostname: Host name of a container, for an endpoint whose containers are invoked directly.
        session_id: Id of a stateful session. `NEW_SESSION` starts one, which a stream cannot do.
        inference_id: Your own id of the request, up to 64 characters.
        custom_attributes: Up to 1,024 characters of ASCII for the container; the only header that reaches it.
        enable_explanations: Expression that enables explanations, for an endpoint with an explainer; not streamed.
        prefix_aware_id: Routing hint, for an endpoint with `PREFIX_AWARE` routing.
        accept: Media type of the response, such as `application/jsonlines`. Default: the container's choice.
        content_type: Media type of the request. Default: `application/json`.
        raw_output: Whether the container's bytes are returned unparsed: the lines of a stream, with `"parts"` its
            payload parts, or the body of a whole response. Default: false.
        async_inference: Queues the requests (`InvokeEndpointAsync`) and reads the output from S3, for long jobs.

    Raises:
        ValueError: A field is missing or malformed; the message names it.

    Example:
        >>> SageMaker("my-endpoint", "eu-west-1").base_url
        'https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/my-endpoint'
    """

    endpoint_name: str
    """Name of the endpoint, such as `my-endpoint`; required."""
    region_name: str | None = None
    """Region such as `us-east-1`. Required without `endpoint_url`."""
    endpoint_url: str | None = None
    """URL of the runtime service, for FIPS, VPC endpoints and tests. Default: that of the region."""
    inference_component: str | None = None
    """Name of an inference component. Default: none."""
    target_model: str | None = None
    """File of a model such as `model.tar.gz`, for a multi-model endpoint. Default: none."""
    target_variant: str | None = None
    """Name of a production variant. Default: none."""
    target_container_hostname: str | None = None
    """Host name of a container that is invoked directly. Default: none."""
    session_id: str | None = None
    """Id of a stateful session, or `NEW_SESSION`. Default: none."""
    inference_id: str | None = None
    """Your own id of the request, up to 64 characters. Default: none."""
    custom_attributes: str | None = None
    """Up to 1,024 characters of ASCII for the container. Default: none."""
    enable_explanations: str | None = None
    """Expression that enables explanations. Default: none."""
    prefix_aware_id: str | None = None
    """Routing hint, for an endpoint with `PREFIX_AWARE` routing. Default: none."""
    accept: str | None = None
    """Media type of the response, such as `application/jsonlines`. Default: the container's choice."""
    content_type: str = "application/json"
    """Media type of the request. Default: `application/json`."""
    raw_output: bool | Literal["parts"] = False
    """Whether the container's bytes are returned unparsed, with `"parts"` as the payload parts of a stream. Default:
    false."""
    async_inference: AsyncInference | None = None
    """Queue the requests with `InvokeEndpointAsync` and read the output from S3. Default: real-time inference."""
    base_url: str = field(init=False, default="")
    """URL of the endpoint, computed."""
    service_headers: Mapping[str, str] = field(init=False, repr=False, compare=False, default_factory=dict)
    """The headers for these fields, computed."""

    name: ClassVar[str] = "sagemaker"
    can_fail_after_output: ClassVar[bool] = True
    has_trailers: ClassVar[bool] = False
    drain_timeout: ClassVar[float] = 10.0
    max_request_bytes: ClassVar[int | None] = MAX_REQUEST_BYTES

    def __post_init__(self) -> None:
        name = self.endpoint_name
        if not re.fullmatch(NAME, name) or len(name) > 63:
            raise ValueError(
                f"endpoint_name={name!r} is not the name of an endpoint "
                "(hint: use up to 63 letters, digits and single hyphens)"
            )
        check_sendable("accept", self.accept)
        check_sendable("content_type", self.content_type)
        for header, field_name in FIELDS.items():
            if problem := describe_header_problem(header, getattr(self, field_name)):
                raise ValueError(problem)
        if (job := self.async_inference) and not self.region_name and not job.s3_endpoint_url:
            raise ValueError("region_name is missing (hint: S3 needs it, or async_inference.s3_endpoint_url)")
        headers = {header: value for header, name in FIELDS.items() if (value := getattr(self, name)) is not None}
        object.__setattr__(self, "service_headers", headers)
        object.__setattr__(self, "base_url", f"{_build_url(self.endpoint_url, self.region_name)}/endpoints/{name}")

    def default_timeout(self, *, stream: bool) -> Timeout:
        """70 s without data for a whole response, 490 s for a stream: just above the service's limits."""
        return _STREAM_TIMEOUT if stream else _TIMEOUT

    def wrap_payload(self, route: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the payload unchanged."""
        return body

    def build_request(self, route: str, content: bytes, *, stream: bool, headers: Mapping[str, str]) -> Request:
        """Build a POST to `invocations` or `invocations-response-stream`; the container receives `/invocations`."""
        if route in SERVER_INFO_ROUTES:
            raise InvalidRequest(
                f"{route} is not available on SageMaker, whose endpoints serve invocations only "
                "(hint: look up the model in the container's configuration)"
            )
        limit = self.async_inference.max_request_bytes if self.async_inference else MAX_REQUEST_BYTES
        if len(content) > limit:
            hint = "set async_inference.input_location" if self.async_inference else "send fewer or smaller images"
            raise InvalidRequest(
                f"the request has {len(content)} bytes; SageMaker accepts {limit} at most (hint: {hint})",
                code="PayloadTooLarge",
                status=413,
            )
        job = self.async_inference
        stream = stream and job is None
        operation = "async-invocations" if job else "invocations-response-stream" if stream else "invocations"
        fields = {"content-type": self.content_type, "user-agent": USER_AGENT, **self._sagemaker_headers(stream=stream)}
        if headers:
            fields |= filter_headers(headers, stream=stream)
        return Request("POST", f"{self.base_url}/{operation}", job.adapt_headers(fields) if job else fields, content)

    def create_frame_decoder(self, head: ResponseHead) -> FrameDecoder:
        """Create the decoder for payload parts and the container's output inside them, or for the container's document.

        Raises:
            MalformedStream: The container returned an HTML page.
        """
        is_stream = head.content_type == EVENT_STREAM
        content_type = head.headers.get(f"{HEADER_PREFIX}content-type", "") if is_stream else head.content_type
        if content_type.startswith("text/html"):
            raise MalformedStream(
                "the response is a web page: its content type is text/html (hint: check the endpoint's container)",
                status=head.status,
            )
        if is_stream and self.raw_output == "parts":
            return PayloadPartDecoder(PartDecoder())
        inner = RawDecoder(lines=is_stream) if self.raw_output else ContainerDecoder()
        return PayloadPartDecoder(inner) if is_stream else inner

    def parse_error(self, head: ResponseHead, body: bytes) -> ServiceError:
        """Create the error for an error of SageMaker, or for one of the container inside a `ModelError`."""
        return parse_error(head, body)

    def check_trailers(self, trailers: Trailers) -> None:
        """Do nothing: the service sends no trailers. The frame decoder raises the error of an exception frame."""

    def request_id(self, head: ResponseHead) -> str | None:
        """The value of `x-amzn-requestid`."""
        return head.headers.get("x-amzn-requestid")

    def service_metadata(self, head: ResponseHead) -> Mapping[str, str]:
        """The fields of boto3's response that are headers: `InvokedProductionVariant`, `NewSessionId` …"""
        fields = _STREAM_FIELDS if head.content_type == EVENT_STREAM else _RESPONSE_FIELDS
        return {name: value for name, header in fields.items() if (value := head.headers.get(header))}

    def _sagemaker_headers(self, *, stream: bool) -> dict[str, str]:
        """The headers for the fields of this object."""
        headers = dict(self.service_headers)
        if self.accept is not None:
            headers[f"{HEADER_PREFIX}accept" if stream else "accept"] = self.accept
        if stream and headers:
            reject_unstreamed(headers)
        return headers


def _build_url(url: str | None, region: str | None) -> str:
    if url is None:
        if not region:
            raise ValueError("region_name is missing (hint: set region_name, such as us-east-1, or endpoint_url)")
        check_name("region_name", region, "aws region")
        return f"https://runtime.sagemaker.{region}.{aws_domain(region)}"
    problem = "is not a URL of the runtime service (hint: use https://runtime.sagemaker.<region>.amazonaws.com)"
    parts = check_url("endpoint_url", url, problem=problem, userinfo_hint="")
    if parts.query or parts.fragment:
        shown = re.split("[?#]", url)[0]  # a query may contain a key
        raise ValueError(f"endpoint_url={shown!r} {problem}")
    if region:
        check_name("region_name", region, "aws signing region")
    return url.rstrip("/").split("/endpoints/")[0]


#: Names of the parameters, for code that creates this object from a configuration.
PARAMETERS = tuple(item.name for item in fields(SageMaker) if item.init)
