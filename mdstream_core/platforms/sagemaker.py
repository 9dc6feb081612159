"""Amazon SageMaker real-time endpoints.

An endpoint has two doors: `invocations`, which answers whole, and `invocations-response-stream`, which answers with a
binary event stream of payload parts. What goes wrong after the 200 comes as an exception frame, mostly the last one.
SageMaker strips all headers but its own, and knows no path of the container's: every image answers on `/invocations`.

Sources: the announcement of InvokeEndpointWithResponseStream (2023-08-31), botocore's model `sagemaker-runtime`
2017-05-13 for shapes, limits and errors, and its `partitions.json` for the hosts.
"""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

from mdstream_core._addresses import check_name, check_url
from mdstream_core.errors import InvalidRequest, MalformedStream, ServiceError
from mdstream_core.http import DEFAULT_TIMEOUT, Request, ResponseHead, Timeout, check_sendable, describe_problem
from mdstream_core.platforms._platform import SIDE_ROUTES, USER_AGENT, Trailers
from mdstream_core.platforms._sagemaker_errors import parse_error
from mdstream_core.platforms._sagemaker_payload_parts import ContainerDecoder, PayloadPartDecoder, RawDecoder
from mdstream_core.wire import FrameDecoder

#: The largest body, in bytes (shape `BodyBlob`).
MAX_REQUEST_BYTES = 6_291_456

EVENT_STREAM = "application/vnd.amazon.eventstream"

_HEADER_PREFIX = "x-amzn-sagemaker-"

#: Where the names of a region begin with something else than those of `amazonaws.com` (botocore's `partitions.json`).
_SUFFIXES = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "eu-isoe-": "emulator.adc-e.uk",
    "us-isof-": "csp.hci.ic.gov",
}

_NAME = r"[a-zA-Z0-9](-*[a-zA-Z0-9])*"
_PRINTABLE = r"[\x21-\x7e][\x20-\x7e]*"

#: Header by field: what its value looks like, and how long it may be (botocore's shapes).
_HEADER_RULES: dict[str, tuple[str, int]] = {
    "inference_component": (r"[a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?", 63),
    "target_model": (_PRINTABLE, 1024),
    "target_variant": (_NAME, 63),
    "target_container_hostname": (_NAME, 63),
    "session_id": (rf"NEW_SESSION|{_NAME}", 256),
    "inference_id": (_PRINTABLE, 64),
    "custom_attributes": (r"[\x20-\x7e]*", 1024),
    "enable_explanations": (r"[\x20-\x7e]+", 64),
    "prefix_aware_id": (_PRINTABLE, 64),
}
_FIELDS = {f"{_HEADER_PREFIX}{name.replace('_', '-')}": name for name in _HEADER_RULES}

#: What `InvokeEndpointWithResponseStream` does not have, and what a value there would mean.
_NOT_STREAMED = {
    "target_model": "a multi-model endpoint does not stream",
    "enable_explanations": "explanations are not streamed",
}

#: Headers that are sent though SageMaker does not document them: the request needs them, or AWS's tracing.
_PASSED_HEADERS = frozenset(
    {"accept", "accept-encoding", "connection", "content-type", "user-agent", "x-amzn-trace-id"}
)

#: A model must respond within 60 s, and the client's timeout should be 70 s (`InvokeEndpoint` in the API reference); a
#: stream may take 8 minutes ("Real-time inference" in the developer guide), in which it may be silent.
_TIMEOUT = replace(DEFAULT_TIMEOUT, read=70.0, total=330.0)
_STREAM_TIMEOUT = replace(DEFAULT_TIMEOUT, read=490.0, total=520.0)


@dataclass(frozen=True, slots=True)
class SageMaker:
    """One endpoint.

    Args:
        endpoint_name: Its name.
        region_name: Where it is, such as `us-east-1`; needed where `endpoint_url` is not given.
        endpoint_url: The runtime service's URL, for FIPS, VPC endpoints and tests. By botocore's rules, with all its
            settings: `mdstream_core.auth.aws.resolve_connection(…).endpoint_url`.
        inference_component: Of several on one endpoint, the one to ask.
        target_model: Of a multi-model endpoint, the model's file; such an endpoint does not stream.
        target_variant: Of several production variants, the one to ask.
        target_container_hostname: Of several containers that are invoked directly, the one to ask.
        session_id: A stateful session; `NEW_SESSION` begins one, which a stream cannot.
        inference_id: Your id of the request.
        custom_attributes: Up to 1,024 characters of ASCII that reach the container; the only header that does.
        enable_explanations: For an endpoint with an explainer; not streamed.
        prefix_aware_id: A routing hint for endpoints with `PREFIX_AWARE` routing.
        accept: What the container is asked to answer with; by default it is not told.
        content_type: Of the question.
        raw_output: Whether whoever reads the answer wants the container's bytes as they are: the lines of a stream, the
            body of a whole answer.

    Example:
        >>> SageMaker("my-endpoint", "eu-west-1").base_url
        'https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/my-endpoint'
    """

    endpoint_name: str
    region_name: str | None = None
    endpoint_url: str | None = None
    inference_component: str | None = None
    target_model: str | None = None
    target_variant: str | None = None
    target_container_hostname: str | None = None
    session_id: str | None = None
    inference_id: str | None = None
    custom_attributes: str | None = None
    enable_explanations: str | None = None
    prefix_aware_id: str | None = None
    accept: str | None = None
    content_type: str = "application/json"
    raw_output: bool = False
    base_url: str = field(init=False, default="")

    name: ClassVar[str] = "sagemaker"
    reports_failure_after_body: ClassVar[bool] = True
    has_trailers: ClassVar[bool] = False
    drain_timeout: ClassVar[float] = 10.0
    max_request_bytes: ClassVar[int | None] = MAX_REQUEST_BYTES

    def __post_init__(self) -> None:
        name = self.endpoint_name
        if not re.fullmatch(_NAME, name) or len(name) > 63:
            raise ValueError(
                f"endpoint_name={name!r} is no endpoint's name: up to 63 letters, digits and single hyphens"
            )
        check_sendable("accept", self.accept)
        check_sendable("content_type", self.content_type)
        for header, shape in _FIELDS.items():
            if problem := _describe_problem(header, getattr(self, shape)):
                raise ValueError(problem)
        object.__setattr__(self, "base_url", f"{_url(self.endpoint_url, self.region_name)}/endpoints/{name}")

    def default_timeout(self, *, stream: bool) -> Timeout:
        """70 s for a whole response, a little more than 8 min for a stream."""
        return _STREAM_TIMEOUT if stream else _TIMEOUT

    def wrap_payload(self, route: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body as it is."""
        return body

    def build_request(self, route: str, content: bytes, *, stream: bool, headers: Mapping[str, str]) -> Request:
        """A POST to the door that fits; the container's route is always `/invocations`."""
        if route in SIDE_ROUTES:
            raise InvalidRequest(f"{route} cannot be reached on SageMaker: an endpoint answers invocations only")
        if len(content) > MAX_REQUEST_BYTES:
            raise InvalidRequest(
                f"the request has {len(content)} bytes; SageMaker takes {MAX_REQUEST_BYTES} at most: "
                "send smaller images",
                code="PayloadTooLarge",
                status=413,
            )
        door = "invocations-response-stream" if stream else "invocations"
        sent = {"content-type": self.content_type, "user-agent": USER_AGENT, **self._sagemaker_headers(stream=stream)}
        return Request("POST", f"{self.base_url}/{door}", {**sent, **_filter_headers(headers, stream=stream)}, content)

    def create_frame_decoder(self, head: ResponseHead) -> FrameDecoder:
        """Payload parts with whatever the container wrote inside, or its one document."""
        streams = head.content_type == EVENT_STREAM
        written = head.headers.get(f"{_HEADER_PREFIX}content-type", "") if streams else head.content_type
        if written.startswith("text/html"):
            raise MalformedStream(
                "the body is no model's answer: its content type is text/html; check the endpoint's container",
                status=head.status,
            )
        inner = RawDecoder(lines=streams) if self.raw_output else ContainerDecoder()
        return PayloadPartDecoder(inner) if streams else inner

    def parse_error(self, head: ResponseHead, body: bytes) -> ServiceError:
        """The service's refusal, or the container's own words inside a `ModelError`."""
        return parse_error(head, body)

    def check_trailers(self, trailers: Trailers) -> None:
        """There are none: an exception frame says what went wrong."""

    def request_id(self, head: ResponseHead) -> str | None:
        """`x-amzn-requestid`."""
        return head.headers.get("x-amzn-requestid")

    def _sagemaker_headers(self, *, stream: bool) -> dict[str, str]:
        """The headers that the fields make."""
        headers = {header: value for header, name in _FIELDS.items() if (value := getattr(self, name)) is not None}
        if self.accept is not None:
            headers[f"{_HEADER_PREFIX}accept" if stream else "accept"] = self.accept
        if stream:
            _reject_unstreamed(headers)
        return headers


def _filter_headers(headers: Mapping[str, str], *, stream: bool) -> dict[str, str]:
    """A caller's headers in lower case, without those that SageMaker would strip: for these a warning says so."""
    given = {name.lower(): value for name, value in headers.items()}
    for name, value in given.items():
        if problem := _describe_problem(name, value):
            raise InvalidRequest(problem, code="ValidationError", status=400)
    if stream:
        _reject_unstreamed(given)
    kept = {name: value for name, value in given.items() if name.startswith(_HEADER_PREFIX) or name in _PASSED_HEADERS}
    if stripped := given.keys() - kept.keys():
        warnings.warn(
            f"SageMaker strips the header {', '.join(sorted(stripped))}, so it is not sent: what the container must "
            "know goes into custom_attributes",
            RuntimeWarning,
            stacklevel=2,
        )
    return kept


def _describe_problem(header: str, value: str | None) -> str | None:
    """What is wrong with a header's value, in words."""
    name = _FIELDS.get(header)
    if name is None or value is None:
        return None
    pattern, longest = _HEADER_RULES[name]
    if len(value) > longest:
        return f"{name} has {len(value)} characters; SageMaker takes {longest} at most"
    if not re.fullmatch(pattern, value):
        return f"{name} ({header}) has {describe_problem(value) or 'characters that SageMaker does not take there'}"
    return None


def _reject_unstreamed(headers: Mapping[str, str]) -> None:
    for name, why in _NOT_STREAMED.items():
        if f"{_HEADER_PREFIX}{name.replace('_', '-')}" in headers:
            raise InvalidRequest(f"{name} is set, but {why}: ask for the whole answer", code="ValidationError")
    if headers.get(f"{_HEADER_PREFIX}session-id") == "NEW_SESSION":
        raise InvalidRequest(
            "a stream cannot begin a session: begin it with a whole answer, then give its session_id",
            code="ValidationError",
        )


def _url(url: str | None, region: str | None) -> str:
    if url is None:
        if not region:
            raise ValueError("region_name is missing: give it, such as us-east-1, or an endpoint_url")
        check_name("region_name", region, "aws region")
        suffix = next((suffix for begin, suffix in _SUFFIXES.items() if region.startswith(begin)), "amazonaws.com")
        return f"https://runtime.sagemaker.{region}.{suffix}"
    words = "is no URL of the runtime service, such as https://runtime.sagemaker.us-east-1.amazonaws.com"
    parts = check_url("endpoint_url", url, problem=words, userinfo_hint="")
    if parts.query or parts.fragment:
        shown = re.split("[?#]", url)[0]  # a query may hold a key
        raise ValueError(f"endpoint_url={shown!r} {words}")
    if region:
        check_name("region_name", region, "aws signing region")
    return url.rstrip("/").split("/endpoints/")[0]


#: The names of the parameters, for whoever builds this from a configuration.
PARAMETERS = tuple(item.name for item in fields(SageMaker) if item.init)
