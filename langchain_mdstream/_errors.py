"""The tree of errors under LangChain's names: each class of `mdstream_core.errors` that is also a `ModelError`.

What may be retried is told in two ways, because it is read in two: LangChain's middleware asks `is_retryable`, and
LangGraph's default policy goes by built-in bases. So what is final is a `ValueError` too, and what may be retried is
neither a `RuntimeError` nor an `OSError`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from langchain_core import exceptions as langchain

from mdstream_core import MDStreamError, errors


class ConnectionFailed(errors.ConnectionFailed, langchain.ModelConnectionError):
    """The service was not reached."""


class ServiceError(errors.ServiceError, langchain.ModelError, ValueError):
    """The service answered with an error status that has no class of its own."""


class AuthenticationError(errors.AuthenticationError, langchain.ModelAuthenticationError, ValueError):
    """401."""


class PermissionDenied(errors.PermissionDenied, langchain.ModelPermissionDeniedError, ValueError):
    """403."""


class NotFound(errors.NotFound, langchain.ModelNotFoundError, ValueError):
    """404."""


class InvalidRequest(errors.InvalidRequest, langchain.ModelInvalidRequestError, ValueError):
    """400, 405, 409, 411, 413, 422."""


class ContextOverflow(errors.ContextOverflow, langchain.ContextOverflowError, ValueError):
    """The question is longer than the model's context."""


class ContentFiltered(errors.ContentFiltered, langchain.ModelInvalidRequestError, ValueError):
    """Content control stopped the question or the answer."""


class RateLimited(errors.RateLimited, langchain.ModelRateLimitError):
    """429."""


class ServerError(errors.ServerError, langchain.ModelAPIError):
    """5xx."""


class StreamFailure(errors.StreamFailure, langchain.ModelAPIError):
    """The service said that the stream failed."""


class StreamTimeout(errors.StreamTimeout, langchain.ModelTimeoutError):
    """The service ended the stream because it took too long."""


class StreamInterrupted(errors.StreamInterrupted, langchain.ModelConnectionError):
    """The bytes stopped before the end."""


class StreamStalled(errors.StreamStalled, langchain.ModelTimeoutError):
    """Nothing came for too long."""


class MalformedStream(errors.MalformedStream, langchain.ModelAPIError, ValueError):
    """The bytes cannot be read."""


class IncompleteToolCall(errors.IncompleteToolCall, langchain.ModelAPIError, ValueError):
    """The answer ended inside a tool call's arguments."""


_LANGCHAIN_CLASSES: dict[type[MDStreamError], type[MDStreamError]] = {
    twin.__mro__[1]: twin
    for twin in (
        ConnectionFailed,
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
    """The same error under LangChain's name."""
    kind = next((_LANGCHAIN_CLASSES[base] for base in type(error).__mro__ if base in _LANGCHAIN_CLASSES), None)
    if kind is None or isinstance(error, langchain.ModelError):
        return error
    twin = error.convert_to(kind)
    twin.is_retryable = twin.retryable  # type: ignore[attr-defined]  # as this very failure is, whatever its class says
    return twin


@contextmanager
def map_errors() -> Iterator[None]:
    """Raise core's errors under LangChain's names."""
    try:
        yield
    except MDStreamError as error:
        raise to_langchain_error(error) from error
