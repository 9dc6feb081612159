"""Verifier of OCI's request signatures: draft-cavage HTTP signatures with RSA-SHA256."""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from time import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from mdstream_core.emulator._recorded_request import RecordedRequest

MAX_CLOCK_SKEW = 300  # seconds
_PART = re.compile(r'(\w+)="([^"]*)"')
_DATE_HEADERS = frozenset({"date", "x-date"})
_BASE_HEADERS = ("date", "(request-target)", "host")
_BODY_HEADERS = (*_BASE_HEADERS, "content-length", "content-type", "x-content-sha256")


class SignatureRejected(Exception):
    """A signature is not accepted; the message is the service's."""


def load_public_key(pem: str | bytes) -> RSAPublicKey:
    """Load an RSA public key from PEM."""
    key = load_pem_public_key(pem.encode() if isinstance(pem, str) else pem)
    if not isinstance(key, RSAPublicKey):
        raise ValueError("the key is not an RSA key (hint: OCI signs requests with RSA keys)")
    return key


class OCISignatureVerifier:
    """Verifies the signatures of requests.

    Args:
        keys: Public keys by key id; `""` accepts any id.
        find_token_key: Returns the public key in a session token (key id `ST$…`); raises `SignatureRejected` for an
            invalid token.
        now: The clock, in seconds since 1970.
    """

    def __init__(
        self,
        keys: Mapping[str, RSAPublicKey],
        find_token_key: Callable[[str], RSAPublicKey | None] = lambda token: None,
        now: Callable[[], float] = time,
    ) -> None:
        self._keys = keys
        self._token_key = find_token_key
        self._now = now

    def find_problem(self, http_request: RecordedRequest) -> str | None:
        """Return why the request is rejected; `None` if it is accepted."""
        try:
            self._check(http_request)
        except SignatureRejected as rejection:
            return str(rejection)
        return None

    def _check(self, http_request: RecordedRequest) -> None:
        scheme, _, rest = http_request.headers.get("authorization", "").partition(" ")
        if http_request.count("authorization") > 1:
            raise SignatureRejected("The request has more than one Authorization header")
        if scheme.lower() != "signature":
            raise SignatureRejected("The required information to complete authentication was not provided")
        parameters = _PART.findall(rest)
        values = dict(parameters)
        if len(values) < len(parameters):
            raise SignatureRejected("The Authorization header has a parameter twice")
        if values.get("algorithm") != "rsa-sha256" or values.get("version", "1") != "1":
            raise SignatureRejected("The signature's algorithm must be rsa-sha256, its version 1")
        names = values.get("headers", "").lower().split()  # Oracle's SDK for JavaScript writes `Content-Type`
        required = (
            _BODY_HEADERS if http_request.body or http_request.method in {"POST", "PUT", "PATCH"} else _BASE_HEADERS
        )
        # A signed `x-date` counts as `date`.
        if missing := set(required) - {"date" if name == "x-date" else name for name in names}:
            raise SignatureRejected(f"The signature does not cover {', '.join(sorted(missing))}")
        for name in (name for name in names if name in _DATE_HEADERS):
            self._check_date(http_request.headers.get(name, ""))
        self._check_body(http_request, names)
        self._verify(
            self._key(values.get("keyId", "")), values.get("signature", ""), _signing_string(http_request, names)
        )

    def _check_date(self, date: str) -> None:
        """Check a signed date; date headers that the signature does not cover prove nothing."""
        try:
            age = abs(self._now() - parsedate_to_datetime(date).timestamp())
        except (ValueError, OverflowError) as error:
            raise SignatureRejected(f"The date {date!r} cannot be read") from error
        if age > MAX_CLOCK_SKEW:
            raise SignatureRejected(
                f"The date differs from the service's clock by {age:.0f} s, more than {MAX_CLOCK_SKEW} s"
            )

    def _check_body(self, http_request: RecordedRequest, names: list[str]) -> None:
        if "x-content-sha256" not in names:
            return
        digest = base64.b64encode(hashlib.sha256(http_request.body).digest()).decode()
        if http_request.headers.get("x-content-sha256") != digest:
            raise SignatureRejected("x-content-sha256 is not the hash of the body")

    def _key(self, id: str) -> RSAPublicKey:
        key = self._keys.get(id) or self._keys.get("")
        if id.startswith("ST$"):
            key = self._token_key(id.removeprefix("ST$")) or key
        if key is None:
            raise SignatureRejected("The key id is not known")
        return key

    def _verify(self, key: RSAPublicKey, signature: str, text: str) -> None:
        try:
            key.verify(base64.b64decode(signature, validate=True), text.encode("latin-1"), PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError) as error:  # ValueError: not base64, or not ASCII
            raise SignatureRejected("Failed to verify the HTTP(S) Signature") from error


def _signing_string(http_request: RecordedRequest, names: list[str]) -> str:
    """Build the signing string from the headers as they arrived."""
    values = {**http_request.headers, "(request-target)": f"{http_request.method.lower()} {http_request.target}"}
    repeated = http_request.repeated(name for name in names if name in http_request.headers)
    if repeated or len(set(names)) < len(names):
        raise SignatureRejected(f"The signature covers {', '.join(repeated or names)}, which must be there once")
    absent = [name for name in names if name not in values]
    if absent:
        raise SignatureRejected(f"The signature covers {', '.join(absent)}, but the request has no such header")
    return "\n".join(f"{name}: {values[name]}" for name in names)
