"""SageMaker's error codes. A `ModelError` is an error response of the container in SageMaker's envelope.

Source: botocore, `sagemaker-runtime/2017-05-13`; the codes of status 403 are common to all of AWS.
"""

from collections.abc import Mapping
from typing import Any

from mdstream_core import _json
from mdstream_core.errors import (
    AuthenticationError,
    ContextOverflow,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
    ServiceError,
    error_class_for_status,
    error_status,
    parse_error_body,
)
from mdstream_core.http import ResponseHead
from mdstream_core.platforms._platform import is_context_overflow, parse_retry_after, quote_body, redirect_hint

_SIGNATURE_HINT = "check the secret key, the region of the signature, and this machine's clock: AWS allows 5 minutes"
_RATE_HINT = "send fewer requests at once, or raise the quota"

#: Error class and hint of each code.
_ERROR_CODES: dict[str, tuple[type[ServiceError], str]] = {
    "ExpiredToken": (AuthenticationError, "sign in again, such as with 'aws sso login': the session token has expired"),
    "ExpiredTokenException": (
        AuthenticationError,
        "sign in again, such as with 'aws sso login': the session token has expired",
    ),
    "IncompleteSignature": (AuthenticationError, "check the proxies: one has changed the request's headers"),
    "InvalidClientTokenId": (AuthenticationError, "check the access key and its session token: AWS does not know them"),
    "InvalidSignatureException": (AuthenticationError, _SIGNATURE_HINT),
    "MissingAuthenticationToken": (AuthenticationError, "set credentials: the request was not signed"),
    "MissingAuthenticationTokenException": (AuthenticationError, "set credentials: the request was not signed"),
    "RequestExpired": (AuthenticationError, "check the clock: AWS allows 5 minutes"),
    "SignatureDoesNotMatch": (AuthenticationError, _SIGNATURE_HINT),
    "UnrecognizedClientException": (
        AuthenticationError,
        "check the access key and its session token: AWS does not know them",
    ),
    "AccessDenied": (PermissionDenied, "add a policy that allows sagemaker:InvokeEndpoint on this endpoint"),
    "AccessDeniedException": (PermissionDenied, "add a policy that allows sagemaker:InvokeEndpoint on this endpoint"),
    "ModelNotReadyException": (
        ServerError,
        "retry: a serverless endpoint is still being provisioned, or a multi-model endpoint is loading",
    ),
    "Throttling": (RateLimited, _RATE_HINT),
    "ThrottlingException": (RateLimited, _RATE_HINT),
    "TooManyRequestsException": (RateLimited, _RATE_HINT),
    "InternalDependencyException": (ServerError, "contact AWS support: a service that SageMaker depends on failed"),
    "InternalFailure": (ServerError, "retry: SageMaker failed"),
    "ServiceUnavailable": (ServerError, "retry"),
    "ValidationError": (InvalidRequest, ""),
}

#: Maximum length of an ARN in characters (CloudWatch Logs: names of groups and streams have up to 512 each).
_MAX_ARN = 2048

_NOT_FOUND_HINT = "check the endpoint's name, that it is InService, and the region"


def parse_error(head: ResponseHead, body: bytes) -> ServiceError:
    """Create the error for an error response.

    Args:
        head: Status and headers of the response.
        body: Its body.
    """
    envelope = _parse_envelope(body)
    code = _error_code(head, envelope)
    parsed = parse_error_body(body)
    text, raw = quote_body(head, body, parsed)
    if code == "ModelError":
        return _parse_model_error(envelope, body, raw, parse_retry_after(head))
    error_class, hint = _ERROR_CODES.get(code or "", (error_class_for_status(head.status), _redirect_hint(head)))
    if is_context_overflow(head.status, parsed):
        error_class, hint = ContextOverflow, ""
    elif error_class is InvalidRequest and "not found" in text.lower():
        error_class, hint = NotFound, _NOT_FOUND_HINT
    status = 404 if error_class is NotFound else 429 if error_class is RateLimited else head.status
    message = f"{head.status}{f' {code}' if code else ''}: {text or 'no message'}"
    return error_class(
        f"{message} (hint: {hint})" if hint else message,
        code=code,
        status=status,
        raw=raw,
        retry_after=parse_retry_after(head),
    )


def _parse_model_error(envelope: Mapping[str, Any], body: bytes, raw: str, retry_after: float | None) -> ServiceError:
    """Create the error for an error of the container, with the container's status and message."""
    status = error_status(envelope.get("originalstatuscode")) or 424
    original = _json.to_text(
        envelope.get("originalmessage") or (envelope.get("message") if "originalstatuscode" in envelope else None)
    )
    container = parse_error_body(original.encode("utf-8", "replace") if original else body)
    error_class = error_class_for_status(status)
    if error_class is AuthenticationError:  # of the container: AWS has accepted the keys
        error_class = PermissionDenied
    if is_context_overflow(status, container):
        error_class = ContextOverflow
    arn = _json.to_text(envelope.get("logstreamarn"))[:_MAX_ARN]
    hint = f" (hint: see the container's log {arn})" if arn else ""
    code = f" {container.code}" if container.code else ""
    return error_class(
        f"ModelError: the container returned {status}{code}: {container.message or 'no message'}{hint}",
        code="ModelError",
        status=status,
        raw=raw,
        retry_after=retry_after,
    )


def _parse_envelope(body: bytes) -> dict[str, Any]:
    """Parse the fields of the envelope, names in lower case."""
    try:
        document = _json.loads(body)
    except ValueError:
        return {}
    return {str(name).lower(): value for name, value in document.items()} if isinstance(document, dict) else {}


def _error_code(head: ResponseHead, envelope: Mapping[str, Any]) -> str | None:
    """The service's error code: `x-amzn-errortype` before its colon, else that of the body, without a namespace."""
    code = head.headers.get("x-amzn-errortype") or envelope.get("__type") or envelope.get("code")
    if not isinstance(code, str) or not code:
        return "ModelError" if "originalstatuscode" in envelope else None
    return code.partition(":")[0].rpartition("#")[2].strip() or None


def _redirect_hint(head: ResponseHead) -> str:
    return redirect_hint(head) if 300 <= head.status < 400 else ""
