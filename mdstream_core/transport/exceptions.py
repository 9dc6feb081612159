"""The wall where an HTTP library's exceptions become ours, by name: httpx and httpx2 use the same names."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mdstream_core.errors import (
    ConnectionFailed,
    MalformedStream,
    MDStreamError,
    ServiceError,
    StreamInterrupted,
    StreamStalled,
    error_class_for_status,
)
from mdstream_core.http import remove_credentials
from mdstream_core.transport.timeouts import TimeoutBudget

#: What it means before the status line has come; whatever is not named is `ConnectionFailed`.
_BEFORE_RESPONSE: dict[str, type[MDStreamError]] = {
    "ReadTimeout": StreamStalled,
    "WriteTimeout": StreamStalled,
}

#: … and after; whatever is not named is `StreamInterrupted`.
_AFTER_RESPONSE: dict[str, type[MDStreamError]] = {
    "ReadTimeout": StreamStalled,
    "DecodingError": MalformedStream,
}

#: Asking again would end the same way.
_NOT_RETRYABLE = frozenset({"UnsupportedProtocol", "LocalProtocolError", "InvalidURL"})


def http_errors() -> tuple[type[Exception], ...]:
    """The base classes of the HTTP libraries that are in use."""
    libraries = [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]  # others raise nothing
    return tuple(error for lib in libraries for error in (lib.HTTPError, lib.InvalidURL, lib.StreamError))


@contextmanager
def map_exceptions(budget: TimeoutBudget) -> Iterator[None]:
    """Turn what the HTTP library raises into our errors."""
    try:
        yield
    except http_errors() as error:
        name = type(error).__name__
        remove_credentials(error)
        if name == "HTTPStatusError":
            raise _status_error(error) from error
        kind = (
            _AFTER_RESPONSE.get(name, StreamInterrupted)
            if budget.has_head
            else _BEFORE_RESPONSE.get(name, ConnectionFailed)
        )
        sentence = _describe(name, str(error), budget)
        raise kind(sentence, code=name, retryable=False if name in _NOT_RETRYABLE else None) from error
    except (OSError, TypeError, ValueError, RuntimeError) as error:  # a certificate's password, a hook of the user's
        remove_credentials(error)
        raise


def _status_error(error: Any) -> ServiceError:
    """An event hook of the user's own client called `raise_for_status` before we could read what the service says."""
    status = error.response.status_code
    sentence = f"{status}: {error.response.reason_phrase}, raised by an event hook of the http_client"
    return error_class_for_status(status)(sentence, status=status)


def _describe(name: str, message: str, budget: TimeoutBudget) -> str:
    if name == "ReadTimeout":
        return budget.read_message
    if name.endswith("Timeout") and budget.is_exhausted:
        return budget.total_message
    if name == "PoolTimeout":
        return "no connection became free in time: all connections of the pool are in use"
    if name == "ConnectTimeout":
        return f"the service was not reached within {budget.limits['connect']} s (timeout.connect)"
    if budget.has_head:
        return f"the connection broke before the answer ended: {message or name}"
    return f"the service was not reached: {message or name}"
