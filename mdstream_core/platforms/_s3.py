"""Amazon S3, as far as asynchronous inference needs it: URLs of objects, and error responses.

Source: the Amazon S3 API reference ("Error responses", "Virtual hosting of buckets").
"""

import re
from dataclasses import dataclass
from urllib.parse import quote

from mdstream_core.errors import (
    AuthenticationError,
    InvalidRequest,
    MDStreamError,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
    error_class_for_status,
)
from mdstream_core.http import ResponseHead
from mdstream_core.platforms._aws_domains import aws_domain

_LOCATION = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<key>[^\x00-\x1f\x7f]{0,1024}))?")

#: Codes of S3's errors.
_S3_ERRORS: dict[str, tuple[type[MDStreamError], str]] = {
    "AccessDenied": (PermissionDenied, "allow s3:PutObject on the input and s3:GetObject on the output"),
    "ExpiredToken": (AuthenticationError, "sign in again: the session token has expired"),
    "InvalidAccessKeyId": (AuthenticationError, "check the access key: AWS does not know it"),
    "InvalidToken": (AuthenticationError, "check the session token"),
    "NoSuchBucket": (NotFound, "check the name of the bucket"),
    "PermanentRedirect": (InvalidRequest, "use a bucket in the region of the endpoint"),
    "AuthorizationHeaderMalformed": (InvalidRequest, "use a bucket in the region of the endpoint"),
    "RequestTimeTooSkewed": (AuthenticationError, "check the clock: AWS allows 15 minutes"),
    "SignatureDoesNotMatch": (AuthenticationError, "check the secret key, and the proxies"),
    "SlowDown": (RateLimited, "send fewer requests at once"),
}


#: Codes of temporary credentials that others may replace.
_REJECTED_TOKENS = frozenset({"ExpiredToken", "InvalidToken", "TokenRefreshRequired"})


@dataclass(frozen=True, slots=True)
class JobResponse:
    """The response to a request of the exchange."""

    head: ResponseHead
    """Status and headers; status 0 if the request failed."""
    body: bytes = b""
    """The body."""
    seconds: float = 0.0
    """How long the request took."""
    error: MDStreamError | None = None
    """Why there is no response."""


def raise_for_s3(response: JobResponse | None, action: str) -> None:
    """Raise the error of a response of S3."""
    assert response is not None  # noqa: S101  # each request has a response
    if response.error is not None:
        raise response.error
    status = response.head.status
    if status < 300:
        return
    code, text = parse_s3_error(response)
    error_class, hint = _S3_ERRORS.get(code, (ServerError if status >= 500 else error_class_for_status(status), ""))
    raise error_class(
        f"{action}: S3 returned {status} {code}: {text or 'no message'}{f' (hint: {hint})' if hint else ''}",
        code=code or None,
        status=status,
        request_id=response.head.headers.get("x-amz-request-id"),
        raw=response.body[:4000].decode("utf-8", "replace"),
    )


def rejects_credentials(response: JobResponse) -> bool:
    """Whether S3 rejected the credentials, so that new ones may be accepted."""
    return response.error is None and parse_s3_error(response)[0] in _REJECTED_TOKENS


def parse_s3_error(response: JobResponse) -> tuple[str, str]:
    """Return code and message of S3's XML, without parsing XML: both are short texts."""
    text = response.body[:10_000].decode("utf-8", "replace")
    code, message = (re.search(f"<{name}>([^<]{{1,500}})</{name}>", text) for name in ("Code", "Message"))
    return code[1] if code else "", message[1] if message else ""


def object_url(location: str, region: str | None, endpoint_url: str | None) -> str:
    """Return the URL of an object.

    >>> object_url("s3://my-bucket/a b", "eu-west-1", None), object_url("s3://b.c/d", None, "http://127.0.0.1:1/s3")
    ('https://my-bucket.s3.eu-west-1.amazonaws.com/a%20b', 'http://127.0.0.1:1/s3/b.c/d')
    """
    bucket, key = split_location("the location of an object", location)
    path = quote(key, safe="/-_.~")
    if endpoint_url is not None:
        return f"{endpoint_url.rstrip('/')}/{bucket}/{path}"
    host = f"s3.{region}.{aws_domain(region or '')}"
    return f"https://{host}/{bucket}/{path}" if "." in bucket else f"https://{bucket}.{host}/{path}"


def split_location(name: str, location: str) -> tuple[str, str]:
    match = _LOCATION.fullmatch(location)
    if match is None:
        raise ValueError(f"{name}={location[:200]!r} is no location in S3 (hint: use s3://bucket/prefix)")
    return match["bucket"], match["key"] or ""
