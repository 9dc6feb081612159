"""Signers: each turns a `Request` into a signed `Request`; a vendor's SDK is imported inside its own file only."""

from mdstream_core.auth._signer import BearerSigner, Signer, UnsignedSigner, raise_refresh_error

__all__ = ["BearerSigner", "Signer", "UnsignedSigner", "raise_refresh_error"]
