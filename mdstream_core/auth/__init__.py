"""Signers: each turns a `Request` into a signed `Request`; a vendor's SDK is imported inside its own file only."""

from mdstream_core.auth._signer import Bearer, Signer, Unsigned, raise_failure

__all__ = ["Bearer", "Signer", "Unsigned", "raise_failure"]
