"""OCI model deployments: endpoints, requests and error responses."""

import json
import time
from email.utils import formatdate

import pytest
from _samples import OUTPUT, PLATFORM, read

from mdstream_core import ModelArts, OCIGenerativeAI, OCIModelDeployment, Platform, SageMaker
from mdstream_core.errors import (
    AuthenticationError,
    ContextOverflow,
    InvalidRequest,
    MalformedStream,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
    ServiceError,
)
from mdstream_core.http import ResponseHead
from mdstream_core.platforms.oci_model_deployment import MAX_REQUEST_BYTES

OCID = "ocid1.datasciencemodeldeployment.oc1.iad.amaaaaaaexample"


PUBLIC = f"https://modeldeployment.us-ashburn-1.oci.customer-oci.com/{OCID}"


CHAT = "/v1/chat/completions"


#: name: (endpoint, options, the URL for a stream, the URL for a whole answer, the route header)
URLS: dict[str, tuple[str, dict[str, str], str, str, str | None]] = {
    "the deployment": (PUBLIC, {}, f"{PUBLIC}/predictWithResponseStream", f"{PUBLIC}/predict", CHAT),
    "with a slash": (f" {PUBLIC}/ ", {}, f"{PUBLIC}/predictWithResponseStream", f"{PUBLIC}/predict", CHAT),
    "/predict": (f"{PUBLIC}/predict", {}, f"{PUBLIC}/predictWithResponseStream", f"{PUBLIC}/predict", CHAT),
    "/predictWithResponseStream": (
        f"{PUBLIC}/predictWithResponseStream/",
        {},
        f"{PUBLIC}/predictWithResponseStream",
        f"{PUBLIC}/predict",
        CHAT,
    ),
    "the OCID": (OCID, {}, f"{PUBLIC}/predictWithResponseStream", f"{PUBLIC}/predict", CHAT),
    "the OCID and a region": (
        OCID,
        {"region": "eu-frankfurt-1"},
        f"https://modeldeployment.eu-frankfurt-1.oci.customer-oci.com/{OCID}/predictWithResponseStream",
        f"https://modeldeployment.eu-frankfurt-1.oci.customer-oci.com/{OCID}/predict",
        CHAT,
    ),
    "an OCID with a long region": (
        OCID.replace("iad", "uk-london-1"),
        {},
        f"https://modeldeployment.uk-london-1.oci.customer-oci.com/{OCID.replace('iad', 'uk-london-1')}/predictWithResponseStream",
        f"https://modeldeployment.uk-london-1.oci.customer-oci.com/{OCID.replace('iad', 'uk-london-1')}/predict",
        CHAT,
    ),
    "an OCID of another realm": (
        "ocid1.datasciencemodeldeployment.oc19.eu-frankfurt-2.abc",
        {},
        "https://md.datascience.eu-frankfurt-2.oci.oraclecloud.eu/ocid1.datasciencemodeldeployment.oc19.eu-frankfurt-2.abc/predictWithResponseStream",
        "https://md.datascience.eu-frankfurt-2.oci.oraclecloud.eu/ocid1.datasciencemodeldeployment.oc19.eu-frankfurt-2.abc/predict",
        CHAT,
    ),
    "a private endpoint": (
        f"https://my.private.example/{OCID}/predict",
        {},
        f"https://my.private.example/{OCID}/predictWithResponseStream",
        f"https://my.private.example/{OCID}/predict",
        CHAT,
    ),
    "a port": (
        "http://127.0.0.1:8080/x",
        {},
        "http://127.0.0.1:8080/x/predictWithResponseStream",
        "http://127.0.0.1:8080/x/predict",
        CHAT,
    ),
    "an inference endpoint": (
        f"{PUBLIC}/predictWithResponseStream/v1/chat/completions",
        {},
        f"{PUBLIC}/predictWithResponseStream/v1/chat/completions",
        f"{PUBLIC}/predict/v1/chat/completions",
        None,
    ),
    "an inference endpoint of its own": (
        f"{PUBLIC}/predict/answer",
        {},
        f"{PUBLIC}/predictWithResponseStream/answer",
        f"{PUBLIC}/predict/answer",
        None,
    ),
    "the base of Oracle's own sample": (
        f"{PUBLIC}/predictWithResponseStream/v1",
        {},
        f"{PUBLIC}/predictWithResponseStream/v1/chat/completions",
        f"{PUBLIC}/predict/v1/chat/completions",
        None,
    ),
    "a query behind an inference endpoint": (
        f"{PUBLIC}/predict/answer?a=1",
        {},
        f"{PUBLIC}/predictWithResponseStream/answer?a=1",
        f"{PUBLIC}/predict/answer?a=1",
        None,
    ),
    "a route of the user's": (
        PUBLIC,
        {"route": "/v2/x"},
        f"{PUBLIC}/predictWithResponseStream",
        f"{PUBLIC}/predict",
        "/v2/x",
    ),
    "no route": (PUBLIC, {"route": ""}, f"{PUBLIC}/predictWithResponseStream", f"{PUBLIC}/predict", None),
}


@pytest.mark.parametrize(("endpoint", "options", "stream", "whole", "route"), URLS.values(), ids=URLS)
def test_every_form_of_the_endpoint_leads_to_both_operations(
    endpoint: str, options: dict[str, str], stream: str, whole: str, route: str | None
) -> None:
    """The route is sent in the header or the path, never in both."""
    platform = OCIModelDeployment(endpoint, **options)
    requested = [platform.build_request(CHAT, b"{}", stream=wanted, headers={}) for wanted in (True, False)]

    assert [stream, whole] == [request.url for request in requested]
    assert [route, route] == [request.headers.get("route") for request in requested]


WRONG: dict[str, tuple[str, dict[str, str], str]] = {
    "nothing": ("", {}, "endpoint='' is neither a URL nor an OCID"),
    "no scheme": ("modeldeployment.example/x", {}, "is neither a URL nor an OCID"),
    "another scheme": ("ftp://host/x", {}, "is neither a URL nor an OCID"),
    "another OCID": ("ocid1.instance.oc1.iad.abc", {}, "is neither a URL nor an OCID"),
    "a space inside": ("http://host/a b", {}, "is neither a URL nor an OCID"),
    "a line break inside": ("http://host/\nx", {}, "is neither a URL nor an OCID"),
    "a letter outside ASCII": ("http://hôst/x", {}, "is neither a URL nor an OCID"),
    "a bad host": ("http://[::1", {}, "cannot be read"),
    "a bad port": ("http://host:99999/x", {}, "cannot be read"),
    "a password": ("https://user:SECRET@host/x", {}, "credentials as auth="),
    "a query": ("https://host/x?key=SECRET", {}, "has a query or a fragment"),
    "a fragment": ("https://host/x#SECRET", {}, "has a query or a fragment"),
    "an OCID without a region": ("ocid1.datasciencemodeldeployment.oc1..abc", {}, "set region"),
    "a region that is none": (OCID, {"region": "evil.example/#"}, "is not a region name"),
}


@pytest.mark.parametrize(("endpoint", "options", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_endpoint_is_an_error(endpoint: str, options: dict[str, str], words: str) -> None:
    """The message names the field, has a hint, and contains no secret."""
    with pytest.raises(ValueError, match=r"endpoint|region") as caught:
        OCIModelDeployment(endpoint, **options)

    assert words in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_headers_of_a_request() -> None:
    """Content-Length, TE, no zstd, a request id; the user's headers take precedence."""
    request = PLATFORM.build_request(CHAT, b"{}", stream=True, headers={"Opc-Request-Id": "MINE", "x-extra": "1"})

    assert ("POST", "2", "trailers") == (request.method, request.headers["content-length"], request.headers["te"])
    assert "zstd" not in request.headers["accept-encoding"]
    assert "text/event-stream" in request.headers["accept"]
    assert ("MINE", "1") == (request.headers["opc-request-id"], request.headers["x-extra"])
    own = PLATFORM.build_request(CHAT, b"{}", stream=False, headers={})
    assert 32 == len(own.headers["opc-request-id"])
    assert "application/json" == own.headers["accept"]


def test_a_body_that_is_too_large_is_not_sent() -> None:
    """OCI accepts 10 MB; the error is raised before anything is sent."""
    assert PLATFORM.build_request(CHAT, b"x" * MAX_REQUEST_BYTES, stream=True, headers={}).content
    with pytest.raises(InvalidRequest, match="fewer or smaller images") as caught:
        PLATFORM.build_request(CHAT, b"x" * (MAX_REQUEST_BYTES + 1), stream=True, headers={})

    assert (413, "PayloadTooLarge", False) == (caught.value.status, caught.value.code, caught.value.retryable)


def envelope(code: str, message: str) -> bytes:
    return json.dumps({"code": code, "message": message}).encode()


#: name: (status, body, class, code, part of the service's message, part of the hint, retryable)
REFUSALS: dict[str, tuple[int, bytes, type[ServiceError], str | None, str, str, bool]] = {
    "400": (400, envelope("InvalidParameter", "bad temperature"), InvalidRequest, "InvalidParameter", "bad temperature", "", False),
    "401": (401, envelope("NotAuthenticated", "The required information"), AuthenticationError, "NotAuthenticated", "The required", "clock", False),
    "403": (403, envelope("NotAllowed", "no"), PermissionDenied, "NotAllowed", "no", "", False),
    "404": (404, envelope("NotAuthorizedOrNotFound", "Authorization failed"), NotFound, "NotAuthorizedOrNotFound", "Authorization failed", "DATA_SCIENCE_MODEL_DEPLOYMENT_PREDICT", False),
    "404 of the container": (404, b'{"error":{"message":"The model `x` does not exist","type":"NotFoundError","code":404}}', NotFound, "NotFoundError", "does not exist", "", False),
    "405": (405, envelope("MethodNotAllowed", "no GET"), InvalidRequest, "MethodNotAllowed", "no GET", "POST", False),
    "409": (409, envelope("ExternalServerIncorrectState", "not streaming"), InvalidRequest, "ExternalServerIncorrectState", "not streaming", "without streaming", False),
    "411": (411, envelope("LengthRequired", "length"), InvalidRequest, "LengthRequired", "length", "Content-Length", False),
    "413": (413, envelope("PayloadTooLarge", "large"), InvalidRequest, "PayloadTooLarge", "large", "10 MB", False),
    "422 of the container": (422, b'{"detail":[{"msg":"field required"}]}', InvalidRequest, None, "field required", "", False),
    "424 of the container": (424, b'{"error":"boom","code":424}', ServerError, None, "boom", "", True),
    "429 bandwidth": (429, envelope("TooManyRequests", "LB bandwidth limit exceeded"), RateLimited, "TooManyRequests", "LB bandwidth", "load balancer", True),
    "429 tenancy": (429, envelope("TooManyRequests", "Tenancy request-rate limit exceeded"), RateLimited, "TooManyRequests", "Tenancy", "support ticket", True),
    "429 else": (429, b"slow down", RateLimited, None, "slow down", "150 requests", True),
    "500": (500, envelope("InternalServerError", "oops"), ServerError, "InternalServerError", "oops", "predict log", True),
    "503": (503, envelope("ServiceUnavailable", "later"), ServerError, "ServiceUnavailable", "later", "active", True),
    "504 of a gateway": (504, b"<html>Gateway Timeout</html>", ServerError, None, "Gateway Timeout", "", True),
    "418": (418, b"", ServiceError, None, "no message", "", False),
    "a redirect": (302, b"", ServiceError, None, "no message", "redirect", False),
    "too long (vLLM)": (400, b'{"error":{"message":"This model\'s maximum context length is 4096 tokens. However, you requested 5000 tokens","type":"BadRequestError","code":400}}', ContextOverflow, "BadRequestError", "maximum context length", "", False),
    "too long (llama.cpp)": (400, b'{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error"}}', ContextOverflow, "exceed_context_size_error", "available context size", "", False),
}  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind", "code", "output", "hint", "again"), REFUSALS.values(), ids=REFUSALS)
def test_error_responses_have_class_code_and_hint(
    status: int, body: bytes, kind: type[ServiceError], code: str | None, output: str, hint: str, again: bool
) -> None:
    """And the service's message."""
    error = read(body, ResponseHead(status, {"opc-request-id": "req-7"})).error

    assert kind is type(error)
    assert (code, status, again, "req-7") == (error.code, error.status, error.retryable, error.request_id)
    assert output in str(error)
    assert hint in str(error)
    assert body.decode() == error.raw


RETRY_AFTER = {
    "7": 7.0,
    "1.5": 1.5,
    "Fri, 20 Nov 2026 15:30:00 GMT": 30.0,
    "Fri, 20 Nov 2026 15:00:00 GMT": 0.0,
    "Friday, 20-Nov-26 15:30:00 GMT": 30.0,
    "Fri Nov 20 15:30:00 2026": 30.0,
    "Fri, 20 Nov 2026 16:30:00 +0100": 30.0,
    "Fri, 99 Nov 99999 15:30:00 GMT": None,
    "soon": None,
    "-3": None,
    "nan": None,
    "9" * 400: None,
}


@pytest.mark.parametrize(("wish", "seconds"), RETRY_AFTER.items())
def test_retry_after_is_a_number_or_a_date(wish: str, seconds: float | None) -> None:
    """A date is compared with the clock of the response, so that the local clock may be wrong."""
    head = ResponseHead(429, {"retry-after": wish, "date": "Fri, 20 Nov 2026 15:29:30 GMT"})

    assert seconds == PLATFORM.parse_error(head, b"").retry_after


PLATFORMS = [
    PLATFORM,
    OCIGenerativeAI("ocid1.compartment.oc1..a", region="us-chicago-1"),
    SageMaker("e", "us-east-1"),
    ModelArts("https://h/v1/infers/8e1b"),
]


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.name)
@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Foo 2026"])
def test_retry_after_without_a_date_header_uses_the_local_clock(platform: Platform, date: str) -> None:
    """A proxy may remove `Date`, or write an invalid one."""
    wish = formatdate(time.time() + 30, usegmt=True)
    head = ResponseHead(429, {"retry-after": wish, **({"date": date} if date else {})})
    output = platform.parse_error(head, b"").retry_after

    assert output is not None
    assert 20 < output <= 30


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.name)
def test_retry_after_ms_precedes_retry_after(platform: Platform) -> None:
    """Azure and OpenAI send both."""
    assert (
        1.5 == platform.parse_error(ResponseHead(429, {"retry-after-ms": "1500", "retry-after": "2"}), b"").retry_after
    )
    assert (
        2.0 == platform.parse_error(ResponseHead(503, {"retry-after-ms": "soon", "retry-after": "2"}), b"").retry_after
    )


FRAMED = ["text/event-stream", "text/event-stream; charset=utf-8", "TEXT/EVENT-STREAM", "text/plain", "application/octet-stream", "application/json", "text/event-stream, text/event-stream", "application/x-anything", "", ";"]  # fmt: skip


@pytest.mark.parametrize("label", FRAMED)
def test_events_are_decoded_with_every_content_type(label: str) -> None:
    """OCI's own clients expect different content types; all are accepted."""
    assert "Hi" == read(OUTPUT, ResponseHead(200, {"content-type": label})).model_response.text
    assert "Hi" == read(OUTPUT, ResponseHead(200)).model_response.text


def test_an_html_page_is_a_malformed_stream() -> None:
    """A login page with status 200; the error names the content type."""
    error = read(b"<html>", ResponseHead(200, {"content-type": "text/html"})).error

    assert isinstance(error, MalformedStream)
    assert "text/html" in str(error)


def test_a_body_that_is_no_stream_is_quoted() -> None:
    """In the error for a body whose content type is that of a stream."""
    error = read(b"upstream connect error or disconnect/reset before headers").error

    assert "upstream connect error" in str(error)
    assert "upstream connect error" in error.raw


def test_the_platform_is_an_immutable_value() -> None:
    """It implements the protocol and compares by value."""
    platform: Platform = PLATFORM

    assert platform == OCIModelDeployment(PLATFORM.endpoint)
    assert hash(platform)
    assert platform.can_fail_after_output
