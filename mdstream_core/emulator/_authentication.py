"""Who may come in: signatures, session tokens, bearer keys."""

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
from mdstream_core.emulator._oci_signatures import OCISignatureVerifier, SignatureRejected, public_key
from mdstream_core.emulator._recorded_request import RecordedRequest

# Session tokens that the emulated cloud hands out: JWTs that name a public key and expire.


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _jwk(key: RSAPublicKey) -> dict[str, str]:
    numbers = key.public_numbers()
    n = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8)
    return {"kty": "RSA", "n": _text(n), "e": _text(numbers.e.to_bytes(3))}


class SessionTokenIssuer:
    """Issues tokens and knows them again."""

    def __init__(self, now: Callable[[], float] = time) -> None:
        self._now = now
        self._secret = secrets.token_bytes(32)
        self._serial = itertools.count(1)
        self._first_valid = 1

    def issue(self, key: RSAPublicKey, seconds: float = 3600) -> str:
        """A token for the holder of the private half of `key`. Its key id is `ST$` and the token."""
        serial = next(self._serial)
        now = self._now()
        claims = {"sub": "ocid1.datasciencemodeldeployment.emulated", "jti": str(serial), "iat": int(now)}
        # OCI's resource principal tokens carry their key as a JSON text.
        claims |= {"exp": int(now + seconds), "jwk": _json.dumps(_jwk(key)).decode()}
        body = f"{_text(_json.dumps({'alg': 'HS256', 'typ': 'JWT'}))}.{_text(_json.dumps(claims))}"
        return f"{body}.{self._sign(body)}"

    def expire_all(self) -> None:
        """From now on refuse every token issued so far."""
        self._first_valid = next(self._serial) + 1

    def key(self, token: str) -> RSAPublicKey | None:
        """The key that a token names; `None` for a foreign token, `SignatureRejected` for an expired one."""
        body, _, seal = token.rpartition(".")
        if not hmac.compare_digest(seal.encode(), self._sign(body).encode()):
            return None
        claims: dict[str, Any] = _json.loads(_bytes(body.partition(".")[2]))
        if claims["exp"] <= self._now() or int(claims["jti"]) < self._first_valid:
            raise SignatureRejected("The security token has expired")
        jwk = _json.loads(claims["jwk"])
        e, n = (int.from_bytes(_bytes(jwk[part])) for part in "en")
        return RSAPublicNumbers(e, n).public_key()

    def _sign(self, body: str) -> str:
        return _text(hmac.new(self._secret, body.encode(), hashlib.sha256).digest())


Keys = str | bytes | Mapping[str, str | bytes]


class Authenticator:
    """Judges credentials; lets everybody in where neither keys nor bearer keys are given."""

    def __init__(
        self, signers: Keys | None, bearers: Iterable[str], tokens: SessionTokenIssuer, now: Callable[[], float] = time
    ) -> None:
        named = signers if isinstance(signers, Mapping) else {} if signers is None else {"": signers}
        keys = {id: public_key(pem) for id, pem in named.items()}
        self._bearers = frozenset(bearers)
        self._is_open = signers is None and not self._bearers
        self._signatures = OCISignatureVerifier(keys, tokens.key, now)

    def find_problem(self, http_request: RecordedRequest) -> str | None:
        """What is wrong with the credentials, `None` if nothing."""
        scheme, _, key = http_request.headers.get("authorization", "").partition(" ")
        if self._is_open or (scheme.lower() == "bearer" and key in self._bearers):
            return None
        return self._signatures.find_problem(http_request)
