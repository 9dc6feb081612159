"""OCI Data Science model deployments.

A deployment has two doors: `/predict`, which answers at once within 60 s, and `/predictWithResponseStream`, which
streams for up to 5 minutes, 60 s of silence at most, and says **after** the last chunk, in the HTTP trailer
`StreamFailure`, if it failed; the status was 200 long before.

Sources: Oracle's documentation of the predict and the response-streaming endpoints, the `oci` SDK 2.189, the samples
repository `oracle-samples/oci-data-science-ai-samples`.
"""

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
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
    SIDE_ROUTES,
    USER_AGENT,
    Hints,
    Trailers,
    build_service_error,
    create_frame_decoder,
    find_hint,
)
from mdstream_core.wire import FrameDecoder

#: The largest request body, in bytes; the service answers 413 to more.
MAX_REQUEST_BYTES = 10 * 1024 * 1024

_PREDICT = "/predict"
_STREAM = "/predictWithResponseStream"

#: The OCID of a deployment, and the path of a door that was copied along with it.
_OCID = re.compile(
    r"ocid1\.datasciencemodeldeployment[a-z]*\.(?P<realm>[a-z0-9]+)\.(?P<region>[a-z0-9-]*)\.[A-Za-z0-9_.-]+"
    r"(/predict(?!.*/\.)[A-Za-z0-9_./-]*)?/*"
)

#: What to do about a refusal.
_HINTS: Hints = (
    (401, "", "check the key, the clock (OCI allows 5 minutes) and that the token has not expired"),
    (
        404,
        "NotAuthorizedOrNotFound",
        "check the OCID, the region, and that a policy grants DATA_SCIENCE_MODEL_DEPLOYMENT_PREDICT; OCI hides which",
    ),
    (405, "", "this path takes another method; call /predict or /predictWithResponseStream with POST"),
    (
        409,
        "",
        "the container did not stream, often because it refused the question: call /predict to see its own error",
    ),
    (411, "", "something between here and OCI removed Content-Length"),
    (413, "", "the body may have 10 MB at most; send fewer or smaller images"),
    (429, "andwidth", "raise the bandwidth of the deployment's load balancer"),
    (429, "enancy", "the tenancy's limit of 150 requests a second is reached; a support ticket raises it"),
    (429, "", "raise the bandwidth of the deployment's load balancer, or the tenancy's 150 requests a second"),
    (500, "InternalServerError", "/predict allows 60 s: stream long answers; the deployment's predict log says more"),
    (503, "", "the model server is not available: check that the deployment is active"),
)

_REASONS = {
    "ServiceTimeout": "the model sent nothing for 60 s: a shorter question or a larger shape begins sooner",
    "ModelResponseTimeExceeded": "the answer was not finished within 5 minutes: ask for fewer tokens (max_tokens)",
    "InternalServerError": "the service or the model server failed: the deployment's predict log says more",
}
_TIMEOUTS = frozenset({"ServiceTimeout", "ModelResponseTimeExceeded", "RequestTimeout"})

_NO_ENDPOINT = (
    "is neither a URL nor an OCID of a model deployment: give "
    "https://modeldeployment.<region>.oci.customer-oci.com/<ocid>, its /predict URL, or the bare OCID"
)

#: `/predict` allows 60 s, a stream 60 s of silence and 5 min in all ("Invoking a Model Deployment": the predict and the
#: response-streaming endpoints).
_TIMEOUT = replace(DEFAULT_TIMEOUT, read=65.0, total=330.0)


@dataclass(frozen=True, slots=True)
class OCIModelDeployment:
    """One deployment.

    Args:
        endpoint: What you have of it: the deployment's URL, its `/predict` or `/predictWithResponseStream` URL (with
            the path of an inference endpoint behind it or not), a private endpoint's URL, or the bare OCID.
        region: For a bare OCID whose own region is not to be used, such as `us-ashburn-1`.
        route: The container's path. `None` takes the one of the dialect; `""` sends none and leaves the choice to the
            deployment's own setting. It goes into the `route` header of a bare endpoint; where the endpoint names an
            inference endpoint's path, that path is used and no header is sent.

    Example:
        >>> OCIModelDeployment("ocid1.datasciencemodeldeployment.oc1.iad.abc").base_url
        'https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.datasciencemodeldeployment.oc1.iad.abc'
    """

    endpoint: str
    region: str | None = None
    route: str | None = None
    base_url: str = field(init=False, default="")
    path_suffix: str = field(init=False, default="")

    name: ClassVar[str] = "oci-model-deployment"
    reports_failure_after_body: ClassVar[bool] = True
    has_trailers: ClassVar[bool] = True
    drain_timeout: ClassVar[float] = 10.0
    max_request_bytes: ClassVar[int | None] = MAX_REQUEST_BYTES

    def __post_init__(self) -> None:
        check_route("route", self.route)
        base, suffix = _split_url(_url(self.endpoint.strip(), self.region))
        object.__setattr__(self, "base_url", base)
        object.__setattr__(self, "path_suffix", suffix)

    def default_timeout(self, *, stream: bool) -> Timeout:
        """Just above 60 s of silence, and 5 min."""
        return _TIMEOUT

    def wrap_payload(self, route: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body as it is."""
        return body

    def build_request(self, route: str, content: bytes, *, stream: bool, headers: Mapping[str, str]) -> Request:
        """To the door that fits. A bare endpoint takes no GET; one with an inference endpoint's path does."""
        if len(content) > MAX_REQUEST_BYTES:
            raise InvalidRequest(
                f"the request has {len(content)} bytes; OCI takes {MAX_REQUEST_BYTES} at most: "
                "send fewer or smaller images",
                code="PayloadTooLarge",
                status=413,
            )
        fields = {
            "accept": "text/event-stream, application/json" if stream else "application/json",
            "accept-encoding": "gzip, deflate",
            "connection": "TE, keep-alive",
            "content-length": str(len(content)),
            "content-type": "application/json",
            "opc-request-id": uuid.uuid4().hex.upper(),
            "te": "trailers",
            "user-agent": USER_AGENT,
        }
        path, header = self._path_and_headers(route)
        if not content and not path:
            raise InvalidRequest(
                f"{route} cannot be read on a bare endpoint: give the inference endpoint's, …/predict/v1", status=405
            )
        if header:
            fields["route"] = header
        door = _STREAM if stream else _PREDICT
        return Request(
            "POST" if content else "GET", f"{self.base_url}{door}{path}", {**fields, **_lower_names(headers)}, content
        )

    def create_frame_decoder(self, head: ResponseHead) -> FrameDecoder:
        """Events, or one document. A proxy that merges trailers into the headers says here that the stream failed."""
        if (told := _find_stream_failure(head.headers.items())) is not None:
            raise parse_stream_failure(told)
        return create_frame_decoder(head)

    def parse_error(self, head: ResponseHead, body: bytes) -> ServiceError:
        """OCI's envelope `{"code", "message"}`, or the container's own words."""
        said = parse_error_body(body)
        return build_service_error(head, body, said, error_class_for_status(head.status), find_hint(head, said, _HINTS))

    def check_trailers(self, trailers: Trailers) -> None:
        """Read `StreamFailure`: that it is there is the failure, with or without a value; or its facts, each alone."""
        facts = [
            (fact, value)
            for name, value in trailers
            for fact in _KNOWN_VALUES
            if value.strip() and _letters_only(name).endswith(fact)
        ]
        failed = any(fact != "httpcode" or not value.strip().startswith("2") for fact, value in facts)
        told = _find_stream_failure(trailers)
        if told is not None or failed:
            raise parse_stream_failure(
                ", ".join([*([told] if told else []), *(f"{fact}={value}" for fact, value in facts)])
            )

    def request_id(self, head: ResponseHead) -> str | None:
        """`opc-request-id`."""
        return head.headers.get("opc-request-id")

    def _path_and_headers(self, route: str) -> tuple[str, str]:
        """The path behind the door, and the `route` header; never both."""
        if not self.path_suffix:
            return "", route if self.route is None or route in SIDE_ROUTES else self.route
        whole = self.path_suffix == "/v1" or (self.path_suffix.startswith("/v1/") and route in SIDE_ROUTES)
        return (route if whole else self.path_suffix), ""


def _find_stream_failure(fields: Iterable[tuple[str, str]]) -> str | None:
    """What the fields named `StreamFailure` say, however the name is spelled; `None` where there is none."""
    told = [value for name, value in fields if _letters_only(name).endswith("streamfailure")]
    return ", ".join(value for value in told if value.strip()) if told else None


def _letters_only(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def parse_stream_failure(value: str) -> StreamFailure:
    """What a `StreamFailure` trailer says. Oracle documents its three facts but not how they are written.

    >>> parse_stream_failure("ErrorCode=RequestTimeout, HttpCode=408, ErrorReason=ServiceTimeout").code
    'ServiceTimeout'
    """
    facts = _parse_facts(value)
    reason, code = facts.get("errorreason"), facts.get("errorcode")
    status = int(facts.get("httpcode") or (408 if {reason, code} & _TIMEOUTS else 500))
    name = reason or code
    kind = StreamTimeout if status == 408 else StreamFailure
    meaning = _REASONS.get(name or "", f"the trailer was {value[:300]!r}" if value else "the trailer has no value")
    return kind(
        f"OCI ended the stream: {status} {name or 'StreamFailure'} ({meaning})",
        code=name,
        status=status,
        raw=value,
    )


def _parse_facts(value: str) -> dict[str, str]:
    """The facts by name in lower case, from JSON, from `name=value` pairs, or from the words that are known."""
    try:
        document: Any = _json.loads(value)
    except ValueError:
        document = None
    if isinstance(document, str) and len(document) < len(value):
        return _parse_facts(document)
    pairs = document.items() if isinstance(document, dict) else _PAIR.findall(value)
    facts = {_letters_only(name): _json.to_text(fact)[:_LONGEST_FACT] for name, fact in pairs}
    for name, pattern in _KNOWN_VALUES.items():
        if found := pattern.fullmatch(facts.get(name, "")) or pattern.search(value):
            facts[name] = _SPELLING.get(found[0].lower(), found[0])
    if not _KNOWN_VALUES["httpcode"].fullmatch(facts.get("httpcode", "")):
        facts.pop("httpcode", None)
    return facts


#: The longest fact of a trailer that is kept, in characters.
_LONGEST_FACT = 200

_PAIR = re.compile(
    r"""\b(Error[\s_-]?Code|Http[\s_-]?Code|Error[\s_-]?Reason)["']?\s*[:=-]\s*["']?(\w+)""", re.IGNORECASE
)
_KNOWN_VALUES = {
    "errorreason": re.compile(r"ServiceTimeout|ModelResponseTimeExceeded", re.IGNORECASE),
    "errorcode": re.compile(r"RequestTimeout|InternalServerError", re.IGNORECASE),
    "httpcode": re.compile(r"(?<![0-9])[45][0-9]{2}(?![0-9])"),
}
_SPELLING = {name.lower(): name for name in (*_REASONS, *_TIMEOUTS)}


def _url(endpoint: str, region: str | None) -> str:
    match = _OCID.fullmatch(endpoint)
    if not match:
        return endpoint
    realm = match["realm"]
    region = region or match["region"]
    if not region:
        raise ValueError(f"endpoint={endpoint!r} is an OCID that names no region: give region= too")
    name = region.lower() if region.isupper() else region
    region = check_name("region", REGIONS.get(name, name), "oci region or key")
    if domain := REALMS.get(realm):
        return f"https://md.datascience.{region}.oci.{domain}/{endpoint}"
    return f"https://modeldeployment.{region}.oci.customer-oci.com/{endpoint}"


def _split_url(url: str) -> tuple[str, str]:
    """The deployment's URL, and the path of the inference endpoint behind the door if there is one."""
    check_url("endpoint", url, problem=_NO_ENDPOINT)
    match = re.fullmatch(r"(?P<base>[^?#]*?)(?:/predict(?:WithResponseStream|WithStream)?(?P<suffix>/[^#]*)?)?/*", url)
    if match is None:
        shown = re.split("[?#]", url)[0]  # a query may hold a key
        raise ValueError(f"endpoint={shown!r} has a query or a fragment, which a deployment's URL has not")
    return match["base"].rstrip("/"), (match["suffix"] or "").rstrip("/")


def _lower_names(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
