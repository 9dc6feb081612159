"""The signers of OCI that sign here: one with a key in hand, one that reads its key from a source and again."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from mdstream_core.auth._oci_keys import Credential, load_private_key, rsa_sha256
from mdstream_core.auth._oci_signature import signed_headers
from mdstream_core.auth._oci_sources import Source
from mdstream_core.auth._signer import Signer
from mdstream_core.errors import AuthenticationError
from mdstream_core.http import Request

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

#: A token is read again this many seconds before its end (oci/auth/security_token_container.py).
_MARGIN = 60.0


class OCISigner(Signer):
    """Signs as OCI's services ask, with one RSA key.

    Args:
        key_id: `tenancy/user/fingerprint`, or `ST$` and a token.
        private_key: A `cryptography` RSA key, or PEM text.
        pass_phrase: Of the PEM text, if it is encrypted.
        clock: Seconds since 1970, for the `date` header.
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
            raise ValueError("key_id is empty, or has quotes, control characters or characters outside ASCII")
        key = load_private_key(private_key, pass_phrase) if isinstance(private_key, bytes | str) else private_key
        self._clock = clock
        self._credential = Credential(key_id, rsa_sha256(key))

    @property
    def region(self) -> str | None:
        """The region that the credential's source names."""
        return self._credential.region

    def sign(self, request: Request) -> Request:
        date = formatdate(self._clock(), usegmt=True)
        return replace(request, headers=signed_headers(request, self._credential, date))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._credential.tag}>"


class SourceSigner(OCISigner):
    """Signs with a credential that is read from a file or the environment, and read again when it changed or ages.

    A pickle of it holds the place, not the credential.
    """

    is_local = True

    def __init__(self, source: Source, *, clock: Callable[[], float] = time.time) -> None:
        Signer.__init__(self)
        self._clock = clock
        self._source = source
        self._credential = source.load()

    @property
    def origin(self) -> str:
        return f"{self._source}, {self._credential.tag}"

    def stale(self) -> bool:
        credential = self._credential
        aged = credential.expires is not None and credential.expires - self._clock() < _MARGIN
        return aged or any(stamp.changed() for stamp in credential.stamps)

    def renewable(self) -> bool:
        return bool(self._credential.stamps)

    def renew(self) -> None:
        try:
            fresh = self._source.load()
        except ValueError as error:
            raise AuthenticationError(str(error)) from error
        if fresh.expires is not None and fresh.expires <= self._clock():
            end = datetime.fromtimestamp(fresh.expires, UTC)
            raise AuthenticationError(
                f"the OCI security token expired at {end:%Y-%m-%d %H:%M:%S} UTC: {self._source.cure}"
            )
        self._credential = fresh

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._source,)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {type(self._source).__name__} {self._credential.tag}>"
