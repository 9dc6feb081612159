"""Exception hierarchy.

* MDStreamError
  * ConnectionFailed         the service could not be reached: DNS, TCP, TLS, no free connection
  * RateLimitTimeout         no request was sent, because a `RateLimit` allowed none within its `max_wait`
  * GuardrailViolation       guardrails found something in a text that the policy does not allow
  * ServiceError             the service returned an error status
    * AuthenticationError    401
    * PermissionDenied       403
    * NotFound               404
    * InvalidRequest         400, 405, 409, 411, 413, 422
      * ContextOverflow      the prompt is longer than the model's context window
      * ContentFiltered      a content filter blocked the prompt or the output
    * RateLimited            429
    * ServerError            5xx
  * StreamError              the service returned 200, and the stream failed later
    * StreamFailure          the service reported the failure: trailer, exception frame, error event, close code
      * StreamTimeout        … because generation took too long (408 and similar codes)
    * StreamInterrupted      the stream ended before the response was complete
      * StreamStalled        … because no data arrived within a timeout
    * MalformedStream        the data is invalid: JSON, its shape, checksum, size limit
      * IncompleteToolCall   the stream ended in the middle of a tool call's arguments

Every exception can be built from one message string (LlamaIndex workflows rebuild exceptions that way), can be pickled,
and keeps its facts as attributes. All derive from `Exception`, and none has `__slots__`, because frameworks set their
own attributes on exceptions.
"""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar, Self

from mdstream_core import _json
from mdstream_core._error_bodies import (
    ErrorBody,
    describes_context_overflow,
    error_status,
    parse_error_body,
    parse_error_object,
    to_readable_text,
)
from mdstream_core._error_messages import extend_message, split_hint
from mdstream_core._traceback import ShortTraceback

if TYPE_CHECKING:
    from mdstream_core.events import GuardrailResults, ModelResponse

#: Includes the parser of error bodies, so that other modules import it from here.
__all__ = [
    "SHAPE_ERRORS",
    "AuthenticationError",
    "ConnectionFailed",
    "ContentFiltered",
    "ContextOverflow",
    "ErrorBody",
    "ErrorResponse",
    "GuardrailViolation",
    "IncompleteToolCall",
    "InvalidRequest",
    "MDStreamError",
    "MalformedStream",
    "MissingExtra",
    "NotFound",
    "PermissionDenied",
    "RateLimitTimeout",
    "RateLimited",
    "ServerError",
    "ServiceError",
    "StreamError",
    "StreamFailure",
    "StreamInterrupted",
    "StreamStalled",
    "StreamTimeout",
    "describes_context_overflow",
    "error_class_for_status",
    "error_status",
    "extend_error",
    "extend_message",
    "parse_error_body",
    "parse_error_object",
    "quote_payload",
    "split_hint",
    "to_context_overflow",
    "to_readable_text",
    "unexpected_shape",
]


class ErrorResponse:
    """Response of a failed request, in the shape that LangChain reads from an exception's `response` attribute.

    A plain value without an open connection: LangChain calls `json()` while it handles the error.

    Attributes:
        status_code: HTTP status code.
        headers: Response headers and trailers, without credentials.
        text: Body of the error response, or the message of a failed stream.
    """

    def __init__(self, status_code: int, headers: Mapping[str, str], body: Mapping[str, Any], text: str = "") -> None:
        self.status_code = status_code
        self.headers = dict(headers)
        self.text = text
        self._body = dict(body)

    def json(self) -> dict[str, Any]:
        """Return `{"error": …, "partial": …}`, with JSON values only."""
        return self._body

    def __repr__(self) -> str:
        return f"<ErrorResponse {self.status_code}>"


class MDStreamError(ShortTraceback, Exception):
    """Base class of all errors: the request or the stream did not produce a complete response.

    Args:
        message: What happened, the facts, and a hint: `404 NotFound: … (hint: …)`.

    Attributes:
        code: Error code of the service (`ModelResponseTimeExceeded`, `TooManyRequests` …), if it sent one.
        status: HTTP status code: of the response, or the one that the reported failure names.
        request_id: Request id of the service, for a support ticket.
        retryable: Whether a retry may succeed.
        response: Status, headers with trailers, and `json()` with the partial response; see `ErrorResponse`.
        partial: The output received before the failure (a `mdstream_core.ModelResponse`), or `None`.
        raw: The failure as it was received, as text.
        retry_after: Seconds to wait before a retry, if the service sent them.
        inference_job: The queued job whose output was not read (a `mdstream_core.InferenceJob`), or `None`.
    """

    retryable: bool = False
    status: int | None = None
    code: str | None = None
    request_id: str | None = None
    response: ErrorResponse | None = None
    partial: "ModelResponse | Any | None" = None
    raw: str | None = None
    retry_after: float | None = None
    inference_job: Any = None

    _fields: ClassVar[tuple[str, ...]] = ("code", "status", "request_id", "retryable", "raw", "retry_after")

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retryable: bool | None = None,
        raw: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        fields = zip(self._fields, (code, status, request_id, retryable, raw, retry_after), strict=True)
        converted = ((name, _FIELD_TYPES[name](value)) for name, value in fields if value is not None)
        self.__dict__.update((name, value) for name, value in converted if value is not None)

    def convert_to(self, kind: type[Self]) -> Self:
        """Return the same error, with all attributes, as a subclass (the class of a framework package)."""
        other = kind(str(self))
        other.__dict__.update(self.__dict__)
        return other


def _status(value: Any) -> int | None:
    """Convert to an HTTP status code; `None` if it is not one."""
    if isinstance(value, str) and value.isdecimal() and len(value) == _STATUS_DIGITS:
        value = int(value)
    return value if isinstance(value, int) and 0 <= value < 10**_STATUS_DIGITS else None


_STATUS_DIGITS = 3


def _seconds(value: Any) -> float | None:
    return value if isinstance(value, int | float) and isfinite(value) else None


#: Converter of each field of an error. Some services send objects or lists where a string is expected; an error with
#: such a field could not be pickled, compared or displayed.
_FIELD_TYPES: dict[str, Callable[[Any], Any]] = {
    "code": _json.to_text,
    "status": _status,
    "request_id": _json.to_text,
    "retryable": bool,
    "raw": _json.to_text,
    "retry_after": _seconds,
}


class ConnectionFailed(MDStreamError):
    """The service could not be reached."""

    retryable = True


class RateLimitTimeout(MDStreamError):
    """A `RateLimit` allowed no request within its `max_wait`. Nothing was sent."""


class GuardrailViolation(MDStreamError):
    """Guardrails found something in a text that the policy does not allow. A retry does not help.

    Attributes:
        results: What the guardrails found, with scores, labels and offsets; `None` if they could not be applied.
        violations: What the policy does not allow, one short text each, without the text that was checked.
        location: Where the text comes from: `input`, `output`, `tool call`, `citation`, `tool result` or `document`.
    """

    code = "GuardrailViolation"
    results: "GuardrailResults | Any | None" = None
    violations: tuple[str, ...] = ()
    location: str = ""


class ServiceError(MDStreamError):
    """The service returned an error status."""


class AuthenticationError(ServiceError):
    """401: the signature, token or key was rejected."""

    status = 401


class PermissionDenied(ServiceError):
    """403: the credentials are valid but lack permission."""

    status = 403


class NotFound(ServiceError):
    """404: the endpoint or model does not exist, or the credentials may not see it."""

    status = 404


class InvalidRequest(ServiceError):
    """400, 405, 409, 411, 413, 422: the service rejected the request."""

    status = 400


class ContextOverflow(InvalidRequest):
    """The prompt is longer than the model's context window."""


class ContentFiltered(InvalidRequest):
    """A content filter blocked the prompt or the output. A retry does not help; another prompt may."""


class RateLimited(ServiceError):
    """429: too many requests or tokens."""

    retryable = True
    status = 429


class ServerError(ServiceError):
    """5xx: the service or the model server failed."""

    retryable = True
    status = 500


class StreamError(MDStreamError):
    """The service returned 200, and the stream failed later."""


class StreamFailure(StreamError):
    """The service reported that the stream failed."""

    retryable = True


class StreamTimeout(StreamFailure):
    """The service ended the stream because generation took too long."""

    status = 408


class StreamInterrupted(StreamError):
    """The stream ended before the response was complete."""

    retryable = True


class StreamStalled(StreamInterrupted):
    """No data arrived within a timeout of the client."""


class MalformedStream(StreamError):
    """The data of the stream is invalid."""


class IncompleteToolCall(MalformedStream):
    """The stream ended in the middle of a tool call's arguments. The call must not be executed."""


#: Exceptions that decoding raises for a payload of an unexpected shape: a list instead of an object, a string instead
#: of a number, a number that no type can hold, bytes that are not UTF-8, nesting that is too deep. This is the only
#: such table; `unexpected_shape` converts these exceptions.
SHAPE_ERRORS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

#: How many characters of a payload an error's message and its `raw` attribute contain.
_MAX_QUOTED, _MAX_RAW = 300, 2000


def quote_payload(data: bytes, max_chars: int = _MAX_QUOTED) -> str:
    """Return the beginning of a payload as text, for an error message.

    >>> quote_payload(b'{"a": 1}'), quote_payload(b"abcdef", 3)
    ('{"a": 1}', 'abc…')
    """
    text = data[: 4 * max_chars].decode("utf-8", "replace")
    return text if len(text) <= max_chars else text[:max_chars] + "…"


def unexpected_shape(data: bytes, cause: Exception) -> MalformedStream:
    """Create the error for a payload of an unexpected shape.

    Args:
        data: The payload; `raw` contains its beginning.
        cause: The exception that decoding raised, one of `SHAPE_ERRORS`.

    >>> unexpected_shape(b'{"choices": 5}', TypeError("'int' object is not iterable"))
    MalformedStream('a payload has an unexpected shape: {"choices": 5}')
    """
    message = f"a payload has an unexpected shape: {quote_payload(data)}"
    error = MalformedStream(message, raw=quote_payload(data, _MAX_RAW))
    error.__cause__ = cause
    return error


_BY_STATUS: dict[int, type[ServiceError]] = {
    400: InvalidRequest,
    401: AuthenticationError,
    403: PermissionDenied,
    404: NotFound,
    405: InvalidRequest,
    408: ServerError,
    409: InvalidRequest,
    411: InvalidRequest,
    413: InvalidRequest,
    422: InvalidRequest,
    424: ServerError,
    429: RateLimited,
}


def error_class_for_status(status: int) -> type[ServiceError]:
    """Return the exception class for an HTTP error status.

    >>> error_class_for_status(503).__name__, error_class_for_status(418).__name__
    ('ServerError', 'ServiceError')
    """
    return _BY_STATUS.get(status) or (ServerError if status >= 500 else ServiceError)


class MissingExtra(ImportError):
    """An optional package is not installed; the message contains the command that installs it.

    Args:
        package: Name of the package that cannot be imported, such as `botocore`.
        extra: Extra of `mdstream-llm` that installs it, such as `aws`; empty if there is none.
    """

    def __init__(self, package: str, extra: str = "") -> None:
        hint = f"pip install 'mdstream-llm[{extra}]'" if extra else f"pip install {package}"
        super().__init__(f"{package} is not installed (hint: {hint})")


def extend_error(error: MDStreamError, *, fact: str = "", hint: str = "") -> None:
    """Add a fact and a hint to the message of an error, see `extend_message`."""
    error.args = (extend_message(str(error), fact=fact, hint=hint),)


def to_context_overflow(error: MDStreamError) -> MDStreamError:
    """Convert a stream failure that reports a too long prompt to `ContextOverflow`; return other errors unchanged.

    Servers that send the status line before they count the tokens can report this only in the stream.

    >>> type(to_context_overflow(StreamFailure("prompt is too long: 9 tokens > 8 maximum"))).__name__
    'ContextOverflow'
    """
    if not isinstance(error, StreamFailure) or not describes_context_overflow(f"{error.code} {error}"):
        return error
    overflow = ContextOverflow(
        str(error), code=error.code, status=error.status or 400, request_id=error.request_id, raw=error.raw
    )
    overflow.__cause__ = error.__cause__
    return overflow
