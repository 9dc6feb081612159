"""Authentication at the OCI services: request signatures, session tokens, API keys."""

import base64
import hashlib
import hmac
import itertools
import secrets
from collections.abc import Callable, Iterable, Mapping
from time import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from mdstream_core import _json
from mdstream_core.emulator._oci_signatures import OCISignatureVerifier, SignatureRejected, load_public_key
from mdstream_core.emulator._recorded_request import RecordedRequest

# Session tokens of the emulated OCI: JWTs that contain a public key and expire.


def _base64url_encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _base64url_decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _jwk(key: RSAPublicKey) -> dict[str, str]:
    numbers = key.public_numbers()
    n = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8)
    return {"kty": "RSA", "n": _base64url_encode(n), "e": _base64url_encode(numbers.e.to_bytes(3))}


class SessionTokenIssuer:
    """Issuer and verifier of session tokens."""

    def __init__(self, now: Callable[[], float] = time) -> None:
        self._now = now
        self._secret = secrets.token_bytes(32)
        self._serial = itertools.count(1)
        self._first_valid = 1

    def issue(self, key: RSAPublicKey, seconds: float = 3600) -> str:
        """Issue a token for the holder of the private key, valid for `seconds`; its key id is `ST$` + token."""
        serial = next(self._serial)
        now = self._now()
        claims = {"sub": "ocid1.datasciencemodeldeployment.emulated", "jti": str(serial), "iat": int(now)}
        # OCI's resource principal tokens carry their key as a JSON text.
        claims |= {"exp": int(now + seconds), "jwk": _json.dumps(_jwk(key)).decode()}
        body = (
            f"{_base64url_encode(_json.dumps({'alg': 'HS256', 'typ': 'JWT'}))}.{_base64url_encode(_json.dumps(claims))}"
        )
        return f"{body}.{self._hmac(body)}"

    def expire_all(self) -> None:
        """Reject every token that was issued so far."""
        self._first_valid = next(self._serial) + 1

    def key(self, token: str) -> RSAPublicKey | None:
        """Return the public key in a token; `None` for a token of another issuer.

        Raises:
            SignatureRejected: The token has expired.
        """
        body, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._hmac(body).encode()):
            return None
        claims: dict[str, Any] = _json.loads(_base64url_decode(body.partition(".")[2]))
        if claims["exp"] <= self._now() or int(claims["jti"]) < self._first_valid:
            raise SignatureRejected("The security token has expired")
        jwk = _json.loads(claims["jwk"])
        e, n = (int.from_bytes(_base64url_decode(jwk[part])) for part in "en")
        return RSAPublicNumbers(e, n).public_key()

    def _hmac(self, body: str) -> str:
        return _base64url_encode(hmac.new(self._secret, body.encode(), hashlib.sha256).digest())


Keys = str | bytes | Mapping[str, str | bytes]


class OCIAuthenticator:
    """Checks credentials; accepts every request if neither signing keys nor API keys are configured."""

    def __init__(
        self,
        signing_keys: Keys | None,
        api_keys: Iterable[str],
        tokens: SessionTokenIssuer,
        now: Callable[[], float] = time,
    ) -> None:
        pem_by_id = (
            signing_keys if isinstance(signing_keys, Mapping) else {} if signing_keys is None else {"": signing_keys}
        )
        keys = {id: load_public_key(pem) for id, pem in pem_by_id.items()}
        self._api_keys = frozenset(api_keys)
        self._is_open = signing_keys is None and not self._api_keys
        self._signatures = OCISignatureVerifier(keys, tokens.key, now)

    def find_problem(self, http_request: RecordedRequest) -> str | None:
        """Return what is wrong with the credentials of a request; `None` if nothing."""
        scheme, _, key = http_request.headers.get("authorization", "").partition(" ")
        if self._is_open or (scheme.lower() == "bearer" and key in self._api_keys):
            return None
        return self._signatures.find_problem(http_request)
