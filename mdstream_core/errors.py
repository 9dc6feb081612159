"""The one tree of errors.

* MDStreamError
  * ConnectionFailed         the service was not reached: DNS, TCP, TLS, no free connection
  * ServiceError             it answered, with an error status
    * AuthenticationError    401
    * PermissionDenied       403
    * NotFound               404
    * InvalidRequest         400, 405, 409, 411, 413, 422
      * ContextOverflow      the question is longer than the model's context
      * ContentRefused       content control stopped the question or the answer
    * RateLimited            429
    * ServerError            5xx
  * StreamError              it answered 200 and then went wrong
    * StreamFailure          the service said so: trailer, exception frame, error event, close code
      * StreamTimeout        … because it took too long (the 408 kinds)
    * StreamInterrupted      the bytes stopped before the end
      * StreamStalled        … because nothing came for too long
    * MalformedStream        the bytes cannot be read: JSON, its shape, checksum, size limit
      * IncompleteToolCall   the stream ended in the middle of a tool call's arguments

Each is built from one message string (LlamaIndex workflows rebuild them so), can be pickled, and keeps its facts as
attributes. None is a `BaseException` only, and none has slots: frameworks hang their own attributes on exceptions.
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

if TYPE_CHECKING:
    from mdstream_core.events import ModelResponse

#: What is read of error bodies is imported from here too.
__all__ = [
    "SHAPE_ERRORS",
    "AuthenticationError",
    "ConnectionFailed",
    "ContentFiltered",
    "ContextOverflow",
    "ErrorBody",
    "ErrorResponse",
    "IncompleteToolCall",
    "InvalidRequest",
    "MDStreamError",
    "MalformedStream",
    "MissingExtra",
    "NotFound",
    "PermissionDenied",
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
    "parse_error_body",
    "parse_error_object",
    "quote_payload",
    "to_context_overflow",
    "to_readable_text",
    "unexpected_shape",
]


class ErrorResponse:
    """What is known of the answer, in the shape that LangChain reads from an exception's `response`.

    A plain value, never a live response: LangChain calls `json()` while it handles the error.

    Attributes:
        status_code: The HTTP status.
        headers: The answer's headers and trailers, credentials left out.
        text: The body of a refusal, or the words of the failure.
    """

    def __init__(self, status_code: int, headers: Mapping[str, str], body: Mapping[str, Any], text: str = "") -> None:
        self.status_code = status_code
        self.headers = dict(headers)
        self.text = text
        self._body = dict(body)

    def json(self) -> dict[str, Any]:
        """`{"error": …, "partial": …}`, JSON values only."""
        return self._body

    def __repr__(self) -> str:
        return f"<ErrorResponse {self.status_code}>"


class MDStreamError(Exception):
    """Anything that kept an answer from being whole.

    Attributes:
        code: The service's own word for it (`ModelResponseTimeExceeded`, `TooManyRequests` …), if it had one.
        status: The HTTP status that fits: the answer's own, or the one that the failure names.
        request_id: The service's id of the request, for a support ticket.
        retryable: Whether asking again may help.
        response: Status, headers with trailers, and `json()` with the partial; see `ErrorResponse`.
        partial: What was received before it went wrong (a `mdstream_core.ModelResponse`), or `None`.
        raw: The failure as it stood on the wire.
        retry_after: How many seconds the service asks to wait, if it said so.
    """

    retryable: bool = False
    status: int | None = None
    code: str | None = None
    request_id: str | None = None
    response: ErrorResponse | None = None
    partial: "ModelResponse | Any | None" = None
    raw: str | None = None
    retry_after: float | None = None

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
        given = zip(self._fields, (code, status, request_id, retryable, raw, retry_after), strict=True)
        known = ((name, _FIELD_TYPES[name](value)) for name, value in given if value is not None)
        self.__dict__.update((name, value) for name, value in known if value is not None)

    def convert_to(self, kind: type[Self]) -> Self:
        """The same error, with its facts, as a subclass (a framework's own name for it)."""
        other = kind(str(self))
        other.__dict__.update(self.__dict__)
        return other


def _status(value: Any) -> int | None:
    """An HTTP status, or `None` for what is none."""
    if isinstance(value, str) and value.isdecimal() and len(value) == _STATUS_DIGITS:
        value = int(value)
    return value if isinstance(value, int) and 0 <= value < 10**_STATUS_DIGITS else None


_STATUS_DIGITS = 3


def _seconds(value: Any) -> float | None:
    return value if isinstance(value, int | float) and isfinite(value) else None


#: How the fields of an error are read: services write objects and lists where a word should stand, and an error that
#: carries these could not be pickled, compared or shown.
_FIELD_TYPES: dict[str, Callable[[Any], Any]] = {
    "code": _json.to_text,
    "status": _status,
    "request_id": _json.to_text,
    "retryable": bool,
    "raw": _json.to_text,
    "retry_after": _seconds,
}


class ConnectionFailed(MDStreamError):
    """The service was not reached."""

    retryable = True


class ServiceError(MDStreamError):
    """The service answered with an error status."""


class AuthenticationError(ServiceError):
    """401: the signature, token or key was not accepted."""

    status = 401


class PermissionDenied(ServiceError):
    """403: known, but not allowed."""

    status = 403


class NotFound(ServiceError):
    """404: no such endpoint or model, or no right to see it."""

    status = 404


class InvalidRequest(ServiceError):
    """400, 405, 409, 411, 413, 422: the service cannot do what was asked."""

    status = 400


class ContextOverflow(InvalidRequest):
    """The question is longer than the model's context."""


class ContentFiltered(InvalidRequest):
    """Content control stopped the question or the answer. Asking again will not help, other words may."""


class RateLimited(ServiceError):
    """429: too much at once."""

    retryable = True
    status = 429


class ServerError(ServiceError):
    """5xx: the service or the model server failed."""

    retryable = True
    status = 500


class StreamError(MDStreamError):
    """The service answered 200 and then the stream went wrong."""


class StreamFailure(StreamError):
    """The service said that the stream failed."""

    retryable = True


class StreamTimeout(StreamFailure):
    """The service ended the stream because it took too long."""

    status = 408


class StreamInterrupted(StreamError):
    """The bytes stopped before the end."""

    retryable = True


class StreamStalled(StreamInterrupted):
    """Nothing came for too long, and we stopped waiting."""


class MalformedStream(StreamError):
    """The bytes cannot be read."""


class IncompleteToolCall(MalformedStream):
    """The answer ended in the middle of a tool call's arguments. The call must not be executed."""


#: What reading a payload raises where the payload has a shape that the code does not expect: a list in place of an
#: object, a word in place of a number, a number that no type holds, bytes that are no text, nesting that is too deep.
#: The only table of its kind; `unexpected_shape` makes one of our errors of each.
SHAPE_ERRORS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

#: How many characters of a payload are quoted in a message, and how many are kept in `raw`.
_QUOTED, _RAW = 300, 2000


def quote_payload(data: bytes, max_chars: int = _QUOTED) -> str:
    """The beginning of a payload as text, for an error.

    >>> quote_payload(b'{"a": 1}'), quote_payload(b"abcdef", 3)
    ('{"a": 1}', 'abc…')
    """
    text = data[: 4 * max_chars].decode("utf-8", "replace")
    return text if len(text) <= max_chars else text[:max_chars] + "…"


def unexpected_shape(data: bytes, cause: Exception) -> MalformedStream:
    """The error for a payload whose shape was not expected.

    Args:
        data: The payload; its beginning is kept in `raw`.
        cause: What reading it raised, one of `SHAPE_ERRORS`.

    >>> unexpected_shape(b'{"choices": 5}', TypeError("'int' object is not iterable"))
    MalformedStream('a payload in another shape: {"choices": 5}')
    """
    error = MalformedStream(f"a payload in another shape: {quote_payload(data)}", raw=quote_payload(data, _RAW))
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
    """The class for an error status.

    >>> error_class_for_status(503).__name__, error_class_for_status(418).__name__
    ('ServerError', 'ServiceError')
    """
    return _BY_STATUS.get(status) or (ServerError if status >= 500 else ServiceError)


class MissingExtra(ImportError):
    """A package is needed that is not installed; the message says how to install it."""

    def __init__(self, package: str, extra: str = "") -> None:
        hint = f"pip install 'mdstream-llm[{extra}]'" if extra else f"pip install {package}"
        super().__init__(f"{package} is not installed: {hint}")


def to_context_overflow(error: MDStreamError) -> MDStreamError:
    """A failure of a stream that says that the question is too long, as the `ContextOverflow` that it is.

    Servers that answer 200 before they count the tokens can say so in the stream only.

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
