"""Session tokens that the emulated cloud hands out: JWTs that name a public key and expire."""

import base64
import hashlib
import hmac
import itertools
import secrets
from collections.abc import Callable
from time import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from mdstream_core import _json
from mdstream_core.emulator._signatures import Refused


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _jwk(key: RSAPublicKey) -> dict[str, str]:
    numbers = key.public_numbers()
    n = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8)
    return {"kty": "RSA", "n": _text(n), "e": _text(numbers.e.to_bytes(3))}


class Tokens:
    """Issues tokens and knows them again."""

    def __init__(self, now: Callable[[], float] = time) -> None:
        self._now = now
        self._secret = secrets.token_bytes(32)
        self._serial = itertools.count(1)
        self._first_good = 1

    def issue(self, key: RSAPublicKey, seconds: float = 3600) -> str:
        """A token for the holder of the private half of `key`. Its key id is `ST$` and the token."""
        serial = next(self._serial)
        now = self._now()
        claims = {"sub": "ocid1.datasciencemodeldeployment.emulated", "jti": str(serial), "iat": int(now)}
        # OCI's resource principal tokens carry their key as a JSON text.
        claims |= {"exp": int(now + seconds), "jwk": _json.dumps(_jwk(key)).decode()}
        body = f"{_text(_json.dumps({'alg': 'HS256', 'typ': 'JWT'}))}.{_text(_json.dumps(claims))}"
        return f"{body}.{self._seal(body)}"

    def expire(self) -> None:
        """From now on refuse every token issued so far."""
        self._first_good = next(self._serial) + 1

    def key(self, token: str) -> RSAPublicKey | None:
        """The key that a token names; `None` for one that was issued elsewhere, `Refused` for one that is over."""
        body, _, seal = token.rpartition(".")
        if not hmac.compare_digest(seal.encode(), self._seal(body).encode()):
            return None
        claims: dict[str, Any] = _json.loads(_bytes(body.partition(".")[2]))
        if claims["exp"] <= self._now() or int(claims["jti"]) < self._first_good:
            raise Refused("The security token has expired")
        jwk = _json.loads(claims["jwk"])
        e, n = (int.from_bytes(_bytes(jwk[part])) for part in "en")
        return RSAPublicNumbers(e, n).public_key()

    def _seal(self, body: str) -> str:
        return _text(hmac.new(self._secret, body.encode(), hashlib.sha256).digest())
