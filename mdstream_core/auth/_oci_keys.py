"""OCI credentials: PEM keys, JWT expiry and file stamps. The only module that imports `cryptography`, on first use."""

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

#: The prefix of a security token in a key id (oci/auth/signers/security_token_signer.py).
TOKEN_PREFIX = "ST$"  # noqa: S105  a prefix, not a password


@dataclass(frozen=True, slots=True)
class FileStamp:
    """Modification time and size of a file before it was read.

    Attributes:
        path: Path of the file.
        state: Modification time in nanoseconds and size in bytes; `None` if the file is missing or empty.
    """

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
        """Whether the file was replaced; a file that is missing or empty is just being written, and does not count."""
        current = self.from_path(self.path).state
        return current is not None and current != self.state


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    """Everything that a signature needs, replaced as one value. The repr shows at most the end of the fingerprint.

    Attributes:
        key_id: `<tenancy OCID>/<user OCID>/<fingerprint>`, or `ST$<token>`.
        sign: Returns the RSA-SHA256 (PKCS #1 v1.5) signature of bytes.
        expires: When the token expires, in seconds since 1970; `None` if it does not.
        files: The files it was read from, if another program replaces them.
        region: The region of its source, such as `us-chicago-1`; `None` if there is none.
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
        """A label for logs that distinguishes two API keys without revealing one."""
        return "token" if self.key_id.startswith(TOKEN_PREFIX) else f"…{self.key_id[-5:]}"


def rsa_sha256(key: "RSAPrivateKey") -> Callable[[bytes], bytes]:
    """Return the function that signs with a loaded key."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: PLC0415

    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(
            f"private_key has the type {type(key).__name__} (hint: pass PEM text or an RSA key of cryptography)"
        )
    return partial(key.sign, padding=padding.PKCS1v15(), algorithm=hashes.SHA256())


def load_private_key(
    pem: bytes | str, pass_phrase: str | None = None, *, where: str = "the private key"
) -> "RSAPrivateKey":
    """Read a PEM private key.

    Args:
        pem: The PEM text.
        pass_phrase: Its pass phrase. Ignored if the key is not encrypted, as in the OCI SDK: it may come from the
            profile DEFAULT.
        where: Name of the key in error messages.

    Raises:
        ValueError: The key cannot be read, or is no RSA private key.
        MissingExtra: `cryptography` is not installed.
    """
    data = pem.encode() if isinstance(pem, str) else pem
    if not isinstance(data, bytes):
        raise ValueError(f"{where} has the type {type(pem).__name__} (hint: pass PEM text)")
    key, problem = _parse(data.strip(), pass_phrase)
    if key is None:
        raise ValueError(f"{where} {problem}")
    return key


def _parse(data: bytes, pass_phrase: str | None) -> "tuple[RSAPrivateKey | None, str]":
    """The key, or the problem; the caller raises it, so that no foreign exception (with its locals) is chained."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415
    except ImportError:
        raise MissingExtra("cryptography", "oci-lite") from None
    try:
        key = load_pem_private_key(data, pass_phrase.encode() if pass_phrase else None)
    except TypeError:  # encrypted without a pass phrase, or the reverse
        return _parse(data, None) if pass_phrase else (None, "is encrypted (hint: add its pass_phrase)")
    except (ValueError, UnsupportedAlgorithm):
        return None, _describe_unreadable(data, pass_phrase)
    return (
        (key, "") if isinstance(key, RSAPrivateKey) else (None, "is not an RSA key (hint: OCI accepts RSA keys only)")
    )


def _describe_unreadable(data: bytes, pass_phrase: str | None) -> str:
    if b"PUBLIC KEY" in data or data.startswith(b"ssh-"):
        return "is a public key (hint: use the private key whose public key was uploaded to OCI)"
    if pass_phrase:
        return "cannot be read: its pass_phrase is wrong, or it is not a PEM private key (hint: check pass_phrase)"
    return "is not a PEM private key, -----BEGIN … PRIVATE KEY----- (hint: create one with 'oci setup keys')"


#: The first second of the year 10000, which Python's `datetime` cannot represent.
_YEAR_10000 = 253_402_300_800


def jwt_expiry(token: str) -> float | None:
    """Return the expiry of a JWT in seconds since 1970 (its `exp` claim, not verified); `None` if it has none."""
    payload = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):  # base64, UTF-8 and JSON errors are `ValueError`s
        return None
    end = claims.get("exp") if isinstance(claims, dict) else None
    if not isinstance(end, int | float) or isinstance(end, bool) or not 0 <= end < _YEAR_10000:
        return None
    return float(end)
