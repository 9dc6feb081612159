"""SageMaker's request headers: their patterns, what a stream cannot have, and the arguments of a single call.

Sources: botocore's model `sagemaker-runtime` 2017-05-13, for the shapes and for the operations that have each header.
"""

import re
import warnings
from collections.abc import Mapping
from typing import Any

from mdstream_core.errors import InvalidRequest
from mdstream_core.http import describe_problem

HEADER_PREFIX = "x-amzn-sagemaker-"

#: Pattern of the names of endpoints, variants and hosts.
NAME = r"[a-zA-Z0-9](-*[a-zA-Z0-9])*"
_PRINTABLE = r"[\x21-\x7e][\x20-\x7e]*"

#: Pattern and maximum length of each field that is sent as a header (botocore's shapes).
_HEADER_RULES: dict[str, tuple[str, int]] = {
    "inference_component": (r"[a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?", 63),
    "target_model": (_PRINTABLE, 1024),
    "target_variant": (NAME, 63),
    "target_container_hostname": (NAME, 63),
    "session_id": (rf"NEW_SESSION|{NAME}", 256),
    "inference_id": (_PRINTABLE, 64),
    "custom_attributes": (r"[\x20-\x7e]*", 1024),
    "enable_explanations": (r"[\x20-\x7e]+", 64),
    "prefix_aware_id": (_PRINTABLE, 64),
}

#: Header: name of the field.
FIELDS = {f"{HEADER_PREFIX}{name.replace('_', '-')}": name for name in _HEADER_RULES}
_HEADERS = {name: header for header, name in FIELDS.items()}

#: Arguments of a single call that are sent as headers, by their own names and by boto3's: name of the field.
_ARGUMENTS = {
    "inference_component_name": "inference_component",
    **{name: name for name in _HEADER_RULES if name != "inference_component"},
}
_ARGUMENTS |= {"".join(map(str.title, name.split("_"))): field for name, field in _ARGUMENTS.items()}
SAGEMAKER_ARGUMENTS = frozenset(_ARGUMENTS)

#: Fields that `InvokeEndpointWithResponseStream` does not support, and why.
_NOT_STREAMED = {
    "target_model": "a multi-model endpoint does not stream",
    "enable_explanations": "explanations are not streamed",
}

#: Further headers that are sent, for the request itself or for AWS's tracing.
_PASSED_HEADERS = frozenset(
    {"accept", "accept-encoding", "connection", "content-type", "user-agent", "x-amzn-trace-id"}
)


def sagemaker_headers(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers for the arguments of one call, which override the fields of `SageMaker`.

    Args:
        arguments: Arguments with the names of `SAGEMAKER_ARGUMENTS`: `inference_component_name`, `target_model`,
            `target_variant`, `target_container_hostname`, `session_id`, `inference_id`, `custom_attributes`,
            `enable_explanations`, `prefix_aware_id`, or boto3's names, such as `TargetVariant`. Others are ignored,
            and so is `None`. A `session_id` may be the `NewSessionId` of a response, with its expiry.

    Raises:
        InvalidRequest: SageMaker would reject a value; the message names the argument.

    >>> sagemaker_headers({"target_variant": "blue", "session_id": "s-1; Expires=2026-01-02T03:04:05Z", "seed": 1})
    {'x-amzn-sagemaker-target-variant': 'blue', 'x-amzn-sagemaker-session-id': 's-1'}
    """
    headers = {}
    for name, value in arguments.items():
        field = _ARGUMENTS.get(name)
        if field is None or value is None:
            continue
        if not isinstance(value, str):
            raise InvalidRequest(f"{name} has the type {type(value).__name__} (hint: pass a string)")
        header = _HEADERS[field]
        value = value.partition(";")[0] if field == "session_id" else value
        if problem := describe_header_problem(header, value):
            raise InvalidRequest(problem, code="ValidationError", status=400)
        headers[header] = value
    return headers


def filter_headers(headers: Mapping[str, str], *, stream: bool) -> dict[str, str]:
    """The caller's headers in lower case, without those that SageMaker removes, which cause a warning."""
    extra = {name.lower(): value for name, value in headers.items()}
    for name, value in extra.items():
        if problem := describe_header_problem(name, value):
            raise InvalidRequest(problem, code="ValidationError", status=400)
    if stream:
        reject_unstreamed(extra)
    passed = {name: value for name, value in extra.items() if name.startswith(HEADER_PREFIX) or name in _PASSED_HEADERS}
    if removed := extra.keys() - passed.keys():
        warnings.warn(
            f"SageMaker removes the header {', '.join(sorted(removed))}, so it is not sent "
            "(hint: send data for the container in custom_attributes)",
            RuntimeWarning,
            stacklevel=2,
        )
    return passed


def describe_header_problem(header: str, value: str | None) -> str | None:
    """The problem of a header's value, or `None`."""
    name = FIELDS.get(header)
    if name is None or value is None:
        return None
    pattern, max_length = _HEADER_RULES[name]
    if len(value) > max_length:
        return f"{name} has {len(value)} characters; SageMaker accepts {max_length} at most (hint: shorten it)"
    if not re.fullmatch(pattern, value):
        problem = describe_problem(value) or "characters that SageMaker rejects (hint: remove them)"
        return f"{name} ({header}) has {problem}"
    return None


def reject_unstreamed(headers: Mapping[str, str]) -> None:
    """Raise `InvalidRequest` if a stream cannot have one of the headers."""
    for name, reason in _NOT_STREAMED.items():
        if f"{HEADER_PREFIX}{name.replace('_', '-')}" in headers:
            raise InvalidRequest(
                f"{name} is set, but {reason} (hint: set streaming=False, or send the request without streaming)",
                code="ValidationError",
            )
    if headers.get(f"{HEADER_PREFIX}session-id") == "NEW_SESSION":
        raise InvalidRequest(
            "a stream cannot start a session (hint: start it without streaming, then set its session_id)",
            code="ValidationError",
        )
