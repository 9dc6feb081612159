"""Huawei Cloud's request signature SDK-HMAC-SHA256, as pure functions.

The headers equal those of `huaweicloudsdkcore` 3.1.219 (signer/signer.py). The scheme is AWS Signature Version 4
without the derived key, and with a slash at the end of every path.
"""

import hashlib
import hmac
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from mdstream_core.errors import InvalidRequest
from mdstream_core.http import Request

ALGORITHM = "SDK-HMAC-SHA256"

#: Maximum size of a signed request's body in bytes; requests with a token may be larger (sources/004).
MAX_REQUEST_BYTES = 12 * 1024 * 1024

#: Headers that a proxy or the HTTP library may change. The service verifies the headers that the signature lists.
_UNSIGNED_HEADERS = frozenset(
    "accept-encoding authorization connection content-length expect keep-alive te trailer transfer-encoding upgrade "
    "user-agent".split()
)
#: Media types whose body is signed; for all others the SDK signs the header `x-sdk-content-sha256: UNSIGNED-PAYLOAD`.
_SIGNED_TYPES = ("application/json", "application/bson")
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


@lru_cache(maxsize=64)
def host_header(url: str) -> str:
    """Return the `Host` header that an HTTP client sends: lower case, without the default port.

    >>> host_header("https://user:word@Host:443/path"), host_header("wss://host:8443")
    ('host', 'host:8443')
    """
    parts = urlsplit(url)
    name = parts.netloc.rpartition("@")[2].lower()
    return name.removesuffix(f":{parts.port}") if parts.port == _PORTS.get(parts.scheme) else name


def is_upgrade(request: Request) -> bool:
    """Whether this is a WebSocket handshake: it has no body, and its content is sent as the first message."""
    return urlsplit(request.url).scheme in {"ws", "wss"}


def sign_headers(request: Request, key: str, secret: str, date: str, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the request's headers with `extra`, `host`, `x-sdk-date` and `authorization`.

    Args:
        request: The request; header names are lower case.
        key: The access key id, or the app key.
        secret: The secret of the key.
        date: The current time in UTC as `YYYYMMDDTHHMMSSZ`.
        extra: Additional headers, which are signed too.

    Raises:
        InvalidRequest: The body is larger than 12 MiB.
    """
    body = b"" if is_upgrade(request) else request.content
    if len(body) > MAX_REQUEST_BYTES:
        raise InvalidRequest(
            f"the request has {len(body)} bytes; with a signature (AK/SK, app key) ModelArts accepts at most "
            f"{MAX_REQUEST_BYTES} (hint: set auth_type='token' or 'password', or send fewer or smaller images)",
            code="PayloadTooLarge",
            status=413,
        )
    headers = {**request.headers, **extra, "x-sdk-date": date}
    headers.setdefault("host", host_header(request.url))
    if not headers.get("content-type", _SIGNED_TYPES[0]).startswith(_SIGNED_TYPES):
        headers["x-sdk-content-sha256"] = "UNSIGNED-PAYLOAD"
    names = _signed_names(tuple(headers))
    text = canonical_request(request.method, request.url, {name: headers[name] for name in names}, body)
    signature = _hmac(secret, f"{ALGORITHM}\n{date}\n{hashlib.sha256(text.encode()).hexdigest()}")
    authorization = f"{ALGORITHM} Access={key}, SignedHeaders={';'.join(names)}, Signature={signature}"
    return {**headers, "authorization": authorization}


def canonical_request(method: str, url: str, headers: Mapping[str, str], body: bytes) -> str:
    """Return the canonical request, whose hash is signed.

    >>> canonical_request("get", "https://host/a%20b?b=2&a=1", {"host": "host"}, b"").splitlines()[:4]
    ['GET', '/a%20b/', 'a=1&b=2', 'host:host']
    """
    path, query = _canonical_url(url)
    return "\n".join(
        (
            method.upper(),
            path,
            query,
            *[f"{name}:{value.strip()}" for name, value in headers.items()],
            "",
            ";".join(headers),
            _hash(headers, body),
        )
    )


@lru_cache(maxsize=64)
def _signed_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the headers that are signed, in order."""
    return tuple(sorted(name for name in names if "_" not in name and name not in _UNSIGNED_HEADERS))


@lru_cache(maxsize=64)
def _canonical_url(url: str) -> tuple[str, str]:
    """Return path and query as they are signed."""
    parts = urlsplit(url)
    path = quote(unquote(parts.path or "/"), safe="~/")
    pairs = sorted(parse_qsl(parts.query, keep_blank_values=True))
    query = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)
    return path if path.endswith("/") else f"{path}/", query


def _hash(headers: Mapping[str, str], body: bytes) -> str:
    declared = headers.get("x-sdk-content-sha256") if body else None  # the SDK ignores it if there is no body
    return declared or hashlib.sha256(body).hexdigest()


def _hmac(secret: str, text: str) -> str:
    return hmac.digest(secret.encode(), text.encode(), "sha256").hex()
