"""Keys and tokens: PEM and JWT in, a `Credential` out. The only file that imports `cryptography`, and late."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mdstream_core.errors import MissingExtra

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

#: What precedes a token in a key id (oci/auth/signers/security_token_signer.py).
TOKEN_PREFIX = "ST$"  # noqa: S105  a prefix, not a password


@dataclass(frozen=True, slots=True)
class FileStamp:
    """How a file looked before it was read."""

    path: str
    state: tuple[int, int] | None

    @classmethod
    def from_path(cls, path: str) -> "FileStamp":
        try:
            status = Path(path).stat()
        except OSError:
            return cls(path, None)
        return cls(path, (status.st_mtime_ns, status.st_size) if status.st_size else None)

    def changed(self) -> bool:
        """Whether other content is there now; a file that is missing or empty is about to be written."""
        now = self.from_path(self.path).state
        return now is not None and now != self.state


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    """All that a signature needs, swapped as one value. Its repr shows the end of the fingerprint at most.

    Attributes:
        key_id: `tenancy/user/fingerprint`, or `ST$` and a token.
        sign: Bytes to their RSA-SHA256 (PKCS #1 v1.5) signature.
        expires: The token's end, in seconds since 1970; `None` when it has none.
        files: The files it was read from, if they may be replaced while we run.
        region: Where the credential belongs, if its source says so.
    """

    key_id: str
    sign: Callable[[bytes], bytes]
    expires: float | None = None
    files: tuple[FileStamp, ...] = ()
    region: str | None = None

    def __repr__(self) -> str:
        return f"<Credential {self.log_label}>"

    @property
    def log_label(self) -> str:
        """A word for logs that tells two API keys apart and gives none away."""
        return "token" if self.key_id.startswith(TOKEN_PREFIX) else f"…{self.key_id[-5:]}"


def rsa_sha256(key: "RSAPrivateKey") -> Callable[[bytes], bytes]:
    """The signing function of a loaded key."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: PLC0415

    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(f"private_key must be PEM text or an RSA key of cryptography, not {type(key).__name__}")
    return partial(key.sign, padding=padding.PKCS1v15(), algorithm=hashes.SHA256())


def load_private_key(
    pem: bytes | str, pass_phrase: str | None = None, *, where: str = "the private key"
) -> "RSAPrivateKey":
    """Read a PEM private key; `where` names it in the message of a `ValueError`.

    A pass phrase that the key does not need is ignored, as the OCI SDK does: it may come from the DEFAULT profile.
    """
    data = pem.encode() if isinstance(pem, str) else pem
    if not isinstance(data, bytes):
        raise ValueError(f"{where} must be PEM text, not {type(pem).__name__}")
    key, problem = _parse(data.strip(), pass_phrase)
    if key is None:
        raise ValueError(f"{where} {problem}")
    return key


def _parse(data: bytes, pass_phrase: str | None) -> "tuple[RSAPrivateKey | None, str]":
    """The key, or what is wrong with it; the caller raises, so that no foreign exception (and its locals) hangs on."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415
    except ImportError:
        raise MissingExtra("cryptography", "oci-lite") from None
    try:
        key = load_pem_private_key(data, pass_phrase.encode() if pass_phrase else None)
    except TypeError:  # encrypted and no pass phrase, or the other way round
        return _parse(data, None) if pass_phrase else (None, "is encrypted: add its pass_phrase")
    except (ValueError, UnsupportedAlgorithm):
        return None, _describe_unreadable(data, pass_phrase)
    return (key, "") if isinstance(key, RSAPrivateKey) else (None, "is no RSA key: OCI signs with RSA only")


def _describe_unreadable(data: bytes, pass_phrase: str | None) -> str:
    if b"PUBLIC KEY" in data or data.startswith(b"ssh-"):
        return "is a public key: name the private one, whose public half was uploaded to OCI"
    if pass_phrase:
        return "cannot be read: its pass_phrase is wrong, or it is no PEM private key"
    return "is no PEM private key (-----BEGIN … PRIVATE KEY-----): create one with 'oci setup keys'"


#: The first second of the year 10000, which no date of Python's reaches.
_YEAR_10000 = 253_402_300_800


def jwt_expiry(token: str) -> float | None:
    """When a JWT ends (its `exp` claim, not verified); `None` when it does not say."""
    payload = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):  # base64, UTF-8 and JSON errors are all of the first kind
        return None
    end = claims.get("exp") if isinstance(claims, dict) else None
    if not isinstance(end, int | float) or isinstance(end, bool) or not 0 <= end < _YEAR_10000:
        return None
    return float(end)
