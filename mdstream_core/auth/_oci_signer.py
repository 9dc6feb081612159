"""OCI's HTTP signature, and the signers that need no SDK: with a key in memory, and with a key read from a source."""

import base64
import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mdstream_core.auth._dates import format_http_date
from mdstream_core.auth._oci_keys import Credential, load_private_key, rsa_sha256
from mdstream_core.auth._oci_sources import CredentialSource
from mdstream_core.auth._signer import Signer
from mdstream_core.errors import AuthenticationError
from mdstream_core.http import Request

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

#: A token is read again this many seconds before it expires (oci/auth/security_token_container.py).
_MARGIN = 60.0

_BASE_HEADERS = ("date", "(request-target)", "host")
_BODY_HEADERS = (*_BASE_HEADERS, "content-length", "content-type", "x-content-sha256")

#: The headers that are signed for each method, in this order.
SIGNED_HEADERS = {
    "get": _BASE_HEADERS,
    "head": _BASE_HEADERS,
    "delete": _BASE_HEADERS,
    "post": _BODY_HEADERS,
    "put": _BODY_HEADERS,
    "patch": _BODY_HEADERS,
}


def request_target(url: str) -> str:
    """Return the target of the request line: path and query as they are sent.

    >>> request_target("https://host:8443?a=%20#part"), request_target("https://host/a?")
    ('/?a=%20', '/a?')
    """
    parts = urlsplit(url)
    mark = "?" if "?" in url.partition("#")[0] else ""  # an empty query is sent with its question mark
    return f"{parts.path or '/'}{mark}{parts.query}"


def host_header(url: str) -> str:
    """Return host and port as the URL spells them.

    >>> host_header("https://user:word@Host:443/path")
    'Host:443'
    """
    return urlsplit(url).netloc.rpartition("@")[2]


def sign_headers(request: Request, credential: Credential, date: str) -> dict[str, str]:
    """Return the request's headers with those that the OCI SDK adds, and `authorization`.

    Args:
        request: The request; its URL is percent-encoded, its header names are lower case.
        credential: The key that signs.
        date: The `date` header, in the format of RFC 9110.

    Raises:
        ValueError: The method or the URL cannot be signed.
    """
    names = SIGNED_HEADERS.get(request.method.lower())
    if names is None:
        raise ValueError(
            f"{request.method!r} requests cannot be signed (hint: use {', '.join(SIGNED_HEADERS).upper()})"
        )
    host, target = _host_and_target(request.url)
    headers = {"date": date, "host": host, "content-type": "application/json", **request.headers}
    text = f"date: {headers['date']}\n(request-target): {request.method.lower()} {target}\nhost: {headers['host']}"
    if names is _BODY_HEADERS:
        headers.setdefault("content-length", str(len(request.content)))
        headers["x-content-sha256"] = digest = base64.b64encode(hashlib.sha256(request.content).digest()).decode()
        text += (
            f"\ncontent-length: {headers['content-length']}\ncontent-type: {headers['content-type']}"
            f"\nx-content-sha256: {digest}"
        )
    signature = base64.b64encode(credential.sign(text.encode("ascii"))).decode()
    headers["authorization"] = (
        f'Signature algorithm="rsa-sha256",headers="{" ".join(names)}",keyId="{credential.key_id}",'
        f'signature="{signature}",version="1"'
    )
    return headers


@lru_cache(maxsize=64)
def _host_and_target(url: str) -> tuple[str, str]:
    """Return the `host` header and the target of a URL. Raises `ValueError` if the URL cannot be signed."""
    if not url.isascii() or " " in url:
        raise ValueError(f"the URL {url!r} cannot be signed (hint: percent-encode it)")
    return host_header(url), request_target(url)


class OCISigner(Signer):
    """Signs requests to OCI with an RSA key in memory.

    Args:
        key_id: `<tenancy OCID>/<user OCID>/<fingerprint>`, or `ST$<session token>`.
        private_key: PEM text, or an RSA key of `cryptography`.
        pass_phrase: Pass phrase of encrypted PEM text. Default: none.
        clock: Returns the time in seconds since 1970, for the `date` header. Default: `time.time`.

    Raises:
        ValueError: `key_id` is malformed, or the key cannot be read.
        MissingExtra: `cryptography` is not installed.

    Example:
        >>> key_id = "ocid1.tenancy.oc1..a/ocid1.user.oc1..b/20:3b:97:13:55:1c:5b:0d:d3:37:d8:50:4e:c5:3a:34"
        >>> signer = OCISigner(key_id, Path("key.pem").read_bytes())  # doctest: +SKIP
    """

    def __init__(
        self,
        key_id: str,
        private_key: "RSAPrivateKey | bytes | str",
        *,
        pass_phrase: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        if not key_id or not key_id.isascii() or not key_id.isprintable() or '"' in key_id:
            raise ValueError(
                "key_id is empty, or has quotes, control characters or characters outside ASCII "
                "(hint: use <tenancy OCID>/<user OCID>/<fingerprint>, or ST$<session token>)"
            )
        key = load_private_key(private_key, pass_phrase) if isinstance(private_key, bytes | str) else private_key
        self._clock = clock
        self._credential = Credential(key_id, rsa_sha256(key))

    @property
    def region(self) -> str | None:
        """The region that belongs to the credential, such as `us-chicago-1`; `None` if its source has none."""
        return self._credential.region

    def sign(self, request: Request) -> Request:
        date = format_http_date(int(self._clock()))
        headers = sign_headers(request, self._credential, date)
        return Request(request.method, request.url, headers, request.content)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._credential.log_label}>"


class SourceSigner(OCISigner):
    """Signs with a credential of a file or the environment; reads it again when a file changed or a token expires.

    A pickle contains the source, not the credential. `from_config` and `resource_principal` create this signer.

    Args:
        source: Where the credential is: an API key or a session token of a profile, or the resource principal.
        clock: Returns the time in seconds since 1970. Default: `time.time`.

    Raises:
        ValueError: The credential is missing or malformed.
    """

    is_local = True

    def __init__(self, source: CredentialSource, *, clock: Callable[[], float] = time.time) -> None:
        Signer.__init__(self)
        self._clock = clock
        self._source = source
        self._credential = source.load()

    @property
    def credential_source(self) -> str:
        return f"{self._source}, {self._credential.log_label}"

    @property
    def expires_in(self) -> float | None:
        expires = self._credential.expires
        return None if expires is None else expires - self._clock()

    def needs_refresh(self) -> bool:
        credential = self._credential
        is_expiring = credential.expires is not None and credential.expires - self._clock() < _MARGIN
        return is_expiring or any(stamp.changed() for stamp in credential.files)

    def can_refresh(self) -> bool:
        return bool(self._credential.files)

    def fetch_credential(self) -> None:
        try:
            credential = self._source.load()
        except ValueError as error:
            raise AuthenticationError(str(error)) from error
        if credential.expires is not None and credential.expires <= self._clock():
            end = datetime.fromtimestamp(credential.expires, UTC)
            raise AuthenticationError(
                f"the OCI security token expired at {end:%Y-%m-%d %H:%M:%S} UTC (hint: {self._source.expired_hint})"
            )
        self._credential = credential

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._source,)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {type(self._source).__name__} {self._credential.log_label}>"
