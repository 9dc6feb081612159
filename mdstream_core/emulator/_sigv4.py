"""Verifier of AWS Signature Version 4, with the standard library alone.

Source: the AWS General Reference, "Create a signed AWS API request"; the error messages are those of AWS's gateways.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from time import time
from typing import NamedTuple
from urllib.parse import quote

from mdstream_core.emulator._recorded_request import RecordedRequest

MAX_CLOCK_SKEW = 300  # seconds
_PART = re.compile(r"(Credential|SignedHeaders|Signature)=([^,\s]+)")
_TIME = "%Y%m%dT%H%M%SZ"
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


class AWSKey(NamedTuple):
    """The secret of an access key, with its session token and expiry.

    Attributes:
        secret: The secret access key.
        token: The session token that requests have to send; empty for a long-term key.
        expires: When the session token expires, in seconds since 1970; `None` for never.
    """

    secret: str
    token: str = ""
    expires: float | None = None


class SignatureRejected(Exception):
    """A signature is not accepted; `code` and `message` are AWS's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class SigV4Verifier:
    """Verifies the signatures of requests.

    Args:
        keys: By access key id: the secret, or an `AWSKey`.
        service: Service that requests have to be signed for.
        region: Region that requests have to be signed for; any region if `None`.
        now: The clock, in seconds since 1970.
        encodes_path: Whether the path is encoded again, as by all services but S3.
    """

    def __init__(
        self,
        keys: Mapping[str, str | AWSKey],
        service: str = "sagemaker",
        region: str | None = None,
        now: Callable[[], float] = time,
        *,
        encodes_path: bool = True,
    ) -> None:
        self._safe = "/-_.~" if encodes_path else "/-_.~%"
        self._keys = {id: AWSKey(key) if isinstance(key, str) else key for id, key in keys.items()}
        self._service, self._region = service, region
        self._now = now

    def check(self, http_request: RecordedRequest) -> None:
        """Raise `SignatureRejected` if the request is not signed correctly."""
        scheme, _, rest = http_request.headers.get("authorization", "").partition(" ")
        if scheme != "AWS4-HMAC-SHA256" or http_request.count("authorization") != 1:
            raise SignatureRejected("MissingAuthenticationTokenException", "Missing Authentication Token")
        parameters = _PART.findall(rest)
        values = dict(parameters)
        id, *scope = values.get("Credential", "").split("/")
        if len(values) < 3 or len(scope) != 4 or len(parameters) > 3:
            raise SignatureRejected("IncompleteSignatureException", "Authorization header requires three parameters")
        key = self._keys.get(id)
        if key is None or not _is_equal(key.token, http_request.headers.get("x-amz-security-token", "")):
            raise SignatureRejected(
                "UnrecognizedClientException", "The security token included in the request is invalid."
            )
        if key.expires is not None and key.expires <= self._now():
            raise SignatureRejected("ExpiredTokenException", "The security token included in the request is expired")
        self._check_scope(scope)
        names = values["SignedHeaders"].split(";")
        self._check_headers(http_request, names)
        date = http_request.headers.get("x-amz-date", "")
        self._check_date(date, scope[0])
        if not _is_equal(_signature(http_request, names, date, scope, key.secret, self._safe), values["Signature"]):
            raise SignatureRejected("InvalidSignatureException", _MISMATCH)

    def _check_scope(self, scope: list[str]) -> None:
        _, region, service, last = scope
        if service != self._service or last != "aws4_request":
            raise SignatureRejected(
                "InvalidSignatureException", f"Credential should be scoped to correct service: '{self._service}'."
            )
        if self._region not in {None, region}:
            raise SignatureRejected("InvalidSignatureException", "Credential should be scoped to a valid region.")

    def _check_headers(self, http_request: RecordedRequest, names: list[str]) -> None:
        """Check that the signature covers `host` and every `x-amz…` header, and no absent or repeated header."""
        required = {"host"} | {
            name for name in http_request.headers if name.startswith(("x-amz-", "x-amzn-sagemaker-"))
        }
        declared_hash = http_request.headers.get("x-amz-content-sha256")
        hash_differs = declared_hash is not None and declared_hash != hashlib.sha256(http_request.body).hexdigest()
        if hash_differs or (required - set(names)) or http_request.repeated(names) or len(set(names)) < len(names):
            raise SignatureRejected("InvalidSignatureException", _MISMATCH)

    def _check_date(self, date: str, day: str) -> None:
        try:
            signed = datetime.strptime(date, _TIME).replace(tzinfo=UTC).timestamp()
        except (ValueError, OverflowError):
            raise SignatureRejected(
                "IncompleteSignatureException", f"Date must be in ISO-8601 basic format: {date}"
            ) from None
        if day != date[:8]:
            raise SignatureRejected(
                "InvalidSignatureException", f"Date in Credential scope does not match: {day} != {date}"
            )
        if abs(self._now() - signed) > MAX_CLOCK_SKEW:
            now = datetime.fromtimestamp(self._now(), UTC).strftime(_TIME)
            raise SignatureRejected(
                "InvalidSignatureException", f"Signature expired: {date} is not within 5 min. of {now}"
            )


def _is_equal(first: str, second: str) -> bool:
    return hmac.compare_digest(first.encode(), second.encode())


def _signature(  # noqa: PLR0917
    http_request: RecordedRequest, names: list[str], date: str, scope: list[str], secret: str, safe: str
) -> str:
    path, _, query = http_request.target.partition("?")
    canonical = [
        http_request.method,
        quote(path, safe=safe),
        "&".join(sorted(query.split("&"))) if query else "",
        *(f"{name}:{' '.join(http_request.headers[name].split())}" for name in names),
        "",
        ";".join(names),
        hashlib.sha256(http_request.body).hexdigest(),
    ]
    hashed = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for step in scope:
        key = hmac.digest(key, step.encode(), "sha256")
    text = "\n".join(("AWS4-HMAC-SHA256", date, "/".join(scope), hashed))
    return hmac.digest(key, text.encode(), "sha256").hex()
