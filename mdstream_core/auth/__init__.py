"""Signers, which authenticate requests. Each vendor SDK is imported by one module only, and only when it is needed.

`BearerSigner` and `UnsignedSigner` work for every service; `mdstream_core.auth.oci`, `.aws` and `.huawei` have the
signers of the clouds. Subclass `Signer` for any other scheme.
"""

from mdstream_core.auth._aws_s3 import sign_s3
from mdstream_core.auth._signer import AuthFlow, BearerSigner, Signer, UnsignedSigner, raise_refresh_error

__all__ = ["AuthFlow", "BearerSigner", "Signer", "UnsignedSigner", "raise_refresh_error", "sign_s3"]
