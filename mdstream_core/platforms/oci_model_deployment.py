"""OCI Data Science model deployments.

A deployment has two routes: `/predict`, which returns a whole response within 60 s, and `/predictWithResponseStream`,
which streams for up to 5 minutes, with at most 60 s between two chunks. A stream that fails has the status 200; the
failure is reported **after** the last chunk, in the HTTP trailer `StreamFailure`.

Sources: Oracle's documentation of the predict and the response-streaming endpoints, the `oci` SDK 2.189, the samples
repository `oracle-samples/oci-data-science-ai-samples`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from string import ascii_lowercase
from typing import Any, ClassVar

from mdstream_core import _json
from mdstream_core._addresses import check_name, check_url
from mdstream_core.errors import (
    InvalidRequest,
    ServiceError,
    StreamFailure,
    StreamTimeout,
    error_class_for_status,
    parse_error_body,
)
from mdstream_core.http import DEFAULT_TIMEOUT, Request, ResponseHead, Timeout, check_route
from mdstream_core.platforms._oci_regions import REALMS, REGIONS
from mdstream_core.platforms._platform import (
    SERVER_INFO_ROUTES,
    USER_AGENT,
    Hints,
    Trailers,
    build_service_error,
    create_frame_decoder,
    create_request_id,
    find_hint,
)
from mdstream_core.wire import FrameDecoder

#: Maximum size of a request body in bytes; the service returns 413 for larger ones.
MAX_REQUEST_BYTES = 10 * 1024 * 1024

_PREDICT = "/predict"
_STREAM = "/predictWithResponseStream"

#: The OCID of a deployment, with or without a `/predict…` path behind it.
_OCID = re.compile(
    r"ocid1\.datasciencemodeldeployment[a-z]*\.(?P<realm>[a-z0-9]+)\.(?P<region>[a-z0-9-]*)\.[A-Za-z0-9_.-]+"
    r"(/predict(?!.*/\.)[A-Za-z0-9_./-]*)?/*"
)

#: Hints for error responses.
_HINTS: Hints = (
    (401, "", "check the key, that the token has not expired, and this machine's clock: OCI allows 5 minutes"),
    (
        404,
        "NotAuthorizedOrNotFound",
        "check OCID and region, and that a policy grants DATA_SCIENCE_MODEL_DEPLOYMENT_PREDICT: OCI reports all alike",
    ),
    (405, "", "send a POST to /predict or /predictWithResponseStream: this path accepts another method"),
    (
        409,
        "",
        "send it without streaming to see the error of the container, which does not stream what it rejects",
    ),
    (411, "", "check the proxies: one has removed Content-Length"),
    (413, "", "send fewer or smaller images: the body may have 10 MB at most"),
    (429, "andwidth", "raise the bandwidth of the deployment's load balancer"),
    (429, "enancy", "raise the tenancy's limit of 150 requests a second with a support ticket"),
    (429, "", "raise the bandwidth of the deployment's load balancer, or the tenancy's limit of 150 requests a second"),
    (
        500,
        "InternalServerError",
        "see the predict log of the deployment, and stream long responses: /predict allows 60 s",
    ),
    (503, "", "check that the deployment is active: the model server is not available"),
)

#: Explanation and hint for each `ErrorReason`.
_REASONS = {
    "ServiceTimeout": "the model sent nothing for 60 s (hint: shorten the prompt, or use a larger shape)",
    "ModelResponseTimeExceeded": "the response was not complete within 5 minutes (hint: reduce max_tokens)",
    "InternalServerError": "the service or the model server failed (hint: see the predict log of the deployment)",
}
_TIMEOUTS = frozenset({"ServiceTimeout", "ModelResponseTimeExceeded", "RequestTimeout"})

_NO_ENDPOINT = (
    "is neither a URL nor an OCID of a model deployment (hint: use "
    "https://modeldeployment.<region>.oci.customer-oci.com/<ocid>, its /predict URL, or the OCID alone)"
)

#: `/predict` allows 60 s, a stream 60 s without data and 5 min in total ("Invoking a Model Deployment": the predict and
#: the response-streaming endpoints).
_TIMEOUT = replace(DEFAULT_TIMEOUT, read=65.0, total=330.0)


@dataclass(frozen=True, slots=True)
class OCIModelDeployment:
    """A model deployment of OCI Data Science.

    Args:
        endpoint: URL of the deployment, its `/predict` or `/predictWithResponseStream` URL (with or without the path of
            an inference endpoint), URL of a private endpoint, or OCID of the deployment. Required.
        region: Region for an OCID, such as `us-ashburn-1`. Default: that of the OCID.
        route: The container's path, such as `/v1/chat/completions`. Default (`None`): that of the dialect; `""` sends
            none, so that the deployment's own setting applies. It is sent in the header `route`; if `endpoint` has the
            path of an inference endpoint, that path is used and no header is sent.

    Raises:
        ValueError: A field is malformed, or contains a credential; the message names it.

    Example:
        >>> OCIModelDeployment("ocid1.datasciencemodeldeployment.oc1.iad.abc").base_url
        'https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.datasciencemodeldeployment.oc1.iad.abc'
    """

    endpoint: str
    """URL or OCID of the deployment, such as `https://modeldeployment.us-ashburn-1.oci.customer-oci.com/<ocid>`."""
    region: str | None = None
    """Region for an OCID, such as `us-ashburn-1`. Default: that of the OCID."""
    route: str | None = None
    """The container's path, such as `/v1/chat/completions`. Default: that of the dialect; `""`: none."""
    base_url: str = field(init=False, default="")
    """URL of the deployment without a route, computed."""
    path_suffix: str = field(init=False, default="")
    """Path of the inference endpoint after `/predict`, computed; empty if there is none."""

    name: ClassVar[str] = "oci-model-deployment"
    can_fail_after_output: ClassVar[bool] = True
    has_trailers: ClassVar[bool] = True
    drain_timeout: ClassVar[float] = 10.0
    max_request_bytes: ClassVar[int | None] = MAX_REQUEST_BYTES

    def __post_init__(self) -> None:
        check_route("route", self.route)
        base, suffix = _split_url(_build_url(self.endpoint.strip(), self.region))
        object.__setattr__(self, "base_url", base)
        object.__setattr__(self, "path_suffix", suffix)

    def default_timeout(self, *, stream: bool) -> Timeout:
        """65 s without data and 330 s in total: just above the service's limits of 60 s and 5 min."""
        return _TIMEOUT

    def wrap_payload(self, route: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the payload unchanged."""
        return body

    def build_request(self, route: str, content: bytes, *, stream: bool, headers: Mapping[str, str]) -> Request:
        """Build a POST to `/predict` or `/predictWithResponseStream`; a GET needs the path of an inference endpoint."""
        if len(content) > MAX_REQUEST_BYTES:
            raise InvalidRequest(
                f"the request has {len(content)} bytes; OCI accepts {MAX_REQUEST_BYTES} at most "
                "(hint: send fewer or smaller images)",
                code="PayloadTooLarge",
                status=413,
            )
        fields = {
            "accept": "text/event-stream, application/json" if stream else "application/json",
            "accept-encoding": "gzip, deflate",
            "connection": "TE, keep-alive",
            "content-length": str(len(content)),
            "content-type": "application/json",
            "opc-request-id": create_request_id(),
            "te": "trailers",
            "user-agent": USER_AGENT,
        }
        path, header = self._path_and_headers(route)
        if not content and not path:
            raise InvalidRequest(
                f"GET {route} is not possible on this endpoint (hint: set endpoint to an inference endpoint, "
                "…/predict/v1)",
                status=405,
            )
        if header:
            fields["route"] = header
        if headers:
            fields |= _request_headers(headers)
        operation = _STREAM if stream else _PREDICT
        return Request("POST" if content else "GET", f"{self.base_url}{operation}{path}", fields, content)

    def create_frame_decoder(self, head: ResponseHead) -> FrameDecoder:
        """Create the decoder for server-sent events or a JSON document.

        Raises:
            StreamFailure: The headers report the failure, because a proxy has merged the trailers into them.
            MalformedStream: The body is an HTML page.
        """
        has_failure = _has_stream_failure("".join(head.headers))
        if has_failure and (value := _find_stream_failure(head.headers.items())) is not None:
            raise parse_stream_failure(value)
        return create_frame_decoder(head)

    def parse_error(self, head: ResponseHead, body: bytes) -> ServiceError:
        """Create the error for OCI's envelope `{"code", "message"}`, or for an error of the container."""
        parsed = parse_error_body(body)
        hint = find_hint(head, parsed, _HINTS)
        return build_service_error(head, body, parsed, error_class_for_status(head.status), hint)

    def check_trailers(self, trailers: Trailers) -> None:
        """Check for a `StreamFailure` trailer (a failure even without a value), and for trailers with its fields.

        Raises:
            StreamFailure: The trailers report a failure.
        """
        if not trailers:
            return
        fields = [
            (field, value)
            for name, value in trailers
            for field in _KNOWN_VALUES
            if value.strip() and _letters_only(name).endswith(field)
        ]
        failed = any(field != "httpcode" or not value.strip().startswith("2") for field, value in fields)
        failure = _find_stream_failure(trailers)
        if failure is not None or failed:
            raise parse_stream_failure(
                ", ".join([*([failure] if failure else []), *(f"{field}={value}" for field, value in fields)])
            )

    def request_id(self, head: ResponseHead) -> str | None:
        """The value of `opc-request-id`."""
        return head.headers.get("opc-request-id")

    def service_metadata(self, head: ResponseHead) -> Mapping[str, str]:
        """Return nothing: the headers say nothing about the model's response."""
        return {}

    def _path_and_headers(self, route: str) -> tuple[str, str]:
        """The path after the operation, and the `route` header; at most one of them is set."""
        if not self.path_suffix:
            return "", route if self.route is None or route in SERVER_INFO_ROUTES else self.route
        is_v1 = self.path_suffix.startswith("/v1/")
        accepts_route = self.path_suffix == "/v1" or (is_v1 and route in SERVER_INFO_ROUTES)
        return (route if accepts_route else self.path_suffix), ""


#: All bytes but the letters in lower case.
_NO_LETTERS = bytes({*range(256)} - {*ascii_lowercase.encode()})


@lru_cache(maxsize=64)
def _has_stream_failure(names: str) -> bool:
    """Whether the names of a response's headers, joined, contain `StreamFailure` in any spelling.

    They are the same for most responses.
    """
    return "streamfailure" in _letters_only(names)


def _find_stream_failure(trailers: Iterable[tuple[str, str]]) -> str | None:
    """The values of trailers (or headers) named `StreamFailure` in any spelling; `None` if there is none."""
    fields = list(trailers)
    if "streamfailure" not in _letters_only("".join([name for name, _ in fields])):  # all names at once
        return None
    values = [value for name, value in fields if _letters_only(name).endswith("streamfailure")]
    return ", ".join(value for value in values if value.strip()) if values else None


def _letters_only(name: str) -> str:
    return name.lower().encode("ascii", "ignore").translate(None, _NO_LETTERS).decode("ascii")


def parse_stream_failure(value: str) -> StreamFailure:
    """Create the error for a `StreamFailure` trailer.

    Oracle documents its fields (ErrorCode, HttpCode, ErrorReason), but not their format.

    Args:
        value: The value of the trailer; may be empty.

    >>> parse_stream_failure("ErrorCode=RequestTimeout, HttpCode=408, ErrorReason=ServiceTimeout").code
    'ServiceTimeout'
    """
    fields = _parse_fields(value)
    reason, code = fields.get("errorreason"), fields.get("errorcode")
    status = int(fields.get("httpcode") or (408 if {reason, code} & _TIMEOUTS else 500))
    name = reason or code
    error_class = StreamTimeout if status == 408 else StreamFailure
    meaning = _REASONS.get(name or "", f"the trailer is {value[:300]!r}" if value else "the trailer has no value")
    return error_class(
        f"OCI ended the stream: {status} {name or 'StreamFailure'}: {meaning}",
        code=name,
        status=status,
        raw=value,
    )


def _parse_fields(value: str) -> dict[str, str]:
    """Parse the fields, by name in lower case, from JSON, from `name=value` pairs, or from known values in the text."""
    try:
        document: Any = _json.loads(value)
    except ValueError:
        document = None
    if isinstance(document, str) and len(document) < len(value):
        return _parse_fields(document)
    pairs = document.items() if isinstance(document, dict) else _PAIR.findall(value)
    fields = {_letters_only(name): _json.to_text(field)[:_MAX_FIELD] for name, field in pairs}
    for name, pattern in _KNOWN_VALUES.items():
        if match := pattern.fullmatch(fields.get(name, "")) or pattern.search(value):
            fields[name] = _SPELLING.get(match[0].lower(), match[0])
    if not _KNOWN_VALUES["httpcode"].fullmatch(fields.get("httpcode", "")):
        fields.pop("httpcode", None)
    return fields


#: Maximum length of a field of a trailer in characters.
_MAX_FIELD = 200

_PAIR = re.compile(
    r"""\b(Error[\s_-]?Code|Http[\s_-]?Code|Error[\s_-]?Reason)["']?\s*[:=-]\s*["']?(\w+)""", re.IGNORECASE
)
_KNOWN_VALUES = {
    "errorreason": re.compile(r"ServiceTimeout|ModelResponseTimeExceeded", re.IGNORECASE),
    "errorcode": re.compile(r"RequestTimeout|InternalServerError", re.IGNORECASE),
    "httpcode": re.compile(r"(?<![0-9])[45][0-9]{2}(?![0-9])"),
}
_SPELLING = {name.lower(): name for name in (*_REASONS, *_TIMEOUTS)}


def _build_url(endpoint: str, region: str | None) -> str:
    match = _OCID.fullmatch(endpoint)
    if not match:
        return endpoint
    realm = match["realm"]
    region = region or match["region"]
    if not region:
        raise ValueError(f"endpoint={endpoint!r} is an OCID without a region (hint: set region, such as us-ashburn-1)")
    name = region.lower() if region.isupper() else region
    region = check_name("region", REGIONS.get(name, name), "oci region or key")
    if domain := REALMS.get(realm):
        return f"https://md.datascience.{region}.oci.{domain}/{endpoint}"
    return f"https://modeldeployment.{region}.oci.customer-oci.com/{endpoint}"


def _split_url(url: str) -> tuple[str, str]:
    """Split into the deployment's URL and the path of the inference endpoint, which may be empty."""
    check_url("endpoint", url, problem=_NO_ENDPOINT)
    match = re.fullmatch(r"(?P<base>[^?#]*?)(?:/predict(?:WithResponseStream|WithStream)?(?P<suffix>/[^#]*)?)?/*", url)
    if match is None:
        shown = re.split("[?#]", url)[0]  # a query may contain a key
        raise ValueError(f"endpoint={shown!r} has a query or a fragment (hint: remove it)")
    return match["base"].rstrip("/"), (match["suffix"] or "").rstrip("/")


def _request_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers in lower case; a route without its slash, as on pages of oracle-ads, gets one."""
    lower = {name.lower(): value for name, value in headers.items()}
    if (route := lower.get("route")) and not route.startswith("/"):
        lower["route"] = f"/{route}"
    return lower
