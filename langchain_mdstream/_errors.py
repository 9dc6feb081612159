"""Errors that are also LangChain errors: each class of `mdstream_core.errors` combined with a `ModelError` class.

LangChain's middleware retries errors whose `is_retryable` is true. LangGraph's default retry policy checks built-in
base classes instead: it retries neither `ValueError` nor `RuntimeError` nor `OSError`. So errors that must not be
retried inherit `ValueError`, and those that may be retried inherit none of the three.
"""

from langchain_core import exceptions as langchain

from mdstream_core import MDStreamError, errors


class ConnectionFailed(errors.ConnectionFailed, langchain.ModelConnectionError):
    """The connection to the service failed."""


class RateLimitTimeout(errors.RateLimitTimeout, langchain.ModelRateLimitError, ValueError):
    """A `RateLimit` allowed no request within its `max_wait`."""


class GuardrailViolation(errors.GuardrailViolation, langchain.ModelError, ValueError):
    """Guardrails found something in a text that the policy does not allow."""


class ServiceError(errors.ServiceError, langchain.ModelError, ValueError):
    """The service returned an error status that has no class of its own."""


class AuthenticationError(errors.AuthenticationError, langchain.ModelAuthenticationError, ValueError):
    """The service returned 401: the authentication was rejected."""


class PermissionDenied(errors.PermissionDenied, langchain.ModelPermissionDeniedError, ValueError):
    """The service returned 403: the permission is missing."""


class NotFound(errors.NotFound, langchain.ModelNotFoundError, ValueError):
    """The service returned 404: the endpoint, the route or the model does not exist."""


class InvalidRequest(errors.InvalidRequest, langchain.ModelInvalidRequestError, ValueError):
    """The service rejected the request: 400, 405, 409, 411, 413 or 422."""


class ContextOverflow(errors.ContextOverflow, langchain.ContextOverflowError, ValueError):
    """The prompt is longer than the model's context window."""


class ContentFiltered(errors.ContentFiltered, langchain.ModelInvalidRequestError, ValueError):
    """A content filter stopped the request or the response."""


class RateLimited(errors.RateLimited, langchain.ModelRateLimitError):
    """The service returned 429: too many requests."""


class ServerError(errors.ServerError, langchain.ModelAPIError):
    """The service returned an error status from 500 to 599."""


class StreamFailure(errors.StreamFailure, langchain.ModelAPIError):
    """The service reported that the stream failed."""


class StreamTimeout(errors.StreamTimeout, langchain.ModelTimeoutError):
    """The service ended the stream because of a timeout."""


class StreamInterrupted(errors.StreamInterrupted, langchain.ModelConnectionError):
    """The stream ended before the response was complete."""


class StreamStalled(errors.StreamStalled, langchain.ModelTimeoutError):
    """No data was received within the read timeout."""


class MalformedStream(errors.MalformedStream, langchain.ModelAPIError, ValueError):
    """The stream cannot be decoded."""


class IncompleteToolCall(errors.IncompleteToolCall, langchain.ModelAPIError, ValueError):
    """The response ended inside the arguments of a tool call."""


_LANGCHAIN_CLASSES: dict[type[MDStreamError], type[MDStreamError]] = {
    cls.__mro__[1]: cls
    for cls in (
        ConnectionFailed,
        RateLimitTimeout,
        GuardrailViolation,
        ServiceError,
        AuthenticationError,
        PermissionDenied,
        NotFound,
        InvalidRequest,
        ContextOverflow,
        ContentFiltered,
        RateLimited,
        ServerError,
        StreamFailure,
        StreamTimeout,
        StreamInterrupted,
        StreamStalled,
        MalformedStream,
        IncompleteToolCall,
    )
}


def to_langchain_error(error: MDStreamError) -> MDStreamError:
    """Convert an error to its LangChain class."""
    cls = next((_LANGCHAIN_CLASSES[base] for base in type(error).__mro__ if base in _LANGCHAIN_CLASSES), None)
    if cls is None or isinstance(error, langchain.ModelError):
        return error
    converted = error.convert_to(cls)
    converted.is_retryable = converted.retryable  # type: ignore[attr-defined]  # of this instance: its class has a default
    return converted


class map_errors:  # noqa: N801  # a context manager is used like a function
    """Convert errors of the core to their LangChain classes. A class, because a generator would cost more per call."""

    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, MDStreamError):
            raise to_langchain_error(error) from error
