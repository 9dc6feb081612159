"""OCI's request signatures, checked: draft-cavage HTTP signatures with RSA-SHA256."""

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
_DATES = frozenset({"date", "x-date"})
_BASE_HEADERS = ("date", "(request-target)", "host")
_BODY_HEADERS = (*_BASE_HEADERS, "content-length", "content-type", "x-content-sha256")


class SignatureRejected(Exception):
    """Why a signature is not accepted."""


def public_key(pem: str | bytes) -> RSAPublicKey:
    """Read a public key."""
    key = load_pem_public_key(pem.encode() if isinstance(pem, str) else pem)
    if not isinstance(key, RSAPublicKey):
        raise ValueError("OCI signs with RSA keys; this one is of another kind")
    return key


class OCISignatureVerifier:
    """Judges signatures.

    Args:
        keys: Public keys by key id; `""` accepts any id.
        find_token_key: The key behind a key id of the form `ST$…`; raises `SignatureRejected` for a token that is not
        good.
        now: The clock.
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
        """Why the request is refused, `None` when it is not."""
        try:
            self._check(http_request)
        except SignatureRejected as refused:
            return str(refused)
        return None

    def _check(self, http_request: RecordedRequest) -> None:
        scheme, _, rest = http_request.headers.get("authorization", "").partition(" ")
        if http_request.count("authorization") > 1:
            raise SignatureRejected("The request has more than one Authorization header")
        if scheme.lower() != "signature":
            raise SignatureRejected("The required information to complete authentication was not provided")
        found = _PART.findall(rest)
        parts = dict(found)
        if len(parts) < len(found):
            raise SignatureRejected("The Authorization header has a parameter twice")
        if parts.get("algorithm") != "rsa-sha256" or parts.get("version", "1") != "1":
            raise SignatureRejected("The signature's algorithm must be rsa-sha256, its version 1")
        names = parts.get("headers", "").lower().split()  # Oracle's SDK for JavaScript writes `Content-Type`
        needed = (
            _BODY_HEADERS if http_request.body or http_request.method in {"POST", "PUT", "PATCH"} else _BASE_HEADERS
        )
        if missing := set(needed) - {"date" if name == "x-date" else name for name in names}:
            raise SignatureRejected(f"The signature does not cover {', '.join(sorted(missing))}")
        for name in (name for name in names if name in _DATES):
            self._check_date(http_request.headers.get(name, ""))
        self._check_body(http_request, names)
        self._verify(
            self._key(parts.get("keyId", "")), parts.get("signature", ""), _signing_string(http_request, names)
        )

    def _check_date(self, date: str) -> None:
        """Judge a date that is signed: what somebody added to the request on its way says nothing."""
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
        except (InvalidSignature, ValueError) as error:  # binascii.Error is one, and a text that is not ASCII
            raise SignatureRejected("Failed to verify the HTTP(S) Signature") from error


def _signing_string(http_request: RecordedRequest, names: list[str]) -> str:
    """The signing string, from the headers as they arrived."""
    values = {**http_request.headers, "(request-target)": f"{http_request.method.lower()} {http_request.target}"}
    repeated = http_request.repeated(name for name in names if name in http_request.headers)
    if repeated or len(set(names)) < len(names):
        raise SignatureRejected(f"The signature covers {', '.join(repeated or names)}, which must be there once")
    absent = [name for name in names if name not in values]
    if absent:
        raise SignatureRejected(f"The signature covers {', '.join(absent)}, but the request has no such header")
    return "\n".join(f"{name}: {values[name]}" for name in names)
