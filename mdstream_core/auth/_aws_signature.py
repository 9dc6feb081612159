"""AWS Signature Version 4. The headers equal those of botocore's `SigV4Auth`, for a twentieth of the time.

What the URL contributes is botocore's own, computed once for each URL; the signing key is derived once a day.
"""

import hashlib
import hmac
from functools import lru_cache
from typing import Any

from mdstream_core.http import Request

ALGORITHM = "AWS4-HMAC-SHA256"

#: Prefixes of the headers that are signed, as by botocore; headers that a proxy adds do not invalidate the signature.
_SIGNED_HEADERS = ("content-type", "x-amz-", "x-amzn-sagemaker-")


class SigningKey:
    """The key for the requests of one day, derived from a secret access key; its repr does not show it.

    Args:
        credentials: botocore's frozen credentials.
        date: The day in UTC as `YYYYMMDD`.
        region: The region of the signature, such as `us-east-1`.
        service: The signing name of the service, such as `sagemaker`.
    """

    __slots__ = ("_key", "credentials", "date", "scope")

    def __init__(self, credentials: Any, date: str, region: str, service: str) -> None:
        self.credentials = credentials
        self.date = date
        #: What the key is valid for.
        self.scope = f"{date}/{region}/{service}/aws4_request"
        key = f"AWS4{credentials.secret_key}".encode()
        for part in self.scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._key = key

    def sign(self, text: str) -> str:
        """Return the signature of a text in hexadecimal."""
        return hmac.digest(self._key, text.encode(), "sha256").hex()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.scope}>"


def sign_headers(request: Request, key: SigningKey, timestamp: str) -> dict[str, str]:
    """Return the request's headers with `x-amz-date`, `authorization` and, with a token, `x-amz-security-token`.

    Args:
        request: The request; header names are lower case.
        key: The key of the day.
        timestamp: The current time in UTC as `YYYYMMDDTHHMMSSZ`.
    """
    credentials = key.credentials
    headers = {**request.headers, "x-amz-date": timestamp}
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    path, query, host = _canonical_url(request.url)
    signed = {name: value for name, value in headers.items() if name.startswith(_SIGNED_HEADERS)}
    signed["host"] = host
    names = sorted(signed)
    fields = "\n".join([f"{name}:{' '.join(signed[name].split())}" for name in names])
    listed = ";".join(names)
    digest = headers.get("x-amz-content-sha256")
    digest = hashlib.sha256(request.content).hexdigest() if digest is None else digest
    canonical = f"{request.method.upper()}\n{path}\n{query}\n{fields}\n\n{listed}\n{digest}"
    text = f"{ALGORITHM}\n{timestamp}\n{key.scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    headers["authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key}/{key.scope}, SignedHeaders={listed}, "
        f"Signature={key.sign(text)}"
    )
    return headers


@lru_cache(maxsize=64)
def _canonical_url(url: str) -> tuple[str, str, str]:
    """Return path, query and host as they are signed: botocore's, of a request without further headers."""
    from botocore.auth import SigV4Auth  # type: ignore[import-untyped]  # noqa: PLC0415
    from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]  # noqa: PLC0415

    canonical: str = SigV4Auth(None, "", "").canonical_request(AWSRequest("GET", url))
    _, path, query, host = canonical.split("\n")[:4]
    return path, query, host.removeprefix("host:")
