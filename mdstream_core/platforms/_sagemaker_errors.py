"""What SageMaker's refusals mean. A `ModelError` is the container's refusal in SageMaker's envelope.

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

_SIGNATURE_HINT = "check the secret key, the region of the signature and the clock, which may be 5 minutes off"
_RATE_HINT = "too much at once: ask later, or raise the quota"

#: By the service's code: the class, and the cure.
_ERROR_TYPES: dict[str, tuple[type[ServiceError], str]] = {
    "ExpiredToken": (AuthenticationError, "the session token has expired: sign in again (aws sso login)"),
    "ExpiredTokenException": (AuthenticationError, "the session token has expired: sign in again (aws sso login)"),
    "IncompleteSignature": (AuthenticationError, "something between here and AWS changed the request's headers"),
    "InvalidClientTokenId": (AuthenticationError, "the access key is not known: check it, and its session token"),
    "InvalidSignatureException": (AuthenticationError, _SIGNATURE_HINT),
    "MissingAuthenticationToken": (AuthenticationError, "the request was not signed: give auth="),
    "MissingAuthenticationTokenException": (AuthenticationError, "the request was not signed: give auth="),
    "RequestExpired": (AuthenticationError, "check the clock: it may be 5 minutes off"),
    "SignatureDoesNotMatch": (AuthenticationError, _SIGNATURE_HINT),
    "UnrecognizedClientException": (
        AuthenticationError,
        "the access key is not known: check it, and its session token",
    ),
    "AccessDenied": (PermissionDenied, "a policy must allow sagemaker:InvokeEndpoint on this endpoint"),
    "AccessDeniedException": (PermissionDenied, "a policy must allow sagemaker:InvokeEndpoint on this endpoint"),
    "ModelNotReadyException": (
        ServerError,
        "a serverless endpoint is still being provisioned, or a multi-model endpoint still loads: ask again",
    ),
    "Throttling": (RateLimited, _RATE_HINT),
    "ThrottlingException": (RateLimited, _RATE_HINT),
    "TooManyRequestsException": (RateLimited, _RATE_HINT),
    "InternalDependencyException": (ServerError, "something that SageMaker needs failed: contact AWS support"),
    "InternalFailure": (ServerError, "SageMaker failed: ask again"),
    "ServiceUnavailable": (ServerError, "ask again"),
    "ValidationError": (InvalidRequest, ""),
}

#: The longest ARN, in characters (CloudWatch Logs: names of groups and streams have up to 512 each).
_LONGEST_ARN = 2048

_NOT_FOUND_HINT = "check the endpoint's name, that it is InService, and the region: each region has its own endpoints"


def parse_error(head: ResponseHead, body: bytes) -> ServiceError:
    """The error that an error status, its headers and its body spell."""
    facts = _parse_envelope(body)
    code = _error_type(head, facts)
    parsed = parse_error_body(body)
    said, raw = quote_body(head, body, parsed)
    if code == "ModelError":
        return _parse_model_error(facts, body, raw, parse_retry_after(head))
    kind, hint = _ERROR_TYPES.get(code or "", (error_class_for_status(head.status), _unknown_error(head)))
    if is_context_overflow(head.status, parsed):
        kind, hint = ContextOverflow, ""
    elif kind is InvalidRequest and "not found" in said.lower():
        kind, hint = NotFound, _NOT_FOUND_HINT
    status = 404 if kind is NotFound else 429 if kind is RateLimited else head.status
    message = f"{head.status}{f' {code}' if code else ''}: {said or 'no words'}"
    return kind(
        f"{message} ({hint})" if hint else message,
        code=code,
        status=status,
        raw=raw,
        retry_after=parse_retry_after(head),
    )


def _parse_model_error(facts: Mapping[str, Any], body: bytes, raw: str, retry_after: float | None) -> ServiceError:
    """The container answered with an error: its status decides, and its words come first."""
    status = error_status(facts.get("originalstatuscode")) or 424
    of_envelope = facts.get("originalmessage") or (facts.get("message") if "originalstatuscode" in facts else None)
    original = _json.to_text(of_envelope)
    container = parse_error_body(original.encode("utf-8", "replace") if original else body)
    kind = error_class_for_status(status)
    if kind is AuthenticationError:  # the container's own; AWS's keys were good
        kind = PermissionDenied
    if is_context_overflow(status, container):
        kind = ContextOverflow
    arn = _json.to_text(facts.get("logstreamarn"))[:_LONGEST_ARN]
    log = f"; the container's log: {arn}" if arn else ""
    who = f" {container.code}" if container.code else ""
    return kind(
        f"ModelError: the container answered {status}{who}: {container.message or 'no words'}{log}",
        code="ModelError",
        status=status,
        raw=raw,
        retry_after=retry_after,
    )


def _parse_envelope(body: bytes) -> dict[str, Any]:
    """The fields of the envelope, names in lower case."""
    try:
        document = _json.loads(body)
    except ValueError:
        return {}
    return {str(name).lower(): value for name, value in document.items()} if isinstance(document, dict) else {}


def _error_type(head: ResponseHead, facts: Mapping[str, Any]) -> str | None:
    """The service's word: `x-amzn-errortype` before its colon, else the body's, without a name space."""
    named = head.headers.get("x-amzn-errortype") or facts.get("__type") or facts.get("code")
    if not isinstance(named, str) or not named:
        return "ModelError" if "originalstatuscode" in facts else None
    return named.partition(":")[0].rpartition("#")[2].strip() or None


def _unknown_error(head: ResponseHead) -> str:
    return redirect_hint(head) if 300 <= head.status < 400 else ""
