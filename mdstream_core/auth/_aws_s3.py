"""Signatures for Amazon S3 with the credentials of an `AWSSigner`.

S3 differs from other services: the path is encoded once, and the hash of the body is a header (Amazon S3 API reference,
"Authenticating Requests (AWS Signature Version 4)").
"""

from dataclasses import replace
from typing import Any

from mdstream_core.auth._aws_logs import without_credentials_in_logs
from mdstream_core.auth._signer import Signer, UnsignedSigner
from mdstream_core.http import Request


def sign_s3(signer: Signer, request: Request) -> Request:
    """Sign a request for S3.

    Args:
        signer: An `AWSSigner` whose credentials are fetched, or an `UnsignedSigner`.
        request: The request; its path is encoded.

    Raises:
        ValueError: The signer has no AWS credentials.
    """
    if isinstance(signer, UnsignedSigner):
        return request
    credentials, region = (getattr(signer, name, None) for name in ("_frozen", "region_name"))
    if credentials is None:
        raise ValueError("async_inference needs AWS credentials (hint: remove auth, or use an AWSSigner)")
    return _sign(credentials, str(region), request)


def _sign(credentials: Any, region: str, request: Request) -> Request:
    from botocore.auth import S3SigV4Auth  # type: ignore[import-untyped]  # noqa: PLC0415
    from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]  # noqa: PLC0415

    signed = {name: value for name, value in request.headers.items() if name == "content-type"}
    aws_request = AWSRequest(request.method, request.url, headers=signed, data=request.content)
    with without_credentials_in_logs():
        S3SigV4Auth(credentials, "s3", region).add_auth(aws_request)
    added = {name.lower(): value for name, value in aws_request.headers.items()}
    return replace(request, headers={**request.headers, **added})
